"""Ports of the webhooks' use cases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from services.delivery.webhooks.domain.endpoint import Endpoint
from services.delivery.webhooks.domain.endpoint_url import EndpointUrl
from services.delivery.webhooks.domain.notice import Attempt, Notice
from services.delivery.webhooks.domain.signature import SigningSecret


@dataclass(frozen=True, kw_only=True, slots=True)
class UnnoticedMessage:
    """A message of a mailbox of which an endpoint has had no notice.

    body: of an offer; empty for other messages, and if it was erased.
    """

    sequence: int
    message_id: str
    type: str
    referral_id: str
    queued_at: dt.datetime
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingNotices:
    """The notices of an endpoint that wait. untried: those without an attempt; tried: all others."""

    untried: int
    tried: int


class Endpoints(Protocol):
    """Endpoints and their secrets. Durable with the caller's transaction."""

    def serialise(self, transaction: Connection) -> None:
        """Let no other transaction that calls this continue until the caller's ends."""
        ...

    def add(self, transaction: Connection, endpoint: Endpoint) -> None:
        """Store a new endpoint. Its position is the last message of the mailbox."""
        ...

    def of(self, transaction: Connection, organization: str) -> list[Endpoint]:
        """Return the organisation's endpoints, oldest first."""
        ...

    def take(self, transaction: Connection, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint, locked until the transaction ends; None if there is none."""
        ...

    def put(self, transaction: Connection, endpoint: Endpoint) -> None:
        """Store the changed endpoint, except its position."""
        ...

    def delete(self, transaction: Connection, endpoint_id: str) -> None:
        """Delete an endpoint with its secrets, notices and attempts."""
        ...

    def add_secret(self, transaction: Connection, endpoint_id: str, sealed: bytes, now: dt.datetime) -> None:
        """Store a new sealed secret."""
        ...

    def end_secrets(
        self, transaction: Connection, endpoint_id: str, at: dt.datetime, now: dt.datetime
    ) -> None:
        """Let the newest secret end at the moment and delete every other one."""
        ...

    def secrets(self, transaction: Connection, endpoint_id: str, now: dt.datetime) -> list[bytes]:
        """Return the sealed secrets that are live, newest first."""
        ...


class Notices(Protocol):
    """Notices and their attempts. Durable with the caller's transaction."""

    def behind(self, transaction: Connection) -> list[Endpoint]:
        """Return the active endpoints whose mailboxes have unacknowledged messages after their position."""
        ...

    def unnoticed(
        self, transaction: Connection, organization: str, *, after: int, limit: int
    ) -> list[UnnoticedMessage]:
        """Return unacknowledged messages of a mailbox with a sequence above `after`, oldest first."""
        ...

    def waiting(self, transaction: Connection, endpoint_id: str) -> WaitingNotices:
        """Return how many notices of an endpoint wait."""
        ...

    def refused(
        self, transaction: Connection, endpoint_id: str, *, attempts: int, later_than: dt.datetime
    ) -> int:
        """Return how many notices of an endpoint wait that have failed at least this many times.

        later_than: those that are claimed for the last of these attempts are not due later.
        """
        ...

    def add(self, transaction: Connection, notices: Sequence[Notice]) -> None:
        """Store new notices. A notice of the same message to the same endpoint stays unchanged."""
        ...

    def advance(self, transaction: Connection, endpoint_id: str, position: int) -> None:
        """Move an endpoint's position forward."""
        ...

    def owed(self, transaction: Connection, now: dt.datetime) -> list[Endpoint]:
        """Return the endpoints, active or unverified, that have due notices."""
        ...

    def due(
        self,
        transaction: Connection,
        endpoint_id: str,
        now: dt.datetime,
        limit: int,
        *,
        only_challenge: bool = False,
    ) -> list[Notice]:
        """Return due notices: emergencies first, then other offers. Untried ones first, then longest due.

        Returns only the first waiting notice of each referral, except that an offer overtakes notices that
        have failed three times: it would be useless after its deadline.
        """
        ...

    def acknowledged(self, transaction: Connection, notices: Sequence[Notice]) -> set[int]:
        """Return the numbers of those notices whose message its organisation has acknowledged."""
        ...

    def claim(self, transaction: Connection, notices: Sequence[Notice], until: dt.datetime) -> None:
        """Count an attempt of each notice; it is due again at `until` unless its result is stored first."""
        ...

    def take(self, transaction: Connection, endpoint_id: str, message_id: str) -> Notice | None:
        """Return a notice, locked until the transaction ends; None if there is none."""
        ...

    def own(self, transaction: Connection, endpoint_id: str, type_: str) -> Notice | None:
        """Return the endpoint's newest waiting challenge or test, locked; None if there is none."""
        ...

    def put(self, transaction: Connection, notice: Notice, now: dt.datetime) -> None:
        """Store the state, attempts and times of a notice."""
        ...

    def resume(
        self, transaction: Connection, endpoint_id: str, *, now: dt.datetime, until: dt.datetime
    ) -> None:
        """Make every waiting notice of an endpoint due now, as if it had not been attempted.

        until: the new limit of those that are not offers.
        """
        ...

    def hasten(
        self, transaction: Connection, endpoint_id: str, *, later_than: dt.datetime, now: dt.datetime
    ) -> None:
        """Make the waiting notices of an endpoint that are due later than `later_than` due now."""
        ...

    def cancel_challenges(self, transaction: Connection, endpoint_id: str, now: dt.datetime) -> None:
        """Cancel the endpoint's challenges that wait."""
        ...

    def record(self, transaction: Connection, attempt: Attempt) -> None:
        """Store an attempt."""
        ...

    def attempts(
        self, transaction: Connection, endpoint_id: str, *, before: int | None, limit: int
    ) -> list[tuple[int, Attempt]]:
        """Return attempts with their positions below `before`, newest first."""
        ...

    def page(
        self, transaction: Connection, endpoint_id: str, *, before: int | None, limit: int
    ) -> list[Notice]:
        """Return notices with numbers below `before`, newest first."""
        ...

    def are_waiting(self, transaction: Connection) -> bool:
        """Return whether any notice waits."""
        ...

    def count_waiting(self, transaction: Connection) -> int:
        """Return how many notices wait in all."""
        ...

    def forget(self, transaction: Connection, before: dt.datetime, limit: int) -> int:
        """Delete at most `limit` notices that ended, and attempts that started, before the moment."""
        ...


class SecretSeal(Protocol):
    """Seals signing secrets for the database with a key that is kept apart from it."""

    def make(self, endpoint_id: str) -> tuple[SigningSecret, bytes]:
        """Return a new secret of an endpoint, and the same secret sealed."""
        ...

    def open(self, endpoint_id: str, sealed: bytes) -> SigningSecret:
        """Return a sealed secret. Raises Unavailable if it was sealed with another key or for another one."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointResponse:
    """A receiver's answer. media_type: a usual one or `other`; body: its first bytes, bounded."""

    status: int
    media_type: str | None
    body: bytes


class NotSent(Exception):
    """No answer came. fault: a code, such as `timeout`; it repeats nothing that the receiver sent."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


class Sender(Protocol):
    """Sends one request. Safe for concurrent callers; each waits for its own answer."""

    def post(self, url: EndpointUrl, headers: Mapping[str, str], body: bytes) -> EndpointResponse:
        """Send one POST within the sender's total deadline. Follows no redirect. Raises NotSent."""
        ...

    def refusal_of(self, url: EndpointUrl) -> str | None:
        """Return why `post` sends nothing to the address in the URL; None if it does, and for a name.

        The sentence does not repeat the address. A name is resolved only when a request is sent.
        """
        ...
