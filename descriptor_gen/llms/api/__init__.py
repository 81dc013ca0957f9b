"""LLMs behind a server of OpenAI's protocol, call by call."""
