"""The reference page: small, without scripts and foreign requests, complete, and equal to the code."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from contracts.errors import PROBLEMS
from docs import reference
from docs.published_operations import operations

PAGE = reference.PAGE.read_text(encoding="utf-8")
TABLE = reference.TABLE.read_text(encoding="utf-8")


class Links(HTMLParser):
    """Collects what a page refers to, and its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.found += [value or "" for name, value in attrs if name in ("href", "src", "action", "srcset")]


def test_files_equal_the_declarations_in_the_code() -> None:
    assert PAGE.encode() == reference.page(), "run `python -m docs.reference`"
    assert TABLE.encode() == reference.endpoints(), "run `python -m docs.reference`"


def test_page_has_at_most_60_kilobytes() -> None:
    assert len(PAGE.encode()) <= 60_000


def test_page_loads_nothing_and_runs_nothing() -> None:
    links = Links()
    links.feed(PAGE)
    assert links.found
    assert all(link.startswith("/") and not link.startswith("//") for link in links.found)
    assert links.tags.isdisjoint({"script", "link", "img", "iframe", "object", "form", "base"})
    assert "url(" not in PAGE
    assert "@import" not in PAGE
    assert re.search(r"\son\w+=", PAGE) is None


def test_page_and_table_list_every_operation_and_every_problem() -> None:
    for text in (PAGE, TABLE):
        for one in operations():
            assert f"{one.method} {one.path}" in text
        for slug in PROBLEMS:
            assert f"urn:kopuro:problem:{slug}" in text
