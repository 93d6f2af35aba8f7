"""Clients of vision-language models: any OpenAI-compatible server, and Gemini."""
