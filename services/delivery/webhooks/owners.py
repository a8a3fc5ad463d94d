"""The use cases of an endpoint's owner: register, change, rotate, test, look at attempts, resend, cancel."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from contracts.errors import PointerError, RateLimited, Refused
from runtime.access.token_buckets import Allowance, TokenBuckets
from runtime.clock import Clock
from runtime.messaging.outbox.outbox import Outbox
from runtime.storage.database import Database
from services.delivery.domain.selection import require_kinds
from services.delivery.webhooks.domain import endpoint as endpoints_domain
from services.delivery.webhooks.domain import notice as notices_domain
from services.delivery.webhooks.domain.endpoint import Endpoint, EndpointEvent, EndpointState, Health
from services.delivery.webhooks.domain.endpoint_url import EndpointUrl, InvalidUrlError
from services.delivery.webhooks.domain.notice import CHALLENGE, TEST, Attempt, Notice, NoticeEvent
from services.delivery.webhooks.domain.retries import SENT_FOR, Haste
from services.delivery.webhooks.domain.signature import SigningSecret
from services.delivery.webhooks.outcomes import LEASE
from services.delivery.webhooks.ports import Endpoints, Notices, SecretSeal, Sender
from services.delivery.webhooks.webhook_facts import WebhookFacts

MOST_ENDPOINTS: Final = 10
# Each change is a message in the owner's mailbox and an entry in the log.
CHANGES: Final = Allowance(name="webhook-changes", burst=50, per_minute=1)
# How long the previous secret still signs too.
OVERLAP: Final = dt.timedelta(hours=24)
# The owner installs the secret before the first challenge comes.
_FIRST_CHALLENGE_AFTER: Final = dt.timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewSecret:
    """A secret, shown only now. previous_until: when the earlier secret stops signing, None for the first."""

    endpoint: Endpoint
    secret: SigningSecret
    previous_until: dt.datetime | None = None


class EndpointOwners:
    """The use cases. Each raises Refused `not-found` for another organisation's endpoint, and Unavailable.

    Methods that change an endpoint, except `delete`, raise RateLimited beyond CHANGES.
    """

    def __init__(
        self,
        *,
        database: Database,
        endpoints: Endpoints,
        notices: Notices,
        seal: SecretSeal,
        facts: WebhookFacts,
        outbox: Outbox,
        clock: Clock,
        new_id: Callable[[], str],
        new_challenge: Callable[[], str],
        new_salt: Callable[[], bytes],
        is_local: bool,
        sender: Sender,
        after_commit: Callable[[], None],
        changes: TokenBuckets,
    ) -> None:
        """is_local: see `EndpointUrl.of`. sender: says which addresses it refuses.

        new_salt: returns SALT_BYTES random bytes. changes: how many an organisation may make, see `CHANGES`.
        """
        self._database = database
        self._endpoints = endpoints
        self._notices = notices
        self._seal = seal
        self._facts = facts
        self._outbox = outbox
        self._clock = clock
        self._new_id = new_id
        self._new_challenge = new_challenge
        self._new_salt = new_salt
        self._is_local = is_local
        self._sender = sender
        self._after_commit = after_commit
        self._changes = changes

    def register(self, organization: str, client_id: str, url: str, types: Sequence[str]) -> NewSecret:
        """Add an endpoint and its first secret; a signed challenge follows in five seconds.

        Raises Refused `invalid-submission`, and `conflict` if the organisation has MOST_ENDPOINTS endpoints
        or one with this URL.
        """
        now = self._clock.now()
        endpoint = Endpoint(
            id=self._new_id(),
            organization=organization,
            url=self._url(url),
            types=_checked(types),
            created_at=now,
            challenge=self._new_challenge(),
            salt=self._new_salt(),
        )
        secret, sealed = self._seal.make(endpoint.id)
        with self._database.write() as transaction:
            # One at a time, so that two requests do not both add the last endpoint.
            self._endpoints.serialise(transaction)
            others = self._endpoints.of(transaction, organization)
            if len(others) >= MOST_ENDPOINTS:
                raise Refused("conflict", f"An organisation has at most {MOST_ENDPOINTS} endpoints.")
            if any(other.url == endpoint.url for other in others):
                raise Refused("conflict", "You already have an endpoint with this URL.")
            self._endpoints.add(transaction, endpoint)
            self._endpoints.add_secret(transaction, endpoint.id, sealed, now)
            self._challenge(transaction, endpoint, now, now + _FIRST_CHALLENGE_AFTER)
            self._say(transaction, endpoint, "registered", now, client_id, sealed=sealed)
        self._after_commit()
        return NewSecret(endpoint=endpoint, secret=secret)

    def endpoints(self, organization: str) -> list[Endpoint]:
        """Return the organisation's endpoints, oldest first."""
        with self._database.read() as transaction:
            return self._endpoints.of(transaction, organization)

    def show(self, organization: str, endpoint_id: str) -> Endpoint:
        """Return one endpoint."""
        return self._own(self.endpoints(organization), endpoint_id)

    def change(
        self,
        organization: str,
        client_id: str,
        endpoint_id: str,
        *,
        url: str | None = None,
        types: Sequence[str] | None = None,
        is_enabled: bool | None = None,
    ) -> Endpoint:
        """Change an endpoint; None leaves a member as it is. A new URL must answer a challenge first.

        Enabling an endpoint that was disabled challenges it again; once it has answered, its notices continue
        where they stopped.
        """
        now = self._clock.now()
        with self._database.write() as transaction:
            before = endpoint = self._taken(transaction, organization, endpoint_id)
            if types is not None:
                endpoint = replace(endpoint, types=_checked(types))
            if url is not None and (moved := self._url(url)) != endpoint.url:
                self._endpoints.serialise(transaction)
                if any(other.url == moved for other in self._endpoints.of(transaction, organization)):
                    raise Refused("conflict", "You already have an endpoint with this URL.")
                endpoint = self._after(replace(endpoint, url=moved, health=Health()), EndpointEvent.move)
            if is_enabled:
                endpoint = self._after(endpoint, EndpointEvent.enable)
            elif is_enabled is not None:
                endpoint = endpoint.disabled(EndpointEvent.disable, "owner", now)
            if endpoint == before:
                return endpoint
            challenged = endpoint.state is EndpointState.unverified and (
                before.state is not EndpointState.unverified or endpoint.url != before.url
            )
            if challenged:
                endpoint = replace(endpoint, challenge=self._new_challenge(), health=Health())
                self._notices.resume(transaction, endpoint.id, now=now, until=now + SENT_FOR)
                self._challenge(transaction, endpoint, now, now)
            endpoint = self._committed(before, endpoint)
            self._endpoints.put(transaction, endpoint)
            self._say(transaction, endpoint, _change(before, endpoint), now, client_id, before=before)
        self._after_commit()
        return endpoint

    def delete(self, organization: str, client_id: str, endpoint_id: str) -> None:
        """Delete an endpoint with its secrets, notices and attempts. The mailbox keeps every message."""
        now = self._clock.now()
        with self._database.write() as transaction:
            endpoint = self._taken(transaction, organization, endpoint_id)
            self._endpoints.delete(transaction, endpoint_id)
            self._say(transaction, endpoint, "deleted", now, client_id)
        self._after_commit()

    def rotate(self, organization: str, client_id: str, endpoint_id: str) -> NewSecret:
        """Make a new secret. The previous one signs beside it for OVERLAP; one before that ends at once."""
        now = self._clock.now()
        secret, sealed = self._seal.make(endpoint_id)
        with self._database.write() as transaction:
            before = self._taken(transaction, organization, endpoint_id)
            endpoint = self._committed(before, before)
            self._endpoints.put(transaction, endpoint)
            self._endpoints.end_secrets(transaction, endpoint_id, now + OVERLAP, now)
            self._endpoints.add_secret(transaction, endpoint_id, sealed, now)
            self._say(transaction, endpoint, "secret_rotated", now, client_id, before=before, sealed=sealed)
        self._after_commit()
        return NewSecret(endpoint=endpoint, secret=secret, previous_until=now + OVERLAP)

    def test(self, organization: str, endpoint_id: str) -> Notice:
        """Send a test now, or a challenge to an endpoint that is unverified.

        One at a time: while it waits, return the same one, which is sent again now. Raises Refused `conflict`
        for a disabled endpoint.
        """
        now = self._clock.now()
        with self._database.write() as transaction:
            endpoint = self._taken(transaction, organization, endpoint_id)
            _require_enabled(endpoint)
            is_new = endpoint.state is EndpointState.unverified
            notice = self._notices.own(transaction, endpoint.id, CHALLENGE if is_new else TEST)
            if notice is not None:
                # One that was tried may be claimed, and is then due within the lease: it is not sent twice.
                if notice.attempts == 0 or notice.due_at is None or notice.due_at > now + LEASE:
                    notice = replace(notice, due_at=now)
                    self._notices.put(transaction, notice, now)
            elif is_new:
                notice = self._challenge(transaction, endpoint, now, now)
            else:
                notice = self._made(endpoint, TEST, now, now)
                self._notices.add(transaction, [notice])
        self._after_commit()
        return notice

    def notices(
        self, organization: str, endpoint_id: str, *, before: int | None, limit: int
    ) -> tuple[list[Notice], bool]:
        """Return notices, newest first, with numbers below `before`, and whether more follow.

        No notice is due while the endpoint is disabled.
        """
        with self._database.read() as transaction:
            endpoint = self._own(self._endpoints.of(transaction, organization), endpoint_id)
            found = self._notices.page(transaction, endpoint_id, before=before, limit=limit + 1)
        if endpoint.state is EndpointState.disabled:
            found = [replace(notice, due_at=None) for notice in found]
        return found[:limit], len(found) > limit

    def attempts(
        self, organization: str, endpoint_id: str, *, before: int | None, limit: int
    ) -> tuple[list[tuple[int, Attempt]], bool]:
        """Return attempts with their positions, newest first, below `before`, and whether more follow.

        No attempt has a next one while the endpoint is disabled.
        """
        with self._database.read() as transaction:
            endpoint = self._own(self._endpoints.of(transaction, organization), endpoint_id)
            found = self._notices.attempts(transaction, endpoint_id, before=before, limit=limit + 1)
        if endpoint.state is EndpointState.disabled:
            found = [(position, replace(attempt, next_at=None)) for position, attempt in found]
        return found[:limit], len(found) > limit

    def resend(self, organization: str, endpoint_id: str, message_id: str) -> Notice:
        """Send a notice again now, in whatever state it is.

        Raises Refused `not-found`, and `conflict` for a disabled endpoint.
        """
        now = self._clock.now()

        def again(notice: Notice) -> Notice:
            return replace(notice, attempts=0, due_at=now, until=max(notice.until, now + SENT_FOR))

        return self._step(organization, endpoint_id, message_id, NoticeEvent.resend, now, again)

    def cancel(self, organization: str, endpoint_id: str, message_id: str) -> Notice:
        """Stop the retries of a notice. Durable: no attempt starts after this returns.

        Raises Refused `not-found`, and `conflict` if the notice has ended in another way.
        """
        now = self._clock.now()
        return self._step(organization, endpoint_id, message_id, NoticeEvent.cancel, now)

    def _step(
        self,
        organization: str,
        endpoint_id: str,
        message_id: str,
        event: NoticeEvent,
        now: dt.datetime,
        change: Callable[[Notice], Notice] = lambda notice: notice,
    ) -> Notice:
        with self._database.write() as transaction:
            endpoint = self._taken(transaction, organization, endpoint_id)
            notice = self._notices.take(transaction, endpoint_id, message_id)
            if notice is None:
                raise Refused("not-found", "The endpoint has no notice of this message.")
            if event is NoticeEvent.resend:
                _require_enabled(endpoint)
            state = notices_domain.following_state(notice.state, event)
            notice = change(replace(notice, state=state))
            self._notices.put(transaction, notice, now)
        self._after_commit()
        return notice

    def _challenge(
        self, transaction: Connection, endpoint: Endpoint, now: dt.datetime, due_at: dt.datetime
    ) -> Notice:
        self._notices.cancel_challenges(transaction, endpoint.id, now)
        notice = self._made(endpoint, CHALLENGE, now, due_at)
        self._notices.add(transaction, [notice])
        return notice

    def _made(self, endpoint: Endpoint, type_: str, now: dt.datetime, due_at: dt.datetime) -> Notice:
        return Notice(
            endpoint_id=endpoint.id,
            message_id=self._new_id(),
            type=type_,
            referral_id="",
            sequence=0,
            queued_at=now,
            haste=Haste.other,
            until=now + SENT_FOR,
            due_at=due_at,
        )

    def _committed(self, before: Endpoint, endpoint: Endpoint) -> Endpoint:
        """Return the endpoint with a new salt if its URL or types changed, or if it has none yet."""
        if endpoint.salt is None or (endpoint.url, endpoint.types) != (before.url, before.types):
            return replace(endpoint, salt=self._new_salt())
        return endpoint

    def _say(
        self,
        transaction: Connection,
        endpoint: Endpoint,
        change: str,
        now: dt.datetime,
        client_id: str,
        *,
        before: Endpoint | None = None,
        sealed: bytes | None = None,
    ) -> None:
        """Notify the owner of a change. Raises RateLimited, which undoes it, unless it is a deletion.

        The owner can always delete an endpoint that an attacker registered.
        """
        if change == "deleted":
            self._changes.use(endpoint.organization, 1)
        elif not self._changes.take(endpoint.organization):
            seconds = self._changes.seconds_until(endpoint.organization)
            raise RateLimited("Too many changes of your endpoints.", retry_after=seconds)
        event = self._facts.changed(endpoint, change, now, client_id=client_id, before=before, sealed=sealed)
        self._outbox.add(transaction, [event])

    def _after(self, endpoint: Endpoint, event: EndpointEvent) -> Endpoint:
        state = endpoints_domain.following_state(endpoint.state, event)
        if state is EndpointState.disabled:
            return endpoint
        return replace(endpoint, state=state, reason=None, since=None)

    def _taken(self, transaction: Connection, organization: str, endpoint_id: str) -> Endpoint:
        found = self._endpoints.take(transaction, endpoint_id)
        return self._own([endpoint for endpoint in (found,) if _is_of(endpoint, organization)], endpoint_id)

    def _own(self, endpoints: Sequence[Endpoint | None], endpoint_id: str) -> Endpoint:
        for endpoint in endpoints:
            if endpoint is not None and endpoint.id == endpoint_id:
                return endpoint
        raise Refused("not-found", "Your organisation has no such endpoint.")

    def _url(self, text: str) -> EndpointUrl:
        try:
            url = EndpointUrl.of(text, is_local=self._is_local)
            # Not refused where stored URLs are read: an earlier build took it.
            if url.port == 0:
                raise InvalidUrlError("Must have a port from 1 to 65535, or none.")
            refusal = self._sender.refusal_of(url)
        except InvalidUrlError as fault:
            refusal = str(fault)
        if refusal is not None:
            where = PointerError(pointer="/url", detail=refusal)
            raise Refused("invalid-submission", "The URL cannot be used.", errors=(where,))
        return url


def _checked(kinds: Sequence[str]) -> frozenset[str]:
    require_kinds({f"/types/{place}": kind for place, kind in enumerate(kinds)})
    return frozenset(kinds)


def _require_enabled(endpoint: Endpoint) -> None:
    if endpoint.state is EndpointState.disabled:
        raise Refused("conflict", "The endpoint is disabled; enable it first.")


def _is_of(endpoint: Endpoint | None, organization: str) -> bool:
    return endpoint is not None and endpoint.organization == organization


def _change(before: Endpoint, after: Endpoint) -> str:
    if after.url != before.url or after.state is before.state:
        return "changed"
    return "disabled" if after.state is EndpointState.disabled else "enabled"
