"""The commands of recognize, a module for each thing people do."""
