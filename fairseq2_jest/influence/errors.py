"""What can go wrong between a pool of pairs and the choice from it."""

from __future__ import annotations


class InfluenceError(Exception):
    """Influence cannot be computed or kept; the message is one sentence with the mend."""
