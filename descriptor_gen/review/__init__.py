"""The review application: descriptors in a browser, every decision on record."""
