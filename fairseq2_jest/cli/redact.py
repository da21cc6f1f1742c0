"""Keeping secrets out of the log: fairseq2 writes every environment variable to it."""

from __future__ import annotations

import logging
import os
import re
from typing import Final

_SECRET_NAME: Final = re.compile(r"TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)


class _SecretFilter(logging.Filter):
    """Replaces the value of each secret environment variable in fairseq2's listing of them."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, str) and record.msg.startswith("Environment Variables"):
            # Longest first: a value may open with another one's.
            for name, value in sorted(os.environ.items(), key=lambda i: -len(i[1])):
                if value and _SECRET_NAME.search(name):
                    record.msg = record.msg.replace(f"{name}={value}", f"{name}=***")

        return True


def redact_environment() -> None:
    """Hide the values of variables named like secrets from fairseq2's log, once per process."""
    logger = logging.getLogger("fairseq2")

    if not any(isinstance(f, _SecretFilter) for f in logger.filters):
        logger.addFilter(_SecretFilter())
