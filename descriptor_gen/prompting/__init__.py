"""Prompt templates: check them, render them for an action, and parse the replies."""
