"""Whose turn it is, in every state of the lifecycle and for every viewer."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from contracts.codes import ReferralStatus
from contracts.topology import ROUTING_KEYS
from kopuro_client.commands.labels import LANGUAGES
from kopuro_client.commands.to_do_words import TO_DO, to_do
from kopuro_client.commands.whose_turn_words import OWNERS, REASONS, reason_of, whose_turn
from kopuro_client.tracing.evidence import DECIDED, TraceRecords
from kopuro_client.tracing.next_action import ENDS, RULES, Action, NextAction, Owner, next_action
from services.routing.domain.referral import REFERRAL_TRANSITIONS
from tests.unit.client.tracing.evidences import (
    CANDIDATE,
    OFFER,
    OTHER,
    REFERRAL,
    SENDER,
    STAFF,
    SUBMISSION,
    at,
    evidence,
    logged,
    message,
    offer,
    referral,
    step,
    submission,
)

ACCEPTED = (step("offer.opened", 1, CANDIDATE), step("offer.accepted", 2, CANDIDATE))
HELD: dict[str, Any] = {"acceptor": CANDIDATE, "due_at": at(100), "timeline": ACCEPTED}
SUSPENDED: dict[str, Any] = {
    **HELD,
    "timeline": (*ACCEPTED, step("referral.acceptor_suspended", 5)),
}
OFFERED = message("offer.opened", "delivered", 1)
LETTER = message("case.released", "queued", 2)
OPENED = message("case.released", "acknowledged", 2)
UNREADABLE = (*ACCEPTED, step("case.unreadable", 4, CANDIDATE, replace_by=at(90)))

UNREPLACED: dict[str, Any] = {"acceptor": CANDIDATE, "timeline": UNREADABLE, "overdue_since": at(90)}

# The evidence, and what follows: owner, action, since, until.
Row = tuple[TraceRecords, Owner, Action, str | None, str | None]


def part(status: str, *waits_for: str) -> dict[str, Any]:
    return {
        "id": f"r-{status}",
        "needs": ["n"],
        "status": status,
        "acceptor": None,
        "waits_for": [*waits_for],
    }


TABLE: dict[str, list[Row]] = {
    "requested": [
        (evidence(SENDER, referral("requested")), Owner.hub, Action.decide, at(2), None),
        (evidence(STAFF, referral("requested")), Owner.hub, Action.decide, at(2), None),
    ],
    "offered": [
        (evidence(SENDER, referral("offered", offer())), Owner.other, Action.answer, at(1), at(60)),
        (
            evidence(CANDIDATE, referral("offered", offer()), messages=[OFFERED]),
            Owner.you,
            Action.answer,
            at(1),
            at(60),
        ),
        (
            evidence(STAFF, referral("offered", offer()), messages=[OFFERED]),
            Owner.other,
            Action.answer,
            at(1),
            at(60),
        ),
        # The offer is not in the mailbox: viewers who can know this are told.
        (evidence(CANDIDATE, referral("offered", offer())), Owner.hub, Action.deliver, at(1), None),
        (evidence(STAFF, referral("offered", offer())), Owner.hub, Action.deliver, at(1), None),
        (
            evidence(STAFF, referral("offered", offer()), silent=frozenset({"delivery"})),
            Owner.other,
            Action.answer,
            at(1),
            at(60),
        ),
        # Past the deadline by a few seconds, and by minutes.
        (
            evidence(SENDER, referral("offered", offer()), minutes=60.5),
            Owner.other,
            Action.answer,
            at(1),
            at(60),
        ),
        (
            evidence(SENDER, referral("offered", offer()), minutes=62),
            Owner.hub,
            Action.close_offer,
            at(60),
            None,
        ),
        # An earlier candidate does not learn who is asked now.
        (
            evidence(OTHER, referral("offered", offer("declined", OTHER, closed=3))),
            Owner.nobody,
            Action.offer_ended,
            at(3),
            None,
        ),
        # The first deadline of several offers.
        (
            evidence(SENDER, referral("offered", offer(due=60), offer("open", OTHER, due=30))),
            Owner.other,
            Action.answer,
            at(1),
            at(30),
        ),
    ],
    "unplaced": [
        (
            evidence(SENDER, referral("unplaced", timeline=(step("referral.unplaced", 3),))),
            Owner.network,
            Action.place,
            at(3),
            None,
        ),
        (evidence(STAFF, referral("unplaced")), Owner.network, Action.place, at(2), None),
        # With `to` the case is sealed to that organisation: "place it elsewhere" would be false.
        (
            evidence(STAFF, referral("unplaced", facts={"to": CANDIDATE})),
            Owner.network,
            Action.place_named,
            at(2),
            None,
        ),
        (
            evidence(OTHER, referral("unplaced", offer("expired", OTHER, closed=3))),
            Owner.nobody,
            Action.offer_ended,
            at(3),
            None,
        ),
    ],
    "accepted": [
        (
            evidence(
                STAFF,
                referral("accepted", **SUSPENDED),
                messages=[LETTER],
            ),
            Owner.network,
            Action.place_elsewhere,
            at(5),
            None,
        ),
        (
            evidence(SENDER, referral("accepted", **SUSPENDED)),
            Owner.network,
            Action.place_elsewhere,
            at(5),
            None,
        ),
        # It reads the referral, so it is admitted again; nobody else knows before it reports.
        (
            evidence(
                CANDIDATE,
                referral("accepted", **SUSPENDED),
                messages=[LETTER],
            ),
            Owner.you,
            Action.open_case,
            at(2),
            at(100),
        ),
        (evidence(CANDIDATE, referral("accepted", **HELD)), Owner.hub, Action.release, at(2), None),
        (evidence(STAFF, referral("accepted", **HELD)), Owner.hub, Action.release, at(2), None),
        (
            evidence(CANDIDATE, referral("accepted", **HELD), messages=[LETTER]),
            Owner.you,
            Action.open_case,
            at(2),
            at(100),
        ),
        (
            evidence(STAFF, referral("accepted", **HELD), messages=[LETTER]),
            Owner.other,
            Action.open_case,
            at(2),
            at(100),
        ),
        # Overdue and never opened: staff learn that it is overdue, the acceptor what to do first.
        (
            evidence(STAFF, referral("accepted", **HELD, overdue_since=at(4)), messages=[LETTER]),
            Owner.other,
            Action.report_overdue,
            at(4),
            None,
        ),
        (
            evidence(CANDIDATE, referral("accepted", **HELD, overdue_since=at(4)), messages=[LETTER]),
            Owner.you,
            Action.open_case,
            at(2),
            None,
        ),
        (
            evidence(CANDIDATE, referral("accepted", **HELD), messages=[OPENED]),
            Owner.you,
            Action.report,
            at(2),
            at(100),
        ),
        (
            evidence(
                CANDIDATE,
                referral("accepted", **HELD),
                messages=[LETTER],
                entries=[logged("case.fetched", 3)],
            ),
            Owner.you,
            Action.report,
            at(2),
            at(100),
        ),
        # The sender cannot see the acceptor's mailbox.
        (evidence(SENDER, referral("accepted", **HELD)), Owner.other, Action.report, at(2), at(100)),
        (
            evidence(
                CANDIDATE,
                referral(
                    "accepted",
                    acceptor=CANDIDATE,
                    timeline=(*ACCEPTED, step("case.paused", 3, CANDIDATE, until=at(700))),
                ),
            ),
            Owner.hub,
            Action.end_pause,
            at(3),
            at(700),
        ),
        (
            evidence(SENDER, referral("accepted", acceptor=CANDIDATE, timeline=UNREADABLE)),
            Owner.you,
            Action.replace_case,
            at(4),
            at(90),
        ),
        (
            evidence(CANDIDATE, referral("accepted", acceptor=CANDIDATE, timeline=UNREADABLE)),
            Owner.other,
            Action.replace_case,
            at(4),
            at(90),
        ),
        (
            evidence(SENDER, referral("accepted", **UNREPLACED)),
            Owner.you,
            Action.replace_case_overdue,
            at(90),
            None,
        ),
        (
            evidence(STAFF, referral("accepted", **UNREPLACED)),
            Owner.other,
            Action.replace_case_overdue,
            at(90),
            None,
        ),
        (
            evidence(OTHER, referral("accepted", offer("revoked", OTHER, closed=2))),
            Owner.nobody,
            Action.offer_ended,
            at(2),
            None,
        ),
    ],
    "in_progress": [
        (evidence(CANDIDATE, referral("in_progress", **HELD)), Owner.you, Action.report, at(2), at(100)),
        (evidence(SENDER, referral("in_progress", **HELD)), Owner.other, Action.report, at(2), at(100)),
        (
            evidence(STAFF, referral("in_progress", **HELD, overdue_since=at(4))),
            Owner.other,
            Action.report_overdue,
            at(4),
            None,
        ),
        (
            evidence(CANDIDATE, referral("in_progress", **HELD, overdue_since=at(4))),
            Owner.you,
            Action.report_overdue,
            at(4),
            None,
        ),
        (evidence(OTHER, referral("in_progress")), Owner.nobody, Action.offer_ended, None, None),
    ],
    "on_hold": [
        (evidence(CANDIDATE, referral("on_hold", **HELD)), Owner.you, Action.report, at(2), at(100)),
        (evidence(SENDER, referral("on_hold", **HELD)), Owner.other, Action.report, at(2), at(100)),
    ],
    "split": [
        (
            evidence(SENDER, referral("split", parts=[part("accepted", CANDIDATE), part("unplaced")])),
            Owner.other,
            Action.await_parts,
            at(2),
            None,
        ),
        (
            evidence(SENDER, referral("split", parts=[part("completed"), part("unplaced")])),
            Owner.network,
            Action.await_parts,
            at(2),
            None,
        ),
        (evidence(OTHER, referral("split")), Owner.nobody, Action.offer_ended, None, None),
    ],
    "completed": [(evidence(SENDER, referral("completed")), Owner.nobody, Action.ended, at(2), None)],
    "withdrawn": [(evidence(SENDER, referral("withdrawn")), Owner.nobody, Action.ended, at(2), None)],
    "failed": [
        (evidence(SENDER, referral("failed")), Owner.you, Action.submit_again, at(2), None),
        (
            evidence(
                SENDER,
                referral("failed", timeline=(step("referral.failed", 2, reason="not_the_acceptor"),)),
            ),
            Owner.you,
            Action.submit_unlinked,
            at(2),
            None,
        ),
        (evidence(STAFF, referral("failed")), Owner.nobody, Action.ended, at(2), None),
    ],
    "entered_in_error": [
        (evidence(SENDER, referral("entered_in_error")), Owner.nobody, Action.ended, at(2), None)
    ],
}


def decided(found: TraceRecords) -> tuple[Owner, Action, str | None, str | None]:
    following = next_action(found)
    return following.owner, following.action, following.since, following.until


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(row[0], row[1:], id=f"{status}-{number}")
        for status, rows in TABLE.items()
        for number, row in enumerate(rows)
    ],
)
def test_state_and_viewer_decide_whose_turn_it_is(
    found: TraceRecords, expected: tuple[Owner, Action, str | None, str | None]
) -> None:
    assert decided(found) == expected


def test_every_state_of_the_lifecycle_has_a_rule_and_rows() -> None:
    states = set(map(str, ReferralStatus))
    assert set(RULES) == states
    assert set(TABLE) == states
    assert {str(state) for state, events in REFERRAL_TRANSITIONS.items() if not events} == ENDS


def test_every_submission_that_routing_consumes_is_waited_for() -> None:
    by_parties = {key for key in ROUTING_KEYS if key.endswith(".submitted")}
    # Coordinators submit these at routing itself.
    at_routing = {"placement.submitted", "intervention.submitted", "coordinator_withdrawal.submitted"}
    assert by_parties - at_routing == DECIDED


@pytest.mark.parametrize(("published", "action"), [(False, Action.publish), (True, Action.decide)])
def test_submission_without_a_decision_is_the_hubs_turn(published: bool, action: Action) -> None:
    stuck = evidence(
        SENDER, None, submissions=[submission(published=published)], silent=frozenset({"routing"})
    )
    assert next_action(stuck) == NextAction(owner=Owner.hub, action=action, since=at(0), subject=REFERRAL)


def test_answer_in_transit_is_the_hubs_turn_and_no_longer_the_candidates() -> None:
    found = referral("offered", offer(), timeline=(step("offer.opened", 1, CANDIDATE),))
    sent = evidence(
        CANDIDATE, found, messages=[OFFERED], submissions=[submission("answer.submitted", 3, by=CANDIDATE)]
    )
    assert next_action(sent) == NextAction(
        owner=Owner.hub, action=Action.decide, since=at(3), subject=SUBMISSION
    )


def test_answer_that_routing_has_read_or_passed_is_not_waited_for() -> None:
    answer = submission("answer.submitted", 3, by=CANDIDATE)
    for later in (step("answer.submitted", 3, CANDIDATE), step("progress.submitted", 4, CANDIDATE)):
        found = referral("offered", offer(), timeline=(later,))
        assert (
            next_action(evidence(CANDIDATE, found, messages=[OFFERED], submissions=[answer])).owner
            is Owner.you
        )


def test_note_is_not_waited_for() -> None:
    note = submission("note.submitted", 3)
    assert (
        next_action(evidence(SENDER, referral("in_progress", **HELD), submissions=[note])).owner
        is Owner.other
    )


def test_trace_without_evidence_says_so_or_names_silent_services() -> None:
    assert next_action(evidence(SENDER, None)) == NextAction(owner=Owner.you, action=Action.submit)
    silent = evidence(STAFF, None, silent=frozenset({"routing", "audit"}))
    assert next_action(silent) == NextAction(
        owner=Owner.hub, action=Action.reach, services=("audit", "routing")
    )


MESSAGES = {
    (Owner.you, Action.read_message): message("credential.expiring", referral_id=None),
    (Owner.other, Action.read_message): message("credential.expiring", referral_id=None, organization=OTHER),
    (Owner.network, Action.read_message): message("alert.closed", referral_id=None, organization=None),
    (Owner.nobody, Action.message_read): message("credential.expiring", "acknowledged", referral_id=None),
}


@pytest.mark.parametrize("expected", MESSAGES)
def test_message_about_no_referral_waits_for_its_reader(expected: tuple[Owner, Action]) -> None:
    assert decided(evidence(CANDIDATE, None, messages=[MESSAGES[expected]]))[:2] == expected


def test_state_of_a_newer_hub_is_named() -> None:
    assert next_action(evidence(SENDER, referral("parked"))).action is Action.unknown_state


def test_sentences_of_every_turn_exist_in_every_language() -> None:
    reached = {decided(row[0])[:2] for row in itertools.chain(*TABLE.values())}
    beside = {
        (Owner.hub, Action.publish),
        (Owner.hub, Action.reach),
        (Owner.you, Action.submit),
        (Owner.nobody, Action.unknown_state),
        (Owner.other, Action.open_case),
        *MESSAGES,
    }
    assert reached | beside == set(TO_DO)
    assert set(REASONS) == set(Action)
    assert set(OWNERS) == set(Owner)
    for (owner, action), language in itertools.product(TO_DO, LANGUAGES):
        following = NextAction(
            owner=owner, action=action, organizations=(CANDIDATE,), since=at(1), until=at(2), subject=OFFER
        )
        texts = [f(following, language) for f in (whose_turn, reason_of, to_do)]
        assert all(text and "{" not in text for text in texts)


def test_turn_of_a_split_referral_is_that_of_organizations_and_of_the_coordinators() -> None:
    parts = [part("accepted", CANDIDATE), {**part("unplaced"), "id": "r3"}]
    found = next_action(evidence(SENDER, referral("split", parts=parts)))
    assert (found.organizations, found.also_coordinators, found.subject) == ((CANDIDATE,), True, "r3")
    assert whose_turn(found, "en").startswith(
        f"It is the turn of {CANDIDATE}, and of the coordinators for another part"
    )
    only = next_action(evidence(SENDER, referral("split", parts=[part("accepted", CANDIDATE)])))
    assert not only.also_coordinators


def test_readmitted_acceptor_reports_and_an_excluded_one_is_replaced() -> None:
    found = referral("accepted", **SUSPENDED)
    for is_excluded, action in ((True, Action.place_elsewhere), (False, Action.report)):
        turn = next_action(
            evidence(SENDER, found, silent=frozenset({"delivery"}), is_acceptor_excluded=is_excluded)
        )
        assert turn.action is action
