"""Clients of vision-language servers that speak the OpenAI protocol."""
