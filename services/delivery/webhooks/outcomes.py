"""Stores the outcomes of requests: states of notices, health of endpoints, and the facts about them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.ports import Outgoing
from services.delivery.webhooks.domain.endpoint import (
    DISABLED,
    Endpoint,
    EndpointEvent,
    EndpointState,
    Health,
    following_state,
)
from services.delivery.webhooks.domain.notice import (
    CHALLENGE,
    TRANSITIONS,
    Attempt,
    Notice,
    NoticeEvent,
    NoticeState,
)
from services.delivery.webhooks.domain.notice import following_state as following_notice_state
from services.delivery.webhooks.domain.payload import answers_challenge
from services.delivery.webhooks.domain.retries import (
    TOLD_AFTER,
    Haste,
    first_attempt_before,
    next_attempt,
)
from services.delivery.webhooks.ports import EndpointResponse, Endpoints, Notices
from services.delivery.webhooks.webhook_facts import WebhookFacts

# How long a notice is claimed for: longer than a request may take, name resolution included.
LEASE: Final = dt.timedelta(seconds=45)
_GONE: Final = 410
UNANSWERED_CHALLENGE: Final = "challenge-not-answered"


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptResult:
    """The result of one request. endpoint, notice: as they were claimed; fault: why there is no answer."""

    endpoint: Endpoint
    notice: Notice
    started_at: dt.datetime
    ended_at: dt.datetime
    answer: EndpointResponse | None
    fault: str | None = None

    @property
    def failure(self) -> str | None:
        """Return why the request failed, None if it succeeded. A redirect, never followed, is a failure."""
        if self.answer is None:
            return self.fault
        if not 200 <= self.answer.status < 300:
            return "refused"
        is_challenge = self.notice.type == CHALLENGE
        if is_challenge and not answers_challenge(self.answer.body, self.endpoint.challenge):
            return UNANSWERED_CHALLENGE
        return None


class Outcomes:
    """Writes outcomes; many of them share a transaction (`GroupCommit`)."""

    def __init__(
        self,
        *,
        endpoints: Endpoints,
        notices: Notices,
        facts: WebhookFacts,
        outbox: Outbox,
        chance: Callable[[], float],
    ) -> None:
        """chance: returns a random number from 0 to 1."""
        self._endpoints = endpoints
        self._notices = notices
        self._facts = facts
        self._outbox = outbox
        self._chance = chance

    def write(self, transaction: Connection, outcomes: Sequence[AttemptResult]) -> list[None]:
        """Store the outcomes in order. Durable with the transaction."""
        events: list[Outgoing] = []
        # In the order of their endpoints, so that transactions lock them in one order.
        for outcome in sorted(outcomes, key=lambda each: each.endpoint.id):
            endpoint = self._endpoints.take(transaction, outcome.endpoint.id)
            notice = self._notices.take(transaction, outcome.notice.endpoint_id, outcome.notice.message_id)
            if endpoint is None or notice is None:
                continue  # deleted meanwhile
            notice = self._stepped(outcome, notice)
            self._notices.put(transaction, notice, outcome.ended_at)
            self._notices.record(transaction, _attempt(outcome, notice))
            # A result of an earlier URL or secret of the endpoint says nothing about the present one.
            if endpoint.url == outcome.endpoint.url and endpoint.state is not EndpointState.disabled:
                if outcome.failure is None and endpoint.health.was_away(outcome.ended_at):
                    # Its other notices need not wait for their next attempts. Claimed notices are due at the
                    # end of the lease at the latest.
                    self._notices.hasten(
                        transaction,
                        endpoint.id,
                        later_than=outcome.ended_at + LEASE,
                        now=outcome.ended_at,
                    )
                judged, facts = self._judged(outcome, endpoint)
                events += facts
                if judged != endpoint:
                    self._endpoints.put(transaction, judged)
                if self._is_refused_alone(transaction, outcome, notice, endpoint):
                    told = self._facts.changed(
                        judged, "message_refused", outcome.ended_at, message_id=notice.message_id
                    )
                    events.append(told)
        self._outbox.add(transaction, events)
        return [None] * len(outcomes)

    def _stepped(self, outcome: AttemptResult, notice: Notice) -> Notice:
        """Return the notice after the outcome. A failure that another attempt overtook changes nothing."""
        if outcome.failure is None:
            return _after(notice, NoticeEvent.succeed)
        if notice.state is not NoticeState.waiting or notice.attempts != outcome.notice.attempts:
            return notice
        due_at = next_attempt(
            notice.haste,
            attempts=notice.attempts,
            started_at=outcome.started_at,
            now=outcome.ended_at,
            until=notice.until,
            chance=self._chance(),
        )
        if due_at is not None:
            return replace(notice, due_at=due_at)
        return _after(notice, NoticeEvent.give_up if notice.haste is Haste.other else NoticeEvent.expire)

    def _is_refused_alone(
        self, transaction: Connection, outcome: AttemptResult, notice: Notice, endpoint: Endpoint
    ) -> bool:
        """Return whether to notify the owner that the endpoint refuses this message but accepts others.

        The owner is notified of one message at a time. endpoint: before this outcome.
        """
        if outcome.failure is None or notice.state is not NoticeState.waiting:
            return False
        if notice.sequence == 0 or notice.attempts != TOLD_AFTER:
            return False
        since = endpoint.health.failing_since
        first = first_attempt_before(notice.haste, attempts=notice.attempts, started_at=outcome.started_at)
        if since is not None and since <= first:
            return False  # nothing has succeeded since the first attempt
        later_than = outcome.ended_at + LEASE
        refused = self._notices.refused(transaction, endpoint.id, attempts=TOLD_AFTER, later_than=later_than)
        return refused == 1

    def _judged(self, outcome: AttemptResult, endpoint: Endpoint) -> tuple[Endpoint, list[Outgoing]]:
        """Return the endpoint after the outcome, and the facts that notify its owner."""
        now = outcome.ended_at
        if outcome.failure is None:
            endpoint = replace(endpoint, health=Health())
            answered = outcome.notice.type == CHALLENGE and outcome.endpoint.challenge == endpoint.challenge
            if not answered or endpoint.state is EndpointState.active:
                return endpoint, []
            endpoint = replace(endpoint, state=following_state(endpoint.state, EndpointEvent.verify))
            return endpoint, [self._facts.changed(endpoint, "verified", now)]
        if outcome.answer is not None and outcome.answer.status == _GONE:
            endpoint = endpoint.disabled(EndpointEvent.gone, "gone", now)
            return endpoint, [self._facts.changed(endpoint, "gone", now)]
        health, percent = endpoint.health.after_failure(now)
        endpoint = replace(endpoint, health=health)
        if percent is None:
            return endpoint, []
        if percent == DISABLED:
            endpoint = endpoint.disabled(EndpointEvent.fail, "failing", now)
        return endpoint, [self._facts.failing(endpoint, percent, now)]


def _after(notice: Notice, event: NoticeEvent) -> Notice:
    # It may have ended while the request was under way.
    if event is NoticeEvent.succeed and event not in TRANSITIONS[notice.state]:
        return notice
    return replace(notice, state=following_notice_state(notice.state, event), due_at=None)


def _attempt(outcome: AttemptResult, notice: Notice) -> Attempt:
    answer = outcome.answer
    return Attempt(
        endpoint_id=notice.endpoint_id,
        message_id=notice.message_id,
        type=notice.type,
        number=outcome.notice.attempts,
        started_at=outcome.started_at,
        milliseconds=int((outcome.ended_at - outcome.started_at) / dt.timedelta(milliseconds=1)),
        url=outcome.endpoint.url.shown,
        status=None if answer is None else answer.status,
        answer_type=None if answer is None else answer.media_type,
        answer_size=0 if answer is None else len(answer.body),
        fault=outcome.failure if answer is None or outcome.failure == UNANSWERED_CHALLENGE else None,
        next_at=notice.due_at,
    )
