"""descgen: class names in, reviewed descriptors out."""
