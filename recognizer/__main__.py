"""`python -m recognizer` is the command `recognize`."""

from recognizer.cli import recognize

recognize(prog_name="recognize")
