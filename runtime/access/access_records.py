"""The records that decide which callers a service admits, in memory, from its replica of the directory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runtime.access.clients import PATIENCE_SECONDS, ReplicatedClients
from runtime.access.standing import ExcludedOrganizations
from runtime.access.token_keys import TokenKeys
from runtime.access.tokens import TokenVerifier, audience_of, issuer_of
from runtime.clock import Clock
from runtime.messaging.replica import ReplicaRecord


def _nothing() -> None:
    """Do nothing: no caller of this service waits."""


class AccessRecords:
    """Token keys, clients and excluded organisations. Pass `absorb` to a replica of the directory."""

    def __init__(
        self, narrowed: Callable[[], None] = _nothing, *, patience: float = PATIENCE_SECONDS
    ) -> None:
        """narrowed: called when a caller who was admitted may be refused now, to end long polls.

        patience: see `ReplicatedClients`.
        """
        self._narrowed = narrowed
        self._keys = TokenKeys()
        self._clients = ReplicatedClients(patience)
        self.is_excluded = ExcludedOrganizations()

    def absorb(self, records: Sequence[ReplicaRecord]) -> None:
        """Apply new and changed records."""
        narrowed = [
            self._keys.absorb(records),
            self._clients.absorb(records),
            self.is_excluded.absorb(records),
        ]
        if any(narrowed):
            self._narrowed()

    def has_live_client(self, principal: str) -> bool:
        """Return whether the principal has a client that can get a token."""
        return self._clients.has_live(principal)

    def verifier(self, hub: str, clock: Clock, *, issuer: str | None = None) -> TokenVerifier:
        """Return a verifier of the hub's tokens that follows these records. issuer: `Settings.issuer`."""
        return TokenVerifier(
            self._keys, issuer_of(hub, issuer), clock, clients=self._clients, audience=audience_of(hub)
        )
