"""What is suspicious about descriptors, and which classes a text encoder takes for alike."""
