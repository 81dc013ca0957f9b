"""Text packs: the descriptors of a dataset as a package that pip installs."""
