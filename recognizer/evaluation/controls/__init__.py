"""Controls: what a run's texts and frames are worth, beside texts and frames that cannot help."""
