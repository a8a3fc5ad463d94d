"""The unit of work of one routing transaction."""

from __future__ import annotations

import datetime as dt
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from contracts.commitment import SALT_BYTES
from contracts.envelope import Event
from contracts.facts import DecisionsRecorded, Fact, OfferOpened
from runtime.identifiers import new_id
from runtime.telemetry.trace import caused_by, deciding, is_in_trace, parse
from services.routing.domain.alerts import closed_alerts
from services.routing.domain.decision_basis import DecisionBasis
from services.routing.domain.late_answer import LateAnswer
from services.routing.domain.observation import Observation, load_between
from services.routing.domain.recorded_decision import RecordedDecision, recorded
from services.routing.domain.referral import Referral
from services.routing.domain.refusals import REFUSALS
from services.routing.domain.tally import Tally
from services.routing.domain.timeline import TimelineEntry, entry_of
from services.routing.domain.transition import Transition
from services.routing.handlers.decision_spans import Decided
from services.routing.ports import Changes

# The partition key of commitments to decisions.
DECISIONS = "decisions"


class ReferralBatch:
    """The referrals of one transaction, before and after, and everything that follows from their changes.

    observed: the changes of the observations, by organisation. events: the facts to publish. tally: what the
    counters add once the transaction has committed. decided: the decisions without a message in the
    referral's trace, for spans.
    basis: `RoutingTransactions.basis` as of the beginning, None if nothing is decided.
    """

    def __init__(
        self,
        referrals: Mapping[str, Referral],
        source: str,
        now: dt.datetime,
        basis: DecisionBasis | None = None,
    ) -> None:
        self._before = dict(referrals)
        self.now = now
        self.basis = basis
        self._source = source
        self._after: dict[str, Referral] = {}
        self._decisions: list[RecordedDecision] = []
        # The id of the message that commits to the decisions of this transaction.
        self._logged_in = new_id()
        self._timeline: list[TimelineEntry] = []
        self._late: list[LateAnswer] = []
        self.observed: dict[str, Observation] = defaultdict(Observation)
        self.events: list[Event[Fact]] = []
        self.tally = Tally()
        self.decided: list[Decided] = []

    def referral(self, referral_id: str) -> Referral | None:
        """Return the referral as this transaction has changed it so far."""
        return self._after.get(referral_id) or self._before.get(referral_id)

    def referred_onward(self, referral_id: str, organization: str) -> int:
        """Return by how many new referrals this transaction refers another one onward for an organisation."""
        return sum(
            1
            for one in self._after.values()
            if one.id not in self._before
            and one.sender == organization
            and one.part is None
            and one.chain is not None
            and one.chain.onward_from == referral_id
        )

    def take(self, transition: Transition, *, cause: Event[Fact] | None) -> None:
        """Apply a transition and those of the linked referrals, one after the other.

        cause: the message that led to it, None for a deadline. It is a step of its own referral, and of the
        linked ones that note it.
        """
        self._take(transition, cause)
        for following in transition.linked:
            self._take_linked(following(), cause)

    def _take_linked(self, transition: Transition | None, cause: Event[Fact] | None) -> None:
        if transition is None:
            return
        self._take(transition, cause, is_linked=True)
        for following in transition.linked:
            self._take_linked(following(), cause)

    def _take(self, transition: Transition, cause: Event[Fact] | None, *, is_linked: bool = False) -> None:
        referral = transition.referral
        assert referral is not None
        before = self.referral(referral.id)
        if not transition.facts and not transition.noted and referral == before:
            return  # a repetition, or an event that changes nothing any more: no entry in the timeline
        self.tally.add(before, transition, cause.time if cause is not None else None)
        for changes in (
            transition.observed,
            load_between(before, referral),
        ):
            for organization, change in changes.items():
                self.observed[organization] = self.observed[organization].plus(change)
        traceparent = caused_by(cause.traceparent, self._source, cause.id) if cause else None
        if before is None and referral.traceparent is None:  # a part has that of the whole
            referral = replace(referral, traceparent=traceparent)
        self._after[referral.id] = referral
        if transition.late is not None:
            self._late.append(transition.late)
        asked = tuple(fact.organization for fact in transition.facts if isinstance(fact, OfferOpened))
        self._decisions += [
            recorded(decision, os.urandom(SALT_BYTES), asked=asked, logged_in=self._logged_in)
            for decision in transition.decisions
        ]
        # A refused submission needs no entry of its own: the refusal says everything.
        is_refused = any(isinstance(fact, REFUSALS) for fact in transition.facts)
        if cause is not None and not is_refused and (transition.noted or not is_linked):
            self._timeline.append(entry_of(cause.data, referral.id, cause.time))
        answered = closed_alerts(before, referral, cause.data if cause is not None else None)
        reports = [
            *((fact, referral.id) for fact in (*transition.facts, *answered)),
            *((fact, fact.referral_id) for fact in transition.about_others),
        ]
        ids = [new_id() for _ in reports]
        # An answer's trace is its author's. Other parties see that of each message and could recognise it.
        known = parse(referral.traceparent) if reports else None
        if known is not None and not is_in_trace(traceparent, known):
            at = deciding(known, self._source, ids[0])
            self.decided.append(Decided(at=at, parent=known, fact=reports[0][0].type, time=self.now))
            traceparent = str(at)
        for event_id, (fact, about) in zip(ids, reports, strict=True):
            self._timeline.append(entry_of(fact, about, self.now))
            self.events.append(
                Event(
                    id=event_id,
                    source=self._source,
                    time=self.now,
                    partition_key=about,
                    correlation_id=cause.correlation_id if cause else referral.correlation_id,
                    causation_id=cause.id if cause else None,
                    traceparent=traceparent,
                    data=fact,
                )
            )

    def commitments(self) -> list[Event[Fact]]:
        """Return the fact that commits to the decisions of this transaction, if it made any."""
        if not self._decisions:
            return []
        return [
            Event(
                id=self._logged_in,
                source=self._source,
                time=self.now,
                # Not a referral's entry, because those may be erased.
                partition_key=DECISIONS,
                correlation_id=self._logged_in,
                causation_id=None,
                data=DecisionsRecorded(decisions=tuple(one.committed for one in self._decisions)),
            )
        ]

    def changes(self) -> Changes:
        """Return what the store has to write."""
        return Changes(
            before=self._before,
            after=list(self._after.values()),
            decisions=self._decisions,
            timeline=self._timeline,
            late=self._late,
            observed=dict(self.observed),
        )
