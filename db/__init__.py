"""The contract between descgen and recognize: what is stored, and how it is named."""
