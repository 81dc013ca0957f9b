"""Temporal action localization: find actions in long videos, and evaluate them against annotations."""
