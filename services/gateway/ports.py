"""Ports of the gateway's use cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.gateway.domain.broker_load import BrokerSample
from services.gateway.domain.window import Count


class NotAdmitted(Exception):
    """The hub does not admit the organisation: its client is missing or revoked, or it is suspended."""


class SessionEnded(Exception):
    """The queue may have changed since the session began: there is another connection to the broker."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MailboxMessage:
    """A message as the hub returns it. body: the CloudEvent. is_closed: it stands for an erased message."""

    id: str
    type: str
    body: bytes
    is_closed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class MessagePage:
    """Waiting messages of a mailbox, oldest first. cursor: after the last one; None: nothing was read."""

    messages: tuple[MailboxMessage, ...]
    cursor: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The hub's result for a submission: one of an id, a problem (RFC 9457) and `is_unavailable`.

    retry_after: seconds, if the organisation has used up its rate; None: the hub is unavailable.
    """

    submission_id: str | None = None
    problem: Mapping[str, Any] | None = None
    is_unavailable: bool = False
    retry_after: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionAnswer:
    """An answer for the mailbox. body: the digest of what was submitted."""

    message_id: str | None
    body: str
    submission_id: str | None = None
    problem: Mapping[str, Any] | None = None


class HubClient(Protocol):
    """The hub, as each organisation's own client. Every method raises NotAdmitted, Unavailable and Defect.

    Defect: the hub failed on this very request, or its answer violates its contract.
    """

    def require_admitted(self, organization: str) -> None:
        """Raise NotAdmitted unless the hub admits the organisation now."""
        ...

    def new_password(self, organization: str) -> str | None:
        """Return the hash of the password that the organisation has asked for; None if it asked for none.

        Asks the hub only after a new token: a request for a password ends the token before it.
        """
        ...

    def password_applied(self, organization: str, password_hash: str) -> None:
        """Report that the broker has this password. Repeatable."""
        ...

    def page(self, organization: str, *, after: str | None, limit: int, wait: float) -> MessagePage:
        """Return waiting messages. wait: seconds to wait for one; ends early when access ends."""
        ...

    def closed(self, organization: str, *, among: Sequence[str]) -> frozenset[str]:
        """Return which of these messages wait in the mailbox as closed ones."""
        ...

    def acknowledge(self, organization: str, message_ids: Sequence[str]) -> None:
        """Acknowledge messages for the default consumer. Repeatable."""
        ...

    def submit(self, organization: str, lines: Sequence[bytes], *, referrals: bool) -> list[Result]:
        """Submit lines, referrals or commands; return a result for each. Repeatable by the lines' keys.

        Raises RateLimited too, with the seconds after which the hub takes more of the organisation.
        """
        ...

    def answer(self, organization: str, answers: Sequence[SubmissionAnswer]) -> None:
        """Put answers into the mailbox. Repeatable: an answer that is there already stays."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueState:
    """The exact state of a queue. waiting: messages that are not delivered. consumers: of all connections."""

    waiting: int
    consumers: int


class Queues(Protocol):
    """The organisations' queues. Every method raises BrokerUnavailable.

    A session is one connection to the broker. Methods that take one raise SessionEnded when there is another
    connection now.
    """

    def begin(self, organization: str) -> int:
        """Create the queue if it is missing, remove the waiting messages, and return the session."""
        ...

    def standing(self, session: int, organization: str) -> QueueState:
        """Return how many messages wait to be delivered, and how many consumers there are."""
        ...

    def look(self, session: int, organization: str) -> list[str]:
        """Take the waiting messages, all at one time, give them back in their order, and return their ids."""
        ...

    def copy(self, session: int, organization: str, messages: Sequence[MailboxMessage]) -> int:
        """Add messages in order; return how many of the first ones the broker has confirmed.

        Fewer than given: the queue is full. Messages after the returned ones may be in the queue too.
        """
        ...


class UserConflict(Exception):
    """The broker has a user of this name that the gateway did not create."""


class BrokerUsers(Protocol):
    """The partners' users and their permissions. Every method raises BrokerUnavailable."""

    def all(self) -> list[str]:
        """Return the ids of the organisations with a user, sorted, whether it has permissions or not."""
        ...

    def put(self, organization: str, password_hash: str) -> None:
        """Create the organisation's user without permissions, or replace its password. Raises UserConflict.

        password_hash: as RabbitMQ stores it.
        """
        ...

    def replace_password(self, organization: str, password_hash: str) -> None:
        """Replace the user's password and close the connections. Raises UserConflict. Repeatable."""
        ...

    def remove(self, organization: str) -> None:
        """Delete the organisation's user and its queue. Raises UserConflict. Repeatable."""
        ...

    def grant(self, organization: str) -> None:
        """Give the user its permissions and limits. Raises UserConflict. Repeatable."""
        ...

    def withdraw(self, organization: str) -> None:
        """Take away the permissions and close the connections. Raises UserConflict. Repeatable."""
        ...

    def count(self, organization: str) -> Count | None:
        """Return the broker's last count of the organisation's queue; None before the first."""
        ...


class PartnerConnections(Protocol):
    """The connections to the partners' virtual host. Every method raises BrokerUnavailable."""

    def sample(self) -> BrokerSample:
        """Return what the connections have done so far, those of other users too.

        The broker counts every five seconds: a connection that was opened after its last count is missing,
        and one that ended before the next is in no sample.
        """
        ...

    def ban(self, organization: str, reason: str) -> None:
        """Close the organisation's connections with this reason, and refuse others until `release`.

        `BrokerUsers.grant` leaves it banned. Raises UserConflict. Repeatable. After the end of this
        process, the first `grant` of the next one ends the ban.
        """
        ...

    def release(self, organization: str) -> None:
        """Let the organisation connect again. Raises UserConflict. Repeatable."""
        ...
