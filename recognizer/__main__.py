"""`python -m recognizer` is the command `recognize`."""

from recognizer.cli import main

main()
