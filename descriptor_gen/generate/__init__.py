"""Which calls to an LLM are missing, and the build that makes them."""
