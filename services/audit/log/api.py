"""The log resources: checkpoints, tiles, the log key, proofs. Hashes are base64, leaves are JSON text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from contracts import base64_text
from contracts.responses.history import ConsistencyProof, InclusionProof
from runtime.web.request import Request
from runtime.web.response import Response
from services.audit.log import tile_api
from services.audit.log.domain.published import PublishedCheckpoint
from services.audit.log.handlers import LogHandlers
from services.audit.parameters import entry_number


def checkpoint(handlers: LogHandlers) -> Response:
    """Return the newest published checkpoint. Source: https://c2sp.org/tlog-checkpoint."""
    return _note(handlers.proofs.published())


def cosigned_checkpoint(handlers: LogHandlers) -> Response:
    """Return the newest checkpoint with as many cosignatures as the policy requires."""
    return _note(handlers.proofs.cosigned())


def tile(handlers: LogHandlers, request: Request) -> Response:
    """Return a tile or an entry bundle. Source: https://c2sp.org/tlog-tiles."""
    return tile_api.tile(handlers.published, request)


def log_key(handlers: LogHandlers) -> Response:
    """Return the verifier key as one line of text. Source: https://c2sp.org/signed-note."""
    return Response.text(handlers.proofs.verifier_key + "\n")


def proof(handlers: LogHandlers, request: Request) -> Response:
    """Return an inclusion proof. Source: RFC 9162 §2.1.3."""
    index = entry_number(request.query_params, "index")
    inclusion = handlers.proofs.inclusion(index, _size(request.query_params, "size"))
    return Response.of(
        InclusionProof(
            index=inclusion.index,
            size=inclusion.size,
            leaf_hash=base64_text.encoded(inclusion.leaf_hash),
            hashes=_texts(inclusion.hashes),
        )
    )


def consistency(handlers: LogHandlers, request: Request) -> Response:
    """Return a consistency proof. Source: RFC 9162 §2.1.4."""
    from_size = entry_number(request.query_params, "from")
    found = handlers.proofs.consistency(from_size, _size(request.query_params, "to"))
    return Response.of(
        ConsistencyProof(from_size=found.from_size, to_size=found.to_size, hashes=_texts(found.hashes))
    )


def _note(published: PublishedCheckpoint) -> Response:
    response = Response.text(published.note.decode())
    return replace(response, headers={**response.headers, "Cache-Control": "no-cache"})


def _size(query: Mapping[str, str], name: str) -> int | None:
    return entry_number(query, name) if name in query else None


def _texts(hashes: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(base64_text.encoded(digest) for digest in hashes)
