"""`python -m descriptor_gen` is the command `descgen`."""

from descriptor_gen.cli import descgen

descgen(prog_name="descgen")
