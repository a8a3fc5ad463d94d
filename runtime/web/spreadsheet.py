"""CSV (RFC 4180) whose cells a spreadsheet shows as text and never runs as a formula.

A spreadsheet reads a formula at the start of a cell, and it may separate cells at semicolons, tabs and ends
of lines instead of our commas. So a text gets an apostrophe where a formula could begin: at its start and
behind each such separator. Where a text has an apostrophe of its own there, it gets another one, so that a
reader who removes one apostrophe from each of these places has the original. The client writes the same into
its files (`kopuro_client/spreadsheet.py`); docs/auditing.md describes the encoding to the byte.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

from runtime.turn import in_turns
from runtime.web.response import Response

# Some programs trim spaces and control characters before they look at a cell.
_SPACES = r"\x00-\x08\x0b\x0c\x0e-\x20\x7f-\xa0\u2000-\u200f\u2028-\u202f\u2060\u3000\ufeff"
# The last four are the full-width forms of `=`, `+`, `-` and `@`.
_FORMULA = r"['=+\-@\uff1d\uff0b\uff0d\uff20]"
_START = re.compile(
    # A reader with another separator takes a quotation mark behind it for the start of a quoted cell.
    rf'\A(?=[\t\r\n\0]|[\t\r\n{_SPACES}"]*{_FORMULA})|(?<=[;\t\r\n])(?=[{_SPACES}"]*{_FORMULA})'
)

Cell = str | int | float | None


def masked(cell: Cell) -> Cell:
    """Return the cell as it is written: texts have an apostrophe wherever a formula could begin."""
    return _START.sub("'", cell) if isinstance(cell, str) else cell


def csv_response(rows: Iterable[Iterable[Cell]]) -> Response:
    """Return the rows as a response in CSV and UTF-8. The first row has the names of the columns."""
    return Response(200, spreadsheet(rows).encode(), {"Content-Type": "text/csv; charset=utf-8"})


def spreadsheet(rows: Iterable[Iterable[Cell]]) -> str:
    """Return the rows as CSV; None becomes an empty cell. Other requests run between two rows."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([masked(cell) for cell in row] for row in in_turns(rows))
    return text.getvalue()
