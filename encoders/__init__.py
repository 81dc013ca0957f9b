"""Encoders of frames and texts: `protocol` is the seam, `registry` opens one by name."""
