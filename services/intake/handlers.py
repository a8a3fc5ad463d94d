"""Intake's use cases: admit or refuse; one transaction for everybody who comes at the same time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from contracts.codes import ReferralStatus
from contracts.envelope import Envelope
from contracts.errors import KopuroError, Refused, Unavailable
from contracts.facts import OfferOpened
from contracts.queries import OfferQuery, PartyQuery, ReferralListQuery, ReferralQuery
from contracts.referral import ReferralSubmission
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.messaging.ports import Outgoing
from runtime.storage.database import Database
from runtime.storage.group_commit import GroupCommit
from runtime.storage.pruning import prune
from services.intake.domain.admission import Admission, Caller, Claim, Prepared, Refusal, UsedKey
from services.intake.domain.command import (
    AcceptOffer,
    AddNote,
    CommandBody,
    DeclineOffer,
    Replacement,
    facts_of_command,
    name_of,
)
from services.intake.domain.members import Members, receiver_key, require_good_standing
from services.intake.domain.sealing import require_sealed, require_sealed_to
from services.intake.domain.submission import referral_facts
from services.intake.ports import AdmissionStore, Referrals

# With so many messages waiting for the broker, further submissions are asked to come back later.
OUTBOX_BOUND = 100_000

# A partner repeats a request within hours; a month leaves room for a long outage.
IDEMPOTENCY_KEYS_KEPT = dt.timedelta(days=30)

Result = str | KopuroError


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A statement about a subject: an offer's id, or a referral's, as the statement asks for."""

    body: CommandBody
    subject: str
    claim: Claim | None = None


class IntakeHandlers:
    """One instance a process; safe for any number of greenlets."""

    def __init__(
        self,
        *,
        database: Database,
        store: AdmissionStore,
        outbox: Outbox,
        referrals: Referrals,
        members: Members,
        custody_kid: Callable[[], str],
        backlog: Callable[[], int],
        after_commit: Callable[[], None],
        outbox_bound: int = OUTBOX_BOUND,
    ) -> None:
        """backlog: messages waiting in the outbox, as counted a moment ago."""
        self._database = database
        self._store = store
        self._outbox = outbox
        self._referrals = referrals
        self._members = members
        self._custody_kid = custody_kid
        self._backlog = backlog
        self._outbox_bound = outbox_bound
        self._commits = GroupCommit[Sequence[Admission], Sequence[Result]](
            database, self._record, after_commit=after_commit
        )

    def submit_referral(self, caller: Caller, submission: ReferralSubmission, claim: Claim | None) -> str:
        """Returns the referral's id once it is committed. Raises Refused, with pointers, and Unavailable."""
        return self.answer(self.prepare_referral(caller, submission, claim))

    def prepare_referral(
        self, caller: Caller, submission: ReferralSubmission, claim: Claim | None
    ) -> Prepared:
        """What a referral would write, or why it is refused."""
        claim = claim and claim.understood_as("referral", "", submission)
        try:
            return self._prepared(caller, submission, claim)
        except (Refused, Unavailable) as error:
            return Refusal(error=error, claim=claim)

    def _prepared(self, caller: Caller, submission: ReferralSubmission, claim: Claim | None) -> Admission:
        require_good_standing(self._members, caller.organization)
        referral_id = caller.new_id()
        facts = referral_facts(
            submission,
            referral_id=referral_id,
            sender=caller.organization,
            custody_kid=self._custody_kid(),
            members=self._members,
        )
        return caller.admission(
            *facts, referral_id=referral_id, answer_id=referral_id, is_referral=True, claim=claim
        )

    def answer(self, prepared: Prepared) -> str:
        """The submission's answer: the id, once it is committed. Raises Refused, Unavailable."""
        (result,) = self.answer_all([prepared])
        if isinstance(result, KopuroError):
            raise result
        return result

    def answer_all(self, prepared: Sequence[Prepared]) -> list[Result]:
        """For each submission its answer's id once it is committed, or why it is refused. Raises Unavailable.

        A repeated submission gets its first answer, even if it would be refused now: its sender may have been
        suspended since, the key changed, the offer forgotten.
        """
        admitted = iter(self.admit_all([one for one in prepared if isinstance(one, Admission)]))
        answered = self._answered([one.claim for one in prepared if isinstance(one, Refusal) and one.claim])
        return [
            next(admitted) if isinstance(one, Admission) else answered.get(one.claim, one.error)
            for one in prepared
        ]

    def admit_all(self, admissions: Sequence[Admission]) -> Sequence[Result]:
        """For each admission its answer's id, or why it was refused. Raises Unavailable."""
        if self._backlog() > self._outbox_bound:
            raise Unavailable("Too much is waiting for the broker.", retry_after=5)
        return self._commits.submit(admissions) if admissions else ()

    def submit_command(self, caller: Caller, spoken: Command) -> str:
        """A party says something about its offer or referral; returns the submission's id.

        Raises Refused (`not-found` for what is somebody else's, too) and Unavailable.
        """
        (prepared,) = self.prepare_commands(caller, [spoken])
        return self.answer(prepared)

    def prepare_commands(self, caller: Caller, spoken: Sequence[Command]) -> list[Prepared]:
        """For each statement what it would write, or why it is refused."""
        known = self._known_subjects(caller.organization, spoken)
        prepared: list[Prepared] = []
        for one in spoken:
            claim = one.claim and one.claim.understood_as(name_of(one.body), one.subject, one.body)
            try:
                prepared.append(self._prepared_command(caller, one, known, claim))
            except (Refused, Unavailable) as error:
                prepared.append(Refusal(error=error, claim=claim))
        return prepared

    def referral(self, referral_id: str, viewer: str, *, oversight: bool) -> Any:
        """A referral as routing tells it. Raises Refused `not-found`, Unavailable."""
        try:
            return self._referrals.ask(ReferralQuery(id=referral_id, viewer=viewer, oversight=oversight))
        except Refused as refused:
            if refused.slug != "not-found":
                raise
            with self._database.read() as transaction:
                submitted = self._store.submitted(transaction, referral_id)
            if submitted is None or not (oversight or submitted.sender == viewer):
                raise
        # Admitted here, and routing has not come to it yet.
        return {
            "id": submitted.id,
            "sender": submitted.sender,
            "status": ReferralStatus.requested,
            "status_fhir": "requested",
            "acceptor": None,
            "outcome": None,
            "submitted_at": submitted.submitted_at,
            "updated_at": submitted.submitted_at,
            "facts": None,
            "offers": [],
            "timeline": [],
        }

    def offer(self, offer_id: str, organization: str) -> Any:
        """An offer as routing shows it to the organisation it was made to, with `referral_id` and `sender`.

        Raises Refused `not-found`, Unavailable.
        """
        parties = self._referrals.ask(OfferQuery(id=offer_id))
        if parties is None or parties[1] != organization:
            raise Refused("not-found", "No such offer was made to this organisation.")
        found = self._referrals.ask(ReferralQuery(id=parties[0], viewer=organization, oversight=False))
        (offer,) = [one for one in found["offers"] if one["id"] == offer_id]
        return {**offer, "referral_id": found["id"], "sender": found["sender"]}

    def referral_list(self, question: ReferralListQuery) -> Any:
        """Referrals as routing lists them. Raises Refused, Unavailable."""
        return self._referrals.ask(question)

    def note_offers(
        self, transaction: Connection, events: Sequence[Envelope], now: dt.datetime
    ) -> Iterable[Outgoing]:
        """Learns which offer was made to whom (a `batches.BatchHandler`)."""
        offers = [
            (event.data["offer_id"], event.data["referral_id"], event.data["organization"])
            for event in events
            if event.type == OfferOpened.type
        ]
        if offers:
            self._store.note_offers(transaction, offers)
        return ()

    def forget_old_keys(self, now: dt.datetime) -> bool:
        """A turn of deleting Idempotency-Keys that nobody will repeat any more; whether none is left."""
        moment = now - IDEMPOTENCY_KEYS_KEPT
        return prune(self._database, lambda tx, limit: self._store.forget_before(tx, moment, limit))

    def _known_subjects(self, organization: str, spoken: Sequence[Command]) -> Mapping[str, str]:
        """Subject id -> referral id, of what is known here to be the organisation's own."""
        offers = {one.subject for one in spoken if one.body.about_offer}
        referrals = {one.subject for one in spoken if not one.body.about_offer}
        with self._database.read() as transaction:
            return {
                **self._store.offers_to(transaction, offers, organization),
                **{r: r for r in self._store.shared_with(transaction, referrals, organization)},
            }

    def _prepared_command(
        self, caller: Caller, spoken: Command, known: Mapping[str, str], claim: Claim | None
    ) -> Admission:
        if isinstance(spoken.body, AcceptOffer):
            # Not from somebody who was suspended since: the case would follow.
            require_good_standing(self._members, caller.organization)
        if isinstance(spoken.body, AddNote | DeclineOffer) and spoken.body.note is not None:
            require_sealed(spoken.body.note, "/note")
        if isinstance(spoken.body, Replacement):
            kid = receiver_key(self._members, spoken.body.to)
            require_sealed_to(spoken.body.case, kid, "/case")
        # What was made known to its organisation a moment ago may not be known here yet: then routing
        # is asked.
        referral_id = known.get(spoken.subject) or self._asked(spoken, caller.organization)
        facts = facts_of_command(
            spoken.body,
            organization=caller.organization,
            referral_id=referral_id,
            offer_id=spoken.subject if spoken.body.about_offer else None,
        )
        return caller.admission(*facts, referral_id=referral_id, claim=claim)

    def _asked(self, spoken: Command, organization: str) -> str:
        if spoken.body.about_offer:
            parties = self._referrals.ask(OfferQuery(id=spoken.subject))
            if parties is None or parties[1] != organization:
                raise Refused("not-found", "No such offer was made to this organisation.")
            return str(parties[0])
        if not self._referrals.ask(PartyQuery(id=spoken.subject, organization=organization)):
            raise Refused("not-found", "There is no such referral for this organisation.")
        return spoken.subject

    def _answered(self, claims: Sequence[Claim]) -> Mapping[Claim | None, str]:
        """What those claims were answered that repeat an earlier request."""
        if not claims:
            return {}
        with self._database.read() as transaction:
            used = self._store.claimed(transaction, claims)
        return {
            claim: known.answer_id
            for claim in claims
            if (known := used.get((claim.organization, claim.key))) and claim.repeats(known)
        }

    def _record(
        self, transaction: Connection, groups: Sequence[Sequence[Admission]]
    ) -> Sequence[Sequence[Result]]:
        claims = [a.claim for group in groups for a in group if a.claim is not None]
        used = dict(self._store.claimed(transaction, claims))
        fresh: list[Admission] = []
        results = []
        for group in groups:
            answers: list[Result] = []
            for admission in group:
                answer = _claim(admission, used)
                if answer is None:
                    fresh.append(admission)
                    answer = admission.id
                answers.append(answer)
            results.append(answers)
        if fresh:
            self._store.record(transaction, fresh, fresh[0].events[0].time)
            self._outbox.add(transaction, [outgoing(e) for admission in fresh for e in admission.events])
        return results


def _claim(admission: Admission, used: dict[tuple[str, str], UsedKey]) -> Result | None:
    """What a repeated key is answered: the same again, or a conflict; None for what is new."""
    claim = admission.claim
    if claim is None:
        return None
    place = (claim.organization, claim.key)
    known = used.get(place)
    if known is None:
        used[place] = UsedKey(
            fingerprint=claim.fingerprint, understood=claim.understood, answer_id=admission.id
        )
        return None
    if claim.repeats(known):
        return known.answer_id
    return Refused("idempotency-conflict", "This Idempotency-Key was used with another body.")
