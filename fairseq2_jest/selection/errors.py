from __future__ import annotations


class SelectionError(ValueError):
    """Raised when batch selection is asked for something it cannot do."""


class ResumeError(Exception):
    """Raised when a checkpoint is not of this run.

    Not a ValueError: fairseq2 takes those for a damaged checkpoint, and shows a stack trace.
    """
