"""Finds a message: its mailbox, whether it was fetched and acknowledged, and the webhooks notified."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy import Connection

from contracts.responses.mailbox import MessageState, ToldEndpoint
from runtime.storage.database import Database
from services.delivery.domain.recipients import COORDINATORS

# The messages of a referral in all mailboxes, as far as an answer shows them.
MOST_SHOWN: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class TracedMessage:
    """A message in a mailbox.

    organization: the mailbox's owner, or `COORDINATORS`. closed_at: when its content was erased.
    """

    organization: str
    message_id: str
    type: str
    referral_id: str
    state: str
    queued_at: dt.datetime
    delivered_at: dt.datetime | None
    acknowledged_at: dt.datetime | None
    closed_at: dt.datetime | None
    offer_id: str | None


class TracedMessages(Protocol):
    """Messages and the notices of webhooks about them, with their states."""

    def found(
        self, transaction: Connection, id_: str, mailboxes: Collection[str] | None, limit: int
    ) -> list[TracedMessage]:
        """Return the messages about the referral with this id, or else with this message id, oldest first.

        mailboxes: only in these; None: in all.
        """
        ...

    def told(
        self, transaction: Connection, messages: Collection[TracedMessage]
    ) -> Mapping[tuple[str, str], tuple[ToldEndpoint, ...]]:
        """Return (organisation, message id) -> the notices of it to the organisation's endpoints."""
        ...


class MessageTracing:
    """Reads the states of messages. It changes none: tracing a message does not deliver it."""

    def __init__(self, *, database: Database, messages: TracedMessages) -> None:
        self._database = database
        self._messages = messages

    def of(self, id_: str, viewer: str, *, everywhere: bool) -> list[MessageState]:
        """Return the messages about a referral, or with a message id, oldest first.

        everywhere: in all mailboxes, otherwise in the viewer's own. Raises Unavailable.
        """
        mailboxes = None if everywhere else (viewer,)
        with self._database.read() as transaction:
            found = self._messages.found(transaction, id_, mailboxes, MOST_SHOWN)
            told = self._messages.told(transaction, found)
        return [
            MessageState(
                message_id=one.message_id,
                type=one.type,
                referral_id=one.referral_id or None,
                organization=None if one.organization == COORDINATORS else one.organization,
                offer_id=one.offer_id,
                state=one.state,
                queued_at=one.queued_at,
                delivered_at=one.delivered_at,
                acknowledged_at=one.acknowledged_at,
                closed_at=one.closed_at,
                own=one.organization == viewer,
                webhooks=told.get((one.organization, one.message_id), ()),
            )
            for one in found
        ]
