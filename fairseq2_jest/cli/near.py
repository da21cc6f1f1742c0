"""Near names for what was not found."""

from __future__ import annotations

from collections.abc import Iterable


def near_names(name: str, known: Iterable[str], *, limit: int = 3) -> list[str]:
    """Names of ``known`` that ``name`` may have been meant to be, nearest first."""
    from difflib import get_close_matches

    by_folded = {k.casefold(): k for k in sorted(known)}

    matches = get_close_matches(name.casefold(), by_folded, n=limit, cutoff=0.6)

    return [by_folded[m] for m in matches]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown ``name``: its near names, else all of ``known``."""
    names = sorted(known)

    if near := near_names(name, names):
        return f"; did you mean {' or '.join(near)}?"

    if not names:
        return "; there are none here."

    if len(names) <= 12:
        return f"; known are {', '.join(names)}."

    return f"; none of the {len(names)} known names is near."
