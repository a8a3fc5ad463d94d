from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.delivery.webhooks.domain.endpoint import (
    FAILING_FOR,
    NOTICES,
    TRANSITIONS,
    Endpoint,
    EndpointEvent,
    EndpointState,
    Health,
    IllegalEndpointTransition,
    following_state,
)
from services.delivery.webhooks.domain.endpoint_url import EndpointUrl

START = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


def test_only_an_answered_challenge_activates() -> None:
    assert set(TRANSITIONS) == set(EndpointState)
    leading = {
        (state, event)
        for state, events in TRANSITIONS.items()
        for event, following in events.items()
        if following is EndpointState.active and state is not EndpointState.active
    }
    assert leading == {(EndpointState.unverified, EndpointEvent.verify)}


@pytest.mark.parametrize("event", [EndpointEvent.verify, EndpointEvent.gone, EndpointEvent.fail])
def test_disabled_endpoint_refuses_results(event: EndpointEvent) -> None:
    with pytest.raises(IllegalEndpointTransition, match=f"Cannot {event} an endpoint that is disabled"):
        following_state(EndpointState.disabled, event)


def _failing(gaps: list[float]) -> list[int]:
    """Return the notices of an endpoint that fails at these gaps, in hours."""
    health, now, given_ = Health(), START, []
    for gap in [0.0, *gaps]:
        now += dt.timedelta(hours=gap)
        health, percent = health.after_failure(now)
        given_ += [] if percent is None else [percent]
    return given_


def test_owner_is_notified_once_at_each_share_and_at_the_end() -> None:
    assert _failing([10.0] * 12) == [50, 70, 90, 100]


@given(st.lists(st.floats(0, 24), max_size=60))
def test_notices_rise_and_the_last_one_needs_five_days_of_failure(gaps: list[float]) -> None:
    given_ = _failing(gaps)
    assert all(earlier < later for earlier, later in pairwise(given_))
    assert set(given_) <= set(NOTICES)
    if 100 in given_:
        assert dt.timedelta(hours=sum(gaps)) >= FAILING_FOR - dt.timedelta(seconds=1)


def test_success_ends_the_failure() -> None:
    health, _ = Health().after_failure(START)
    assert health.disabled_at == START + FAILING_FOR
    assert Health().disabled_at is None


def test_long_silence_is_not_a_failure() -> None:
    health, _ = Health().after_failure(START)
    later = START + dt.timedelta(days=6)
    health, percent = health.after_failure(later)
    assert percent is None
    assert health.failing_since == later


@pytest.mark.parametrize("spelling", ["offer.opened", "kopuro.offer.opened.v1"])
def test_endpoint_wants_the_messages_that_it_names_in_either_spelling(spelling: str) -> None:
    url = EndpointUrl.of("https://cases.example.org/kopuro", is_local=False)
    endpoint = Endpoint(
        id="1", organization="kg.osh-aid", url=url, types=frozenset({spelling}), created_at=START
    )
    assert endpoint.wants("kopuro.offer.opened.v1")
    assert not endpoint.wants("kopuro.offer.expired.v1")
