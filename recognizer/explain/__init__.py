"""Explain the score of one video: what each text adds, on which frames."""
