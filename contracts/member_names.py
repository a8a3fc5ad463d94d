"""The names of all members that the published HTTP contract defines, and of the parts of private keys."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

import orjson

# Members of a line that are not members of the command itself.
_OF_LINES: Final = frozenset({"submit", "offer_id", "referral_id", "idempotency_key"})
# The private members of a JWK (RFC 7518, section 6), which the hub refuses: the caller learns what to remove.
_OF_PRIVATE_KEYS: Final = frozenset({"d", "dp", "dq", "k", "oth", "p", "q", "qi"})


@cache
def member_names() -> frozenset[str]:
    """Return the names, of requests and answers alike, from the installed `openapi.json`."""
    document = orjson.loads(files("contracts").joinpath("openapi.json").read_bytes())
    schemas = document["components"]["schemas"].values()
    known = _OF_LINES | _OF_PRIVATE_KEYS
    return known.union(*(schema.get("properties", ()) for schema in schemas))
