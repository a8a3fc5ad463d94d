"""The facts about endpoints: they go to the owner's mailbox and to the log."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from hashlib import sha256

from contracts.envelope import Event
from contracts.facts import Fact, WebhookChanged, WebhookFailing
from runtime.messaging.outbox.outbox import outgoing
from runtime.messaging.ports import Outgoing
from services.delivery.webhooks.domain.endpoint import Endpoint


class WebhookFacts:
    """Makes the events for the outbox. source: delivery's own, such as `/kg/delivery`."""

    def __init__(self, source: str, new_id: Callable[[], str]) -> None:
        self._source = source
        self._new_id = new_id

    def changed(
        self,
        endpoint: Endpoint,
        change: str,
        now: dt.datetime,
        *,
        client_id: str | None = None,
        message_id: str | None = None,
        before: Endpoint | None = None,
        sealed: bytes | None = None,
    ) -> Outgoing:
        """Return a `webhook.changed`. client_id: that asked for the change, None for the hub itself.

        endpoint: after the change. message_id: of the message that the endpoint keeps refusing. before: as it
        was stored before its owner changed it. sealed: its new secret.
        """
        earlier = None if before is None else before.commitment
        fact = WebhookChanged(
            organization=endpoint.organization,
            endpoint_id=endpoint.id,
            host=endpoint.url.host,
            change=change,
            client_id=client_id,
            message_id=message_id,
            state=None if change == "deleted" else endpoint.state.value,
            commitment=endpoint.commitment,
            previous=None if earlier == endpoint.commitment else earlier,
            secret=None if sealed is None else secret_digest(sealed),
        )
        return self._outgoing(endpoint, fact, now)

    def failing(self, endpoint: Endpoint, percent: int, now: dt.datetime) -> Outgoing:
        """Return a `webhook.failing`. The endpoint is one that fails."""
        since, disabled_at = endpoint.health.failing_since, endpoint.health.disabled_at
        assert since is not None
        assert disabled_at is not None
        fact = WebhookFailing(
            organization=endpoint.organization,
            endpoint_id=endpoint.id,
            host=endpoint.url.host,
            percent=percent,
            failing_since=since,
            disabled_at=disabled_at,
        )
        return self._outgoing(endpoint, fact, now)

    def _outgoing(self, endpoint: Endpoint, fact: Fact, now: dt.datetime) -> Outgoing:
        id_ = self._new_id()
        event = Event(
            id=id_,
            source=self._source,
            time=now,
            partition_key=endpoint.organization,
            correlation_id=id_,
            causation_id=None,
            data=fact,
        )
        return outgoing(event)


def secret_digest(sealed: bytes) -> str:
    """Return what the log has of a secret: the digest of the bytes that the database holds."""
    return "sha256:" + sha256(sealed).hexdigest()
