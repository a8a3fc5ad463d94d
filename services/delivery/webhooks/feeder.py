"""Turns the messages of mailboxes into notices for the endpoints that asked for them."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from typing import Final

import orjson
from sqlalchemy import Connection

from contracts.facts import OfferOpened
from runtime.clock import Clock
from runtime.storage.database import Database
from services.delivery.webhooks.domain.endpoint import Endpoint, EndpointState
from services.delivery.webhooks.domain.notice import Notice
from services.delivery.webhooks.domain.retries import SENT_FOR, Haste, haste_of
from services.delivery.webhooks.ports import Endpoints, Notices, UnnoticedMessage

# The most notices of one endpoint that may wait for their first attempt; its other messages wait in the
# mailbox. Notices that failed, which may wait for five days, are counted apart, so that messages that an
# endpoint refuses do not keep others from it. Offers may take as many more places of each kind, because an
# offer is useless after its deadline.
WINDOW: Final = 200
MOST_TRIED: Final = 1000
# Endpoints in one transaction. On SQLite nothing else runs during a transaction.
_AT_ONCE: Final = 8


class Feeder:
    """Moves endpoints forward in their mailboxes. May run in several processes: a notice is made once."""

    def __init__(self, *, database: Database, endpoints: Endpoints, notices: Notices, clock: Clock) -> None:
        self._database = database
        self._endpoints = endpoints
        self._notices = notices
        self._clock = clock
        # The sequences up to which the mailboxes of endpoints without room were searched for offers.
        self._searched: dict[str, int] = {}

    def feed(self) -> bool:
        """Make notices of the messages for which active endpoints have none yet. Raises Unavailable.

        Return whether there were any.
        """
        with self._database.read() as transaction:
            behind = [endpoint.id for endpoint in self._notices.behind(transaction)]
        now = self._clock.now()
        self._searched = {id_: self._searched[id_] for id_ in behind if id_ in self._searched}
        for start in range(0, len(behind), _AT_ONCE):
            searched: dict[str, int] = {}
            with self._database.write() as transaction:
                for endpoint_id in behind[start : start + _AT_ONCE]:
                    # Read again: its owner may have deleted, disabled or changed it meanwhile.
                    endpoint = self._endpoints.take(transaction, endpoint_id)
                    if endpoint is not None and endpoint.state is EndpointState.active:
                        searched |= self._feed_one(transaction, endpoint, now)
            self._searched |= searched
            time.sleep(0)
        return bool(behind)

    def _feed_one(self, transaction: Connection, endpoint: Endpoint, now: dt.datetime) -> dict[str, int]:
        """Make notices of an endpoint; return how far its mailbox was searched for offers, by endpoint."""
        waiting = self._notices.waiting(transaction, endpoint.id)
        if waiting.untried >= WINDOW or waiting.tried >= MOST_TRIED:
            has_room = waiting.untried < 2 * WINDOW and waiting.tried < 2 * MOST_TRIED
            return self._feed_offers(transaction, endpoint, now) if has_room else {}
        messages = self._notices.unnoticed(
            transaction, endpoint.organization, after=endpoint.position, limit=WINDOW - waiting.untried
        )
        if messages:
            self._notices.add(transaction, _notices(endpoint, messages, now))
            self._notices.advance(transaction, endpoint.id, messages[-1].sequence)
        return {}

    def _feed_offers(self, transaction: Connection, endpoint: Endpoint, now: dt.datetime) -> dict[str, int]:
        """Make notices of offers ahead of the endpoint's position, which stays."""
        after = max(endpoint.position, self._searched.get(endpoint.id, 0))
        messages = self._notices.unnoticed(transaction, endpoint.organization, after=after, limit=WINDOW)
        if not messages:
            return {}
        offers = [message for message in messages if message.type == OfferOpened.type]
        # The position passes these messages later; their notices are made once.
        self._notices.add(transaction, _notices(endpoint, offers, now))
        return {endpoint.id: messages[-1].sequence}


def _notices(endpoint: Endpoint, messages: Sequence[UnnoticedMessage], now: dt.datetime) -> list[Notice]:
    made = []
    for message in messages:
        if not endpoint.wants(message.type):
            continue
        urgency, deadline = _offer(message)
        made.append(
            Notice(
                endpoint_id=endpoint.id,
                message_id=message.message_id,
                type=message.type,
                referral_id=message.referral_id,
                sequence=message.sequence,
                queued_at=message.queued_at,
                haste=Haste.other if deadline is None else haste_of(message.type, urgency),
                until=deadline or now + SENT_FOR,
                due_at=now,
            )
        )
    return made


def _offer(message: UnnoticedMessage) -> tuple[str | None, dt.datetime | None]:
    """Return the urgency and the deadline of an `offer.opened`, None of other and of erased messages."""
    if message.type != OfferOpened.type or not message.body:
        return None, None
    data = orjson.loads(message.body)["data"]
    return data["facts"]["urgency"], dt.datetime.fromisoformat(data["deadline"])
