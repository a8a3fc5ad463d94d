"""`/.well-known/kopuro`: the addresses of the hub's services. Every service serves the same document."""

from __future__ import annotations

from pathlib import Path

import orjson

from contracts.errors import Unavailable
from runtime.web.operation import DeclaredResponse, Operation
from runtime.web.published_contracts import LINKS
from runtime.web.response import Response

PATH = "/.well-known/kopuro"

DISCOVERY = Operation(
    summary="Find the addresses of the hub's services, its country and its custody key",
    responses={
        200: DeclaredResponse(
            description="The discovery document.",
            schema={
                "type": "object",
                "properties": {
                    "hub": {"type": "string", "description": "The hub's ISO 3166-1 alpha-2 code."},
                    "services": {
                        "type": "object",
                        "description": "The base address of each service, by its name.",
                        "additionalProperties": {"type": "string"},
                    },
                    "documents": {
                        "type": "object",
                        "description": "The published contracts, as paths of every service.",
                        "properties": {name: {"const": path} for name, path in LINKS.items()},
                    },
                    "custody_key": {"type": "object", "description": "The public key of the vault (JWK)."},
                    "earlier_custody_keys": {
                        "type": "array",
                        "description": "Earlier keys, to which cases may still be sealed for a while.",
                        "items": {
                            "type": "object",
                            "properties": {
                                "kid": {"type": "string"},
                                "accepted_until": {"type": "string", "format": "date-time"},
                            },
                            "required": ["accepted_until", "kid"],
                        },
                    },
                    "version": {"type": "string", "description": "The version of this document's form."},
                    "sandbox": {
                        "type": "boolean",
                        "description": "True if organisations may put messages into their own mailboxes.",
                    },
                },
                "required": ["documents", "services"],
            },
        )
    },
    refusals=frozenset({"unavailable"}),
)


def service_address(file: Path, service: str) -> str | None:
    """Return the public base URL of a service, without a trailing slash; None while it is not listed."""
    try:
        address = orjson.loads(file.read_bytes())["services"][service]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return address.rstrip("/") if isinstance(address, str) else None


def names_sandbox(file: Path) -> bool:
    """Return whether the discovery document in `file` says that the hub is a sandbox."""
    try:
        document = orjson.loads(file.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("sandbox") is True


def discovery(file: Path) -> Response:
    """Return the discovery document in `file`, with links to the published contracts.

    Reads it each time, because it may be replaced. Raises Unavailable while the file is missing or not JSON.
    """
    try:
        document = orjson.loads(file.read_bytes())
    except (OSError, ValueError):
        document = None
    if not isinstance(document, dict):
        raise Unavailable("The discovery document has not been written yet.")
    return Response(200, orjson.dumps({**document, "documents": LINKS}), {"Content-Type": "application/json"})
