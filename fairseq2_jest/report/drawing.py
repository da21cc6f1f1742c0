"""Drawing charts with matplotlib: a PNG file, and an SVG that takes the colours of the page."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from fairseq2_jest.files import replacing
from fairseq2_jest.report.charts import Chart, Line


@dataclass(frozen=True, kw_only=True)
class _Look:
    """How the lines of one arm look, apart also without colour."""

    color: str
    """On a light ground; the style sheet has its counterpart for a dark one."""

    marker: str
    """The sign at each point."""

    dash: object
    """The form of the line."""


# Colours that stay apart for the colour-blind, after Okabe and Ito, darkened for thin lines.
_LOOKS: Final = (
    _Look(color="#0068a8", marker="o", dash="-"),
    _Look(color="#c44e00", marker="s", dash="--"),
    _Look(color="#00805c", marker="^", dash="-."),
    _Look(color="#a8467e", marker="D", dash=":"),
    _Look(color="#8a6d00", marker="v", dash=(0, (5, 1, 1, 1, 1, 1))),
    _Look(color="#4a5fc1", marker="P", dash=(0, (8, 2))),
    _Look(color="#6b6b6b", marker="X", dash=(0, (1, 1))),
    # What was chosen, and what was passed over.
    _Look(color="#006e7f", marker="o", dash="-"),
    _Look(color="#8b5a2b", marker="s", dash="--"),
)

_INK: Final = "#1f2329"

_GRID: Final = "#d3d7dd"

_WIDTH: Final = 4.2
"""Of a chart, in inches: that of a phone, for the text to keep its size there."""

_HEIGHT: Final = 2.75
"""Of a chart without its legend, in inches."""

_LEGEND_ROW: Final = 0.2
"""The height of a row of the legend, in inches."""

_MAX_MARKED: Final = 15
"""The number of points up to which each is marked."""

_FONT_SIZE: Final = 9.5

_LETTERS_PER_INCH: Final = 12.5
"""At this size, on average."""

_LEGEND_SIGN: Final = 7.5
"""The width of a sign of the legend and the space around it, in letters."""


_STYLE: Final[dict[Any, Any]] = {
    "font.size": _FONT_SIZE,
    "svg.fonttype": "none",
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    # A name with a dollar sign is no formula.
    "text.parse_math": False,
}


def draw(charts: Sequence[Chart], folder: Path) -> list[str]:
    """Writes each chart to a PNG file in ``folder``, and returns it as inline SVG.

    The SVG names colours of the page (``--look-0``, ``--grid``, ``currentColor``), holds no address
    and no identifier that another chart has, and carries its description.
    """
    import matplotlib

    drawn = []

    with matplotlib.rc_context(_STYLE):
        for chart in charts:
            # What the identifiers are made from.
            matplotlib.rcParams["svg.hashsalt"] = chart.name

            figure = _figure(chart)

            with replacing(folder / f"{chart.name}.png") as scratch:
                figure.savefig(
                    scratch,
                    format="png",
                    dpi=120,
                    facecolor="white",
                    pil_kwargs={"compress_level": 1},
                )

            stream = io.StringIO()

            metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))

            figure.savefig(stream, format="svg", transparent=True, metadata=metadata)

            drawn.append(_inline(stream.getvalue(), chart.description))

    return drawn


def _figure(chart: Chart) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = _legend_columns([line.label for line in chart.lines])

    height = _HEIGHT + _LEGEND_ROW * -(-len(chart.lines) // columns) + 0.08

    figure = Figure(figsize=(_WIDTH, height))

    FigureCanvasAgg(figure)

    axes = figure.add_subplot()

    for line in chart.lines:
        _draw_line(axes, line, chart.x_unit)

    _format_axes(axes, chart)

    # Placed by hand: matplotlib's own layout takes as long as the drawing.
    numbers = axes.yaxis.get_major_formatter().format_ticks(list(axes.get_yticks()))

    left = 0.36 + max(map(len, numbers)) / _LETTERS_PER_INCH

    axes.set_position(
        (left / _WIDTH, 0.5 / height, (_WIDTH - left - 0.15) / _WIDTH, (_HEIGHT - 0.58) / height)
    )

    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="upper left",
        bbox_to_anchor=(0.1 / _WIDTH, 1.0),
        ncols=columns,
        frameon=False,
        borderaxespad=0.1,
        labelspacing=0.3,
        columnspacing=1.2,
        handlelength=2.4,
    )

    return figure


def _draw_line(axes: Any, line: Line, unit: float) -> None:
    look = _LOOKS[line.look]

    num_points = len(line.x)

    x = [place / unit for place in line.x]

    axes.plot(
        x,
        line.y,
        color=look.color,
        linestyle=look.dash,
        linewidth=1.5,
        marker=look.marker,
        markersize=4,
        # Long curves are marked here and there, for the legend to be of use.
        markevery=1 if num_points <= _MAX_MARKED else num_points // 8,
        label=line.label,
    )

    for band in line.bands:
        axes.fill_between(x, band.low, band.high, color=look.color, alpha=0.16, linewidth=0)


def _format_axes(axes: Any, chart: Chart) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)

    if chart.from_zero:
        axes.set_xlim(left=0)

    # The grid says where a number is.
    axes.tick_params(left=False, bottom=False)

    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(6))

    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))

    axes.yaxis.get_major_formatter().set_useOffset(False)

    low, high = axes.get_ylim()

    # What hardly changes is drawn as flat as it is.
    if (high - low) < 0.02 * abs(high):
        axes.set_ylim(0.98 * low, 1.02 * high)

    if "share" in chart.y_label:
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: chart.format_y(value)))


def _legend_columns(labels: Sequence[str]) -> int:
    """As many as have room beside each other."""
    for columns in range(len(labels), 1, -1):
        rows = -(-len(labels) // columns)

        # matplotlib fills one column after the other.
        widths = [max(map(len, labels[i : i + rows])) for i in range(0, len(labels), rows)]

        if sum(width + _LEGEND_SIGN for width in widths) <= _WIDTH * _LETTERS_PER_INCH:
            return columns

    return 1


def _inline(svg: str, description: str) -> str:
    """What matplotlib wrote, as an element of the page."""
    svg = svg[svg.index("<svg") :]

    for pattern, replacement in _REWRITINGS:
        svg = pattern.sub(replacement, svg)

    label = escape(" ".join(description.split()))

    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1).strip()


_REWRITINGS: Final[list[tuple[re.Pattern[str], str]]] = [
    (re.compile(pattern, re.DOTALL), replacement)
    for pattern, replacement in (
        (r"<metadata>.*?</metadata>", ""),
        (r"<!--.*?-->", ""),
        (r"<style.*?</style>", ""),
        (r' xmlns(:\w+)?="[^"]*"', ""),
        (r' version="[^"]*"', ""),
        (r"xlink:href", "href"),
        # The page decides on the size.
        (r'(<svg[^>]*?) width="[^"]*"', r"\1"),
        (r'(<svg[^>]*?) height="[^"]*"', r"\1"),
        # Nothing refers to groups; their names are the same in every chart.
        (r'<g id="[^"]*"', "<g"),
        (r"font: (\d+)px [^;\"]*", r"font-size: \1px"),
        (_INK, "currentColor"),
        (_GRID, "var(--grid)"),
        *((look.color, f"var(--look-{index})") for index, look in enumerate(_LOOKS)),
        (r"\n\s*", "\n"),
    )
]
