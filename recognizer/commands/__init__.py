"""The commands of recognize, one module each."""
