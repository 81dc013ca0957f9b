"""Descriptors in and out as files."""
