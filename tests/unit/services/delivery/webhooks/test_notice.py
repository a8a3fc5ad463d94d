from __future__ import annotations

import datetime as dt

import orjson
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from contracts.publish import webhook_document
from services.delivery.webhooks.domain.endpoint import Endpoint
from services.delivery.webhooks.domain.endpoint_url import EndpointUrl
from services.delivery.webhooks.domain.notice import (
    CHALLENGE,
    TEST,
    TRANSITIONS,
    IllegalNoticeTransition,
    Notice,
    NoticeEvent,
    NoticeState,
    following_state,
)
from services.delivery.webhooks.domain.payload import answers_challenge, body_of
from services.delivery.webhooks.domain.retries import Haste

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
ENDPOINT = Endpoint(
    id="e1",
    organization="kg.osh-legal-aid",
    url=EndpointUrl.of("https://cases.example.org/"),
    types=frozenset(),
    created_at=NOW,
    challenge="c-1",
)


def _notice(type_: str = "kopuro.offer.opened.v1", referral_id: str = "r1") -> Notice:
    return Notice(
        endpoint_id="e1",
        message_id="m1",
        type=type_,
        referral_id=referral_id,
        sequence=7,
        queued_at=NOW,
        haste=Haste.offer,
        until=NOW,
        due_at=NOW,
    )


@pytest.mark.parametrize(
    ("type_", "referral_id", "members"),
    [
        ("kopuro.offer.opened.v1", "r1", {"id", "mailbox", "referral_id"}),
        ("kopuro.webhook.changed.v1", "", {"id", "mailbox"}),
        (CHALLENGE, "", {"endpoint_id", "challenge"}),
        (TEST, "", {"endpoint_id"}),
    ],
)
def test_body_follows_the_published_schema(type_: str, referral_id: str, members: set[str]) -> None:
    check = Draft202012Validator(webhook_document())
    body = orjson.loads(body_of(_notice(type_, referral_id), ENDPOINT, "https://hub.example/v1/mailbox"))
    assert body["data"].keys() == members
    assert list(check.iter_errors(body)) == []
    for name in members - {"referral_id"}:
        data = {key: value for key, value in body["data"].items() if key != name}
        assert list(check.iter_errors({**body, "data": data})), name


def test_every_state_can_be_resent_and_only_waiting_ones_fail() -> None:
    assert set(TRANSITIONS) == set(NoticeState)
    for state, events in TRANSITIONS.items():
        assert events[NoticeEvent.resend] is NoticeState.waiting
        for event in (NoticeEvent.give_up, NoticeEvent.expire, NoticeEvent.read):
            assert (event in events) == (state is NoticeState.waiting)


@pytest.mark.parametrize("state", [NoticeState.sent, NoticeState.expired, NoticeState.failed])
def test_ended_notice_cannot_be_cancelled(state: NoticeState) -> None:
    with pytest.raises(IllegalNoticeTransition, match=f"Cannot cancel a notice that is {state}"):
        following_state(state, NoticeEvent.cancel)


def test_payload_names_message_referral_and_mailbox_only() -> None:
    assert orjson.loads(body_of(_notice(), ENDPOINT, "https://hub/v1/mailbox?from=x&limit=1")) == {
        "type": "kopuro.offer.opened.v1",
        "timestamp": "2026-03-01T12:00:00Z",
        "data": {"id": "m1", "referral_id": "r1", "mailbox": "https://hub/v1/mailbox?from=x&limit=1"},
    }
    assert "referral_id" not in orjson.loads(body_of(_notice(referral_id=""), ENDPOINT, "u"))["data"]


def test_challenge_is_answered_by_repeating_it() -> None:
    body = orjson.loads(body_of(_notice(CHALLENGE), ENDPOINT, ""))
    assert body["data"] == {"endpoint_id": "e1", "challenge": "c-1"}
    assert answers_challenge(b'{"challenge": "c-1", "more": 1}', "c-1")
    for answer in (b"", b"c-1", b'"c-1"', b'{"challenge": "c-2"}', b'{"challenge": null}', b"[]", b"\xff"):
        assert not answers_challenge(answer, "c-1")
    assert not answers_challenge(b'{"challenge": ""}', "")
