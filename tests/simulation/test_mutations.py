"""The simulation detects removed safeguards: one of a few seeds fails for the expected reason."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import Connection

from contracts.codes import OfferState, ReferralStatus
from runtime.messaging.inbox import Inbox
from runtime.messaging.outbox.outbox import Outbox
from services.delivery import incoming
from services.routing.domain import lifecycle, offer, referral
from services.routing.domain.offer import OfferEvent
from services.routing.domain.referral import ReferralEvent
from services.vault.adapters.decline_notes import SqlDeclineNotes
from services.vault.domain import custody
from services.vault.domain.custody import CustodyEvent, CustodyState
from tests.simulation.broker import UnreliableBroker
from tests.simulation.seeds import failure_of

_STORIES = range(80)
_ACCEPTED = ReferralStatus.accepted


def test_empty_inbox_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    def admit(inbox: Inbox, tx: Connection, consumer: str, ids: Sequence[str], now: dt.datetime) -> set[str]:
        return set(ids)

    monkeypatch.setattr(Inbox, "admit", admit)
    _is_noticed()


def test_relay_that_drops_unconfirmed_messages_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    honest: Callable[..., Any] = Outbox.oldest

    def oldest(outbox: Outbox, transaction: Connection, limit: int) -> Any:
        found = honest(outbox, transaction, limit)
        # Every row has the number of the last: what is forgotten of a wave is never what was confirmed.
        return [(found[-1][0], message) for _, message in found]

    monkeypatch.setattr(Outbox, "oldest", oldest)
    _is_noticed()


def test_broker_that_loses_confirmed_messages_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    honest: Callable[..., Any] = UnreliableBroker.route

    def route(broker: UnreliableBroker, exchange: str, message: Any) -> set[str]:
        queues: set[str] = honest(broker, exchange, message)
        lost = message.message_id.endswith("7") and len(queues) > 1
        return set(sorted(queues)[1:]) if lost else queues

    monkeypatch.setattr(UnreliableBroker, "route", route)
    _is_noticed()


def test_forwarded_notes_of_refused_declines_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    class AllTookEffect(dict[str, bool]):
        def get(self, submission: str, default: Any = None) -> bool:
            return True

    monkeypatch.setattr(SqlDeclineNotes, "answers", lambda *_: AllTookEffect())
    _is_noticed("the note of refused answer")


def test_accepted_late_answers_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "refuse_if_late", lambda offer, admitted_at: None)
    _is_noticed("an answer that came late was taken")


def test_expired_offer_without_timely_answer_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    final: dict[OfferEvent, OfferState] = {}
    monkeypatch.setattr(offer, "OFFER_TRANSITIONS", {**offer.OFFER_TRANSITIONS, OfferState.expired: final})
    _is_noticed("an answer in time was refused")


def test_second_acceptance_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    reopened = {OfferEvent.accept: OfferState.accepted}
    offers = {**offer.OFFER_TRANSITIONS, OfferState.revoked: reopened, OfferState.declined: reopened}
    accepted = {**referral.REFERRAL_TRANSITIONS[ReferralStatus.accepted], ReferralEvent.accept: _ACCEPTED}
    referrals = {**referral.REFERRAL_TRANSITIONS, _ACCEPTED: accepted}
    monkeypatch.setattr(offer, "OFFER_TRANSITIONS", offers)
    monkeypatch.setattr(referral, "REFERRAL_TRANSITIONS", referrals)
    _is_noticed()


def test_case_kept_after_the_end_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    erased = {CustodyEvent.arrival: CustodyState.held, CustodyEvent.acceptance: CustodyState.erased}
    monkeypatch.setattr(custody, "TRANSITIONS", {**custody.TRANSITIONS, CustodyState.erased: erased})
    _is_noticed()


def test_delivery_that_keeps_closed_cases_is_detected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(incoming, "CLOSINGS", frozenset())
    _is_noticed("delivery")


def _is_noticed(reason: str = "") -> None:
    for seed in _STORIES:
        if (failure := failure_of(seed)) is not None:
            assert reason in str(failure)
            return
    raise AssertionError(f"{len(_STORIES)} stories ended well without the safeguard")
