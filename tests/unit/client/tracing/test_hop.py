"""The hops that the evidence of several services shows."""

from __future__ import annotations

from kopuro_client.tracing.hop import hops_of
from kopuro_client.tracing.trace import Trace
from tests.unit.client.tracing.evidences import (
    CANDIDATE,
    MESSAGE,
    OFFER,
    OTHER,
    REFERRAL,
    SENDER,
    STAFF,
    at,
    evidence,
    logged,
    message,
    offer,
    referral,
    step,
    submission,
)

OFFERED = referral("offered", offer(), timeline=(step("offer.opened", 1, CANDIDATE, offer_id=OFFER),))


def shown(*hops: object) -> list[tuple[str, str, int | None]]:
    return [(hop.service, hop.step, hop.entry) for hop in hops]  # type: ignore[attr-defined]


def test_submission_known_to_three_services_is_one_hop_with_all_receipts() -> None:
    found = evidence(
        SENDER, OFFERED, submissions=[submission()], entries=[logged("referral.submitted", 0, 7)], log_size=8
    )
    first, second = hops_of(found)
    assert (first.service, first.step, first.receipt) == (
        "intake",
        "referral.submitted",
        {"message": REFERRAL},
    )
    assert (first.published, first.entry, first.signed) == (True, 7, True)
    assert first.sentence == "The entry 7."
    assert (second.service, second.receipt, second.entry) == ("routing", {"offer": OFFER}, None)


def test_entry_above_the_checkpoints_size_is_not_signed() -> None:
    found = evidence(SENDER, OFFERED, entries=[logged("offer.opened", 1, 8)], log_size=8)
    assert [(hop.entry, hop.signed) for hop in hops_of(found)] == [(None, False), (8, False)]


def test_offers_of_one_moment_have_an_entry_each() -> None:
    both = tuple(step("offer.opened", 1, one) for one in (CANDIDATE, OTHER))
    found = evidence(
        SENDER,
        referral("offered", timeline=both),
        entries=[logged("offer.opened", 1, 8), logged("offer.opened", 1, 9)],
    )
    assert [(hop.organization, hop.entry) for hop in hops_of(found)[1:]] == [(CANDIDATE, 8), (OTHER, 9)]


def test_hop_of_an_onward_referral_names_its_other_end() -> None:
    held = referral("accepted", timeline=(step("referral.referred_onward", 3, CANDIDATE, onward="r2"),))
    assert hops_of(evidence(SENDER, held))[-1].receipt == {"onward": "r2"}


def test_hops_of_a_split_name_its_other_ends() -> None:
    whole = referral("split", timeline=(step("referral.split", 3, parts=["r2", "r3"]),))
    assert hops_of(evidence(SENDER, whole))[-1].receipt == {"parts": "r2 r3"}
    part = referral("offered", timeline=(step("part.opened", 3, part_of="r1"),))
    assert hops_of(evidence(SENDER, part))[-1].receipt == {"part_of": "r1"}


def test_message_has_a_hop_for_each_state_and_webhook() -> None:
    told = {
        "endpoint_id": "e1",
        "state": "waiting",
        "attempts": 2,
        "next_attempt_at": at(9),
        "until": at(60),
    }
    found = evidence(
        STAFF,
        OFFERED,
        messages=[message("offer.opened", "acknowledged", 2, webhooks=[told])],
        entries=[logged("delivery.delivered", 3, 11), logged("delivery.acknowledged", 4, 12)],
    )
    hops = [hop for hop in hops_of(found) if hop.service == "delivery"]
    assert shown(*hops) == [
        ("delivery", "queued", None),
        ("delivery", "webhook", None),
        ("delivery", "delivered", 11),
        ("delivery", "acknowledged", 12),
    ]
    assert {hop.about for hop in hops} == {"offer.opened"}
    assert hops[1].receipt == {
        "message": MESSAGE,
        "endpoint": "e1",
        "state": "waiting",
        "attempts": "2",
        "next_attempt": at(9),
    }


def test_log_stands_in_for_delivery_that_does_not_answer() -> None:
    entries = [logged("delivery.delivered", 3, 11), logged("case.released", 4, 12), logged("history.read", 5)]
    heard = evidence(STAFF, OFFERED, entries=entries)
    assert shown(*hops_of(heard)[2:]) == [("vault", "case.released", 12)]
    silent = evidence(STAFF, OFFERED, entries=entries, silent=frozenset({"delivery"}))
    assert shown(*hops_of(silent)[2:]) == [
        ("delivery", "delivery.delivered", 11),
        ("vault", "case.released", 12),
    ]


def test_trace_as_json_marks_what_was_asked_for() -> None:
    found = evidence(CANDIDATE, OFFERED, messages=[message("offer.opened", "delivered", 2)])
    document = Trace.of(MESSAGE, REFERRAL, frozenset({MESSAGE}), found).as_json()
    assert [(hop["step"], hop["asked"]) for hop in document["hops"]] == [
        ("referral.submitted", False),
        ("offer.opened", False),
        ("queued", True),
        ("delivered", True),
    ]
    assert document["next"] == {
        "owner": "you",
        "action": "answer",
        "organizations": [CANDIDATE],
        "since": at(1),
        "until": at(60),
        "subject": OFFER,
    }
    assert document["hops"][1]["time"] == at(1)
