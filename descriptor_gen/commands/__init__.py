"""The commands of descgen, one module for each task."""
