"""Answers to submissions that came by the gateway, in the mailbox of the organisation that submitted."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from marshmallow import ValidationError
from marshmallow.validate import Length

from contracts.canonical import canonical_json
from contracts.envelope import Event
from contracts.facts import Fact, SubmissionAdmitted, SubmissionRefused
from contracts.identifiers import MessageId, SubmissionKey
from runtime.clock import Clock
from runtime.storage.database import Database
from services.delivery.incoming import Incoming
from services.delivery.ports import Arrival

MOST_ANSWERS: Final = 200
# The ids of answers are names in this namespace (RFC 9562 §5.5).
_NAMESPACE: Final = uuid.UUID("019a0b5e-2f3c-7c4d-8b61-53a3f2d0c0de")


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionAnswer:
    """The result of one submission: its id, or its problem.

    message_id: as the organisation chose it, null if it chose none. body: which content was submitted under
    it, such as a digest. submission_id: of an admitted submission. problem: of a refused one.
    """

    message_id: SubmissionKey | None
    body: Annotated[str, Length(max=100)]
    submission_id: MessageId | None = None
    problem: Mapping[str, Any] | None = None

    @staticmethod
    def rules(data: Mapping[str, Any]) -> None:
        """Require one of both results, and a message id for an admission."""
        admitted, refused = data.get("submission_id") is not None, data.get("problem") is not None
        if admitted == refused:
            raise ValidationError({"problem": ["Either `submission_id` or `problem` must be given."]})
        if admitted and data.get("message_id") is None:
            raise ValidationError({"message_id": ["An admitted submission has a message id."]})

    def message_to(self, organization: str) -> str:
        """Return the id of the message with this answer: the same for the same answer to the same content.

        So a submission that the broker delivers again is not answered again. One that was refused until a
        time may be sent again after it, and has another answer then, also if that is a refusal.
        """
        problem = None if self.problem is None else self.problem.get("type")
        name = {
            "organization": organization,
            "message_id": self.message_id,
            "body": self.body,
            "submission_id": self.submission_id,
            "problem": problem if isinstance(problem, str) else None,
        }
        if self.problem is not None and isinstance(until := self.problem.get("until"), str):
            name["until"] = until
        return str(uuid.uuid5(_NAMESPACE, canonical_json(name).decode()))


class SubmissionAnswers:
    """Puts answers into the mailbox of the caller's organisation. They are not published, nor in the log."""

    def __init__(
        self,
        *,
        database: Database,
        incoming: Incoming,
        hub: str,
        clock: Clock,
        after_commit: Callable[[], None],
    ) -> None:
        """after_commit: called when a message may be waiting."""
        self._database = database
        self._incoming = incoming
        self._source = f"/{hub}/gateway"
        self._clock = clock
        self._after_commit = after_commit

    def put(self, organization: str, answers: Sequence[SubmissionAnswer]) -> list[str]:
        """Append the answers and return their ids; those in the mailbox already stay. Raises Unavailable."""
        now = self._clock.now()
        arrivals = [self._arrival(organization, answer, now) for answer in answers]
        with self._database.write() as transaction:
            self._incoming.append(transaction, arrivals, now)
        self._after_commit()
        return [arrival.message_id for arrival in arrivals]

    def _arrival(self, organization: str, answer: SubmissionAnswer, now: dt.datetime) -> Arrival:
        message_id = answer.message_to(organization)
        fact: Fact
        if answer.submission_id is not None:
            assert answer.message_id is not None  # see `rules`
            fact = SubmissionAdmitted(
                organization=organization, message_id=answer.message_id, submission_id=answer.submission_id
            )
        else:
            fact = SubmissionRefused(
                referral_id=None,
                organization=organization,
                submission_id=None,
                problem=answer.problem or {},
                message_id=answer.message_id,
            )
        event: Event[Fact] = Event(
            id=message_id,
            source=self._source,
            time=now,
            partition_key=organization,
            correlation_id=answer.submission_id or message_id,
            causation_id=None,
            data=fact,
        )
        return Arrival(
            organization=organization,
            message_id=message_id,
            type=fact.type,
            referral_id="",
            correlation_id=answer.submission_id or message_id,
            body=event.encode(),
        )
