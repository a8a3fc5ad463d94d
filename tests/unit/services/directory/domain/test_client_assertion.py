"""The claims of client assertions, and the refusal of a client with a wrong clock."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from contracts.errors import Refused
from services.directory.domain.client_assertion import LEEWAY, LONGEST_LIFE, check_assertion

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
NOW = NOON.timestamp()
AUDIENCES = {"https://hub.example", "https://hub.example/oauth/token"}


def claims(**changes: Any) -> dict[str, Any]:
    good = {
        "iss": "desk",
        "sub": "desk",
        "aud": "https://hub.example",
        "jti": "1",
        "iat": NOW,
        "exp": NOW + 300,
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def refusal(**changes: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        check_assertion(claims(**changes), "desk", AUDIENCES, NOON)
    assert caught.value.status == 401
    return caught.value


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": "https://hub.example/oauth/token"},
        {"aud": ["https://hub.example"]},
        {"iat": None},
        {"iat": NOW - 290, "exp": NOW + 10},
        {"iat": NOW + LEEWAY.total_seconds(), "exp": NOW + 330},
        {"iat": NOW - 300, "exp": NOW - LEEWAY.total_seconds() + 1},
        {"nbf": NOW},
    ],
)
def test_valid_assertion_is_accepted(changes: dict[str, Any]) -> None:
    checked = check_assertion(claims(**changes), "desk", AUDIENCES, NOON)
    assert (checked.client_id, checked.id) == ("desk", "1")


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "other"},
        {"sub": "other"},
        {"iss": None},
        {"aud": None},
        {"aud": "https://other.example"},
        {"aud": []},
        {"aud": ["https://hub.example", "https://other.example"]},
        {"aud": [["https://hub.example"]]},
        {"aud": {"https://hub.example": 1}},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 201},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": float("inf")},
        {"exp": -1},
        {"exp": NOW * 1000, "iat": None},
        {"exp": NOW + 301},
        {"exp": NOW},
        {"exp": NOW + 331, "iat": None},
        {"iat": "now"},
    ],
)
def test_invalid_assertion_is_refused(changes: dict[str, Any]) -> None:
    assert refusal(**changes).slug == "invalid-client"


@pytest.mark.parametrize(
    ("ahead", "told"), [(412, "412 s ahead of"), (-412, "412 s behind"), (86_400, "86400 s ahead of")]
)
def test_refusal_for_a_wrong_clock_states_the_seconds_and_the_hubs_time(ahead: int, told: str) -> None:
    refused = refusal(iat=NOW + ahead, exp=NOW + ahead + 300)
    assert refused.slug == "clock-skew"
    assert told in refused.detail
    assert "2026-03-01T12:00:00Z" in refused.detail


def test_id_of_an_assertion_is_kept_until_the_assertion_is_refused_anyway() -> None:
    checked = check_assertion(claims(), "desk", AUDIENCES, NOON)
    after = claims(exp=checked.until.timestamp() - LEEWAY.total_seconds(), iat=None)
    with pytest.raises(Refused):
        check_assertion(after, "desk", AUDIENCES, checked.until)
    assert checked.until - NOON == LONGEST_LIFE + LEEWAY
