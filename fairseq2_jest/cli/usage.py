"""What a user got wrong on the command line or in a config, as one sentence."""

from __future__ import annotations


class UsageError(Exception):
    """The user can mend this; the message is one sentence that says how. Exit code 2."""
