"""A page taken apart: its tables, its text, its tags; what a reader of HTML sees, not what the templates say."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = ("meta", "img", "link", "br", "input")


class Page(HTMLParser):
    """One page.

    Attributes:
        tags: (name, attributes) of every tag, in order.
        tables: by the table's first class: rows of cells, their text with single spaces.
        sections: by id: the text of each section.
        text: all that is shown.
    """

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.tables: dict[str, list[list[list[str]]]] = {}
        self.sections: dict[str, str] = {}
        self.raw: dict[str, str] = {}
        self.text = ""
        self._open: list[str] = []
        self._section = ""
        self._rows: list[list[str]] | None = None
        self.feed(source)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append((tag, found))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "section":
            self._section = found["id"]
        if tag == "table":
            self._rows = []
            self.tables.setdefault(found["class"].split()[0], []).append(self._rows)
        if tag == "tr" and self._rows is not None:
            self._rows.append([])
        if tag in ("td", "th") and self._rows:
            self._rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, tag
        self._rows = None if tag == "table" else self._rows
        self._section = "" if tag == "section" else self._section
        if tag in ("dt", "dd", "li", "summary", "p"):
            self.sections[self._section] = self.sections.get(self._section, "") + " "
        if tag in ("td", "th") and self._rows:
            self._rows[-1][-1] = " ".join(self._rows[-1][-1].split())

    def handle_data(self, data: str) -> None:
        within = self._open[-1] if self._open else ""
        if within in ("style", "script"):
            self.raw[within] = data  # the last script is the one that runs
            return
        self.text += data
        self.sections[self._section] = self.sections.get(self._section, "") + data
        if self._rows and {"td", "th"} & set(self._open):
            self._rows[-1][-1] += data
