"""The command `recognize`."""

from __future__ import annotations

import click

from db.commandline import Commands, Database, database_option
from recognizer.commands.check import check_videos
from recognizer.commands.compare import compare_runs
from recognizer.commands.doctor import examine_machine
from recognizer.commands.embed import embed
from recognizer.commands.evaluate import evaluate_videos
from recognizer.commands.explain import explain_classes
from recognizer.commands.features import features
from recognizer.commands.impact import impact
from recognizer.commands.leaderboard import show_leaderboard
from recognizer.commands.localize import localize_actions
from recognizer.commands.predict import predict_videos
from recognizer.commands.prepare import prepare_dataset
from recognizer.commands.report import report_run
from recognizer.commands.runs import runs
from recognizer.commands.sweep import sweep_choices

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 120, "show_default": True}


@click.group(cls=Commands, context_settings=_SETTINGS)
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
    recognize embed --dataset ucf101 --root UCF101/    embed its videos once, for all commands
    recognize features list                            the stored embeddings
    recognize localize long.mp4 --dataset thumos14     when actions happen in a long video
    recognize runs                                     the stored runs
    recognize report 3                                 a run as a page: classes, confusions, videos
    recognize doctor                                   what this machine has, and how to get what it lacks
    """
    context.obj = Database(url)
    context.call_on_close(context.obj.close)


_COMMANDS = (
    prepare_dataset,
    check_videos,
    embed,
    evaluate_videos,
    predict_videos,
    explain_classes,
    localize_actions,
    sweep_choices,
    compare_runs,
    show_leaderboard,
    impact,
    runs,
    report_run,
    features,
    examine_machine,
)
for command in _COMMANDS:
    recognize.add_command(command)
