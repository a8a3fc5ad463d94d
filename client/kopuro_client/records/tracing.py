"""The records from which a trace is composed."""

from __future__ import annotations

from typing import TypedDict


class AdmittedSubmission(TypedDict):
    """A submission that intake admitted.

    id: the referral's for a new referral, else the submission's. fact: what it became, such as
    `answer.submitted`. published: whether the hub's broker has it. own: whether the caller submitted it.
    """

    id: str
    referral_id: str
    organization: str
    fact: str
    admitted_at: str
    published: bool
    own: bool


class ToldEndpoint(TypedDict):
    """A webhook's notice of a message. state: waiting, sent, read, cancelled, expired or failed."""

    endpoint_id: str
    state: str
    attempts: int
    next_attempt_at: str | None
    until: str


class MessageState(TypedDict):
    """The location and state of a message.

    organization: the mailbox's owner, None for the coordinators' mailbox.

    state: queued, delivered or acknowledged. offer_id: of an `offer.opened`. closed_at: when its content was
    erased. own: whether it is in the caller's mailbox.
    """

    message_id: str
    type: str
    referral_id: str | None
    organization: str | None
    offer_id: str | None
    state: str
    queued_at: str
    delivered_at: str | None
    acknowledged_at: str | None
    closed_at: str | None
    own: bool
    webhooks: list[ToldEndpoint]
