"""The manifest of a hub: the public signing keys and the broker user of each service, signed by the hub.

The hub's root key signs it; the root's private key can stay offline. Payload:

    {"hub": "kg", "version": 3,
     "services": {"intake": {"keys": [JWK, ...], "user": "kg.intake"}, ...,
                  "operations": {"keys": [JWK, ...], "user": "kg.operations"}}

`operations` is the operators' commands, which record what they show.

A service with two keys is changing them: messages signed with the older one may still be in queues.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from contracts.records import Malformed
from contracts.signatures import SignatureFault, SigningKey, UnusableSigningKey, VerificationKey
from contracts.topology import OPERATIONS

MANIFEST_TYPE: Final = "kopuro-manifest+jws"
# Enough for a rotation. Each key can sign facts in the service's name.
MOST_KEYS: Final = 4
_HUB = re.compile(r"[a-z]{2}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceIdentity:
    """keys: may sign the service's facts, newest first; user: its broker user."""

    keys: tuple[VerificationKey, ...]
    user: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """hub: a country code; version: 1 or more, never decreases; services: with OPERATIONS among them."""

    hub: str
    version: int
    services: Mapping[str, ServiceIdentity]

    def payload(self) -> bytes:
        """Return the JSON that the root key signs."""
        document = {
            "hub": self.hub,
            "version": self.version,
            "services": {
                name: {"keys": [key.jwk() for key in identity.keys], "user": identity.user}
                for name, identity in self.services.items()
            },
        }
        return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()

    def signed(self, root: Mapping[str, Any]) -> str:
        """Return the manifest as a compact JWS by the private root JWK. Raises UnusableSigningKey."""
        return SigningKey(root, MANIFEST_TYPE).sign(self.payload())


def read_manifest(text: str, root: VerificationKey) -> Manifest:
    """Return the verified manifest. Raises Malformed, which names the check that failed."""
    try:
        payload = root.payload_of(text.strip(), MANIFEST_TYPE)
    except SignatureFault as fault:
        raise Malformed(f"the manifest is not signed by the hub's root key: {fault}") from None
    try:
        return _manifest(orjson.loads(payload))
    except (KeyError, TypeError, AttributeError, ValueError):
        raise Malformed("the manifest does not have the expected form") from None


def _manifest(document: Any) -> Manifest:
    hub, version = document["hub"], document["version"]
    if _HUB.fullmatch(hub) is None or type(version) is not int or version < 1:
        raise ValueError
    services = {name: _identity(identity) for name, identity in document["services"].items()}
    kids = [key.kid for identity in services.values() for key in identity.keys]
    # A signature with a key that two services share would not show which of them signed.
    if len(set(kids)) != len(kids):
        raise ValueError
    if OPERATIONS not in services:
        raise ValueError
    return Manifest(hub=hub, version=version, services=services)


def _identity(document: Any) -> ServiceIdentity:
    try:
        keys = tuple(VerificationKey(jwk) for jwk in document["keys"])
    except UnusableSigningKey:
        raise ValueError from None
    if not 0 < len(keys) <= MOST_KEYS:
        raise ValueError
    return ServiceIdentity(keys=keys, user=_text(document["user"]))


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value
