from __future__ import annotations

import datetime as dt

import orjson
import pytest
import sqlalchemy.exc
from kombu.exceptions import OperationalError

from contracts.errors import PROBLEM_PREFIX, PointerError, Refused, Unavailable
from contracts.paused_key import paused_key
from runtime.telemetry import trace
from runtime.web.problems import method_not_allowed, response_for

PERSON = "Aigerim Toktogulova"


def test_refused_becomes_a_problem_with_pointers() -> None:
    where = PointerError(pointer="/needs/0", detail="Not one of the needs.")
    answer = response_for(Refused("invalid-submission", "One thing is wrong.", errors=(where,)))
    body = orjson.loads(answer.body)
    assert answer.status == body["status"] == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert body["type"] == PROBLEM_PREFIX + "invalid-submission"
    assert body["errors"] == [{"pointer": "/needs/0", "detail": "Not one of the needs."}]


def test_refusal_until_a_time_says_when_to_continue() -> None:
    answer = response_for(Refused("too-many-statements", "Too many.", retry_after=3600))
    assert (answer.status, answer.headers["Retry-After"]) == (429, "3600")
    assert "Retry-After" not in response_for(Refused("not-found", "Nothing.")).headers


def test_refusal_until_a_time_has_it_as_a_member_and_retry_after() -> None:
    until = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
    now = until - dt.timedelta(seconds=1, microseconds=1)
    answer = response_for(paused_key("Wait until {until}.", until=until, now=now))
    assert (answer.status, answer.headers["Retry-After"]) == (409, "2")
    body = orjson.loads(answer.body)
    assert (body["until"], body["detail"]) == ("2026-03-02T12:00:00Z", "Wait until 2026-03-02T12:00:00Z.")


@pytest.mark.parametrize(
    ("slug", "challenge"),
    [("missing-token", "Bearer"), ("expired-token", "Bearer"), ("invalid-client", "Basic")],
)
def test_401_has_the_challenge_of_its_scheme(slug: str, challenge: str) -> None:
    assert response_for(Refused(slug, "No.")).headers["WWW-Authenticate"].startswith(challenge)


def test_403_has_no_challenge() -> None:
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
def test_outage_becomes_503_with_retry_after(outage: Exception) -> None:
    answer = response_for(outage)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert PERSON.encode() not in answer.body


def test_other_exception_becomes_500_with_reference_only() -> None:
    at = trace.continued(None)
    with trace.attached(at):
        answer = response_for(KeyError(PERSON))
    body = orjson.loads(answer.body)
    assert (answer.status, body["type"]) == (500, PROBLEM_PREFIX + "internal")
    assert body["reference"] == at.trace_id
    assert PERSON.encode() not in answer.body


def test_method_not_allowed_lists_allowed_methods() -> None:
    assert method_not_allowed(["PUT", "GET"]).headers["Allow"] == "GET, PUT"


@pytest.mark.parametrize(
    "error", [Refused("not-found", "Nothing."), Unavailable("Later."), RuntimeError(PERSON)], ids=repr
)
def test_answered_exception_keeps_no_frame(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        raise error from ValueError()
    response_for(raised.value)
    assert (error.__traceback__, error.__cause__, error.__context__) == (None, None, None)
