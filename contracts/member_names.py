"""The names of all members that the published HTTP contract defines."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

import orjson

# Members of a line that are not members of the command itself.
_OF_LINES: Final = frozenset({"submit", "offer_id", "referral_id", "idempotency_key"})


@cache
def member_names() -> frozenset[str]:
    """Return the names, of requests and answers alike, from the installed `openapi.json`."""
    document = orjson.loads(files("contracts").joinpath("openapi.json").read_bytes())
    schemas = document["components"]["schemas"].values()
    return _OF_LINES.union(*(schema.get("properties", ()) for schema in schemas))
