"""Differences between the log and the services for one referral."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from admin.reconciliation.differences import (
    HeldCase,
    ReferralState,
    RoutedReferral,
    differences,
)
from admin.reconciliation.referral_records import LoggedFact
from contracts.part_id import part_id

NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
OSH, MOSCOW, KAZAN = "kg.osh-legal-aid", "ru.moscow-union", "ru.kazan-aid"


def entry(index: int, fact: str, organization: str | None = None) -> LoggedFact:
    return LoggedFact(index=index, fact=fact, message_id=str(index), organization=organization, time=NOON)


STORY = (
    entry(0, "referral.submitted", OSH),
    entry(1, "offer.opened", KAZAN),
    entry(2, "offer.expired", KAZAN),
    entry(3, "offer.opened", MOSCOW),
    entry(4, "offer.accepted", MOSCOW),
    entry(5, "case.released", MOSCOW),
    entry(6, "referral.completed", MOSCOW),
    entry(7, "case.erased"),
)
ROUTED = RoutedReferral(status="completed", acceptor=MOSCOW, updated_at=NOON, offered=(KAZAN, MOSCOW))
CUSTODY = HeldCase(state="erased", has_case=False, changed_at=NOON)
WHOLE = ReferralState(referral_id="r", entries=STORY, submitted_at=NOON, routed=ROUTED, custody=CUSTODY)


def without(fact: str) -> tuple[LoggedFact, ...]:
    return tuple(entry for entry in STORY if entry.fact != fact)


def test_matching_records_have_no_differences() -> None:
    assert list(differences(WHOLE)) == []
    beginning = ReferralState(
        referral_id="r",
        entries=STORY[:2],
        submitted_at=NOON,
        routed=replace(ROUTED, status="offered", acceptor=None, offered=(KAZAN,)),
        custody=HeldCase(state="held", has_case=True, changed_at=NOON),
    )
    assert list(differences(beginning)) == []


@pytest.mark.parametrize("end", ["referral.handed_back", "acceptance.revoked"])
@pytest.mark.parametrize("replaced", [False, True], ids=["released once", "released again"])
def test_case_of_ended_acceptance_is_held_again(end: str, replaced: bool) -> None:
    again = (entry(6, "replacement.submitted", OSH), entry(7, "case.released", MOSCOW)) if replaced else ()
    handed_back = ReferralState(
        referral_id="r",
        entries=(*STORY[:6], *again, entry(8, end, MOSCOW)),
        submitted_at=NOON,
        routed=replace(ROUTED, status="unplaced", acceptor=None),
        custody=HeldCase(state="held", has_case=True, changed_at=NOON),
    )
    assert list(differences(handed_back)) == []
    kept = differences(replace(handed_back, case_at=MOSCOW))
    assert [(one.where, one.index) for one in kept] == [("delivery", 5)], "its former acceptor can fetch it"
    unended = replace(handed_back, entries=(*STORY[:6], *again))
    assert {one.where for one in differences(unended)} == {"routing", "vault"}


def test_acceptance_that_the_vault_does_not_know_is_named() -> None:
    ended = (entry(6, "referral.handed_back", MOSCOW), entry(7, "offer.opened", MOSCOW))
    accepted = ReferralState(
        referral_id="r",
        entries=(*STORY[:6], *ended, entry(8, "offer.accepted", MOSCOW)),
        submitted_at=NOON,
        routed=replace(ROUTED, status="accepted", offered=(KAZAN, MOSCOW, MOSCOW)),
        custody=HeldCase(state="held", has_case=True, changed_at=NOON, acceptor=MOSCOW),
    )
    assert list(differences(accepted)) == []
    (found,) = differences(replace(accepted, custody=HeldCase(state="held", has_case=True, changed_at=NOON)))
    assert (found.where, found.index) == ("vault", 4)
    assert found.what == f"the log has offer.accepted by {MOSCOW}, but the vault has no acceptor"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (replace(WHOLE, entries=without("referral.submitted")), {("intake", None), ("routing", None)}),
        (replace(WHOLE, submitted_at=None), {("intake", 0)}),
        (replace(WHOLE, entries=(*STORY, entry(9, "referral.submitted"))), {("log", 0)}),
        (replace(WHOLE, routed=None), {("routing", 0)}),
        (replace(WHOLE, entries=without("offer.accepted")), {("routing", None)}),
        (replace(WHOLE, routed=replace(ROUTED, acceptor=KAZAN)), {("routing", None), ("routing", 4)}),
        (replace(WHOLE, routed=replace(ROUTED, acceptor=None)), {("routing", 4)}),
        (replace(WHOLE, routed=replace(ROUTED, offered=(MOSCOW,))), {("routing", 1)}),
        (replace(WHOLE, routed=replace(ROUTED, offered=(KAZAN, MOSCOW, MOSCOW))), {("routing", 1)}),
        (replace(WHOLE, entries=without("referral.completed")), {("routing", None)}),
        (replace(WHOLE, routed=replace(ROUTED, status="accepted")), {("routing", 6)}),
        (replace(WHOLE, custody=None), {("vault", 5), ("vault", 7)}),
        (
            replace(WHOLE, custody=replace(CUSTODY, state="held")),
            {("vault", 4), ("vault", 5), ("vault", 7), ("vault", None)},
        ),
        (replace(WHOLE, custody=replace(CUSTODY, has_case=True)), {("vault", 7), ("vault", None)}),
        (replace(WHOLE, entries=without("case.erased")), {("vault", None)}),
        (replace(WHOLE, case_at=MOSCOW), {("delivery", 6)}),
        (replace(WHOLE, routed=replace(ROUTED, sender=KAZAN)), {("routing", 0)}),
        (
            replace(
                WHOLE,
                entries=without("case.erased"),
                custody=replace(CUSTODY, state="released", has_case=True, acceptor=KAZAN),
            ),
            {("vault", 5)},
        ),
        (
            replace(
                WHOLE,
                entries=without("case.erased"),
                custody=replace(CUSTODY, state="released", acceptor=MOSCOW),
            ),
            {("vault", None)},
        ),
        (
            replace(
                WHOLE,
                entries=tuple(e for e in STORY if not e.fact.startswith("case.")),
                custody=replace(CUSTODY, state="released", has_case=True),
            ),
            {("vault", None)},
        ),
    ],
)
def test_each_difference_names_its_service_and_entry(
    state: ReferralState, expected: set[tuple[str, int | None]]
) -> None:
    found = list(differences(state))
    assert {(one.where, one.index) for one in found} == expected
    assert all(one.what and one.referral_id == "r" for one in found)


def test_consent_withdrawn_after_the_end_is_not_a_difference_if_routing_knows_of_it() -> None:
    late = replace(WHOLE, entries=(*WHOLE.entries, entry(20, "referral.withdrawn", OSH)))
    assert {(one.where, one.index) for one in differences(late)} == {("routing", 20)}
    known = replace(late, routed=replace(ROUTED, consent_revoked=True))
    assert list(differences(known)) == []
    unlogged = replace(WHOLE, routed=replace(ROUTED, consent_revoked=True))
    assert [(one.where, one.index) for one in differences(unlogged)] == [("routing", None)]


# A part of a referral that was split: the whole still has the case.
OTHER_WHOLE = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a02"
WHOLE_ID = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a01"
PART = replace(
    WHOLE,
    referral_id=part_id(WHOLE_ID, 1),
    entries=(entry(0, "part.opened", OSH), *(e for e in STORY[1:] if e.fact != "case.erased")),
    submitted_at=None,
    custody=(PART_CUSTODY := HeldCase(state="erased", has_case=True, changed_at=NOON, part_of=WHOLE_ID)),
)
SPLIT = ReferralState(
    referral_id=WHOLE_ID,
    entries=(STORY[0], entry(1, "referral.split", OSH)),
    submitted_at=NOON,
    routed=RoutedReferral(status="split", acceptor=None, updated_at=NOON, sender=OSH),
    custody=(SPLIT_CUSTODY := HeldCase(state="held", has_case=True, changed_at=NOON, parts=2)),
)
REJOINED = replace(
    SPLIT,
    entries=(*SPLIT.entries, entry(2, "referral.rejoined", OSH)),
    routed=RoutedReferral(status="requested", acceptor=None, updated_at=NOON, sender=OSH),
    custody=HeldCase(state="held", has_case=True, changed_at=NOON),
)


def test_split_referral_and_its_part_have_no_differences() -> None:
    assert list(differences(SPLIT)) == []
    assert list(differences(PART)) == []
    assert list(differences(REJOINED)) == []


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (replace(SPLIT, entries=SPLIT.entries[:1]), {("routing", None), ("vault", None)}),
        (replace(SPLIT, entries=(*SPLIT.entries, entry(2, "referral.completed"))), {("routing", 2)}),
        (replace(PART, entries=PART.entries[1:]), {("routing", None), ("vault", None)}),
        (replace(PART, routed=None), {("routing", 0)}),
        (replace(PART, routed=replace(ROUTED, sender=KAZAN)), {("routing", 0)}),
        (
            replace(PART, custody=replace(PART_CUSTODY, state="released", has_case=False)),
            {("vault", None)},
        ),
        # Somebody has rewritten of which referral it releases the case, or into how many it was split.
        (replace(PART, custody=replace(PART_CUSTODY, part_of=OTHER_WHOLE)), {("vault", 0)}),
        (replace(PART, custody=replace(PART_CUSTODY, part_of="no id")), {("vault", 0)}),
        (replace(PART, custody=replace(PART_CUSTODY, part_of=None)), {("vault", 0), ("vault", None)}),
        (replace(WHOLE, custody=replace(CUSTODY, part_of=WHOLE_ID)), {("vault", None)}),
        (replace(SPLIT, custody=replace(SPLIT_CUSTODY, parts=0)), {("vault", 1)}),
        (replace(SPLIT, custody=replace(SPLIT_CUSTODY, parts=11)), {("vault", 1)}),
        (replace(REJOINED, custody=replace(SPLIT_CUSTODY, parts=2)), {("vault", 1)}),
    ],
)
def test_differences_of_a_split_name_their_service_and_entry(
    state: ReferralState, expected: set[tuple[str, int | None]]
) -> None:
    assert {(one.where, one.index) for one in differences(state)} == expected


def test_last_change_of_referral_is_the_latest_of_all_records() -> None:
    later = NOON + dt.timedelta(hours=1)
    assert WHOLE.moved_at() == NOON
    assert replace(WHOLE, custody=replace(CUSTODY, changed_at=later)).moved_at() == later
    assert replace(WHOLE, routed=replace(ROUTED, updated_at=later)).moved_at() == later
    assert ReferralState(referral_id="r").moved_at() is None
