"""Find suspicious descriptors, and classes that are alike to a text encoder."""
