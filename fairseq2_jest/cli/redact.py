"""Keeping secrets out of the log: fairseq2 writes every environment variable to it."""

from __future__ import annotations

import logging
import os
import re
from typing import Final

_SECRET_NAME: Final = re.compile(r"TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)

_USER_INFO: Final = re.compile(r"(?<=://)[^/\s]+@|(?<==)[^/\s:@]+:[^/\s]+@")
"""Before the host of a URL; of a proxy, also where no scheme is before it."""


class _SecretFilter(logging.Filter):
    """Replaces in fairseq2's listing of the environment variables the value of each that is named
    like a secret, and in the URLs of all others who logs in, and how."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, str) and record.msg.startswith("Environment Variables"):
            # Longest first: a value may open with another one's.
            for name, value in sorted(os.environ.items(), key=lambda i: -len(i[1])):
                if value and _SECRET_NAME.search(name):
                    record.msg = record.msg.replace(f"{name}={value}", f"{name}=***")

            record.msg = _USER_INFO.sub("***@", record.msg)

        return True


def redact_environment() -> None:
    """Hide what looks like a secret in the environment from fairseq2's log, once per process."""
    logger = logging.getLogger("fairseq2")

    if not any(isinstance(f, _SecretFilter) for f in logger.filters):
        logger.addFilter(_SecretFilter())
