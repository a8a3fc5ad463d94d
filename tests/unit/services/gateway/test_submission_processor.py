"""Submissions over AMQP: carried once, answered once, in order, and never lost."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from contracts.errors import Unavailable
from runtime.turn import Turn
from runtime.web.request import parse_json
from services.gateway.gateway_metrics import GatewayMetrics
from services.gateway.ports import SubmissionAnswer
from services.gateway.submission_processor import (
    LONGEST_BODY,
    Received,
    SubmissionProcessor,
    Verdict,
    digest_of,
)
from tests.unit.services.gateway.doubles import OSH, HubInMemory

OTHER = "ru.moscow-common-table"


class Bench:
    def __init__(self) -> None:
        self.hub = HubInMemory()
        self.processor = SubmissionProcessor(self.hub, GatewayMetrics(CollectorRegistry()))

    def verdicts(self, *received: Received) -> list[Verdict]:
        return self.processor.process(received)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def submission(key: str | None = "k1", *, organization: str = OSH, **changes: Any) -> Received:
    body = changes.pop("body", {"submit": "accept", "offer_id": "o"})
    return Received(
        organization=organization,
        body=body if isinstance(body, bytes) else json.dumps(body, indent=1).encode(),
        user_id=changes.pop("user_id", organization),
        message_id=key,
        **changes,
    )


def problem_of(answer: SubmissionAnswer) -> str:
    assert answer.problem is not None
    return str(answer.problem["type"]).removeprefix("urn:kopuro:problem:")


def test_admitted_submission_is_answered_with_its_id(bench: Bench) -> None:
    referral = submission("k2", body={"submit": "referral", "needs": ["legal"]})
    assert bench.verdicts(submission("k1"), referral) == [Verdict.answered] * 2
    assert [(one.message_id, one.submission_id) for one in bench.hub.answers] == [("k1", "s0"), ("k2", "s1")]


def test_others_are_served_between_two_submissions(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty of a megabyte, full of escapes, take some 160 ms of processor time."""
    steps: list[str] = []

    def parsed(*arguments: Any, **options: Any) -> Any:
        steps.append("submission")
        return parse_json(*arguments, **options)

    monkeypatch.setattr("services.gateway.submission_processor.parse_json", parsed)
    monkeypatch.setattr(Turn, "end_if_over", lambda _: steps.append("turn"))
    bench.verdicts(submission("k1"), submission("k2", body=b"[]"), submission("k3"))
    assert steps == ["submission", "turn"] * 3


def test_submission_that_is_delivered_again_is_admitted_and_answered_once(bench: Bench) -> None:
    assert bench.verdicts(submission()) == bench.verdicts(submission()) == [Verdict.answered]
    assert bench.hub.taken == {"k1": "s0"}
    assert len(bench.hub.answers) == 1


def test_refusal_of_the_hub_is_answered_with_its_problem(bench: Bench) -> None:
    assert bench.verdicts(submission(body={"offer_id": "o"})) == [Verdict.answered]
    (answer,) = bench.hub.answers
    assert problem_of(answer) == "invalid-submission"
    assert answer.submission_id is None


@pytest.mark.parametrize(
    ("received", "slug"),
    [
        (submission(None), "invalid-parameter"),
        (submission(""), "invalid-parameter"),
        (submission("x" * 256), "invalid-parameter"),
        (submission("ключ"), "invalid-parameter"),
        (submission(user_id=None), "forbidden"),
        (submission(user_id=OTHER), "forbidden"),
        (submission(content_encoding="gzip"), "unsupported-content-encoding"),
        (submission(body=b"\x00\xff no JSON"), "malformed-json"),
        (submission(body=b'{"a": 1, "a": 2}'), "duplicate-name"),
        (submission(body=b""), "malformed-json"),
        (submission(body=["accept"]), "invalid-submission"),
        (submission(body={"submit": "accept", "idempotency_key": "other"}), "invalid-submission"),
        (submission(body=b" " * (LONGEST_BODY + 1)), "body-too-large"),
        (replace(submission(body=b""), dropped=digest_of(b"larger")), "body-too-large"),
    ],
)
def test_message_that_is_not_a_submission_is_refused_and_never_sent_to_the_hub(
    bench: Bench, received: Received, slug: str
) -> None:
    assert bench.verdicts(received) == [Verdict.answered]
    (answer,) = bench.hub.answers
    assert problem_of(answer) == slug
    assert bench.hub.taken == {}
    # An invalid key is not repeated in the answer.
    assert answer.message_id in (None, "k1")
    assert (answer.message_id is None) == (received.message_id != "k1")


def test_answer_to_a_body_that_was_dropped_names_what_was_submitted(bench: Bench) -> None:
    body = b" " * (LONGEST_BODY + 1)
    bench.verdicts(submission(body=body), replace(submission(body=b""), dropped=digest_of(body)))
    kept, dropped = bench.hub.answers
    assert kept == dropped


UNREADABLE = [
    *(
        ("content_type", value, "unsupported-media-type")
        for value in (
            "text/plain",
            "application/cloudevents+xml",
            "application/x-ndjson",
            "application/octet-stream",
            "application/json; charset=iso-8859-1",
            "application/x-python-serialize",
            "json",
        )
    ),
    *(
        ("content_encoding", value, "unsupported-content-encoding")
        for value in (
            "gzip",
            "br",
            "deflate",
            "zstd",
            "binary",
            "base64",
            "utf-16",
        )
    ),
    *(("expiration", value, "invalid-parameter") for value in ("", "0", "60000")),
]


@pytest.mark.parametrize(("name", "value", "slug"), UNREADABLE)
def test_property_that_a_submission_must_not_have_is_refused_and_named(
    bench: Bench, name: str, value: str, slug: str
) -> None:
    assert bench.verdicts(submission(**{name: value})) == [Verdict.answered]
    (answer,) = bench.hub.answers
    assert (answer.message_id, problem_of(answer)) == ("k1", slug)
    assert answer.problem is not None
    assert answer.problem["detail"].startswith(f"The property {name} must be")
    assert bench.hub.taken == {}


@pytest.mark.parametrize(
    "properties",
    [
        {"content_type": "application/json"},
        {"content_type": "application/json; charset=utf-8"},
        {"content_type": "application/vnd.example+json"},
        {"content_type": ""},
        {"content_encoding": "utf-8"},
        {"content_encoding": "identity"},
        {"content_encoding": ""},
    ],
)
def test_plain_json_is_admitted_however_it_is_named(bench: Bench, properties: dict[str, str]) -> None:
    assert bench.verdicts(submission(**properties)) == [Verdict.answered]
    assert bench.hub.taken == {"k1": "s0"}


def test_unavailable_hub_keeps_the_submission_and_those_after_it(bench: Bench) -> None:
    waiting = submission("k2", body={"submit": "progress", "unavailable": True})
    verdicts = bench.verdicts(
        submission("k1"), waiting, submission("k3"), submission("k4", organization=OTHER)
    )
    assert verdicts == [Verdict.answered, Verdict.retried, Verdict.retried, Verdict.answered]
    bench.hub.available = False
    assert bench.verdicts(submission("k5")) == [Verdict.retried]


def test_answer_that_could_not_be_stored_is_stored_at_the_next_delivery(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise Unavailable("down")

    with monkeypatch.context() as broken:
        broken.setattr(bench.hub, "answer", refuse)
        assert bench.verdicts(submission()) == [Verdict.retried]
    assert bench.verdicts(submission()) == [Verdict.answered]
    assert [one.submission_id for one in bench.hub.answers] == ["s0"]


def test_submission_of_an_organization_that_is_not_admitted_is_a_dead_letter(bench: Bench) -> None:
    bench.hub.admitted = False
    assert bench.verdicts(submission(), submission("k2", body=b"")) == [Verdict.dead_letter] * 2
    assert bench.hub.answers == []


def test_submission_on_which_the_hub_fails_becomes_a_dead_letter_alone(bench: Bench) -> None:
    poison = submission("k2", body={"submit": "poison"})
    verdicts = bench.verdicts(
        submission("k1"), poison, submission("k3"), submission("k4", organization=OTHER)
    )
    assert verdicts == [Verdict.answered, Verdict.dead_letter, Verdict.answered, Verdict.answered]
    assert set(bench.hub.taken) == {"k1", "k3", "k4"}
