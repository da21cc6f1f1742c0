"""Scoring translations with COMET, in a process that loads its model once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any, Final

from fairseq2.logging import log

from fairseq2_jest.evaluation.comet import worker
from fairseq2_jest.evaluation.comet.config import CometConfig
from fairseq2_jest.evaluation.comet.interpreter import find_interpreter, worker_environment
from fairseq2_jest.evaluation.comet.process import (
    BrokenAnswer,
    JsonLinesProcess,
    ProcessEnded,
    ProcessTimeout,
)
from fairseq2_jest.evaluation.errors import EvaluationError
from fairseq2_jest.files import write_json


@dataclass(frozen=True, kw_only=True)
class CometIdentity:
    """What decides a score: without it a score says nothing."""

    model: str
    """The model as it was named."""

    revision: str
    """The commit on the hub, or ``sha256:`` and the digest of the checkpoint."""

    version: str
    """The version of unbabel-comet."""

    precision: str
    """What the weights were rounded to."""

    @property
    def signature(self) -> str:
        """In the form of sacrebleu's signatures."""
        return (
            f"model:{self.model}|revision:{self.revision}|precision:{self.precision}|"
            f"version:{self.version}"
        )

    def difference(self, other: CometIdentity) -> str | None:
        """The first thing in which ``other`` scores differently, in words; ``None`` for none."""
        for name in ("revision", "version", "precision"):
            if getattr(other, name) != getattr(self, name):
                return f"{name} {getattr(other, name)}, and this is {getattr(self, name)}"

        return None


IDENTITY_FILE: Final = "comet.json"
"""Which COMET scored a run, in its folder."""


def write_identity(folder: Path, identity: CometIdentity) -> None:
    """Writes down which COMET scores the run in ``folder``.

    :raises OSError: It cannot be written.
    """
    write_json(folder / IDENTITY_FILE, asdict(identity))


def read_identity(folder: Path) -> CometIdentity | None:
    """Which COMET scored the run in ``folder``; ``None`` for none.

    :raises EvaluationError: The file that says it is damaged.
    """
    file = folder / IDENTITY_FILE

    try:
        return CometIdentity(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as ex:
        raise EvaluationError(f"{file} is damaged; delete it if no scores need it.") from ex


class CometScorer:
    """COMET at the end of a pipe.

    A process that ends unexpectedly is started again, once for each request.
    """

    def __init__(self, config: CometConfig, log_file: Path, *, field: str) -> None:
        """Starts the process and loads the model.

        :param log_file: Takes what the process has to say to people.
        :param field: Where ``config`` stands, for messages.

        :raises EvaluationError: COMET is not there, is of another version, or cannot load the
            model.
        """
        self._config = config
        self._log_file = log_file
        self._field = field
        self._python = find_interpreter(config, field)
        self._process, self.identity, self.needs_references = self._start()

    def _start(self) -> tuple[JsonLinesProcess, CometIdentity, bool]:
        config = self._config

        try:
            process = JsonLinesProcess(
                [str(self._python), "-u", worker.__file__], self._log_file, worker_environment()
            )
        except OSError as ex:
            raise EvaluationError(
                f"The interpreter of COMET, {self._python}, cannot be started ({ex.strerror}): "
                f"name another in {self._field}.python."
            ) from ex

        names = ("model", "revision", "precision", "device", "batch_size", "trust_checkpoint")

        request = {"request": "load", **{name: getattr(config, name) for name in names}}

        try:
            answer = self._ask(process, request, "start_timeout")
        except ProcessEnded:
            raise EvaluationError(
                f"COMET ended while it loaded {config.model} with {self._python}"
                f"{self._last_words()}: see {self._log_file}, and mend that environment or "
                f"{self._field}."
            ) from None

        try:
            identity = CometIdentity(**{f.name: str(answer[f.name]) for f in fields(CometIdentity)})

            needs_references = bool(answer["needs_references"])
        except KeyError as ex:
            raise self._broken(str(answer)) from ex

        if config.version not in (None, identity.version):
            raise EvaluationError(
                f"{self._field}.version is {config.version}, but {self._python} has COMET "
                f"{identity.version}: install that version there, or name another."
            )

        log.info("COMET is {}, on {}.", identity.signature, answer.get("device"))

        return process, identity, needs_references

    def score(
        self, sources: Sequence[str], hypotheses: Sequence[str], references: Sequence[str]
    ) -> list[float]:
        """The scores of translations, in their order; their mean is that of the system.

        :param references: Not looked at by a model that needs none.

        :raises EvaluationError: There is no score for each, by whatever fault.
        """
        columns = {"src": sources, "mt": hypotheses}

        if self.needs_references:
            columns["ref"] = references

        samples = [
            dict(zip(columns, texts, strict=True)) for texts in zip(*columns.values(), strict=True)
        ]

        if not samples:
            return []

        request = {"request": "score", "samples": samples}

        try:
            answer = self._ask(self._process, request, "score_timeout")
        except ProcessEnded:
            log.warning("COMET's process ended{}; it is started again.", self._last_words())

            answer = self._ask_anew(request)

        scores = answer.get("scores")

        if (
            not isinstance(scores, list)
            or len(scores) != len(samples)
            or not all(isinstance(score, float) for score in scores)
        ):
            raise self._broken(str(answer))

        if not all(map(isfinite, scores)):
            raise EvaluationError(
                f"COMET's score of translation {[isfinite(s) for s in scores].index(False) + 1} is "
                f"not a number: set {self._field}.precision to fp32."
            )

        return scores

    def _ask_anew(self, request: Mapping[str, object]) -> dict[str, Any]:
        self._process, identity, _ = self._start()

        if difference := identity.difference(self.identity):
            raise EvaluationError(
                f"COMET is not what it was when it was first started ({difference}): start anew "
                "for all scores to be of one kind."
            )

        try:
            return self._ask(self._process, request, "score_timeout")
        except ProcessEnded:
            raise EvaluationError(
                f"COMET ended twice over the same translations{self._last_words()}: see "
                f"{self._log_file}; if memory is short, lower {self._field}.batch_size."
            ) from None

    def _ask(
        self, process: JsonLinesProcess, request: Mapping[str, object], timeout: str
    ) -> dict[str, Any]:
        """
        :raises ProcessEnded: The process is not there any more.
        """
        try:
            answer = process.ask(request, getattr(self._config, timeout))
        except ProcessTimeout:
            raise EvaluationError(
                f"COMET has not answered within {getattr(self._config, timeout):g} seconds: raise "
                f"{self._field}.{timeout}, or see {self._log_file}."
            ) from None
        except BrokenAnswer as ex:
            raise self._broken(str(ex)) from None

        if "error" in answer:
            process.close()

            raise EvaluationError(
                f"COMET cannot be used as {self._field} says: {answer['error']}; mend it there "
                f"({self._log_file} may say more)."
            )

        return answer

    def _broken(self, answer: str) -> EvaluationError:
        return EvaluationError(
            f"COMET's process has answered with what is no answer ({answer[:80]!r}): see "
            f"{self._log_file}, and mend {self._field}.python or make its environment anew."
        )

    def _last_words(self) -> str:
        """The last line of the log, as a part of a sentence."""
        with self._log_file.open("rb") as stream:
            stream.seek(max(0, self._log_file.stat().st_size - 4096))

            lines = stream.read().decode(errors="replace").splitlines()

        said = [line.strip() for line in lines if line.strip()]

        return f" ({said[-1].rstrip('.')[:200]})" if said else ""

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    def close(self) -> None:
        """Ends the process."""
        self._process.close()
