"""The command `recognize`."""

from __future__ import annotations

import click

from db.commandline import Commands, Database, database_option
from recognizer.commands.evaluate import evaluate_videos
from recognizer.commands.localize import localize_actions
from recognizer.commands.predict import predict_videos
from recognizer.commands.runs import runs


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="descgen-recognize")
@database_option
@click.pass_context
def recognize(context: click.Context, url: str) -> None:
    """Recognise actions in videos by text, without training.

    \b
    recognize eval --dataset ucf101 --root UCF101/     accuracy of labels and of descriptors
    recognize predict my.mp4 --dataset hmdb51          the best classes of a video
    recognize localize long.mp4 --dataset thumos14     where in a long video which action is
    recognize runs                                     what was measured
    """
    context.obj = Database(url)
    context.call_on_close(context.obj.close)


_COMMANDS = (evaluate_videos, predict_videos, localize_actions, runs)
for command in _COMMANDS:
    recognize.add_command(command)
