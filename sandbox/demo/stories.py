"""The demo's five stories. Each acts for all organisations and returns its referral's id.

The stories use nothing but the public API, and routing decides which organisations get an offer. A story that
does not complete raises DemoError.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.records import plain
from kopuro_client import RefusedError
from sandbox.demo.output import DemoOutput
from sandbox.demo.participants import DemoError, Participant, Participants
from sandbox.network import SampleNetwork

_SENDER, _RECEIVER, _NETWORK = "green", "yellow", "magenta"


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoHub:
    """The hub as the stories use it: its participants, the sample network, the output."""

    participants: Participants
    network: SampleNetwork
    output: DemoOutput

    def submit(self, key: str) -> tuple[Participant, str]:
        """Submit a sample referral with its case sealed; return its sender and its id."""
        sample = self.network.referral(key)
        sender = self.participants.organization(sample.sender)
        facts = {name: value for name, value in plain(sample.facts).items() if name != "case"}
        accepted = sender.hub.submit(facts, case=plain(sample.case))
        needs = ", ".join(sample.facts.needs)
        self.output.step(
            sender.id,
            f"submits a referral: {needs} in {sample.facts.region}; the case is sealed",
            style=_SENDER,
        )
        return sender, accepted["id"]

    def offers(self, sender: Participant, referral_id: str, wanted: int = 1) -> list[Participant]:
        """Return the organisations with an open offer, once there are `wanted` of them. Raises DemoError."""
        for _ in range(150):
            referral = sender.hub.referral(referral_id)
            open_offers = [offer for offer in referral["offers"] if offer["state"] == "open"]
            if len(open_offers) >= wanted:
                return [self.participants.organization(offer["organization"]) for offer in open_offers]
            if referral["status"] == "unplaced":
                break
            time.sleep(0.1)
        raise DemoError(f"{referral_id} has fewer than {wanted} open offers")

    def receive_offer(self, participant: Participant, referral_id: str) -> Mapping[str, Any]:
        """Read the offer from a mailbox. It contains the facts of the referral, not the person's name."""
        with self.output.waiting(f"{participant.id} reads its mailbox"):
            offer = participant.await_message("offer.opened", referral_id)
        facts = offer["facts"]
        self.output.step(
            participant.id,
            f"receives an offer: {facts['sex']}, {facts['age_band']}, "
            f"speaks {', '.join(facts['languages'])}; no name",
            style=_RECEIVER,
        )
        return offer

    def take_and_close(
        self, participant: Participant, sender: Participant, referral_id: str, offer_id: str
    ) -> None:
        """Accept the offer, read the case, report progress and the outcome: the loop is closed."""
        participant.hub.accept(offer_id)
        self.output.step(participant.id, "accepts the offer", style=_RECEIVER)
        with self.output.waiting("the vault releases the case"):
            participant.await_message("case.released", referral_id)
        case = participant.hub.case(referral_id)
        self.output.step(
            participant.id,
            f"opens the case with its own key: {case['name']}, {case['phones'][0]}",
            style=_RECEIVER,
        )
        sender.await_message("offer.accepted", referral_id)
        self.output.step(sender.id, f"learns that {participant.name} accepted", style=_SENDER)
        participant.hub.progress(referral_id, "in_progress")
        sender.await_message("referral.progressed", referral_id)
        participant.hub.complete(referral_id, "resolved")
        self.output.step(participant.id, "reports progress, then the outcome: resolved", style=_RECEIVER)
        completed = sender.await_message("referral.completed", referral_id)
        self.output.step(
            sender.id, f"receives the outcome: {completed['outcome']}. The loop is closed", style=_SENDER
        )
        status = sender.hub.referral(referral_id)["status"]
        if status != "completed":
            raise DemoError(f"{referral_id} should be completed; it is {status}")


def second_candidate(demo: DemoHub) -> str:
    """The first organisation declines; the second one accepts."""
    sender, referral_id = demo.submit("second-candidate")
    (first,) = demo.offers(sender, referral_id)
    offer = demo.receive_offer(first, referral_id)
    first.hub.decline(offer["offer_id"], "no_capacity", note="Our lawyers are full until next month.")
    demo.output.step(first.id, "declines the offer: no capacity", style=_RECEIVER)
    declined = sender.await_message("offer.declined", referral_id)
    note = sender.await_message("note.delivered", referral_id)["note"]
    reason = f"{declined['reason']}; sealed note: {sender.hub.open(note)['text']}"
    demo.output.step(sender.id, f"receives the reason: {reason}", style=_SENDER)
    (second,) = demo.offers(sender, referral_id)
    offer = demo.receive_offer(second, referral_id)
    demo.take_and_close(second, sender, referral_id, offer["offer_id"])
    return referral_id


def expires(demo: DemoHub) -> str:
    """The first organisation does not answer; after the deadline the next one gets an offer."""
    sender, referral_id = demo.submit("expires")
    (first,) = demo.offers(sender, referral_id)
    offer = demo.receive_offer(first, referral_id)
    demo.output.note(
        "It does not answer. The demo's policy sets a deadline of four seconds instead of three days."
    )
    with demo.output.waiting("waiting for the deadline"):
        sender.await_message("offer.expired", referral_id)
    demo.output.step("network", f"the offer to {first.id} expires", style=_NETWORK)
    (second,) = demo.offers(sender, referral_id)
    following = demo.receive_offer(second, referral_id)
    first.hub.accept(offer["offer_id"])
    refusal = first.await_message("answer.refused", referral_id)
    demo.output.step(
        first.id, f"accepts too late and is refused: {refusal['problem']['detail']}", style=_RECEIVER
    )
    demo.take_and_close(second, sender, referral_id, following["offer_id"])
    return referral_id


def consulate_forbidden(demo: DemoHub) -> str:
    """The consulate is nearest but gets no offer without the person's opt-in: the rule fails closed."""
    sender, referral_id = demo.submit("consulate-forbidden")
    (only,) = demo.offers(sender, referral_id)
    offer = demo.receive_offer(only, referral_id)
    decision = sender.hub.decision(referral_id)["decisions"][0]
    excluded = [
        candidate["organization"]
        for candidate in decision["candidates"]
        if any(rule["reason"] == "kind_not_opted_in" for rule in candidate["rules"])
    ]
    if not excluded:
        raise DemoError("no consular representative is among the excluded candidates")
    for organization in sorted(set(excluded)):
        participant = demo.participants.organization(organization)
        messages = [
            m for m in participant.hub.mailbox()["items"] if m["data"].get("referral_id") == referral_id
        ]
        if messages:
            raise DemoError(f"the mailbox of {organization} should be empty")
        demo.output.step(
            organization, "excluded: the person has not opted in to this kind of organisation", style="red"
        )
    demo.take_and_close(only, sender, referral_id, offer["offer_id"])
    return referral_id


def nobody(demo: DemoHub) -> str:
    """No organisation is eligible: the referral goes to a coordinator, who places it by hand."""
    sender, referral_id = demo.submit("nobody")
    sender.await_message("referral.unplaced", referral_id)
    demo.output.step("network", "finds no candidate: the referral goes to the coordinator", style=_NETWORK)
    coordinator = demo.participants.staff("coordinator")
    unplaced = [item["id"] for item in coordinator.unplaced()]
    if referral_id not in unplaced:
        raise DemoError(f"{referral_id} is not among the unplaced referrals")
    chosen = demo.participants.organization("ru.primorye-seafarers-house")
    coordinator.place(referral_id, chosen.id)
    demo.output.step(
        "coordinator", f"telephones, then places the referral with {chosen.id} by hand", style=_NETWORK
    )
    offer = demo.receive_offer(chosen, referral_id)
    demo.take_and_close(chosen, sender, referral_id, offer["offer_id"])
    return referral_id


def emergency(demo: DemoHub) -> str:
    """Three organisations get an offer at once; the first to accept gets the case."""
    sender, referral_id = demo.submit("emergency")
    candidates = demo.offers(sender, referral_id, wanted=3)
    offers = {participant.id: demo.receive_offer(participant, referral_id) for participant in candidates}
    quickest, *others = reversed(candidates)
    demo.take_and_close(quickest, sender, referral_id, offers[quickest.id]["offer_id"])
    for participant in others:
        participant.await_message("offer.revoked", referral_id)
        demo.output.step(
            participant.id, "learns that its offer is revoked: another organisation accepted", style=_RECEIVER
        )
        try:
            participant.hub.case(referral_id)
        except RefusedError:
            continue
        raise DemoError(f"the case should be refused to {participant.id}")
    return referral_id


STORIES: Mapping[str, Callable[[DemoHub], str]] = {
    "second-candidate": second_candidate,
    "expires": expires,
    "consulate-forbidden": consulate_forbidden,
    "nobody": nobody,
    "emergency": emergency,
}
TITLES = {
    "second-candidate": "The second candidate",
    "expires": "No answer before the deadline",
    "consulate-forbidden": "The consulate gets no offer",
    "nobody": "No candidate: placed by hand",
    "emergency": "Emergency: three offers at once",
}
