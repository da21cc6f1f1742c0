"""What can go wrong between a text and its embedding."""

from __future__ import annotations


class EmbeddingError(Exception):
    """An embedding cannot be made, stored or found; the message is one sentence with the mend."""
