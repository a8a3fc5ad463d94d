"""Vectors for paging by cursor: exchanges with a hub, and what a client makes of them."""

from __future__ import annotations

from typing import Any

from runtime.web.paging import encode_cursor

SINCE = "2026-11-26T18:00:00Z"


def _items(*names: str) -> list[dict[str, str]]:
    return [{"id": name} for name in names]


def cursor_paging() -> dict[str, Any]:
    """Return the file `cursor_paging.json`."""
    first, second, third = (encode_cursor("mailbox", [number]) for number in (2, 4, 5))
    listed = encode_cursor("referrals", [1_764_244_800_000_000, "0199c0de-0000-7000-8000-000000000001"])
    return {
        "about": (
            "Each scenario is a sequence of requests and responses. Serve the responses to your client: it "
            "must send these query parameters in this order and end up with `collected`. Cursors are opaque: "
            "send them back as they are, URL-encoded. `next` is null on the last page. A poll of the mailbox "
            "goes on from `resume`. Reading again keeps `from` and adds `after`. An id that was seen is not "
            "collected twice."
        ),
        "scenarios": [
            {
                "name": "a list ends at the first null next, even after a full page",
                "exchanges": [
                    {"query": {}, "response": {"items": _items("a", "b"), "next": listed}},
                    {"query": {"after": listed}, "response": {"items": _items("c", "d"), "next": None}},
                ],
                "collected": ["a", "b", "c", "d"],
            },
            {
                "name": "a page may be short, or empty, and not be the last",
                "exchanges": [
                    {"query": {}, "response": {"items": _items("a"), "next": listed}},
                    {"query": {"after": listed}, "response": {"items": [], "next": listed}},
                    {"query": {"after": listed}, "response": {"items": _items("b"), "next": None}},
                ],
                "collected": ["a", "b"],
            },
            {
                "name": "a poll of the mailbox goes on from resume",
                "poll": True,
                "exchanges": [
                    {"query": {}, "response": {"items": _items("a", "b"), "next": first, "resume": first}},
                    {
                        "query": {"after": first},
                        "response": {"items": _items("c", "d"), "next": None, "resume": second},
                    },
                    {"query": {"after": second}, "response": {"items": [], "next": None, "resume": second}},
                    {
                        "query": {"after": second},
                        "response": {"items": _items("e"), "next": None, "resume": third},
                    },
                    {"query": {"after": third}, "response": {"items": [], "next": None, "resume": third}},
                ],
                "collected": ["a", "b", "c", "d", "e"],
            },
            {
                "name": "reading again since a time, with an id that comes twice",
                "since": SINCE,
                "exchanges": [
                    {
                        "query": {"from": SINCE},
                        "response": {"items": _items("a", "b"), "next": first, "resume": first},
                    },
                    {
                        "query": {"from": SINCE, "after": first},
                        "response": {"items": _items("b", "c"), "next": None, "resume": second},
                    },
                ],
                "collected": ["a", "b", "c"],
            },
        ],
    }
