"""Intake's use cases: prepare referrals and commands, which `SubmissionCommits` commits."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from contracts.codes import Urgency
from contracts.envelope import Envelope
from contracts.errors import Refused, Unavailable, drop_frames
from contracts.facts import (
    OfferOpened,
    ReferralCompleted,
    ReferralFailed,
    ReferralSubmitted,
    ReferralWithdrawn,
)
from contracts.paused_key import paused_key
from contracts.queries import (
    NOT_THE_ACCEPTOR,
    OfferQuery,
    PartyQuery,
    PreviewQuery,
    ReferralQuery,
    Role,
    RolesQuery,
)
from contracts.records import read
from contracts.referral import ReferralFacts, ReferralSubmission
from contracts.responses.referrals import Prospects
from runtime.access.standing import excluded_refusal
from runtime.messaging.ports import Outgoing
from runtime.storage.database import Database
from runtime.telemetry import trace
from runtime.telemetry.spans import NoSpans, Spans, beginning_span
from runtime.turn import Turn
from services.intake.commits import SubmissionCommits
from services.intake.domain.admission import Admission, Caller, Claim, Prepared, Refusal
from services.intake.domain.command import (
    AcceptOffer,
    AddNote,
    CommandBody,
    CompleteReferral,
    DeclineOffer,
    HandBack,
    Replacement,
    ReportProgress,
    facts_of_command,
    name_of,
)
from services.intake.domain.members import (
    Members,
    keys_of,
    paused_until,
    receiver_keys,
    require_good_standing,
)
from services.intake.domain.sealing import require_note_sealed_to, require_sealed, require_sealed_to
from services.intake.domain.submission import (
    referral_facts,
    require_receiver,
    unknown_earlier_referral,
)
from services.intake.ports import NO_SUCH_OFFER, AdmissionStore, Referrals

_NO_SUCH_REFERRAL = "No referral with this id was sent by your organisation or offered to it."

_REPLACED: Final = "The receiver's sealing key was replaced without proof of the earlier key."
_WITHOUT: Final = (
    f"{_REPLACED} No note goes to it before {{until}}: {{step}} without the note, for another reason than"
    " `other`, or wait."
)
_PAUSED: Final[Mapping[type[CommandBody], str]] = {
    AddNote: f"{_REPLACED} No note goes to it before {{until}}: telephone the receiver.",
    DeclineOffer: _WITHOUT.replace("{step}", "decline"),
    HandBack: _WITHOUT.replace("{step}", "hand the referral back"),
}
_CASE_PAUSED: Final = f"{_REPLACED} No case is sealed to it before {{until}}: telephone the receiver."
_NO_PART = "Your organisation is no longer a party to this referral."
_ENDS: Final = frozenset({ReferralCompleted.type, ReferralWithdrawn.type, ReferralFailed.type})
# Referrals in one request to routing, which reads them all at once.
ROLES_AT_ONCE: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command and its subject: the id of an offer or of a referral, depending on the command."""

    body: CommandBody
    subject: str
    claim: Claim | None = None


class IntakeHandlers:
    """Intake's use cases. One instance a process; safe for concurrent greenlets."""

    def __init__(
        self,
        *,
        database: Database,
        store: AdmissionStore,
        commits: SubmissionCommits,
        referrals: Referrals,
        members: Members,
        custody_kids: Callable[[], Collection[str]],
        hub_country: str,
        spans: Spans | None = None,
    ) -> None:
        """commits: of the submissions prepared here. hub_country: the ISO 3166-1 code.

        spans: receives the first span of a trace that begins here; None when tracing is off.
        """
        self.commits = commits
        self._database = database
        self._store = store
        self._referrals = referrals
        self._members = members
        self._custody_kids = custody_kids
        self._hub_country = hub_country
        self._spans = spans or NoSpans()

    def submit_referral(self, caller: Caller, submission: ReferralSubmission, claim: Claim | None) -> str:
        """Return the referral's id once it is committed. Raises Refused (with pointers) and Unavailable."""
        return self.commits.answer(self.prepare_referral(caller, submission, claim))

    def prepare_referral(
        self, caller: Caller, submission: ReferralSubmission, claim: Claim | None
    ) -> Prepared:
        """Return the admission of a referral, or its refusal."""
        claim = claim and claim.understood_as("referral", "", submission)
        try:
            return self._prepared(caller, submission, claim)
        except (Refused, Unavailable) as error:
            return Refusal(organization=caller.organization, error=error, claim=claim, is_referral=True)

    def _prepared(self, caller: Caller, submission: ReferralSubmission, claim: Claim | None) -> Admission:
        _refuse_excluded(caller)
        require_good_standing(self._members, caller.organization)
        if submission.onward_from is not None:
            self._require_offered(submission.onward_from, caller.organization)
            # The acceptor may act on a message of the earlier referral, in its trace. Candidates, who see the
            # trace of each message, must not learn that a referral continues another one.
            caller = replace(caller, traceparent=self._new_trace())
        referral_id = caller.new_referral_id()
        facts = referral_facts(
            submission,
            referral_id=referral_id,
            sender=caller.organization,
            custody_kids=self._custody_kids(),
            hub_country=self._hub_country,
            members=self._members,
        )
        return caller.admission(
            *facts,
            referral_id=referral_id,
            answer_id=referral_id,
            is_referral=True,
            is_emergency=submission.urgency is Urgency.emergency,
            claim=claim,
        )

    def _require_offered(self, referral_id: str, organization: str) -> None:
        """Refuse to continue a referral of other parties. Raises Refused and Unavailable.

        Routing decides whether it is the acceptor, because routing knows when that changes.
        """
        with self._database.read() as transaction:
            known = self._store.shared_with(transaction, {referral_id}, organization)
        # The organisation may have learned of the offer before intake did.
        if not known and not self._referrals.ask(PartyQuery(id=referral_id, organization=organization)):
            raise unknown_earlier_referral()

    def _new_trace(self) -> str:
        """Begin a trace and return its traceparent."""
        at, now = trace.continued(None), time.time_ns()
        if self._spans.samples(at):
            self._spans.add(beginning_span(at, fact=ReferralSubmitted.type, started=now, ended=now))
        return str(at)

    def submit_command(self, caller: Caller, command: Command) -> str:
        """Submit a party's command about its offer or referral; return the submission's id.

        Raises Refused (also `not-found` when the subject belongs to other organisations) and Unavailable.
        """
        (prepared,) = self.prepare_commands(caller, [command])
        return self.commits.answer(prepared)

    def prepare_commands(self, caller: Caller, commands: Sequence[Command]) -> list[Prepared]:
        """Return the admission of each command, or its refusal."""
        known = self._known_subjects(caller.organization, commands)
        roles = self._roles(caller.organization, commands)
        prepared: list[Prepared] = []
        has_waited = False
        turn = Turn()
        for one in commands:
            turn.end_if_over()
            if one.subject not in known:
                if has_waited:
                    # While routing answered, intake may have learned of this subject too.
                    known |= self._known_subjects(caller.organization, [one])
                has_waited = has_waited or one.subject not in known
            claim = one.claim and one.claim.understood_as(name_of(one.body), one.subject, one.body)
            try:
                prepared.append(self._prepared_command(caller, one, known, roles, claim))
            except (Refused, Unavailable) as error:
                prepared.append(Refusal(organization=caller.organization, error=error, claim=claim))
        return prepared

    def preview(self, sender: str, facts: ReferralFacts) -> Prospects:
        """Return the preview of a referral with these facts. Nothing is stored.

        Raises Refused where the submission would be refused whatever its case, and Unavailable.
        """
        require_good_standing(self._members, sender)
        require_receiver(facts, hub_country=self._hub_country, members=self._members)
        return read(Prospects, self._referrals.ask(PreviewQuery(sender=sender, facts=facts)))

    def note_offers(
        self, transaction: Connection, events: Sequence[Envelope], now: dt.datetime
    ) -> Iterable[Outgoing]:
        """Record which offer was made to which organisation, and which cases have left custody.

        A `batches.BatchHandler`.
        """
        offers = [
            (event.data["offer_id"], event.data["referral_id"], event.data["organization"])
            for event in events
            if event.type == OfferOpened.type
        ]
        if offers:
            self._store.note_offers(transaction, offers)
        ended = {event.data["referral_id"] for event in events if event.type in _ENDS}
        if ended:
            self._store.end_custody(transaction, ended)
        return ()

    def _known_subjects(self, organization: str, commands: Sequence[Command]) -> dict[str, str]:
        """Return subject id -> referral id for the subjects that intake knows to be the organisation's."""
        offers = {one.subject for one in commands if one.body.about_offer}
        referrals = {one.subject for one in commands if not one.body.about_offer}
        with self._database.read() as transaction:
            return {
                **self._store.offers_to(transaction, offers, organization),
                **{r: r for r in self._store.shared_with(transaction, referrals, organization)},
            }

    def _roles(self, organization: str, commands: Sequence[Command]) -> dict[str, Role]:
        """Return the organisation's role in each referral that the commands are about.

        Referrals that routing has not read yet are left out. All are left out while routing does not reply,
        or is of an earlier build that does not know this query: routing then refuses later.
        """
        subjects = list(dict.fromkeys(one.subject for one in commands if not one.body.about_offer))
        roles: dict[str, Role] = {}
        try:
            for start in range(0, len(subjects), ROLES_AT_ONCE):
                ids = tuple(subjects[start : start + ROLES_AT_ONCE])
                found = self._referrals.ask(RolesQuery(ids=ids, organization=organization))
                roles.update({referral_id: Role(role) for referral_id, role in found.items()})
        except (Unavailable, Refused) as error:
            drop_frames(error)
        return roles

    def _prepared_command(
        self,
        caller: Caller,
        command: Command,
        known: Mapping[str, str],
        roles: Mapping[str, Role],
        claim: Claim | None,
    ) -> Admission:
        _refuse_excluded(caller)
        if isinstance(command.body, AcceptOffer | ReportProgress | CompleteReferral):
            # An organisation suspended since the offer must not accept, which would release the case to it,
            # nor end a referral that a coordinator has to place elsewhere.
            require_good_standing(self._members, caller.organization)
        if isinstance(command.body, AddNote | DeclineOffer | HandBack) and command.body.note is not None:
            require_sealed(command.body.note, "/note")
        if isinstance(command.body, Replacement):
            to = command.body.to
            kids = self._custody_kids() if to is None else receiver_keys(self._members, to)
            kid = require_sealed_to(command.body.case, kids, "/case")
            if to is not None:
                self._require_unpaused([to], kid, caller.now, _CASE_PAUSED)
        # The organisation may have learned of the subject before intake did; routing then knows it.
        referral_id = known.get(command.subject) or self._ask_routing(command, caller.organization)
        if not command.body.about_offer and (role := roles.get(command.subject)) is not None:
            _require_part(role, command.body)
        if isinstance(command.body, AddNote | DeclineOffer | HandBack) and command.body.note is not None:
            note, paused = command.body.note, _PAUSED[type(command.body)]
            self._require_receivers_key(note, referral_id, caller.organization, caller.now, paused)
        is_emergency = isinstance(command.body, Replacement) and self._replaces_case_of_emergency(
            command.body.to, referral_id, caller.organization
        )
        facts = facts_of_command(
            command.body,
            organization=caller.organization,
            referral_id=referral_id,
            offer_id=command.subject if command.body.about_offer else None,
        )
        return caller.admission(*facts, referral_id=referral_id, is_emergency=is_emergency, claim=claim)

    def _require_receivers_key(
        self, note: str, referral_id: str, author: str, now: dt.datetime, paused: str
    ) -> None:
        """Refuse a note that its receiver cannot open: one that is not sealed to a key of the other party.

        The sender of a referral writes to its acceptor; intake knows the organisations that were offered it.
        Refuse it as well while nothing may be sealed to the receiver's key. paused: the text of that refusal.
        """
        with self._database.read() as transaction:
            submitted = self._store.submitted(transaction, referral_id)
            offered = self._store.offered_to(transaction, referral_id)
        if submitted is None or (author == submitted.sender and not offered):
            # Intake does not know the referral, or not yet. Routing knows every referral.
            view = self._referrals.ask(ReferralQuery(id=referral_id, viewer=author, oversight=False))
            sender, offered = view["sender"], {offer["organization"] for offer in view["offers"]}
        else:
            sender = submitted.sender
        receivers = offered if author == sender else {sender}
        kid = require_note_sealed_to(note, keys_of(self._members, receivers))
        self._require_unpaused(receivers, kid, now, paused)

    def _require_unpaused(self, receivers: Collection[str], kid: str, now: dt.datetime, paused: str) -> None:
        """Refuse at once what the vault would refuse later, so that the caller can act without it."""
        if (until := paused_until(self._members, receivers, kid, now)) is not None:
            raise paused_key(paused, until=until, now=now)

    def _replaces_case_of_emergency(self, organization: str | None, referral_id: str, sender: str) -> bool:
        """Refuse a replacement for an organisation that has not accepted the referral.

        Return whether the referral is an emergency.

        The vault would wait for the acceptance, and keep other cases waiting. organization: None replaces the
        case in custody, which a case for a named receiver never is: the hub must not be able to open it.
        """
        view = self._referrals.ask(ReferralQuery(id=referral_id, viewer=sender, oversight=False))
        if view["sender"] != sender:
            raise Refused("not-a-party", "Only the sender of a referral can replace its case.")
        if organization is None:
            named = (view["facts"] or {}).get("to")
            if named is not None:
                raise Refused("not-in-this-state", f"The case is for {named} alone: seal it to {named}.")
        elif view["acceptor"] != organization:
            raise Refused("not-in-this-state", f"The referral is not accepted by {organization}.")
        return bool((view["facts"] or {}).get("urgency") == Urgency.emergency)

    def _ask_routing(self, command: Command, organization: str) -> str:
        if command.body.about_offer:
            parties = self._referrals.ask(OfferQuery(id=command.subject))
            if parties is None or parties[1] != organization:
                raise Refused("not-found", NO_SUCH_OFFER)
            return str(parties[0])
        if not self._referrals.ask(PartyQuery(id=command.subject, organization=organization)):
            raise Refused("not-found", _NO_SUCH_REFERRAL)
        return command.subject


def _require_part(role: Role, body: CommandBody) -> None:
    """Refuse at once what routing would refuse. Raises Refused `not-a-party`.

    A candidate's acceptance may be in transit to routing, so its reports are left to routing.
    """
    if role is Role.none or (role is Role.sender and body.by_acceptor):
        raise Refused("not-a-party", NOT_THE_ACCEPTOR if body.by_acceptor else _NO_PART)


def refusal(caller: Caller, error: Refused, claim: Claim | None, *, is_referral: bool = False) -> Refusal:
    """Return the refusal of a submission; for an excluded organisation that is always its exclusion."""
    return Refusal(
        organization=caller.organization,
        error=excluded_refusal() if caller.excluded else error,
        claim=claim,
        is_referral=is_referral,
    )


def _refuse_excluded(caller: Caller) -> None:
    if caller.excluded:
        raise excluded_refusal()
