"""Worlds with known truth: made videos and texts, on which every scoring method is measured."""
