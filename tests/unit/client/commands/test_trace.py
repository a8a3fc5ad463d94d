"""`kopuro trace` against a fake hub: what it asks, what it prints, and what it says of silent services."""

from __future__ import annotations

import pytest

from kopuro_client.commands.code_words import in_words
from kopuro_client.commands.trace_words import receipt_of
from tests.unit.client.commands.conftest import ORGANIZATION, Run
from tests.unit.client.fake_hub import FakeHub, Response, json_response, problem
from tests.unit.client.tracing.evidences import (
    CANDIDATE,
    MESSAGE,
    OFFER,
    REFERRAL,
    at,
    message,
    offer,
    referral,
    step,
    submission,
)

SUBMISSIONS = "/intake/v1/submissions"
REFERRALS = f"/intake/v1/referrals/{REFERRAL}"
DELIVERIES = f"/delivery/v1/deliveries/{REFERRAL}"
STORY = f"/audit/v1/history/{REFERRAL}/story"
AWAY = problem(503, "unavailable", "Away")
VIEW = referral("offered", offer(due=10**9), timeline=(step("offer.opened", 1, CANDIDATE, offer_id=OFFER),))
OWN = [submission(by=ORGANIZATION)]


def page(*items: object) -> Response:
    return json_response({"items": items, "next": None})


def story(*entries: tuple[int, str, str, str]) -> Response:
    sentences = [
        {"index": index, "time": time, "type": type_, "text": text} for index, time, type_, text in entries
    ]
    return json_response({"events": {"heading": "", "sentences": sentences}})


CHECKPOINT = Response(status=200, body=b"kopuro.example/kg/log\n8\nroot\n")
ANSWERS = {
    SUBMISSIONS: page(*OWN),
    REFERRALS: json_response(VIEW),
    DELIVERIES: page(),
    STORY: story((7, at(0), "kopuro.referral.submitted.v1", "OSH submitted it.")),
    "/audit/checkpoint": CHECKPOINT,
}


def tell(hub: FakeHub, **answers: Response) -> None:
    """Let the hub know one referral, offered to a candidate. answers: others, by path."""
    for path, answer in {**ANSWERS, **answers}.items():
        hub.script("GET", path, answer)


@pytest.fixture
def told(hub: FakeHub) -> FakeHub:
    tell(hub)
    return hub


def test_trace_prints_hops_with_receipts_and_whose_turn_it_is(told: FakeHub, run: Run) -> None:
    ran = run("trace", REFERRAL)
    assert ran.code == 0, ran.err
    text = " ".join(ran.out.split())
    assert "intake referral.submitted kg.osh-legal-aid OSH submitted it." in text
    assert f"message {REFERRAL}; published; log entry 7, in the signed checkpoint of 8 entries" in text
    assert f"routing offer.opened {CANDIDATE} offer {OFFER}" in text
    assert f"It is the turn of {CANDIDATE}, since 2026-05-01 09:01:00Z, until" in text


@pytest.mark.parametrize(
    ("language", "heading"), [("en", "It is the turn of ru"), ("ru", "Сейчас очередь: "), ("ky", "Кезек: ")]
)
def test_sentences_and_the_story_are_in_the_chosen_language(
    told: FakeHub, run: Run, language: str, heading: str
) -> None:
    assert f"\n{heading}" in run("trace", REFERRAL, "--language", language).out
    (asked,) = [one for one in told.received if one.path == STORY]
    assert asked.query == {"format": "json", "language": language}


@pytest.mark.parametrize(
    ("language", "names"), [("ru", ("сообщение", "причина")), ("ky", ("билдирүү", "себеп"))]
)
def test_receipts_and_states_are_in_the_chosen_language(
    told: FakeHub, run: Run, language: str, names: tuple[str, str]
) -> None:
    out = run("trace", REFERRAL, "--language", language).out
    assert f"{names[0]} {REFERRAL}" in out
    assert "message " not in out
    reason = receipt_of("reason", "no_candidate", language)
    assert reason == f"{names[1]} {in_words('reason', 'no_candidate', language)}"


def test_message_in_the_coordinators_mailbox_names_them(hub: FakeHub, run: Run) -> None:
    letter = page(message("referral.unplaced", "queued", 2, None))
    found = f"/delivery/v1/deliveries/{MESSAGE}"
    tell(hub, **{SUBMISSIONS: page(), found: letter, DELIVERIES: letter})
    [line] = [one for one in run("trace", MESSAGE).out.splitlines() if "referral.unplaced: " in one]
    assert line.endswith("coordinators")


def test_key_is_looked_up_at_intake_for_the_organization_that_staff_name(told: FakeHub, run: Run) -> None:
    assert run("trace", "monday", "--organization", ORGANIZATION, "--json").json()["referral"] == REFERRAL
    first = next(one for one in told.received if one.path == SUBMISSIONS)
    assert first.query == {"key": "monday", "organization": ORGANIZATION}


def test_message_leads_to_its_referral_and_is_marked(hub: FakeHub, run: Run) -> None:
    letter = page(message("offer.opened", "delivered", 2))
    found = f"/delivery/v1/deliveries/{MESSAGE}"
    tell(hub, **{SUBMISSIONS: page(), found: letter, DELIVERIES: letter})
    document = run("trace", MESSAGE, "--json").json()
    assert document["next"]["owner"] == "you"
    assert [hop["step"] for hop in document["hops"] if hop["asked"]] == ["queued", "delivered"]


def test_message_about_no_referral_is_found(hub: FakeHub, run: Run) -> None:
    hub.script("GET", SUBMISSIONS, page())
    expiring = message("credential.expiring", referral_id=None, organization=ORGANIZATION)
    hub.script("GET", f"/delivery/v1/deliveries/{MESSAGE}", page(expiring))
    ran = run("trace", MESSAGE)
    assert "credential.expiring: in the mailbox" in ran.out
    assert ran.out.endswith(f"Next: kopuro mailbox list, then kopuro mailbox ack {MESSAGE}\n")


def test_trace_of_an_unknown_key_says_that_nothing_was_found(hub: FakeHub, run: Run) -> None:
    hub.script("GET", SUBMISSIONS, page())
    ran = run("trace", "monday")
    assert ran.code == 3
    assert ran.out.startswith("Nothing found\nYour organisation has nothing under this id or key.")
    text = " ".join(ran.out.split())
    assert "belongs to another organisation, such as a referral onward from yours" in text
    assert "If it is yours, submit it again under the same key" in text
    as_json = run("trace", "monday", "--json")
    assert (as_json.code, as_json.json()["next"]["action"]) == (3, "submit")


def test_silent_services_are_named_and_asked_once(hub: FakeHub, run: Run) -> None:
    away = (REFERRALS, STORY, DELIVERIES)
    tell(hub, **dict.fromkeys(away, AWAY))
    document = run("trace", REFERRAL, "--json").json()
    assert document["silent"] == ["audit", "delivery", "routing"]
    assert (document["next"]["owner"], document["next"]["action"]) == ("hub", "decide")
    assert sorted(one.path for one in hub.received if one.path in away) == sorted(away)
    assert "no answer from audit, delivery, routing: its steps may be missing" in run("trace", REFERRAL).err


def test_hub_that_does_not_answer_at_all_is_an_error(hub: FakeHub, run: Run) -> None:
    hub.script("GET", SUBMISSIONS, AWAY)
    assert run("trace", "monday").code == 5


def test_trace_of_refused_caller_does_not_report_nothing_found(hub: FakeHub, run: Run) -> None:
    hub.script("GET", SUBMISSIONS, problem(403, "forbidden", "Suspended"))
    ran = run("trace", REFERRAL)
    assert (ran.code, ran.out) == (3, "")


def test_text_that_is_not_a_key_is_refused_before_any_request(hub: FakeHub, run: Run) -> None:
    assert run("trace", "ключ").code == 2
    assert [one for one in hub.received if "oauth" not in one.path and "well-known" not in one.path] == []
