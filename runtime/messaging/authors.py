"""The authors of messages: the broker user that speaks for each service.

The broker sets nothing itself, but refuses a message whose `user-id` is not the user that publishes it. So a
message with the user of a service came from a connection with that service's password. Source: RabbitMQ,
"Validated User-ID".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from contracts.broker_rights import OPERATIONS, USERS, user_name
from contracts.facts import TYPE_PREFIX
from contracts.topology import owners_of
from runtime.messaging.batches import Identified
from runtime.messaging.ports import Delivery


class Attributed(Identified, Protocol):
    """A decoded message with the type and the source that it states."""

    @property
    def type(self) -> str: ...

    @property
    def source(self) -> str: ...


class Authors:
    """Decides whether a message comes from an owner of its fact (`contracts.topology.OWNERS`)."""

    def __init__(
        self,
        hub: str,
        users: Mapping[str, str],
        *,
        has_proof: Callable[[Delivery], bool] = lambda _delivery: True,
    ) -> None:
        """users: the broker's user of each service and of OPERATIONS, which replays dead letters.

        has_proof: whether a replayed message proves its author by itself; the replaying user proves nothing.
        """
        self._hub = hub
        self._users = users
        self._has_proof = has_proof

    def fault(self, delivery: Delivery, message: Attributed) -> str | None:
        """Return None if the message comes from an owner of its fact, else the reason to refuse it."""
        fact = message.type.removeprefix(TYPE_PREFIX).rpartition(".v")[0]
        hub, _, service = message.source.removeprefix("/").partition("/")
        if hub != self._hub or service not in owners_of(fact):
            return f"{message.type} is not a fact of {message.source}"
        if delivery.user_id == self._users[service]:
            return None
        if delivery.user_id == self._users[OPERATIONS] and self._has_proof(delivery):
            return None
        sender = delivery.user_id or "no user"
        return f"{message.type} of {message.source} was sent by {sender}, not by {self._users[service]}"

    def users_of(self, services: Iterable[str]) -> frozenset[str]:
        """Return the users that speak for these services."""
        return frozenset(self._users[service] for service in services)


def authors_at(hub: str, own_user: str) -> Authors:
    """Return the authors at a broker where this process is `own_user`.

    Where the hub's own definitions were imported, each service has its user. Any other user is shared by all
    services of the hub: its name then proves no more than that the message comes from the hub.
    """
    users = {user: user_name(hub, user) for user in USERS}
    if own_user not in users.values():
        users = dict.fromkeys(USERS, own_user)
    return Authors(hub, users)
