"""A process that answers lines of JSON."""

from __future__ import annotations

import json
import os
import select
import subprocess
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

_BLOCK = 1 << 16

_MAX_ANSWER = 1 << 28


class ProcessEnded(Exception):
    """It is not there any more."""


class ProcessTimeout(Exception):
    """It has not answered in time, and was ended."""


class BrokenAnswer(Exception):
    """It has answered with what is no JSON object, and was ended."""


class JsonLinesProcess:
    """Asks a process and waits for its answers, one at a time.

    It ends with this object, and by itself when its standard input does, hence also where this
    process is killed.
    """

    def __init__(self, command: Sequence[str], log_file: Path, env: Mapping[str, str]) -> None:
        """
        :param log_file: Takes its standard error, behind what is there.

        :raises OSError: It cannot be started.
        """
        with log_file.open("ab") as log:
            # In a session of its own, for Ctrl+C to end it through its standard input only.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(env),
                start_new_session=True,
            )

        assert self._process.stdin is not None and self._process.stdout is not None

        self._stdin, self._stdout = self._process.stdin, self._process.stdout

        os.set_blocking(self._stdin.fileno(), False)

        self.close = weakref.finalize(self, _end, self._process)
        """Ends the process."""

    @property
    def pid(self) -> int:
        """Its id."""
        return self._process.pid

    def ask(self, request: Mapping[str, object], timeout: float) -> dict[str, Any]:
        """Returns the answer to ``request``.

        :param timeout: In seconds.

        :raises ProcessEnded: It ended before it answered.
        :raises ProcessTimeout: It did not answer in time.
        :raises BrokenAnswer: Its answer is not a JSON object.
        """
        line = self._exchange(json.dumps(request).encode() + b"\n", monotonic() + timeout)

        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None

        if not isinstance(answer, dict):
            self.close()

            raise BrokenAnswer(line[:80].decode(errors="replace"))

        return answer

    def _exchange(self, request: bytes, deadline: float) -> bytes:
        """Writes and reads at the same time: the process may do either first."""
        pending, answer = memoryview(request), bytearray()

        while not answer.endswith(b"\n"):
            writers = [self._stdin] if pending else []

            remaining = max(0.0, deadline - monotonic())

            readable, writable, _ = select.select([self._stdout], writers, [], remaining)

            if not readable and not writable:
                self.close()

                raise ProcessTimeout

            if writable:
                try:
                    pending = pending[os.write(self._stdin.fileno(), pending[:_BLOCK]) :]
                except BrokenPipeError:
                    self.close()

                    raise ProcessEnded from None

            if readable:
                block = os.read(self._stdout.fileno(), _BLOCK)

                if not block:
                    self.close()

                    raise ProcessEnded

                answer += block

                if len(answer) > _MAX_ANSWER:
                    break

        return bytes(answer)


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()

    process.kill()
    process.wait()
