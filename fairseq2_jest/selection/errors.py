from __future__ import annotations


class SelectionError(ValueError):
    """Raised when batch selection is asked for something it cannot do."""
