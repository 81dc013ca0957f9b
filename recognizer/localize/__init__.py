"""Where in a long video which action is, and how well it was found."""
