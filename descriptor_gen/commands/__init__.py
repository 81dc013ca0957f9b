"""The commands of descgen, a module for each thing people do."""
