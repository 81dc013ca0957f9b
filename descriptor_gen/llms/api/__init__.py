"""LLMs behind a server with OpenAI's protocol, one call at a time."""
