"""Which text did what to the score of one video, on which frame."""
