"""What maintainers run: the file of hashes, and the table of licences."""
