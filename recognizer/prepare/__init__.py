"""From nothing to a folder that an evaluation reads: download, check, unpack, extract frames."""
