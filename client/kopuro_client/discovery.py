"""A hub's discovery document: its services' URLs and its custody key (`GET /.well-known/kopuro`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import quote

from kopuro_client.arguments import text
from kopuro_client.errors import DefectError, InvalidArgumentError
from kopuro_client.records import Jwk
from kopuro_client.responses import json_object
from kopuro_client.transport import HttpRequest, Transport

WELL_KNOWN: Final = "/.well-known/kopuro"
VERSION: Final = "1"
_LARGEST: Final = 1024 * 1024  # bytes of the document; a hub's has a few thousand


@dataclass(frozen=True, kw_only=True, slots=True)
class Discovery:
    """A hub. services: base URLs by name (intake, directory, routing, delivery, audit).

    sandbox: whether it is one for trying, in which programs may make messages (`kopuro trigger`).
    """

    hub: str
    version: str
    services: Mapping[str, str]
    custody_key: Jwk  # public; `seal` validates it on use
    sandbox: bool = False

    def address(self, service: str, *path: str) -> str:
        """Return a resource's URL. Escapes each part of the path.

        Raises DefectError if the service is not listed, InvalidArgumentError for an invalid part.
        """
        try:
            root = self.services[service].rstrip("/")
        except KeyError as error:
            raise DefectError(f"the hub's discovery document lists no {service} service") from error
        if any(text(part, "an identifier") in ("", ".", "..") for part in path):
            raise InvalidArgumentError('an identifier must not be empty, "." or ".."')
        try:
            return "/".join([root, *(quote(part, safe=":") for part in path)])
        except UnicodeEncodeError as error:
            raise InvalidArgumentError("an identifier is not valid Unicode") from error


def discover(transport: Transport, url: str) -> Discovery:
    """Fetch a hub's discovery document. url: the document's URL or a base URL of the hub.

    Raises InvalidArgumentError for an invalid URL, DefectError for an invalid document, or what
    `Transport.send` raises.
    """
    if not url.startswith(("http://", "https://")):
        raise InvalidArgumentError(f"{url!r} is not an http or https URL")
    where = url if url.endswith(WELL_KNOWN) else url.rstrip("/") + WELL_KNOWN
    return read_discovery(
        json_object(
            transport.send(HttpRequest(method="GET", url=where, repeatable=True, largest_answer=_LARGEST))
        ),
        found_at=where,
    )


def read_discovery(document: Mapping[str, Any], *, found_at: str) -> Discovery:
    """Parse a discovery document. Raises DefectError if it is invalid or of another version.

    A document fetched over https must not list http URLs, to which tokens and cases would be sent.
    """
    services, key = document.get("services"), document.get("custody_key")
    if document.get("version") != VERSION:
        raise DefectError(f"the hub does not support version {VERSION} of the API, which this client uses")
    if not isinstance(services, dict) or not all(isinstance(base, str) for base in services.values()):
        raise DefectError("the hub's discovery document lists no services")
    if not isinstance(key, dict):
        raise DefectError("the hub's discovery document has no custody key")
    if found_at.startswith("https:") and not all(base.startswith("https:") for base in services.values()):
        raise DefectError("the hub's discovery document, fetched over https, lists an http URL")
    return Discovery(
        hub=str(document.get("hub", "")),
        version=VERSION,
        services=services,
        custody_key=cast(Jwk, key),
        sandbox=document.get("sandbox") is True,
    )
