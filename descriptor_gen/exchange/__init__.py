"""Import and export of descriptors as files."""
