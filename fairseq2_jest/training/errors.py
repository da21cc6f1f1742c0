from __future__ import annotations


class TrainingError(ValueError):
    """Raised when a run is asked for something training cannot do."""
