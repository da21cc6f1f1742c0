"""The error of reports."""

from __future__ import annotations


class ReportError(Exception):
    """What was given cannot be reported on; the message says how to mend it."""
