"""The names and rights of an organisation at the partners' broker.

Source: RabbitMQ, "Access Control" (permissions), "Virtual Hosts" (limits of users),
"Password Hashing".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from contracts.base64_text import decoded, encoded
from contracts.broker_rights import NOTHING, gateway_client

# The queue to which operators move dead letters. An organisation's own queue has its id after a dot.
SUBMISSIONS: Final = "submissions"
DEAD_LETTERS: Final = "submissions.parked"
# The tag of every user that the gateway has made. It gives no right at the management API.
TAG: Final = "partner"
MOST_CONNECTIONS: Final = 5
MOST_CHANNELS: Final = 20
_SUBMIT: Final = "submit"
_MAILBOX: Final = "mailbox."
_SALT_BYTES: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class PartnerRights:
    """Regular expressions on names of exchanges and queues."""

    configure: str
    write: str
    read: str


def queue_of(organization: str) -> str:
    """Return the name of the organisation's queue."""
    return _MAILBOX + organization


def exchange_of(organization: str) -> str:
    """Return the name of the exchange to which the organisation, and nobody else, publishes.

    In a common exchange, the headers CC and BCC add routing keys that the broker does not compare with the
    sender's permissions. So any user that may publish there could fill the queues of all. Source: RabbitMQ,
    "Sender-selected Distribution".
    """
    return f"{_SUBMIT}.{organization}"


def submissions_of(organization: str) -> str:
    """Return the name of the queue in which the organisation's submissions wait."""
    return f"{SUBMISSIONS}.{organization}"


def submitter(queue: str) -> str | None:
    """Return the organisation whose submissions wait in a queue; None for any other queue."""
    organization = queue.removeprefix(f"{SUBMISSIONS}.")
    return None if organization == queue or queue == DEAD_LETTERS else organization


def client_of(organization: str) -> str:
    """Return the id of the OAuth client as which the gateway acts for the organisation."""
    return gateway_client(organization)


def rights_of(organization: str) -> PartnerRights:
    """Return the rights of the organisation's user: write to its own exchange, read its own queue."""
    return PartnerRights(
        configure=NOTHING,
        write=_exactly(exchange_of(organization)),
        read=_exactly(queue_of(organization)),
    )


def hashed(password: str, salt: bytes) -> str:
    """Return a password as RabbitMQ stores it (`rabbit_password_hashing_sha256`). salt: four random bytes."""
    assert len(salt) == _SALT_BYTES
    return encoded(salt + hashlib.sha256(salt + password.encode()).digest())


def is_hash(text: str) -> bool:
    """Return whether the text has the form that `hashed` returns."""
    try:
        return len(decoded(text)) == _SALT_BYTES + hashlib.sha256().digest_size
    except ValueError:
        return False


def is_ours(user: Mapping[str, Any]) -> bool:
    """Return whether the gateway made a user, as the management API describes it.

    The tags are a list since RabbitMQ 3.9, and were a text before.
    """
    tags = user.get("tags")
    return (tags.split(",") if isinstance(tags, str) else tags) == [TAG]


def _exactly(name: str) -> str:
    # RabbitMQ matches anywhere in the name.
    return rf"\A{re.escape(name)}\z"
