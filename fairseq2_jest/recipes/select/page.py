"""The page of a selection from a pool: what was scored, what was chosen, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fairseq2_jest.influence.diagnosis import Diagnosis, LayerDiagnosis
from fairseq2_jest.recipes.select.preferences import preference_parts
from fairseq2_jest.recipes.select.scored_pool import ScoredPool
from fairseq2_jest.report.charts import CHOSEN, PASSED_OVER, Chart, Line
from fairseq2_jest.report.drawing import draw
from fairseq2_jest.report.html import (
    Column,
    Section,
    bullets,
    figure,
    figures,
    folded,
    page,
    table,
)
from fairseq2_jest.report.units import format_number, format_share

_NUM_BINS: Final = 40

_NUM_PAIRS: Final = 12
"""The pairs that are shown of each kind."""


def render_selection(
    pool: ScoredPool,
    numbers: Mapping[str, str],
    rules: Mapping[str, int],
    diagnosis: Diagnosis | None,
    out: Path,
) -> str:
    """The page; its figures are also written to ``out``, as PNG.

    :param numbers: What is said at the top, by its name.
    :param rules: How many pairs each setting of the rule would keep.
    :param diagnosis: ``None`` where it is not known.
    """
    sections: list[Section] = [
        ("numbers", "The selection", _numbers(pool, numbers, rules)),
        ("scores", "How scores are distributed", _drawn(_score_charts(pool), out)),
        ("bias", "What the choice prefers", preference_parts(pool)),
        (
            "layers",
            "Where influence comes from",
            [] if diagnosis is None else _diagnosis(diagnosis, out),
        ),
        ("pairs", "The pairs", _pairs(pool)),
    ]

    directions = ", ".join(map(str, pool.corpus.directions))

    return page(
        "Selection by influence on trusted seeds (G-DIG)",
        f"{len(pool.influence):,} pairs, {directions}.",
        sections,
        "The scores of all pairs are in scores.parquet beside this page, the figures in PNG files.",
    )


def _numbers(pool: ScoredPool, numbers: Mapping[str, str], rules: Mapping[str, int]) -> list[str]:
    num_scored = len(pool.scored)

    rows = [
        [setting, f"{count:,}", format_share(count / max(num_scored, 1))]
        for setting, count in rules.items()
    ]

    columns = [Column(title="rule", kind="word"), Column(title="pairs"), Column(title="share")]

    return [
        bullets([f"{name}: {value}" for name, value in numbers.items()]),
        folded("What each setting of the rule would keep", [table("Kept.", columns, rows)]),
    ]


def _drawn(charts: Sequence[Chart], out: Path) -> list[str]:
    parts = [
        figure(svg, chart.caption, chart.name)
        for chart, svg in zip(charts, draw(charts, out), strict=True)
    ]

    return [figures(parts)] if parts else []


def _score_charts(pool: ScoredPool) -> list[Chart]:
    if len(pool.scored) == 0:
        return []

    low, high = np.quantile(pool.influence[pool.scored], [0.005, 0.995])

    return [
        _histogram(
            pool,
            pool.influence,
            (float(low), float(high)),
            name="influence",
            caption="Mean influence on the seeds; the more negative, the more a pair helps",
            label="mean influence",
        ),
        _histogram(
            pool,
            pool.helpful_fraction,
            (0.0, 1.0),
            name="helpful-fraction",
            caption="The share of the seeds that a pair helps",
            label="share of seeds helped",
        ),
    ]


def _histogram(
    pool: ScoredPool,
    values: NDArray[np.float32],
    limits: tuple[float, float],
    *,
    name: str,
    caption: str,
    label: str,
) -> Chart:
    is_chosen = pool.is_chosen[pool.scored]

    found = np.clip(values[pool.scored].astype(np.float64), *limits)

    edges = np.linspace(limits[0], max(limits[1], np.nextafter(limits[0], np.inf)), _NUM_BINS + 1)

    centres = ((edges[:-1] + edges[1:]) / 2.0).tolist()

    groups = {"chosen": (found[is_chosen], CHOSEN), "not chosen": (found[~is_chosen], PASSED_OVER)}

    lines = [
        Line(
            label=f"{group} ({len(members):,})",
            look=look,
            x=centres,
            y=(np.histogram(members, edges)[0] / len(members)).tolist(),
        )
        for group, (members, look) in groups.items()
        if len(members) > 0
    ]

    return Chart(
        name=name,
        caption=caption,
        x_label=label,
        y_label="share of the pairs",
        x_unit=1.0,
        format_x=lambda value: f"{value:.3g}",
        lines=lines,
        format_y=format_share,
        from_zero=False,
    )


def _diagnosis(diagnosis: Diagnosis, out: Path) -> list[str]:
    facts = [
        "What the dimensions that are looked at leave out of what influence varies by: "
        f"{format_share(diagnosis.discarded_energy)}."
    ]

    if diagnosis.raw_correlation is not None:
        facts.append(
            "Correlation of the influence on a seed with the plain dot product of gradients (in "
            "these dimensions, over a sample of pairs, the mean over seeds): "
            f"{format_number(diagnosis.raw_correlation, 2)}. At 1 the curvature changes nothing: "
            "the damping may be too large."
        )

    return [bullets(facts), *_layers(diagnosis.layers, out)]


def _layers(layers: Sequence[LayerDiagnosis], out: Path) -> list[str]:
    columns = [
        Column(title="layer", kind="word"),
        Column(title="share of the influence"),
        Column(title="damping"),
        Column(title="median eigenvalue"),
        Column(title="largest eigenvalue"),
        Column(title="eigenvalues below the damping"),
    ]

    rows = [
        [
            layer.name,
            format_share(layer.energy),
            f"{layer.damping:.2e}",
            f"{layer.eigenvalues[len(layer.eigenvalues) // 2]:.2e}",
            f"{layer.eigenvalues[-1]:.2e}",
            format_share(float(np.mean(np.asarray(layer.eigenvalues) < layer.damping))),
        ]
        for layer in layers
    ]

    caption = (
        "The share is that of what influence varies by. Eigenvalues below the damping count as if "
        "they were equal."
    )

    # More could not be told apart.
    shown = [layer for layer in layers if layer.eigenvalues[-1] > 0.0][:: -(-len(layers) // 6)]

    chart = Chart(
        name="spectrum",
        caption="The eigenvalues of the curvature, in units of the damping",
        x_label="share of the eigenvalues",
        y_label="log10 of eigenvalue / damping",
        x_unit=1.0,
        format_x=format_share,
        lines=[_spectrum(layer, look) for look, layer in enumerate(shown)],
        format_y=lambda value: format_number(value, 1),
    )

    return [table(caption, columns, rows), *(_drawn([chart], out) if shown else [])]


def _spectrum(layer: LayerDiagnosis, look: int) -> Line:
    values = np.asarray(layer.eigenvalues, dtype=np.float64) / layer.damping

    # Zeros of a factor that has not full rank.
    values = np.maximum(values, 1e-12 * values[-1])

    return Line(
        label=layer.name,
        look=look,
        x=np.linspace(0.0, 1.0, len(values)).tolist(),
        y=np.log10(values).tolist(),
    )


def _pairs(pool: ScoredPool) -> list[str]:
    order = pool.scored[np.argsort(pool.influence[pool.scored], kind="stable")]

    if len(order) == 0:
        return []

    parts = [
        folded("The most helpful", [_pair_table(pool, order[:_NUM_PAIRS])], is_open=True),
        folded("The least helpful", [_pair_table(pool, order[::-1][:_NUM_PAIRS])]),
    ]

    if 0 < len(pool.passed) < len(order):
        limit = pool.influence[pool.passed].max()

        nearest = order[np.argsort(np.abs(pool.influence[order] - limit), kind="stable")]

        # In the order of their influence again.
        borderline = nearest[:_NUM_PAIRS]
        borderline = borderline[np.argsort(pool.influence[borderline], kind="stable")]

        parts.append(folded("About the last that passed the rule", [_pair_table(pool, borderline)]))

    return parts


def _pair_table(pool: ScoredPool, rows: NDArray[np.int64]) -> str:
    columns = [
        Column(title="row"),
        Column(title="influence"),
        Column(title="seeds helped"),
        Column(title="chosen", kind="word"),
        *([Column(title="label", kind="word")] if pool.corpus.is_labelled else []),
        Column(title="source", kind="sentence"),
        Column(title="target", kind="sentence"),
    ]

    is_chosen, labels = pool.is_chosen, pool.corpus.labels(rows)

    cells = [
        [
            f"{row:,}",
            f"{pool.influence[row]:.3g}".replace("-", "−"),
            format_share(float(pool.helpful_fraction[row])),
            "yes" if is_chosen[row] else "no",
            *([label or ""] if pool.corpus.is_labelled else []),
            source,
            target,
        ]
        for row, label, source, target in zip(
            rows.tolist(), labels, *pool.corpus.texts(rows), strict=True
        )
    ]

    return table("Negative influence helps.", columns, cells)
