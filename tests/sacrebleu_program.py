"""What sacrebleu's own program prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ALL = ("-m", "bleu", "chrf", "ter", "--chrf-word-order", "2")


def write_texts(file: Path, texts: Sequence[str]) -> Path:
    file.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")

    return file


def score_file(
    references: Sequence[Path],
    hypotheses: Path,
    *options: str,
    env: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """The scores of one system, by sacrebleu's names in their alphabetical order."""
    result = json.loads(_run(references, [hypotheses], *options, env=env))

    return result if isinstance(result, list) else [result]


def compare_files(
    references: Sequence[Path], systems: Sequence[Path], *options: str
) -> tuple[list[dict[str, list[float]]], dict[str, str]]:
    """Of each system and metric the numbers in its cell: the score, for a bootstrap its mean and
    interval, and for all but the first system the p-value; and the signatures."""
    # Its JSON ends in an error where numpy is 2.
    text = _run(references, systems, *options, "-f", "text")

    lines = [line for line in text.splitlines() if line.startswith("│")]

    (_, *names), *rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]

    metrics = [name.split()[0] for name in names]

    found: list[dict[str, list[float]]] = []

    for name, *cells in rows:
        if name:
            found.append({metric: [] for metric in metrics})

        for metric, cell in zip(metrics, cells, strict=True):
            found[-1][metric] += [float(number) for number in re.findall(r"\d+\.\d+", cell)]

    return found, dict(re.findall(r"^ - (\S+) +(nrefs:\S+)$", text, re.MULTILINE))


def _run(
    references: Sequence[Path],
    systems: Sequence[Path],
    *options: str,
    env: Mapping[str, str] | None = None,
) -> str:
    command = [
        *(sys.executable, "-m", "sacrebleu", *map(str, references), "-i", *map(str, systems)),
        *("-w", "6", "-q", *options),
    ]

    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_COLOR": "1", **(env or {})},
    )

    return done.stdout
