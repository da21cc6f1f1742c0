"""Numbers as text, with their units and a sensible precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

MISSING: Final = "–"
"""Stands for what was not measured."""

_PREFIXES: Final = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")


def format_count(value: float) -> str:
    """A number of pairs or steps, such as ``20,000``."""
    return f"{value:,.0f}" if math.isfinite(value) else "not a number"


def format_bytes(value: int) -> str:
    """A size in powers of 1000, such as ``1.5 GB``."""
    size, unit = float(value), "B"

    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000.0 or unit == "TB":
            break

        size /= 1000.0

    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def format_flops(value: float) -> str:
    """A number of operations to three digits, such as ``1.06 TFLOP``."""
    if not math.isfinite(value):
        return "not a number"

    power = 0

    # Rounded first: 999.9 is 1.00 of the next unit.
    while float(f"{value:.3g}") >= 1000.0 and power < len(_PREFIXES) - 1:
        value, power = value / 1000.0, power + 1

    digits = max(0, 2 - math.floor(math.log10(value))) if value >= 1.0 else 2

    return f"{value:.{digits}f} {_PREFIXES[power]}FLOP" if value else "0 FLOP"


def count_scale(largest: float) -> tuple[float, str]:
    """The unit of an axis of counts: one, without a name."""
    return 1.0, ""


def flops_scale(largest: float) -> tuple[float, str]:
    """The unit of an axis of operations up to ``largest``: how many it is, and its name."""
    power = 0

    while largest >= 1000.0 and power < len(_PREFIXES) - 1:
        largest, power = largest / 1000.0, power + 1

    return 1000.0**power, f"{_PREFIXES[power]}FLOP"


def seconds_scale(largest: float) -> tuple[float, str]:
    """The unit of an axis of durations up to ``largest``: how many seconds it is, and its name."""
    if largest < 300.0:
        return 1.0, "s"

    return (60.0, "min") if largest < 3 * 3600.0 else (3600.0, "h")


def format_seconds(value: float) -> str:
    """A duration: ``8.3 s``, ``75 s``, ``12 min 5 s``, ``3 h 12 min``."""
    if not math.isfinite(value):
        return "not a number"

    if value < 9.95:
        return f"{value:.1f} s" if value else "0 s"

    seconds = round(value)

    if seconds < 120:
        return f"{seconds} s"

    minutes, seconds = divmod(seconds, 60)

    if minutes < 60:
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"

    hours, minutes = divmod(round(value / 60), 60)

    return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"


def format_share(value: float) -> str:
    """A share as per cent, with a decimal below ten."""
    if not math.isfinite(value):
        return "not a number"

    percent = 100.0 * value

    return f"{percent:.0f} %" if percent == 0.0 or percent >= 9.95 else f"{percent:.1f} %"


def format_number(value: float, digits: int) -> str:
    """A number with so many decimals."""
    if not math.isfinite(value):
        return "not a number"

    return f"{value:.{digits}f}".replace("-", "−")


def format_optional(value: float | None, form: Callable[[float], str]) -> str:
    """A number that may not have been measured."""
    return MISSING if value is None else form(value)


def format_range(values: Sequence[float], form: Callable[[float], str]) -> str:
    """The smallest and the largest of several numbers, once where they read the same."""
    low, high = form(min(values)), form(max(values))

    return low if low == high else f"{low}–{high}"
