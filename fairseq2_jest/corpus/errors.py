"""The one error of the corpus stage."""

from __future__ import annotations


class CorpusError(ValueError):
    """A corpus, or what a card says about it, cannot be used.

    The message is one sentence that names the file, line or field and says how to mend it.
    """
