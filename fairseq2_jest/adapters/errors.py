from __future__ import annotations


class AdapterError(Exception):
    """Raised when an adapter cannot be attached, read or merged.

    Not a ValueError: fairseq2 takes those for a damaged checkpoint, and shows a stack trace.
    """
