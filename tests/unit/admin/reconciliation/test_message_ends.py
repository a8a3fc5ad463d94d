"""What counts as the end or the acknowledgement of a message, and what hides it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from admin.reconciliation.mailbox_differences import StoredMessage
from admin.reconciliation.message_ends import LoggedEnd, hidden_messages, needs_entries

SETTLED = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC)
THEN = SETTLED - dt.timedelta(hours=1)
REFERRAL, MINE, OTHERS = "referral", "my offer", "another offer"
ME, OTHER = "kg.osh-legal-aid", "ru.moscow-union"
OFFER, CASE, NOTE, UNPLACED = (
    f"kopuro.{fact}.v1" for fact in ("offer.opened", "case.released", "note.delivered", "referral.unplaced")
)


def stored(type: str = OFFER, **columns: Any) -> StoredMessage:
    return StoredMessage(
        **{
            "sequence": 1,
            "message_id": "message",
            "type": type,
            "fact": type.removeprefix("kopuro.").removesuffix(".v1"),
            "referral_id": REFERRAL,
            "queued_at": THEN,
            "organization": ME,
            "content": None,
            "state": "queued",
            "acknowledged_at": None,
            "ending": "open",
            "closed_at": None,
            "offer_id": MINE if type == OFFER else None,
            **columns,
        }
    )


def closed(reason: str, type: str = OFFER, **columns: Any) -> StoredMessage:
    return stored(type, ending=reason, closed_at=THEN, **columns)


def entry(fact: str, data: Mapping[str, Any] | None, *, message_id: str = "entry") -> LoggedEnd:
    return LoggedEnd(index=7, message_id=message_id, type=f"kopuro.{fact}.v1", time=THEN, data=data)


OPENED = entry("offer.opened", {"offer_id": MINE}, message_id="message")


def named(message: StoredMessage, *entries: LoggedEnd) -> list[str]:
    found = list(hidden_messages([message], {REFERRAL: [OPENED, *entries]}, SETTLED))
    assert {one.referral_id for one in found} <= {REFERRAL}
    whose = f"the mailbox of {message.organization} has {message.fact} "
    return [one.what.removeprefix(whose) for one in found]


OF_MINE, OF_OTHERS = {"offer_id": MINE, "organization": ME}, {"offer_id": OTHERS, "organization": OTHER}
# A closed message, the fact that ends it, and one of the same type that does not.
ENDS = [
    (closed("declined"), "offer.declined", OF_MINE, OF_OTHERS),
    (closed("expired"), "offer.expired", OF_MINE, OF_OTHERS),
    (closed("revoked"), "offer.revoked", OF_MINE, OF_OTHERS),
    (closed("acceptance_revoked"), "acceptance.revoked", OF_MINE, OF_OTHERS),
    (closed("handed_back"), "referral.handed_back", OF_MINE, OF_OTHERS),
    (closed("acceptance_revoked", NOTE), "acceptance.revoked", OF_MINE, OF_OTHERS),
    (
        closed("acted_on", UNPLACED, organization="coordinators"),
        "alert.closed",
        {"message_type": UNPLACED},
        {"message_type": NOTE},
    ),
]


@pytest.mark.parametrize(("message", "fact", "own", "other"), ENDS)
def test_message_is_closed_by_the_end_of_its_own_offer(
    message: StoredMessage, fact: str, own: Mapping[str, Any], other: Mapping[str, Any]
) -> None:
    missing = [f"closed as {message.ending}, which is not in the log"]
    assert named(message, entry(fact, own)) == []
    # The rightly erased content of an entry shows nothing more.
    assert named(message, entry(fact, None)) == []
    assert named(message, entry(fact, other)) == missing
    assert named(message) == missing
    # The message is not settled yet.
    assert named(replace(message, closed_at=SETTLED + dt.timedelta(seconds=1))) == []
    assert named(replace(message, closed_at=THEN - dt.timedelta(hours=1)), entry(fact, own)) == [
        "closed before its end in the log"
    ]


@pytest.mark.parametrize(
    ("reason", "facts"),
    [
        ("completed", {"referral.completed"}),
        ("failed", {"referral.failed"}),
        ("consent_revoked", {"referral.withdrawn"}),
        ("entered_in_error", {"referral.withdrawn"}),
        # Earlier builds did not store the reason.
        ("withdrawn", {"referral.completed", "referral.failed", "referral.withdrawn"}),
        ("no such reason", set()),
    ],
)
def test_message_is_closed_by_the_end_of_its_referral(reason: str, facts: set[str]) -> None:
    for fact in ("referral.completed", "referral.failed", "referral.withdrawn"):
        expected = [] if fact in facts else [f"closed as {reason}, which is not in the log"]
        assert named(closed(reason), entry(fact, {})) == expected


@pytest.mark.parametrize(("ending", "closed_at"), [("open", THEN), (None, THEN), ("expired", None)], ids=str)
def test_closing_needs_its_reason_and_its_time(ending: str | None, closed_at: dt.datetime | None) -> None:
    (what,) = named(stored(ending=ending, closed_at=closed_at), entry("offer.expired", OF_MINE))
    assert what.endswith("its time of closing contradicts that")


def test_offer_with_the_id_of_another_one_is_named() -> None:
    ended = entry("offer.expired", OF_OTHERS)
    assert named(closed("expired", offer_id=OTHERS), ended) == ["with the id of another offer"]
    assert named(stored(offer_id=OTHERS)) == ["with the id of another offer"]
    assert named(stored(offer_id=None)) == ["with the id of another offer"]
    # Earlier builds did not store the id. The log still says which offer it was.
    assert named(closed("expired", offer_id=None), entry("offer.expired", OF_MINE)) == []
    assert named(closed("expired", offer_id=None), ended) == ["closed as expired, which is not in the log"]


def acknowledgement(**data: str) -> LoggedEnd:
    return entry("delivery.acknowledged", {"message_id": "message", "organization": ME, **data})


@pytest.mark.parametrize("type", [OFFER, CASE])
def test_acknowledged_offer_or_case_has_its_entry(type: str) -> None:
    message = stored(type, state="acknowledged", acknowledged_at=THEN)
    missing = ["as acknowledged, which the log does not have"]
    assert named(message, acknowledgement()) == []
    assert named(message, entry("delivery.acknowledged", None)) == []
    assert named(message) == missing
    assert named(message, acknowledgement(message_id="another")) == missing
    assert named(message, acknowledgement(organization=OTHER)) == missing
    assert named(replace(message, acknowledged_at=SETTLED + dt.timedelta(seconds=1))) == []
    assert named(stored(type), acknowledgement()) == ["as queued, which the log has as acknowledged"]


def test_acknowledgement_of_another_message_has_no_entry() -> None:
    assert named(stored(NOTE, state="acknowledged", acknowledged_at=THEN)) == []


@pytest.mark.parametrize(
    ("message", "needs"),
    [
        (stored(), True),
        (stored(CASE), True),
        (closed("completed", NOTE), True),
        (stored(NOTE), False),
        (stored(NOTE, state="acknowledged", acknowledged_at=THEN), False),
        (stored(NOTE, ending="completed"), False),
        (stored(UNPLACED, ending=None), False),
    ],
)
def test_entries_are_read_only_for_what_is_compared_with_them(message: StoredMessage, needs: bool) -> None:
    """Each entry that is read is compared with the log's commitment, which takes most of the time."""
    assert needs_entries(message) is needs
    without = [one.what for one in hidden_messages([message], {}, SETTLED)]
    logged = [
        entry("referral.completed", {}),
        entry("delivery.acknowledged", {"message_id": "message", "organization": ME}),
        OPENED,
    ]
    compared = [one.what for one in hidden_messages([message], {REFERRAL: logged}, SETTLED)]
    assert needs or compared == without
