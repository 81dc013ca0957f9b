"""`python -m descriptor_gen` is the command `descgen`."""

from descriptor_gen.cli import main

main()
