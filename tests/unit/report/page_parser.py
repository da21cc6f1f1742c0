"""What is on a page, by Python's own parser."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final

VOID: Final = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Checks that elements are closed in order, and collects what tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)

        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self._open: list[str] = []

        self.feed(text)
        self.close()

        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

        if tag not in VOID:
            self._open.append(tag)

        if tag in ("td", "th"):
            self.cells.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("td", "th"):
            self.cells[-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element of this name."""
        return [attributes for name, attributes in self.elements if name == tag]

    def check(self) -> None:
        """Needs nothing from elsewhere, and tells everybody what it shows."""
        assert self.all("script") == self.all("link") == []

        addresses = [
            value or ""
            for _, attributes in self.elements
            for name, value in attributes.items()
            if name in ("src", "href", "xlink:href", "action", "data")
        ]
        assert all(address.startswith(("#", "data:")) for address in addresses)

        ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]
        assert len(ids) == len(set(ids))

        anchors = {address for address in addresses if address.startswith("#")}
        assert {anchor[1:] for anchor in anchors} <= set(ids)

        assert all(image.get("alt") for image in self.all("img"))
        assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in self.all("svg"))
        assert len(self.all("figure")) == len(self.all("figcaption"))
        assert len(self.all("table")) == len(self.all("caption"))
