from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.evaluation.overlap import find_overlap
from tests.unit.tiny import open_corpus

TEXT = st.sampled_from(["a", "b", "c", "d", "e"])

PAIRS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6)

DIRECTION = Direction("eng_Latn", "deu_Latn")


@settings(deadline=None, max_examples=40)
@given(forward=PAIRS, backward=PAIRS, test=st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1))
def test_lines_are_found_as_by_looking_at_each(
    forward: list[tuple[str, str]],
    backward: list[tuple[str, str]],
    test: list[tuple[str, str, str]],
) -> None:
    """Pairs of the opposite direction are turned round."""
    with TemporaryDirectory() as folder:
        corpus = open_corpus(
            Path(folder), [("eng_Latn-deu_Latn", forward), ("deu_Latn-eng_Latn", backward)]
        )

        sources, first, second = (list(column) for column in zip(*test, strict=True))

        found = find_overlap(sources, [first, second], corpus, DIRECTION)

        blind = find_overlap(None, [first, second], corpus, DIRECTION)

    pairs = [*forward, *((target, source) for source, target in backward)]

    known_sources, known_targets = {s for s, _ in pairs}, {t for _, t in pairs}

    def lines(*conditions: bool) -> tuple[int, ...]:
        return tuple(number for number, holds in enumerate(conditions, start=1) if holds)

    assert (found.num_lines, found.num_training_pairs) == (len(test), len(pairs))
    assert found.sources == lines(*(s in known_sources for s, _, _ in test))
    assert found.references == lines(*(bool({a, b} & known_targets) for _, a, b in test))
    assert found.pairs == lines(*(bool({(s, a), (s, b)} & set(pairs)) for s, a, b in test))

    assert blind.references == found.references
    assert blind.sources is None and blind.pairs is None


def test_empty_lines_are_not_looked_for(tmp_path: Path) -> None:
    corpus = open_corpus(tmp_path, [("eng_Latn-deu_Latn", [("a", "b")])])

    found = find_overlap(["", "a"], [["", "b"]], corpus, DIRECTION)

    assert found.sources == found.references == found.pairs == (2,)
