"""HTTP in, HTTP out: parameters checked, answers written. Hashes are base64, leaves are JSON text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from runtime.web.request import Request
from runtime.web.response import Response
from services.audit.log import tile_api
from services.audit.log.domain.published import Published
from services.audit.log.handlers import LogHandlers
from services.audit.parameters import base64_text, entry_number


def checkpoint(handlers: LogHandlers) -> Response:
    """The published note, newest first. Source: https://c2sp.org/tlog-checkpoint."""
    return _note(handlers.proofs.published())


def cosigned_checkpoint(handlers: LogHandlers) -> Response:
    """The newest note that as many witnesses cosigned as the policy asks for."""
    return _note(handlers.proofs.cosigned())


def tile(handlers: LogHandlers, request: Request) -> Response:
    """A tile or an entry bundle. Source: https://c2sp.org/tlog-tiles."""
    return tile_api.tile(handlers.published, request)


def log_key(handlers: LogHandlers) -> Response:
    """The verifier key on a line of its own. Source: https://c2sp.org/signed-note."""
    return Response.text(handlers.proofs.verifier_key + "\n")


def proof(handlers: LogHandlers, request: Request) -> Response:
    """An inclusion proof. Source: RFC 9162 §2.1.3."""
    index = entry_number(request.query_params, "index")
    inclusion = handlers.proofs.inclusion(index, _size(request.query_params, "size"))
    return Response.json(
        {
            "index": inclusion.index,
            "size": inclusion.size,
            "leaf_hash": base64_text(inclusion.leaf_hash),
            "hashes": _texts(inclusion.hashes),
        }
    )


def consistency(handlers: LogHandlers, request: Request) -> Response:
    """A consistency proof. Source: RFC 9162 §2.1.4."""
    from_size = entry_number(request.query_params, "from")
    shown = handlers.proofs.consistency(from_size, _size(request.query_params, "to"))
    return Response.json({"from": shown.from_size, "to": shown.to_size, "hashes": _texts(shown.hashes)})


def _note(published: Published) -> Response:
    answer = Response.text(published.note.decode())
    return replace(answer, headers={**answer.headers, "Cache-Control": "no-cache"})


def _size(query: Mapping[str, str], name: str) -> int | None:
    return entry_number(query, name) if name in query else None


def _texts(hashes: Iterable[bytes]) -> list[str]:
    return [base64_text(digest) for digest in hashes]
