"""The command `recognize`."""

from __future__ import annotations

from typing import NoReturn

import click

from db.program import Listed, Program, database_option, open_when_needed, run

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 120, "show_default": True}


_COMMANDS = {
    "prepare": Listed(
        "recognizer.commands.prepare:prepare_dataset",
        "Print the official steps to get a dataset, or do them: download, check, unpack, extract frames.",
    ),
    "check": Listed(
        "recognizer.commands.check:check_videos",
        "Compare a folder with the lists of its dataset and read every video; or only read files and folders.",
    ),
    "embed": Listed(
        "recognizer.commands.embed:embed",
        "Decode and encode the videos of a dataset, once for all commands; run it again to resume.",
    ),
    "eval": Listed(
        "recognizer.commands.evaluate:evaluate_videos",
        "Classify the videos of a dataset, with its labels alone and with its descriptors, and store the run.",
    ),
    "predict": Listed(
        "recognizer.commands.predict:predict_videos",
        "Rank the classes for videos: files, folders of videos, or folders of frames.",
    ),
    "explain": Listed(
        "recognizer.commands.explain:explain_classes",
        "Show what each text adds to the score of the best classes of videos, and which frames it fits.",
    ),
    "localize": Listed(
        "recognizer.commands.localize:localize_actions",
        "Find when in long videos the actions of a dataset happen; with annotations, compute mAP.",
    ),
    "sweep": Listed(
        "recognizer.commands.sweep:sweep_choices",
        "Evaluate every combination of lists of choices; videos are embedded once.",
    ),
    "compare": Listed(
        "recognizer.commands.compare:compare_runs",
        "Compare two runs on the videos that both evaluated; with one RUN, its labels alone with its descriptors.",
    ),
    "leaderboard": Listed(
        "recognizer.commands.leaderboard:show_leaderboard",
        "Show encoders and texts by datasets in one table, from stored runs; those that cannot be compared stay apart.",
    ),
    "impact": Listed(
        "recognizer.commands.impact:impact",
        "Measure what a run gains or loses without each of its descriptors, and store it for the review.",
    ),
    "controls": Listed(
        "recognizer.commands.controls:control_run",
        "Compare a run's texts with those of other classes and random words, and its frames with others.",
    ),
    "runs": Listed(
        "recognizer.commands.runs:runs",
        "List all runs, show one in full, or the mean and deviation over several; name, mark or delete them.",
    ),
    "report": Listed(
        "recognizer.commands.report:report_run",
        "Write a page about a run: its numbers, classes, confusions, and the videos and texts behind them.",
    ),
    "serve": Listed(
        "studio.command:serve",
        "Show runs with their videos and texts in a browser: the application of `descgen review`, opened at the runs.",
    ),
    "worlds": Listed(
        "recognizer.commands.worlds:measure_worlds",
        "Measure every scoring method on made videos and texts with known truth; no model or database is used.",
    ),
    "features": Listed(
        "recognizer.commands.features:features",
        "List, verify, merge and prune the stored embeddings; export them, and import those made elsewhere.",
    ),
    "doctor": Listed(
        "recognizer.commands.doctor:examine_machine",
        "Show what this machine has: packages, devices, weights, database; "
        "exit code 1 if something essential is missing.",
    ),
}


@click.group(cls=Program, listed=_COMMANDS, context_settings=_SETTINGS)
@click.version_option(package_name="descgen-recognize")
@database_option
@click.pass_context
def recognize(context: click.Context, url: str) -> None:
    """Recognise actions in videos by text, without training.

    \b
    recognize prepare --dataset ucf101                 print the steps to get a dataset; --run does them
    recognize check --dataset ucf101 --root UCF101/    find missing, broken and misplaced videos
    recognize eval --dataset ucf101 --root UCF101/     accuracy of labels and of descriptors
    recognize predict my.mp4 --dataset hmdb51          the best classes of a video
    recognize explain my.mp4 --dataset hmdb51          what each text adds, frame by frame
    recognize sweep --dataset hmdb51 --grid tear       evaluate many combinations of choices, best first
    recognize compare 3 7                              which run is better, and on which classes
    recognize leaderboard                              encoders and texts by datasets, from the stored runs
    recognize impact 3                                 the effect of each descriptor
    recognize controls 3                               whether its texts beat other classes' texts and random words
    recognize embed --dataset ucf101 --root UCF101/    embed its videos once, for all commands
    recognize features list                            the stored embeddings
    recognize localize long.mp4 --dataset thumos14     when actions happen in a long video
    recognize runs                                     the stored runs
    recognize report 3                                 a run as a page: classes, confusions, videos
    recognize serve                                    runs, their videos and texts in a browser
    recognize worlds                                   where each scoring method helps, and where it collapses
    recognize doctor                                   what this machine has, and how to get what it lacks
    """
    open_when_needed(context, url)


def main() -> NoReturn:
    """Run the command `recognize` and end the process."""
    run(recognize, "recognize")
