"""The organisations' systems: they read their mailboxes and answer soon, late or never.

They are neither careful nor prompt. An intent is carried out at any later moment, perhaps long after its
offer was closed. A message that was read and not acknowledged is read again, and causes a second intent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from random import Random
from typing import Any

import orjson

from contracts.codes import (
    CoordinatorAct,
    DeclineReason,
    HandBackReason,
    InterventionReason,
    Outcome,
    ProgressStatus,
    Urgency,
    WithdrawalReason,
)
from contracts.errors import Refused, Unavailable
from contracts.facts import InterventionSubmitted
from contracts.referral import ReferralSubmission
from services.intake.domain.admission import Caller, Claim
from services.intake.domain.command import (
    AcceptOffer,
    AddNote,
    CommandBody,
    CompleteReferral,
    DeclineOffer,
    HandBack,
    ReportProgress,
    RevokeConsent,
    WithdrawReferral,
)
from services.intake.handlers import Command
from tests.simulation.network import COORDINATOR, RECEIVERS, SENDERS, SHELTER, WAGES, the_network
from tests.simulation.services import Delivery, Intake, Routing
from tests.simulation.virtual_time import VirtualTime
from tests.unit.services.routing.samples import consent, facts

_PAGE = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """A request that an organisation will send. subject: id of a referral or an offer."""

    organization: str
    said: CommandBody | ReferralSubmission
    subject: str
    key: str


@dataclass
class Partners:
    """admitted: intake's response by the key of the intent. onward: decides which acceptors refer onward.
    splits: decides which referrals have two needs.

    referrals: by id, those of the senders and onward ones.
    """

    random: Random
    time: VirtualTime
    intake: Intake
    routing: Routing
    delivery: Delivery
    onward: Random | None = None
    splits: Random | None = None
    admitted: dict[str, str] = field(default_factory=dict)
    referrals: dict[str, ReferralSubmission] = field(default_factory=dict)
    intents: list[Intent] = field(default_factory=list)
    _senders: dict[str, str] = field(default_factory=dict)
    _keys: int = 0

    # New intents

    def want_to_refer(self) -> None:
        """A sender has a new case: usually sound, sometimes for a named receiver, sometimes unreadable."""
        random, network = self.random, the_network()
        to = random.choice(RECEIVERS) if random.random() < 0.15 else None
        case = network.case if to is None else network.cases[to]
        if to is None and random.random() < 0.1:
            case = network.unreadable
        opted = [kind for kind in ("consular_representative", "state_body") if random.random() < 0.15]
        said = facts(
            urgency=random.choice([Urgency.emergency, Urgency.urgent, Urgency.routine]),
            to=to,
            consent=consent(
                opt_in_kinds=tuple(opted),
                excluded_organizations=tuple(r for r in RECEIVERS if random.random() < 0.15),
            ),
        )
        if to is None and self.splits is not None and self.splits.random() < 0.7:
            needs = self.splits.choice([(WAGES, SHELTER), (SHELTER, WAGES)])
            said = replace(said, needs=needs, consent=replace(said.consent, several_organizations=True))
        values = {item.name: getattr(said, item.name) for item in fields(said)}
        submission = ReferralSubmission(**values, case=case)
        self._want(random.choice(SENDERS), submission, "")

    def with_mail(self) -> list[str]:
        """Return the organisations with unacknowledged messages in their mailboxes."""
        waiting = self.delivery.database.values(
            "SELECT DISTINCT organization FROM mailbox_messages WHERE acknowledged_at IS NULL"
        )
        return sorted({*waiting} & {*SENDERS, *RECEIVERS})

    def read_mailbox(self, organization: str) -> None:
        """Read a page of the mailbox and acknowledge all, some or none of it."""
        try:
            page = self.delivery.handlers.page(organization, after=0, limit=_PAGE, wait=0)
        except Unavailable:
            return
        messages = [orjson.loads(body) for body in page.bodies]
        for message in messages:
            self._come_to_want(organization, message["type"], message["data"])
        if messages and self.random.random() < 0.8:
            seen = (
                messages[: self.random.randint(1, len(messages))] if self.random.random() < 0.2 else messages
            )
            try:
                self.delivery.handlers.acknowledge_all(organization, [message["id"] for message in seen])
            except Unavailable:
                return

    def _come_to_want(self, organization: str, kind: str, data: Mapping[str, Any]) -> None:
        random, chance, referral = self.random, self.random.random(), data.get("referral_id", "")
        match kind:
            case "kopuro.offer.opened.v1":
                self._senders[referral] = data["sender"]
                if chance < 0.5:
                    self._want(organization, AcceptOffer(), data["offer_id"])
                elif chance < 0.75:
                    reasons = [DeclineReason.no_capacity, DeclineReason.language]
                    if self.splits is not None:
                        reasons.append(DeclineReason.conflict_of_interest)
                    decline = DeclineOffer(
                        reason=random.choice(reasons),
                        note=the_network().notes[data["sender"]] if chance < 0.6 else None,
                    )
                    self._want(organization, decline, data["offer_id"])
                if chance < 0.08:  # says both, in whichever order they are carried out
                    self._want(organization, DeclineOffer(reason=DeclineReason.no_capacity), data["offer_id"])
                if chance > 0.95:  # reports on a referral that is not its own
                    self._want(organization, CompleteReferral(outcome=Outcome.resolved), referral)
            case "kopuro.case.released.v1":
                if chance < 0.6:
                    self._want(
                        organization, ReportProgress(status=random.choice(list(ProgressStatus))), referral
                    )
                if chance < 0.5:
                    self._want(organization, CompleteReferral(outcome=random.choice(list(Outcome))), referral)
                if 0.45 < chance < 0.7:  # sometimes beside an outcome, in whichever order
                    hand_back = HandBack(
                        reason=random.choice([HandBackReason.no_capacity, HandBackReason.out_of_area]),
                        note=the_network().notes[self._senders[referral]] if chance < 0.6 else None,
                    )
                    self._want(organization, hand_back, referral)
                if chance > 0.85:
                    self._want(
                        organization, AddNote(note=the_network().notes[self._senders[referral]]), referral
                    )
                if chance > 0.93:
                    self._want(organization, RevokeConsent(), referral)
                if self.onward is not None and self.onward.random() < 0.5:
                    self._want_to_refer_onward(organization, referral, self.onward)
            case "kopuro.offer.accepted.v1" | "kopuro.offer.declined.v1" | "kopuro.referral.progressed.v1":
                if organization in SENDERS and chance < 0.12:
                    self._want(
                        organization, WithdrawReferral(reason=random.choice(list(WithdrawalReason))), referral
                    )
                elif organization in SENDERS and chance < 0.2:
                    self._want(organization, RevokeConsent(), referral)
                elif chance > 0.95:
                    receiver = data["organization"] if organization == data["sender"] else data["sender"]
                    self._want(organization, AddNote(note=the_network().notes[receiver]), referral)

    def _want_to_refer_onward(self, organization: str, earlier: str, random: Random) -> None:
        """The acceptor refers the person onward, seldom to a named organisation."""
        network = the_network()
        to = random.choice(RECEIVERS) if random.random() < 0.2 else None
        said = facts(urgency=random.choice(list(Urgency)), to=to)
        values = {item.name: getattr(said, item.name) for item in fields(said)}
        case = network.case if to is None else network.cases[to]
        self._want(organization, ReferralSubmission(**values, case=case, onward_from=earlier), "")

    def change_mind(self) -> None:
        """A sender withdraws a referral, possibly before it has received any message about it."""
        if self.referrals:
            referral = self.random.choice(list(self.referrals))
            said = self.random.choice(
                [WithdrawReferral(reason=self.random.choice(list(WithdrawalReason))), RevokeConsent()]
            )
            self._want(self.random.choice(SENDERS), said, referral)

    def _want(self, organization: str, said: CommandBody | ReferralSubmission, subject: str) -> None:
        self._keys += 1
        self.intents.append(
            Intent(organization=organization, said=said, subject=subject, key=f"key {self._keys}")
        )

    # Execution of intents

    def act(self) -> None:
        """Carry out one intent. Without a response the request is repeated later under the same key."""
        if not self.intents:
            return
        intent = self.random.choice(self.intents)
        try:
            answer = self._say(intent)
        except Unavailable:
            return
        except Refused:
            self.intents.remove(intent)
            return
        before = self.admitted.setdefault(intent.key, answer)
        assert before == answer, f"{intent.key} was answered {before} and then {answer}"
        if isinstance(intent.said, ReferralSubmission):
            self.referrals[answer] = intent.said
        if self.random.random() < 0.9:  # otherwise the answer was lost on its way
            self.intents.remove(intent)

    def _say(self, intent: Intent) -> str:
        speaker = Caller(
            organization=intent.organization,
            source=self.intake.messenger.source,
            now=self.time.now(),
            traceparent=None,
            new_id=self.time.new_id,
            new_referral_id=self.time.new_id,
        )
        claim = Claim(organization=intent.organization, key=intent.key, fingerprint=intent.key)
        if isinstance(intent.said, ReferralSubmission):
            return self.intake.handlers.submit_referral(speaker, intent.said, claim)
        return self.intake.handlers.submit_command(
            speaker, Command(body=intent.said, subject=intent.subject, claim=claim)
        )

    def place_by_hand(self) -> None:
        """The coordinator places an unplaced referral with an organisation."""
        unplaced = self.routing.queries.unplaced(after=None, limit=10)
        if unplaced:
            self._place(self.random.choice(unplaced).id)

    def move_by_hand(self) -> None:
        """The coordinator places a referral that a suspended organisation holds with another one."""
        if held := self.routing.held_by_suspended():
            self._place(self.random.choice(held))

    def intervene_by_hand(self) -> None:
        """The coordinator reminds an organisation that a referral waits for, or asks others instead."""
        if not (awaited := self.routing.awaited()):
            return
        referral, organization = self.random.choice(awaited)
        intervention = InterventionSubmitted(
            referral_id=referral,
            organization=organization,
            coordinator=COORDINATOR,
            act=self.random.choice([CoordinatorAct.nudge, CoordinatorAct.move_on]),
            reason=self.random.choice(list(InterventionReason)),
        )
        try:
            self.routing.commands.submit_intervention(intervention, self.time.now())
        except (Refused, Unavailable):
            return

    def _place(self, referral: str) -> None:
        try:
            self.routing.commands.submit_placement(
                referral, self.random.choice(RECEIVERS), COORDINATOR, self.time.now()
            )
        except (Refused, Unavailable):
            return
