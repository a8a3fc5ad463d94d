"""Answers to submissions over AMQP, in the mailbox of the organisation that submitted."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from contracts.errors import Refused
from contracts.records import load
from services.delivery.api import SubmissionAnswerList
from services.delivery.submission_answers import SubmissionAnswer
from tests.unit.services.delivery.workbench import ACCEPTOR, SENDER, Workbench

REFERRAL = "0199a0de-0000-7000-8000-0000000000f1"
PROBLEM = Refused("invalid-submission", "Correct /needs.").problem()
ADMITTED = SubmissionAnswer(message_id="order-1", body="d1", submission_id=REFERRAL)
REFUSED = SubmissionAnswer(message_id="order-2", body="d2", problem=PROBLEM)


def test_answers_go_only_to_the_own_mailbox_and_in_the_given_order(bench: Workbench) -> None:
    ids = bench.submission_answers.put(SENDER, [ADMITTED, REFUSED])
    admitted, refused = bench.mailbox(SENDER)
    assert [admitted["id"], refused["id"]] == ids
    assert admitted["type"] == "kopuro.submission.admitted.v1"
    assert admitted["data"] == {"organization": SENDER, "message_id": "order-1", "submission_id": REFERRAL}
    assert refused["type"] == "kopuro.submission.refused.v1"
    assert refused["data"]["problem"] == PROBLEM
    assert refused["data"]["message_id"] == "order-2"
    assert refused["data"]["referral_id"] is refused["data"]["submission_id"] is None
    assert bench.mailbox(ACCEPTOR) == []


def test_repeated_answer_is_one_message_also_after_its_acknowledgement(bench: Workbench) -> None:
    first = bench.submission_answers.put(SENDER, [ADMITTED])
    bench.partner.acknowledge(SENDER, first[0])
    assert bench.submission_answers.put(SENDER, [ADMITTED]) == first
    assert bench.mailbox(SENDER) == []


def test_other_content_under_the_same_message_id_has_an_answer_of_its_own(bench: Workbench) -> None:
    corrected = SubmissionAnswer(message_id="order-2", body="d3", submission_id=REFERRAL)
    elsewhere = SubmissionAnswer(
        message_id="order-2", body="d2", problem=Refused("forbidden", "No.").problem()
    )
    ids = bench.submission_answers.put(SENDER, [REFUSED, corrected, elsewhere])
    assert len(set(ids)) == 3
    assert REFUSED.message_to(SENDER) != REFUSED.message_to(ACCEPTOR)


def test_refusal_until_a_time_does_not_hide_the_answer_after_it(bench: Workbench) -> None:
    def refused(until: dt.datetime | None) -> SubmissionAnswer:
        problem = Refused("not-in-this-state", "No note goes to it.", until=until).problem()
        return SubmissionAnswer(message_id="note-1", body="d4", problem=problem)

    until = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)
    paused, paused_again = refused(until), refused(until + dt.timedelta(days=1))
    ids = bench.submission_answers.put(SENDER, [paused, paused, paused_again, refused(None)])
    assert len(set(ids)) == 3
    assert [message["id"] for message in bench.mailbox(SENDER)] == ids[1:]


@pytest.mark.parametrize(
    ("answer", "pointer"),
    [
        ({"message_id": "a", "body": ""}, "/answers/0/problem"),
        (
            {"message_id": "a", "body": "", "submission_id": REFERRAL, "problem": PROBLEM},
            "/answers/0/problem",
        ),
        ({"message_id": None, "body": "", "submission_id": REFERRAL}, "/answers/0/message_id"),
        ({"message_id": "a\nb", "body": "", "problem": PROBLEM}, "/answers/0/message_id"),
        ({"message_id": "", "body": "", "problem": PROBLEM}, "/answers/0/message_id"),
    ],
)
def test_answer_with_both_results_or_none_is_refused(answer: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Refused) as refused:
        load(SubmissionAnswerList, {"answers": [answer]})
    assert pointer in [error.pointer for error in refused.value.errors]
