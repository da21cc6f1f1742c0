"""The one error of translating a file."""

from __future__ import annotations


class TranslationError(ValueError):
    """A file cannot be translated as it was asked for.

    The message is one sentence that names the file, line or field and says how to mend it.
    """
