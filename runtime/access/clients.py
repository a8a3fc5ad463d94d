"""The registered OAuth clients: a token is valid only while its client is live."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.facts import ClientChanged
from runtime.messaging.replica import ReplicaRecord

# The time in which a new client reaches the other services; a partner uses a new credential at once.
PATIENCE_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.05
_MOST_AWAITED: Final = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredClient:
    """A client as the directory registered it. live: False once it is revoked.

    token_epoch: its tokens of another epoch are refused. ended_keys: the thumbprints of removed keys, whose
    tokens are refused.
    """

    principal: str
    roles: frozenset[str]
    live: bool
    token_epoch: int = 0
    ended_keys: frozenset[str] = frozenset()


def permitted_roles(roles: Iterable[str]) -> frozenset[str]:
    """Return the roles that a client's tokens may have: its only one.

    An earlier build registered clients with several. Such a client is not treated as staff; as a partner it
    still acts.
    """
    held = frozenset(roles)
    return held if len(held) <= 1 else held & {"partner"}


# Returns the client with that id, or None.
Clients = Callable[[str], RegisteredClient | None]


class ReplicatedClients:
    """The clients, in memory. Pass `absorb` to a replica of the directory. patience: see `__init__`."""

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        """patience: seconds to wait for an unknown client, which may be newer than the replica."""
        self._by_id: dict[str, RegisteredClient] = {}
        self.patience = patience
        self._awaited: set[str] = set()

    def __call__(self, client_id: str) -> RegisteredClient | None:
        """Return the client. Waits once for an unknown one: afterwards it is known, or does not exist.

        Only the holder of a signing key can cause a wait: signatures are verified first.
        """
        found = self._by_id.get(client_id)
        if found is None and client_id not in self._awaited:
            if len(self._awaited) >= _MOST_AWAITED:
                self._awaited.clear()
            deadline = time.monotonic() + self.patience
            while found is None and time.monotonic() < deadline:
                time.sleep(_LOOK_SECONDS)
                found = self._by_id.get(client_id)
            if found is None:
                self._awaited.add(client_id)
        return found

    def has_live(self, principal: str) -> bool:
        """Return whether the principal has a live client. Reads all clients: not for every request."""
        return any(client.live and client.principal == principal for client in list(self._by_id.values()))

    def absorb(self, records: Sequence[ReplicaRecord]) -> bool:
        """Apply new and changed clients; return whether tokens that one has may be refused now."""
        narrowed = False
        for record in records:
            if record.type != ClientChanged.type:
                continue
            data = record.data
            client = RegisteredClient(
                principal=data["principal"],
                roles=permitted_roles(data["roles"]),
                live=data["live"],
                token_epoch=data.get("token_epoch", 0),
                ended_keys=frozenset(data.get("ended_keys", ())),
            )
            before = self._by_id.get(data["client_id"])
            narrowed = narrowed or (before is not None and not _includes(client, before))
            self._by_id[data["client_id"]] = client
        return narrowed


def _includes(after: RegisteredClient, before: RegisteredClient) -> bool:
    """Return whether every token of the client before the change is still valid after it."""
    return (
        after.live
        and after.principal == before.principal
        and before.roles <= after.roles
        and after.token_epoch <= before.token_epoch
        and after.ended_keys <= before.ended_keys
    )
