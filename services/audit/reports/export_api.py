"""The bulk export resource: checks the parameters and writes NDJSON or CSV.

NDJSON: one line per entry, and a last line with the cursor of the next page:

    {"index": int, "leaf": str, "head": {"salt": base64, "value": {...}} | null, "salt": base64 | null,
     "data": {...} | null}
    {"next": cursor | null, "size": int, "checkpoint": signed note}

CSV: the leaf's fields without the content; a Link header (RFC 8288) points to the next page.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, Final
from urllib.parse import urlencode

from contracts import base64_text
from runtime.access.reads import Reader
from runtime.turn import in_turns
from runtime.web.paging import encode_cursor, integer_of
from runtime.web.parameters import invalid_parameter
from runtime.web.request import Request
from runtime.web.response import Response
from runtime.web.spreadsheet import spreadsheet
from services.audit.log.ports import OpenedLeaf, Search
from services.audit.reports.bundle_file import head_document
from services.audit.reports.handlers.export import Export, ExportPage
from services.audit.reports.search_parameters import position_parameter, require_type, time_range

_SCOPE: Final = "export"
USUAL: Final = 1_000
MOST: Final = 5_000
_COLUMNS: Final = (
    "index",
    "time",
    "type",
    "hub",
    "actor",
    "referral_id",
    "message_id",
    "organization",
    "commitment",
)


def export(handler: Export, request: Request) -> Response:
    """Answer `?from=&to=&type=&format=ndjson|csv&after=&limit=`. Raises Refused `invalid-parameter`."""
    query = request.query_params
    form, type = query.get("format", "ndjson"), query.get("type")
    if form not in ("ndjson", "csv"):
        raise invalid_parameter("format", "must be `ndjson` or `csv`.")
    if type is not None:
        require_type(type)
    span = time_range(query)
    position = position_parameter(query, _SCOPE)
    page = handler.page(
        Reader.of(request.principal),
        Search(type=type, since=span.since, until=span.until),
        position,
        integer_of(query, "limit", default=USUAL, minimum=1, maximum=MOST),
        form=form,
    )
    following = page.following
    cursor = None if following is None else encode_cursor(_SCOPE, (following.start, following.size))
    if form == "ndjson":
        return Response.ndjson(chain(map(_line, in_turns(page.leaves)), [_last_line(page, cursor)]))
    headers = {"Content-Type": "text/csv; charset=utf-8"}
    if cursor is not None:
        headers["Link"] = f'</v1/export?{urlencode({**query, "after": cursor})}>; rel="next"'
    return Response(200, _csv(page, header=position is None).encode(), headers)


def _line(leaf: OpenedLeaf) -> dict[str, Any]:
    salt = None if leaf.salt is None else base64_text.encoded(leaf.salt)
    return {
        "index": leaf.index,
        "leaf": leaf.leaf.decode(),
        "head": head_document(leaf.head),
        "salt": salt,
        "data": leaf.data,
    }


def _last_line(page: ExportPage, cursor: str | None) -> dict[str, Any]:
    return {"next": cursor, "size": page.size, "checkpoint": page.published.note.decode()}


def _csv(page: ExportPage, *, header: bool) -> str:
    # Concatenated pages form one file, so only the first page has a header row.
    entries = ({"index": leaf.index, **leaf.fields} for leaf in in_turns(page.leaves))
    rows = ([entry.get(name) for name in _COLUMNS] for entry in entries)
    return spreadsheet([_COLUMNS, *rows] if header else rows)
