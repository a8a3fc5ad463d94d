"""One batch of the vault's messages in progress: what it has taken, what it changes, what it publishes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from contracts.envelope import Event
from contracts.errors import Refused
from contracts.facts import Fact, SubmissionRefused
from runtime.telemetry.trace import caused_by
from services.vault.domain.custody import Acceptance, Custody
from services.vault.domain.evidence import ProvenEvent
from services.vault.domain.sealed import SealedCase

# A message may depend on another that arrives by another queue, such as a new key or an acceptance. Until it
# is this old, the vault waits for the other one.
PATIENCE = dt.timedelta(seconds=10)


@dataclass(kw_only=True, slots=True)
class BatchProgress:
    """The state of a batch in progress: custodies that were taken, cases to store, events to publish.

    linked: the custodies that were taken because a split links them with others, as they were. taken: all
    custodies as they were. renewals: the messages that replaced a case in custody, by each referral whose
    acceptor gets the new one. answers: whether an answer took effect, by submission id. held: notes that wait
    for the decision on their answer, by submission id. new_notes, dropped_notes, new_answers: the changes of
    the two. ended_offers: those whose acceptance has ended. closed: referrals that the batch has closed.

    source: of the events; new_id: returns the id of the next one.
    """

    source: str
    new_id: Callable[[], str]
    now: dt.datetime
    custodies: dict[str, Custody]
    linked: Mapping[str, Custody] = field(default_factory=dict)
    taken: Mapping[str, Custody] = field(default_factory=dict)
    renewals: dict[str, Event[Fact]] = field(default_factory=dict)
    answers: dict[str, bool] = field(default_factory=dict)
    held: dict[str, Event[Fact]] = field(default_factory=dict)
    ended_offers: set[str] = field(default_factory=set)
    new_notes: dict[str, Event[Fact]] = field(default_factory=dict)
    dropped_notes: set[str] = field(default_factory=set)
    new_answers: dict[str, tuple[str, bool]] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    arrived: dict[str, SealedCase] = field(default_factory=dict)
    destroyed: set[str] = field(default_factory=set)
    events: list[Event[Fact]] = field(default_factory=list)
    evidence: list[tuple[str, ProvenEvent]] = field(default_factory=list)

    def publish(self, fact: Fact, referral_id: str, *, cause: Event[Fact] | Acceptance) -> None:
        """Publish a fact about a referral when the batch ends."""
        causation_id = cause.message_id if isinstance(cause, Acceptance) else cause.id
        self.events.append(
            Event(
                id=self.new_id(),
                source=self.source,
                time=self.now,
                partition_key=referral_id,
                correlation_id=cause.correlation_id,
                causation_id=causation_id,
                traceparent=caused_by(cause.traceparent, self.source, causation_id),
                data=fact,
            )
        )

    def refuse_submission(
        self, message: Event[Fact], referral_id: str, organization: str, refused: Refused
    ) -> None:
        """Publish the refusal of an organisation's submission. message: the submission's sealed message."""
        refusal = SubmissionRefused(
            referral_id=referral_id,
            organization=organization,
            submission_id=submission_of(message),
            problem=refused.problem(),
        )
        self.publish(refusal, referral_id, cause=message)


def submission_of(message: Event[Fact]) -> str:
    """Return the id of the submission, which intake sets as the cause of the sealed message."""
    return message.causation_id or message.id
