"""Get a dataset: download, check, unpack, extract frames."""
