"""The real text of the benchmark, cut into parts that share no pair."""

from __future__ import annotations

import gzip
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.bitext import Pair, read_pairs
from benchmarks.noise_detection.pairs import detokenised

NUM_TRUSTED: Final = 8_000

NUM_REVERSE: Final = 8_000

NUM_GENUINE: Final = 1_500
"""As many as the paper has."""

NUM_NEWS: Final = 200


@dataclass(frozen=True, kw_only=True)
class Text:
    """English image captions and what professionals made of them in German, and other text."""

    trusted: Sequence[Pair]
    """What base model, tokenizer and reference encoder learn from."""

    reverse: Sequence[Pair]
    """What the reverse model learns from."""

    genuine: Sequence[Pair]
    """What there is to fine-tune on."""

    monolingual: Sequence[str]
    """Captions that Germans wrote themselves, to be translated back; none is in a test set."""

    tests: Mapping[str, Sequence[Pair]]
    """What arms are judged by: ``captions``, the domain of it all, and ``news``."""


def read_text(data: Path, num_monolingual: int) -> Text:
    """Reads and cuts the corpora under ``data``.

    :raises FileNotFoundError: One is not there.
    """
    pairs = iter(read_pairs(data / "multi30k-ende", "train"))

    trusted, reverse, genuine = (
        [next(pairs) for _ in range(size)] for size in (NUM_TRUSTED, NUM_REVERSE, NUM_GENUINE)
    )

    captions = read_pairs(data / "multi30k-ende", "valid")

    news = [
        (detokenised(source), detokenised(target))
        for source, target in read_pairs(data / "wmt-demo-ende", "valid")[:NUM_NEWS]
    ]

    with gzip.open(data / "multi30k-mono-de" / "mono.de.gz", "rt", encoding="utf-8") as file:
        lines = file.read().rstrip("\n").split("\n")

    targets = {target.casefold() for _, target in captions}

    drawn = random.Random(1).sample(lines, num_monolingual)

    return Text(
        trusted=trusted,
        reverse=reverse,
        genuine=genuine,
        monolingual=[line for line in drawn if line.casefold() not in targets],
        tests={"captions": captions, "news": news},
    )
