"""Commands as real processes that are killed, suspended and crowded at random moments: `make torture`."""
