"""Review of descriptors in a browser or a terminal; every decision is recorded."""
