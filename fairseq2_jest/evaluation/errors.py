"""The error of the evaluation stage."""

from __future__ import annotations


class EvaluationError(ValueError):
    """Translations cannot be scored as it was asked for.

    The message is one sentence that names the file, line or field and says how to mend it.
    """
