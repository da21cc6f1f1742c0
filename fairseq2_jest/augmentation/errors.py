"""The one error of back-translation."""

from __future__ import annotations


class AugmentationError(ValueError):
    """Monolingual text cannot be made synthetic pairs as it was asked for.

    The message is one sentence that names the file, line or field and says how to mend it.
    """
