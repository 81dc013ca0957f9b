"""Prompt templates: rendered for an action, checked before use, and the reply that they ask for."""
