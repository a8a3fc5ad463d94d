"""Failed attempts to get a token: bounded without locking anybody out, and on record."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import suppress

import pytest

from contracts.errors import RateLimited, Refused
from contracts.facts import AccessRefused
from services.directory import admission
from services.directory.handlers.failed_attempts import MOST_PER_MINUTE
from tests.support.client_assertions import assertion, new_key, public_set
from tests.unit.services.directory.samples import (
    DESK,
    ISSUER,
    NOON,
    OPERATOR,
    OSH,
    Directory,
    issue,
    organization,
)

SECRET = "a" * 43


@pytest.fixture
def filled(directory: Directory) -> Directory:
    directory.entries.put_organization(OPERATOR, organization())
    issue(directory, OSH, "desk", SECRET)
    return directory


def failures(attempt: Callable[[], object], times: int) -> list[type[Exception]]:
    raised: list[type[Exception]] = []
    for _ in range(times):
        with pytest.raises((Refused, RateLimited)) as failed:
            attempt()
        raised.append(failed.type)
    return raised


@pytest.mark.parametrize("client_id", ["desk", "nobody"])
def test_failures_beyond_the_bound_are_answered_alike_for_known_and_unknown_clients(
    filled: Directory, client_id: str
) -> None:
    raised = failures(lambda: filled.tokens.issue(client_id, "wrong"), MOST_PER_MINUTE + 2)
    assert raised == [Refused] * MOST_PER_MINUTE + [RateLimited] * 2


def test_valid_secret_and_key_get_tokens_whatever_others_try(filled: Directory) -> None:
    key = new_key()
    filled.own_credentials.replace_keys("desk", admission.key_set(public_set(key)), by=DESK)
    failures(lambda: filled.tokens.issue("desk", "wrong"), 3 * MOST_PER_MINUTE)
    failures(lambda: filled.tokens.issue_for(assertion(new_key(), "desk", ISSUER, NOON)), MOST_PER_MINUTE)
    assert filled.tokens.issue("desk", SECRET)
    assert filled.tokens.issue_for(assertion(key, "desk", ISSUER, NOON))


def test_owner_learns_of_its_skewed_clock_however_often_others_fail(filled: Directory) -> None:
    key = new_key()
    filled.own_credentials.replace_keys("desk", admission.key_set(public_set(key)), by=DESK)
    failures(lambda: filled.tokens.issue("desk", "wrong"), 3 * MOST_PER_MINUTE)
    skewed = assertion(key, "desk", ISSUER, NOON - dt.timedelta(hours=1))
    again = assertion(key, "desk", ISSUER, NOON)
    filled.tokens.issue_for(again)
    for text, slug, told in ((skewed, "clock-skew", "behind"), (again, "invalid-client", "used before")):
        with pytest.raises(Refused, match=told) as refused:
            filled.tokens.issue_for(text)
        assert refused.value.slug == slug
    filled.failed.publish()
    recorded = [event.data.attempts for event in filled.events() if isinstance(event.data, AccessRefused)]
    assert recorded == [3 * MOST_PER_MINUTE + 2]


def test_failures_are_recorded_once_for_each_client_and_unknown_ids_are_not(filled: Directory) -> None:
    before = len(filled.events())
    failures(lambda: filled.tokens.issue("desk", "wrong"), 3)
    failures(lambda: filled.tokens.issue("an invented id", "wrong"), 2)
    filled.clock.time += dt.timedelta(seconds=50)
    foreign = assertion(new_key(), "desk", ISSUER, filled.clock.time)
    failures(lambda: filled.tokens.issue_for(foreign), 1)
    filled.failed.publish()
    filled.failed.publish()
    assert [event.data for event in filled.events()[before:]] == [
        AccessRefused(
            client_id="desk",
            principal=OSH,
            attempts=4,
            since=NOON,
            until=NOON + dt.timedelta(seconds=50),
            organization=OSH,
        )
    ]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_invented_ids_make_a_bounded_number_of_counters(filled: Directory) -> None:
    for number in range(5_000):
        with suppress(RateLimited):
            filled.failed.add(f"invented {number}", None)
    assert len(filled.failed._limiter.storage.storage) <= 4096  # type: ignore[attr-defined]
