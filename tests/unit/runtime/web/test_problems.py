from __future__ import annotations

import orjson
import pytest
import sqlalchemy.exc
from kombu.exceptions import OperationalError

from contracts.errors import PROBLEM_PREFIX, PointerError, Refused, Unavailable
from runtime.telemetry import trace
from runtime.web.problems import method_not_allowed, response_for

PERSON = "Aigerim Toktogulova"


def test_a_refusal_is_its_problem_with_pointers() -> None:
    where = PointerError(pointer="/needs/0", detail="Not one of the needs.")
    answer = response_for(Refused("invalid-submission", "One thing is wrong.", errors=(where,)))
    body = orjson.loads(answer.body)
    assert answer.status == body["status"] == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert body["type"] == PROBLEM_PREFIX + "invalid-submission"
    assert body["errors"] == [{"pointer": "/needs/0", "detail": "Not one of the needs."}]


@pytest.mark.parametrize(
    ("slug", "challenge"),
    [("missing-token", "Bearer"), ("expired-token", "Bearer"), ("invalid-client", "Basic")],
)
def test_a_401_challenges_as_its_scheme_asks(slug: str, challenge: str) -> None:
    assert response_for(Refused(slug, "No.")).headers["WWW-Authenticate"].startswith(challenge)


def test_a_403_does_not_challenge() -> None:
    assert "WWW-Authenticate" not in response_for(Refused("forbidden", "No.")).headers


@pytest.mark.parametrize(
    "outage",
    [
        Unavailable("The broker is away."),
        sqlalchemy.exc.OperationalError(f"INSERT {PERSON}", {}, Exception(PERSON)),
        OperationalError(PERSON),
        ConnectionRefusedError(PERSON),
        TimeoutError(PERSON),
    ],
)
def test_an_outage_may_be_tried_again(outage: Exception) -> None:
    answer = response_for(outage)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert PERSON.encode() not in answer.body


def test_anything_else_is_ours_and_says_only_where_to_look() -> None:
    at = trace.continued(None)
    with trace.attached(at):
        answer = response_for(KeyError(PERSON))
    body = orjson.loads(answer.body)
    assert (answer.status, body["type"]) == (500, PROBLEM_PREFIX + "internal")
    assert body["reference"] == at.trace_id
    assert PERSON.encode() not in answer.body


def test_a_wrong_method_names_the_right_ones_in_order() -> None:
    assert method_not_allowed(["PUT", "GET"]).headers["Allow"] == "GET, PUT"
