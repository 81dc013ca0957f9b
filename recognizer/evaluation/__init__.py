"""Runs: evaluate, predict, replay, sweep, compare, and the effect of each descriptor."""
