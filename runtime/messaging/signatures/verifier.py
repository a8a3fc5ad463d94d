"""Verification of facts: who signed a message, and whether that service may publish this.

An event is authentic when a key that the manifest lists for service S signed a statement with the digest of
its body, its `source` is `/<hub>/S`, and S owns its type (`contracts.topology.OWNERS`). The broker's users
and queues play no part in it, so a stolen broker password forges nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Protocol

from contracts.facts import routing_key_of
from contracts.manifest import Manifest
from contracts.signatures import SignatureFault, header_of
from contracts.topology import owners_of
from runtime.messaging.signatures.statement import STATEMENT_TYPE, digest, digests_in

# A wave has one statement, which a consumer receives with each of its messages.
_REMEMBERED = 256


class NotAuthentic(Exception):
    """The message is not proven to be its service's. check: the check that failed, a short name."""

    def __init__(self, check: str, text: str) -> None:
        super().__init__(text)
        self.check = check


class SignedMessage(Protocol):
    """A decoded message: its CloudEvents source and type."""

    @property
    def source(self) -> str: ...

    @property
    def type(self) -> str: ...


class FactVerifier:
    """Verifies events against the manifest of a hub. Its result depends on the present manifest only."""

    def __init__(
        self,
        manifest: Manifest,
        *,
        owners: Callable[[str], Collection[str]] = owners_of,
        on_unknown_key: Callable[[], None] = lambda: None,
    ) -> None:
        """owners: returns the services that own a routing key.

        on_unknown_key: called before a message is refused for its key; may call `use`.
        """
        self._hub = manifest.hub
        self._owners = owners
        self._on_unknown_key = on_unknown_key
        # A text that does not verify raises, and is not remembered.
        self._statement = lru_cache(maxsize=_REMEMBERED)(self._verified)
        self._permitted = lru_cache(maxsize=_REMEMBERED)(self._check)
        self.use(manifest)

    def use(self, manifest: Manifest) -> None:
        """Verify against this manifest of the same hub from now on; a key that it lacks is refused."""
        self._keys = {
            header_of(key.kid, STATEMENT_TYPE): (service, key)
            for service, identity in manifest.services.items()
            for key in identity.keys
        }
        self._statement.cache_clear()

    def author_of(self, body: bytes, proof: str | None) -> str:
        """Return the service that signed the event with these bytes. Raises NotAuthentic."""
        if not proof:
            raise NotAuthentic("unsigned", "the message is not signed")
        author, digests = self._statement(proof)
        if digest(body) not in digests:
            raise NotAuthentic("digest", f"the signature of {author} covers other bytes")
        return author

    def check(self, author: str, message: SignedMessage) -> None:
        """Check that the author may publish this. Raises NotAuthentic."""
        self._permitted(author, message.source, message.type)

    def _check(self, author: str, source: str, type_: str) -> None:
        if source != f"/{self._hub}/{author}":
            raise NotAuthentic("source", f"{author} signed a message that names another source")
        if author not in self._owners(routing_key_of(type_)):
            raise NotAuthentic("owner", f"{author} signed a fact that it does not own")

    def _verified(self, proof: str) -> tuple[str, frozenset[bytes]]:
        header = proof.partition(".")[0]
        if header not in self._keys:
            self._on_unknown_key()
        service, key = self._keys.get(header, (None, None))
        if service is None or key is None:
            raise NotAuthentic("key", "the message is signed with a key that the manifest does not list")
        try:
            return service, digests_in(key.payload_of(proof, STATEMENT_TYPE))
        except (SignatureFault, ValueError):
            raise NotAuthentic("signature", f"the signature is not one of {service}") from None
