"""The error about a model that somebody names."""


class ModelError(Exception):
    """A model or a tokenizer cannot be used; the message is a sentence for the user."""
