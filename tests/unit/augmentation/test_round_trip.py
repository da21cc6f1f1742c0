from __future__ import annotations

from pathlib import Path

import pytest

from fairseq2_jest.augmentation.config import FilterConfig
from fairseq2_jest.augmentation.round_trip import RoundTripScore
from tests.sacrebleu_program import score_file, write_texts

PAIRS = [
    ("Zwei Kinder spielen im Park.", "Zwei Kinder spielen im Park."),
    ("Zwei kleine Kinder spielen.", "Zwei Kinder spielen im Park."),
    ("Ein Hund.", "Zwei Kinder spielen im Park."),
    (
        "\u7336\u304c\u98ef\u3092\u98df\u3079\u308b\u3002",
        "\u732b\u304c\u98ef\u3092\u98df\u3079\u305f\u3002",
    ),
    ("", "Zwei Kinder spielen im Park."),
]


def test_it_is_what_sacrebleu_gives_a_line(tmp_path: Path) -> None:
    score = RoundTripScore()

    for number, (round_trip, text) in enumerate(PAIRS):
        hypothesis = write_texts(tmp_path / f"{number}.hyp", [round_trip])
        reference = write_texts(tmp_path / f"{number}.ref", [text])

        (expected,) = score_file(
            [reference], hypothesis, "-m", "chrf", "--chrf-word-order", "2", "-w", "6"
        )

        assert score(round_trip, text) == pytest.approx(expected["score"], abs=1e-6)

    assert score(*PAIRS[0]) == 100.0
    assert score(*PAIRS[0]) > score(*PAIRS[1]) > score(*PAIRS[2]) > score(*PAIRS[4]) == 0.0


@pytest.mark.parametrize("limit", [-1.0, 100.5])
def test_a_limit_that_is_none_is_told(limit: float) -> None:
    assert FilterConfig(min_round_trip_chrf=limit).validate().has_error()
