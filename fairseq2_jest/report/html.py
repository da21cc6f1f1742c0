"""A page and its parts. Text is escaped here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from importlib.resources import files
from string import Template

from fairseq2_jest import __version__

Section = tuple[str, str, list[str]]
"""Its anchor, its title and its parts; without parts it is left out."""


def page(title: str, subtitle: str, sections: Sequence[Section], remark: str) -> str:
    """One HTML file that needs no network, no script and no other file.

    :param remark: What the foot of the page says beside its version and date.
    """
    present = [s for s in sections if s[2]]

    links = "".join(f'<li><a href="#{name}">{escape(head)}</a></li>' for name, head, _ in present)

    template = files("fairseq2_jest.report").joinpath("page.html").read_text(encoding="utf-8")

    made = f"Made by fairseq2_jest {__version__} on {datetime.now():%Y-%m-%d %H:%M}."

    return Template(template).substitute(
        title=escape(title),
        subtitle=escape(subtitle),
        links=links,
        body="\n".join(section(*s) for s in present),
        footer=escape(f"{made} {remark}"),
    )


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table."""

    title: str
    """Its head."""

    kind: str = "number"
    """``number``, ``word`` (short), ``text`` (may be long), or ``sentence`` (of any language)."""


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    emphasized: Sequence[int] = (),
) -> str:
    """A table whose first column names the rows.

    :param emphasized: The rows that sum up others.
    """
    head = "".join(f'<th scope="col" class="{c.kind}">{escape(c.title)}</th>' for c in columns)

    lines = [
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>',
        f"<caption>{escape(caption)}</caption>",
        f"<thead><tr>{head}</tr></thead>",
        "<tbody>",
    ]

    for index, row in enumerate(rows):
        cells = [
            _cell(value, column, is_name=place == 0)
            for place, (value, column) in enumerate(zip(row, columns, strict=True))
        ]

        mark = ' class="sum"' if index in emphasized else ""

        lines.append(f"<tr{mark}>{''.join(cells)}</tr>")

    return "\n".join([*lines, "</tbody>", "</table></div>"])


def _cell(value: str, column: Column, *, is_name: bool) -> str:
    tag, scope = ("th", ' scope="row"') if is_name else ("td", "")

    # The direction of writing is found from the text: the sentence may be Arabic.
    direction = ' dir="auto"' if column.kind == "sentence" else ""

    return f'<{tag}{scope} class="{column.kind}"{direction}>{escape(value)}</{tag}>'


def figure(svg: str, caption: str, name: str) -> str:
    """A figure with its caption, by whose name it can be linked to."""
    return (
        f'<figure id="{escape(name)}">\n{svg}\n<figcaption>{escape(_sentence(caption))}'
        "</figcaption>\n</figure>"
    )


def figures(parts: Sequence[str]) -> str:
    """Figures beside each other, as many as there is room for."""
    return f'<div class="figures">\n{chr(10).join(parts)}\n</div>'


def paragraph(text: str) -> str:
    """A paragraph."""
    return f"<p>{escape(text)}</p>"


def bullets(items: Sequence[str]) -> str:
    """A list."""
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def section(name: str, title: str, parts: Sequence[str]) -> str:
    """A section of the page."""
    body = "\n".join(parts)

    return f'<section id="{escape(name)}">\n<h2>{escape(title)}</h2>\n{body}\n</section>'


def folded(title: str, parts: Sequence[str], *, is_open: bool = False) -> str:
    """What is shown on demand."""
    state = " open" if is_open else ""

    body = "\n".join(parts)

    return f"<details{state}>\n<summary>{escape(title)}</summary>\n{body}\n</details>"


def _sentence(text: str) -> str:
    first = text.split(" ", maxsplit=1)[0]

    # Names keep their letters: chrF++, jest-1.
    if first.isalpha() and first.islower():
        text = f"{text[:1].upper()}{text[1:]}"

    return text if text.endswith(".") else f"{text}."
