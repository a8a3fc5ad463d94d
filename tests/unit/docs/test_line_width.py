"""Prose of the pages is wrapped, so that a change of a sentence is a change of few lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.docs.pages import PAGES, ROOT, name_of

WIDEST = 125
MORE_PAGES = sorted({*(ROOT / "deploy").rglob("*.md"), *(ROOT / "contracts").rglob("*.md")})
# A table's row, a quoted line of output and a word without a space cannot be wrapped.
_UNBROKEN = re.compile(r"^\s*[|>]|^\s*(?:[-*] |\d+\. )?\S+$")


def wide_lines(text: str) -> list[int]:
    """Return the numbers of the lines of prose that are too wide."""
    found = []
    fenced = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and len(line) > WIDEST and not _UNBROKEN.match(line):
            found.append(number)
    return found


@pytest.mark.parametrize("page", [*PAGES, *MORE_PAGES], ids=name_of)
def test_prose_is_wrapped(page: Path) -> None:
    assert wide_lines(page.read_text(encoding="utf-8")) == []


def test_tables_and_code_are_not_prose() -> None:
    wide = "word " * 40
    assert wide_lines(f"{wide}\n\n| {wide} |\n\n```sh\n{wide}\n```\n\n  - {wide}\n") == [1, 9]
