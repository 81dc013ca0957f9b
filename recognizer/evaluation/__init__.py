"""Runs: evaluate, predict, replay, sweep, compare, and what each descriptor is worth."""
