"""The authors of messages: the broker user of each service.

The broker sets nothing itself, but refuses a message whose `user-id` is not the user that publishes it. So a
message with the user of a service came from a connection with that service's password. Source: RabbitMQ,
"Validated User-ID".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from contracts.manifest import Manifest
from contracts.topology import OPERATIONS
from runtime.messaging.batches import Identified
from runtime.messaging.ports import Delivery


class Authors:
    """Decides whether a message was sent by the broker user of the service in its source."""

    def __init__(self, users: Mapping[str, str]) -> None:
        """users: the broker's user of each service and of OPERATIONS, which replays dead letters.

        The replaying user proves nothing: the signature of a replayed message does.
        """
        self._users = users

    def fault(self, delivery: Delivery, message: Identified) -> str | None:
        """Return None if the right user sent the message, else the reason to refuse it.

        The message's signature has been verified: its source is a service of the hub that owns the fact.
        """
        service = message.source.rpartition("/")[2]
        if delivery.user_id in (self._users[service], self._users[OPERATIONS]):
            return None
        sender = delivery.user_id or "no user"
        return f"{message.type} of {message.source} was sent by {sender}, not by {self._users[service]}"

    def users_of(self, services: Iterable[str]) -> frozenset[str]:
        """Return the broker users of these services."""
        return frozenset(self._users[service] for service in services)


def authors_in(manifest: Manifest) -> Authors:
    """Return the authors that a manifest lists.

    If services share one user, its name proves only that the message comes from the hub.
    """
    return Authors({service: identity.user for service, identity in manifest.services.items()})
