"""Training and translating against transformers."""
