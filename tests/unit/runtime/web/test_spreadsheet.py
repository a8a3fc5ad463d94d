"""No cell of any CSV that the hub or its client writes is a formula, and none loses a character."""

from __future__ import annotations

import csv
import io
import json
import re
from base64 import b64encode
from collections.abc import Callable
from itertools import count
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kopuro_client import spreadsheet as of_client
from kopuro_client.commands.export_formats import COLUMNS, flat_csv
from runtime.web import spreadsheet as of_hub
from services.audit.reports import export_api, statistics_api
from services.routing.domain.coverage import Coverage
from services.routing.domain.report_rows import coverage_rows, wish_rows
from services.routing.domain.wishes import Change, ChangeKind, Wish

# Characters that begin a formula, that spreadsheets trim first, and that separate or quote cells.
FIRSTS = ["=", "+", "-", "@", "\t", "\r", "\n", "\0", "'", " =", "\t=", "\u00a0+", "\ufeff-"]
FIRSTS += ["\uff1d", "\uff0b", "\uff0d", "\uff20", '"=', ",=", ";=", "a;=1", "a\t=1", "a\n=1", 'a","=1']
FIRSTS += ['x;"=', 'x\t"=', 'x\n"=', 'x; "=']
FORMULAS = tuple("=+-@\t\r\n\0\uff1d\uff0b\uff0d\uff20")
both = pytest.mark.parametrize("writer", [of_hub, of_client], ids=["hub", "client"])


def unmasked(cell: str) -> str:
    """Return the original text of a cell, as docs/auditing.md tells a reader."""
    return re.sub(r"(\A|(?<=[;\t\r\n]))'", "", cell)


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def assert_harmless(text: str) -> None:
    """No cell is a formula, whichever of these separators a spreadsheet assumes."""
    for delimiter in ",;\t":
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            for cell in row:
                for start in (cell, cell.lstrip()):
                    assert not start.startswith(FORMULAS), (delimiter, cell)


@both
@pytest.mark.parametrize("column", range(3))
@pytest.mark.parametrize("first", FIRSTS)
def test_text_is_harmless_and_readable_in_every_column(writer: ModuleType, column: int, first: str) -> None:
    row = ["plain"] * 3
    row[column] = f"{first}cmd|' /C calc'!A0"
    written = writer.spreadsheet([row])
    assert_harmless(written)
    assert [[unmasked(cell) for cell in found] for found in cells(written)] == [row]


@both
@given(rows=st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
                              min_size=2, max_size=2)))  # fmt: skip
def test_every_text_survives(writer: ModuleType, rows: list[list[str]]) -> None:
    written = writer.spreadsheet(rows)
    assert [[unmasked(cell) for cell in found] for found in cells(written)] == rows


@both
def test_numbers_are_bare_and_missing_values_empty(writer: ModuleType) -> None:
    assert writer.spreadsheet([["a", 1, -2, 0.5, None]]) == '"a",1,-2,0.5,""\r\n'


def export_row(values: dict[str, str]) -> str:
    leaf = SimpleNamespace(index=1, fields=values)
    page: Any = SimpleNamespace(leaves=[leaf])
    return export_api._csv(page, header=True)


def statistics_row(values: dict[str, str]) -> str:
    figure = SimpleNamespace(values=values, count=None, times_withheld=True, median=None, ninetieth=None)
    counted: Any = SimpleNamespace(statistics=SimpleNamespace(by=list(values), figures=[figure]))
    return of_hub.spreadsheet(statistics_api._rows(counted))


def coverage_row(values: dict[str, str]) -> str:
    return of_hub.spreadsheet(coverage_rows([Coverage(**values)]))  # type: ignore[arg-type]


def wish_row(values: dict[str, str]) -> str:
    change = Change(kind=ChangeKind.area, **values)  # type: ignore[arg-type]
    return of_hub.spreadsheet(wish_rows([Wish(changes=(change,), referrals=1, emergencies=0)]))


def client_row(values: dict[str, str]) -> str:
    file = io.BytesIO()
    leaf = {"time": "2026-03-01T12:00:00Z", **values}
    salt, data = leaf.pop("salt", None), leaf.pop("data", None)
    entry: Any = {"index": 1, "leaf": json.dumps(leaf), "salt": salt, "data": data}
    with flat_csv(file) as write:
        write([entry])
    return file.getvalue().decode()


WRITERS: list[tuple[Callable[[dict[str, str]], str], tuple[str, ...]]] = [
    (export_row, tuple(name for name in export_api._COLUMNS if name != "index")),
    (statistics_row, ("need", "region")),
    (coverage_row, ("region", "need", "language")),
    (wish_row, ("organization", "region", "need", "language")),
    # The time is checked, and content is written as JSON.
    (client_row, tuple(name for name in COLUMNS if name not in ("index", "time", "data"))),
]


@pytest.mark.parametrize(
    ("write", "columns"), WRITERS, ids=["export", "statistics", "coverage", "wishes", "client"]
)
@pytest.mark.parametrize("first", FIRSTS)
def test_each_column_of_each_file_is_harmless(
    write: Callable[[dict[str, str]], str], columns: tuple[str, ...], first: str
) -> None:
    for column in columns:
        text = f"{first}1+1"
        written = write({name: text if name == column else "plain" for name in columns})
        assert_harmless(written)
        header, row = cells(written)
        assert unmasked(dict(zip(header, row, strict=True))[column]) == text


def test_salt_that_begins_with_plus_is_written_behind_an_apostrophe() -> None:
    salt = b64encode(b"\xf8" * 32).decode()
    assert salt.startswith("+")
    assert f',"\'{salt}",' in client_row({"salt": salt})


def test_long_file_is_written_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    milliseconds = count()
    turns: list[float] = []
    clock = SimpleNamespace(perf_counter=lambda: next(milliseconds) / 1000, sleep=turns.append)
    monkeypatch.setattr("runtime.turn.time", clock)
    rows = [("RU-MOW", "legal.wage_claim", "ky", number, 2, 3, 4, 5) for number in range(1000)]
    assert of_hub.spreadsheet(rows).count("\r\n") == len(rows)
    # Each row takes a millisecond of this clock, and a turn three.
    assert len(turns) >= len(rows) // 5
