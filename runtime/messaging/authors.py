"""The authors of messages: the broker user that speaks for each service.

The broker sets nothing itself, but refuses a message whose `user-id` is not the user that publishes it. So a
message with the user of a service came from a connection with that service's password. Source: RabbitMQ,
"Validated User-ID".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Protocol

from contracts.facts import routing_key_of
from contracts.manifest import Manifest
from contracts.topology import OPERATIONS, owners_of
from runtime.messaging.batches import Identified
from runtime.messaging.ports import Delivery

_REMEMBERED = 256


class Attributed(Identified, Protocol):
    """A decoded message with the type and the source that it states."""

    @property
    def type(self) -> str: ...

    @property
    def source(self) -> str: ...


class Authors:
    """Decides whether a message comes from an owner of its fact (`contracts.topology.OWNERS`)."""

    def __init__(self, hub: str, users: Mapping[str, str]) -> None:
        """users: the broker's user of each service and of OPERATIONS, which replays dead letters.

        The replaying user proves nothing: the signature of a replayed message does.
        """
        self._hub = hub
        self._users = users
        # Few combinations occur, and each message has one.
        self._judge = lru_cache(maxsize=_REMEMBERED)(self._judged)

    def fault(self, delivery: Delivery, message: Attributed) -> str | None:
        """Return None if the message comes from an owner of its fact, else the reason to refuse it.

        Its signature has been verified.
        """
        return self._judge(message.type, message.source, delivery.user_id)

    def users_of(self, services: Iterable[str]) -> frozenset[str]:
        """Return the users that speak for these services."""
        return frozenset(self._users[service] for service in services)

    def _judged(self, type_: str, source: str, user: str | None) -> str | None:
        hub, _, service = source.removeprefix("/").partition("/")
        if hub != self._hub or service not in owners_of(routing_key_of(type_)):
            return f"{type_} is not a fact of {source}"
        if user in (self._users[service], self._users[OPERATIONS]):
            return None
        return f"{type_} of {source} was sent by {user or 'no user'}, not by {self._users[service]}"


def authors_in(manifest: Manifest) -> Authors:
    """Return the authors that a manifest lists.

    Where services share one user, its name proves no more than that the message comes from the hub.
    """
    return Authors(manifest.hub, {service: identity.user for service, identity in manifest.services.items()})
