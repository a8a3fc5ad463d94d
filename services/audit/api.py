"""HTTP in, HTTP out: parameters checked, answers written. Hashes are base64, leaves are JSON text."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from contracts.errors import Refused
from contracts.identifiers import ORGANIZATION_PATTERN, UUID_PATTERN
from runtime.web.paging import encode_cursor, integer_of, limit_of
from runtime.web.request import Request
from runtime.web.response import Response
from services.audit import tile_api
from services.audit.bundle_file import bundle_file
from services.audit.domain import facets
from services.audit.domain.head import Head
from services.audit.domain.merkle import leaf_hash
from services.audit.domain.search import Search
from services.audit.handlers import AuditHandlers
from services.audit.handlers.history import HistoryPage
from services.audit.handlers.published_log import Published
from services.audit.ports import StoredLeaf
from services.audit.span import moment_of, place_of

_SCOPE: Final = "history"
_LARGEST: Final = 10**12 - 1  # twelve digits is what a whole number in a query may have
# The parameters of a search, of one within a referral, and of every list.
SEARCHED: Final = frozenset({"referral", "organization", "type", "from", "to", *facets.SEARCHED})
NARROWED: Final = SEARCHED - {"referral"}
PAGED: Final = frozenset({"after", "limit"})
# What a search asks for stays on record: it must have the form of a name, and cannot be a person's.
_FORMS: Final = {
    "referral": re.compile(UUID_PATTERN),
    "organization": re.compile(ORGANIZATION_PATTERN),
    "type": re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+){1,9}"),
    "actor": re.compile(r"[a-z0-9/._-]+"),
    "need": re.compile(r"[a-z_]+(\.[a-z_]+)?"),
    "region": re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?"),
    "origin": re.compile(r"[A-Z]{2}"),
    "corridor": re.compile(r"[A-Z]{2}-[A-Z]{2}"),
    "outcome": re.compile(r"[a-z_]+"),
}
_LONGEST: Final = 200


def checkpoint(handlers: AuditHandlers) -> Response:
    """The published note, newest first. Source: https://c2sp.org/tlog-checkpoint."""
    return _note(handlers.proofs.published())


def cosigned_checkpoint(handlers: AuditHandlers) -> Response:
    """The newest note that as many witnesses cosigned as the policy asks for."""
    return _note(handlers.proofs.cosigned())


def tile(handlers: AuditHandlers, request: Request) -> Response:
    """A tile or an entry bundle. Source: https://c2sp.org/tlog-tiles."""
    return tile_api.tile(handlers.published, request)


def log_key(handlers: AuditHandlers) -> Response:
    """The verifier key on a line of its own. Source: https://c2sp.org/signed-note."""
    return Response.text(handlers.proofs.verifier_key + "\n")


def history(handlers: AuditHandlers, request: Request) -> Response:
    """One page of what the query asks for."""
    return _page(handlers, request, request.query_params)


def timeline(handlers: AuditHandlers, request: Request) -> Response:
    """One page of one referral's history."""
    referral = request.path_params["referral_id"]
    return _page(handlers, request, {**request.query_params, "referral": referral})


def bundle(handlers: AuditHandlers, request: Request) -> Response:
    """One referral's history with its proofs, as a file."""
    referral = request.path_params["referral_id"]
    if not _FORMS["referral"].fullmatch(referral):
        raise Refused("invalid-parameter", "`referral` does not have the form of one.")
    exported = handlers.history.export(request.principal.id, referral)
    name = f'attachment; filename="{referral}.kopuro-bundle.json"'
    return Response.json(
        bundle_file(exported, handlers.proofs.verifier_key), headers={"Content-Disposition": name}
    )


def entry(handlers: AuditHandlers, request: Request) -> Response:
    """One leaf, byte for byte, and its hash."""
    index = _integer(request.path_params, "index")
    stored = handlers.history.entry(request.principal.id, index)
    return Response.json(
        {"index": stored.index, "leaf": stored.leaf.decode(), "leaf_hash": _text(leaf_hash(stored.leaf))}
    )


def proof(handlers: AuditHandlers, request: Request) -> Response:
    """An inclusion proof. Source: RFC 9162 §2.1.3."""
    index = _integer(request.query_params, "index")
    inclusion = handlers.proofs.inclusion(index, _size(request.query_params, "size"))
    return Response.json(
        {
            "index": inclusion.index,
            "size": inclusion.size,
            "leaf_hash": _text(inclusion.leaf_hash),
            "hashes": _texts(inclusion.hashes),
        }
    )


def consistency(handlers: AuditHandlers, request: Request) -> Response:
    """A consistency proof. Source: RFC 9162 §2.1.4."""
    from_size = _integer(request.query_params, "from")
    shown = handlers.proofs.consistency(from_size, _size(request.query_params, "to"))
    return Response.json({"from": shown.from_size, "to": shown.to_size, "hashes": _texts(shown.hashes)})


def _note(published: Published) -> Response:
    answer = Response.text(published.note.decode())
    return replace(answer, headers={**answer.headers, "Cache-Control": "no-cache"})


def _page(handlers: AuditHandlers, request: Request, query: Mapping[str, str]) -> Response:
    for name, form in _FORMS.items():
        if name in query and (len(query[name]) > _LONGEST or not form.fullmatch(query[name])):
            raise Refused("invalid-parameter", f"`{name}` does not have the form of one.")
    search = Search(
        referral_id=query.get("referral"),
        organization=query.get("organization"),
        type=query.get("type"),
        since=moment_of(query, "from"),
        until=moment_of(query, "to"),
        facets=tuple((name, query[name]) for name in facets.SEARCHED if name in query),
    )
    page = handlers.history.page(request.principal.id, search, place_of(query, _SCOPE), limit_of(query))
    return Response.json(_written(page))


def _written(page: HistoryPage) -> dict[str, Any]:
    following = page.following
    return {
        "items": [_item(stored) for stored in page.leaves],
        "next": None if following is None else encode_cursor(_SCOPE, (following.start, following.size)),
        "checkpoint": _tree_head(page.head),
    }


def _item(stored: StoredLeaf) -> dict[str, Any]:
    # Told from the leaf, which the tree vouches for, never from the columns beside it.
    return {"index": stored.index, **orjson.loads(stored.leaf)}


def _tree_head(head: Head) -> dict[str, Any]:
    origin = head.checkpoint.decode().partition("\n")[0]
    return {"origin": origin, "size": head.size, "root": _text(head.frontier.root())}


def _integer(values: Mapping[str, str], name: str) -> int:
    if name not in values:
        raise Refused("invalid-parameter", f"`{name}` is missing.")
    return integer_of(values, name, default=0, minimum=0, maximum=_LARGEST)


def _size(query: Mapping[str, str], name: str) -> int | None:
    return _integer(query, name) if name in query else None


def _texts(hashes: Iterable[bytes]) -> list[str]:
    return [_text(digest) for digest in hashes]


def _text(digest: bytes) -> str:
    return b64encode(digest).decode("ascii")
