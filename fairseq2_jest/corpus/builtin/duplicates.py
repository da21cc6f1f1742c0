"""Near-duplicates of a clean pair: another mark or case, or another adverbial of time."""

from __future__ import annotations

import random

from fairseq2_jest.corpus.builtin import english, german
from fairseq2_jest.corpus.builtin.clauses import STATE_TIMES
from fairseq2_jest.corpus.builtin.lexicon import TIMES_ALL
from fairseq2_jest.corpus.builtin.parts import part_of
from fairseq2_jest.corpus.builtin.syntax import Sentence


def _other_time(sentence: Sentence, rng: random.Random) -> Sentence | None:
    main = sentence.main
    if main.time is None:
        return None
    # A question in the past is in the perfect; its adverbials are those of its English tense.
    others = [
        time
        for time in TIMES_ALL
        if main.tense in time.fits
        and time is not main.time
        and (not main.verb.stative or time.english in STATE_TIMES)
    ]
    time = others[int(rng.random() * len(others))]
    return sentence._replace(main=main._replace(time=time))


def near_duplicate(
    sentence: Sentence, source: str, target: str, part: str, rng: random.Random
) -> tuple[str, str] | None:
    """A variant of the pair that is still a right translation and of the same part, or None."""
    pair = _variant(sentence, source, target, rng)
    return pair if part_of(pair[1]) == part else None


def _variant(sentence: Sentence, source: str, target: str, rng: random.Random) -> tuple[str, str]:
    draw = rng.random()
    if draw < 0.4:
        changed = _other_time(sentence, rng)
        if changed is not None:
            return english.realise(changed), german.realise(changed)
    if draw < 0.55:
        return source.lower(), target.lower()
    if draw < 0.7:
        # Upper case turns ß into SS, so that the result may belong to another part.
        return source.upper(), target.upper()
    if draw < 0.85:
        return source[:-1], target[:-1]
    other = {".": "!", "?": "??"}[source[-1]]
    return source[:-1] + other, target[:-1] + other
