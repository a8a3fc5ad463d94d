"""Where a hub's services are, and the key that cases are sealed to: `GET /.well-known/kopuro`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import quote

from kopuro_client.answers import json_object
from kopuro_client.arguments import text
from kopuro_client.errors import DefectError, InvalidArgumentError
from kopuro_client.records import Jwk
from kopuro_client.transport import HttpRequest, Transport

WELL_KNOWN: Final = "/.well-known/kopuro"
VERSION: Final = "1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Discovery:
    """One hub. services: base address by name (intake, directory, routing, delivery, audit)."""

    hub: str
    version: str
    services: Mapping[str, str]
    custody_key: Jwk  # public; `seal` checks it when it is used

    def address(self, service: str, *path: str) -> str:
        """The address of a resource; each part of the path is escaped.

        Raises DefectError for a service that is not listed, InvalidArgumentError for an unusable
        part.
        """
        try:
            root = self.services[service].rstrip("/")
        except KeyError as error:
            raise DefectError(f"the hub's discovery document names no {service} service") from error
        if any(text(part, "an identifier") in ("", ".", "..") for part in path):
            raise InvalidArgumentError("an identifier is never empty, nor a step of a path")
        try:
            return "/".join([root, *(quote(part, safe=":") for part in path)])
        except UnicodeEncodeError as error:
            raise InvalidArgumentError("an identifier holds what is not Unicode text") from error


def discover(transport: Transport, url: str) -> Discovery:
    """The hub's discovery document. url: its address, or any base address of the hub.

    Raises InvalidArgumentError, DefectError, or what `Transport.send` raises.
    """
    if not url.startswith(("http://", "https://")):
        raise InvalidArgumentError(f"{url!r} is not an http or https address")
    where = url if url.endswith(WELL_KNOWN) else url.rstrip("/") + WELL_KNOWN
    return read_discovery(
        json_object(transport.send(HttpRequest(method="GET", url=where, repeatable=True))),
        found_at=where,
    )


def read_discovery(document: Mapping[str, Any], *, found_at: str) -> Discovery:
    """The document as a value. Raises DefectError where it is not one that this client can follow.

    A document got over https may not send tokens and cases to plain http addresses.
    """
    services, key = document.get("services"), document.get("custody_key")
    if document.get("version") != VERSION:
        raise DefectError(f"this client speaks version {VERSION} of the hub's API; the hub does not")
    if not isinstance(services, dict) or not all(isinstance(base, str) for base in services.values()):
        raise DefectError("the hub's discovery document lists no services")
    if not isinstance(key, dict):
        raise DefectError("the hub's discovery document holds no custody key")
    if found_at.startswith("https:") and not all(base.startswith("https:") for base in services.values()):
        raise DefectError("the hub's discovery document leads from https to plain http")
    return Discovery(
        hub=str(document.get("hub", "")),
        version=VERSION,
        services=services,
        custody_key=cast(Jwk, key),
    )
