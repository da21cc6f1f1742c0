"""The page of a selection tells what its arrays hold."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.influence.diagnosis import Diagnosis, LayerDiagnosis
from fairseq2_jest.recipes.select.page import render_selection
from fairseq2_jest.recipes.select.preferences import rank_correlation
from fairseq2_jest.recipes.select.scored_pool import ScoredPool
from tests.unit.tiny import open_corpus

NUM_PAIRS = 40

LAYER = LayerDiagnosis(
    name="encoder.layers.0.ffn.inner_proj", eigenvalues=[0.0, 0.5, 2.0], damping=1.0, energy=0.25
)

DIAGNOSIS = Diagnosis(layers=[LAYER], discarded_energy=0.04, raw_correlation=0.625)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Targets of 1 to 40 letters; the first row would be markup, and every fourth is noise."""
    rows = [
        (
            "<b>a</b>" if row == 0 else f"source {row}",
            "x" * (row + 1),
            "noise" if row % 4 == 0 else "clean",
        )
        for row in range(NUM_PAIRS)
    ]

    return open_corpus(tmp_path_factory.mktemp("corpus"), [("eng_Latn-deu_Latn", rows)])


def scored(corpus: Corpus) -> ScoredPool:
    """The lower a row, the more it helps; the last is too long, and of the best half each second
    one is chosen."""
    influence = np.arange(len(corpus), dtype=np.float32) - 20.0
    influence[-1] = np.nan

    fraction = np.linspace(1.0, 0.0, len(corpus), dtype=np.float32)
    fraction[-1] = np.nan

    passed = np.arange(len(corpus) // 2, dtype=np.int64)

    return ScoredPool(
        corpus=corpus,
        influence=influence,
        helpful_fraction=fraction,
        passed=passed,
        chosen=passed[::2],
    )


def rows_of(page: str, caption: str) -> list[list[str]]:
    """The cells of the table with this caption."""
    (body,) = re.findall(
        rf"<caption>{re.escape(caption)}</caption>.*?<tbody>(.*?)</tbody>", page, re.S
    )

    return [
        [unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", body, re.S)
    ]


def test_the_page_tells_who_is_chosen_and_why(corpus: Corpus, tmp_path: Path) -> None:
    page = render_selection(
        scored(corpus), {"seeds": "8"}, {"quantile 0.5": 20}, DIAGNOSIS, tmp_path
    )

    assert "seeds: 8" in page and "<b>a</b>" not in page

    assert "of what influence varies by: 4.0 %." in page
    assert "over a sample of pairs, the mean over seeds): 0.62." in page

    (rule,) = rows_of(page, "Kept.")

    assert rule == ["quantile 0.5", "20", "51 %"]

    by_label = {row[0]: row[1:4] for row in rows_of(page, "By label.")}

    # Of the even rows below 20, those of four are noise.
    assert by_label == {"clean": ["30", "5", "17 %"], "noise": ["10", "5", "50 %"]}

    by_length = rows_of(page, "By the length of the target.")

    assert sum(int(row[1]) for row in by_length) == len(corpus)
    assert sum(int(row[2]) for row in by_length) == 10
    assert "1.00: shorter pairs count as more helpful." in page

    (layer,) = rows_of(
        page,
        "The share is that of what influence varies by. Eigenvalues below the damping count as if "
        "they were equal.",
    )

    assert layer[0] == LAYER.name and layer[-1] == "67 %"

    tables = re.findall(r"<caption>Negative influence helps\.</caption>.*?</table>", page, re.S)

    first = [re.findall(r'<th scope="row"[^>]*>(\d+)</th>', table) for table in tables]

    # The most helpful, the least helpful, and those about the last that passed, row 19.
    assert first[0] == [str(row) for row in range(12)]
    assert first[1] == [str(row) for row in range(38, 26, -1)]
    assert "19" in first[2] and "20" in first[2]

    assert {file.name for file in tmp_path.iterdir()} == {
        "influence.png",
        "helpful-fraction.png",
        "spectrum.png",
    }


def test_a_pool_of_which_nothing_was_scored_has_a_page(corpus: Corpus, tmp_path: Path) -> None:
    nothing = np.full(len(corpus), np.nan, dtype=np.float32)

    empty = np.empty(0, dtype=np.int64)

    pool = ScoredPool(
        corpus=corpus, influence=nothing, helpful_fraction=nothing, passed=empty, chosen=empty
    )

    page = render_selection(pool, {}, {"quantile 0.5": 0}, None, tmp_path)

    assert "How scores are distributed" not in page
    assert not any(tmp_path.iterdir())


@given(arrays(np.float64, (2, 12), elements=st.integers(0, 5).map(float)))
def test_the_rank_correlation_is_scipys(values: np.ndarray) -> None:
    actual = rank_correlation(*values)

    if np.ptp(values[0]) == 0.0 or np.ptp(values[1]) == 0.0:
        assert actual == 0.0
    else:
        assert actual == pytest.approx(spearmanr(*values).statistic, abs=1e-9)
