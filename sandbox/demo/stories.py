"""The five stories. Each plays every organisation's part through the public API, and returns its referral.

Nothing is arranged behind the scenes: who is asked is routing's decision, and a story that does not come
to its end raises.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.records import plain
from kopuro_client import RefusedError
from sandbox.demo.output import DemoOutput
from sandbox.demo.participants import Missed, Participant, Participants
from sandbox.network import SampleNetwork

_SENDER, _RECEIVER, _NETWORK = "green", "yellow", "magenta"


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoHub:
    """What a story plays with."""

    cast: Participants
    network: SampleNetwork
    stage: DemoOutput

    def submit(self, key: str) -> tuple[Participant, str]:
        """The sender of a sample referral submits it, its case sealed."""
        sample = self.network.referral(key)
        sender = self.cast.organization(sample.sender)
        facts = {name: value for name, value in plain(sample.facts).items() if name != "case"}
        accepted = sender.hub.submit(facts, case=plain(sample.case))
        needs = ", ".join(sample.facts.needs)
        self.stage.step(
            sender.id, f"submits {needs} in {sample.facts.region}; the case is sealed", style=_SENDER
        )
        return sender, accepted["id"]

    def offers(self, sender: Participant, referral_id: str, wanted: int = 1) -> list[Participant]:
        """The organisations that are asked now, as soon as so many are."""
        for _ in range(150):
            referral = sender.hub.referral(referral_id)
            open_offers = [offer for offer in referral["offers"] if offer["state"] == "open"]
            if len(open_offers) >= wanted:
                return [self.cast.organization(offer["organization"]) for offer in open_offers]
            if referral["status"] == "unplaced":
                break
            time.sleep(0.1)
        raise Missed(f"{wanted} open offers of {referral_id}")

    def receive_offer(self, player: Participant, referral_id: str) -> Mapping[str, Any]:
        """The offer in a mailbox: it shows the facts, not the person."""
        with self.stage.waiting(f"{player.id} reads its mailbox"):
            offer = player.await_message("offer.opened", referral_id)
        facts = offer["facts"]
        self.stage.step(
            player.id,
            f"is asked: {facts['sex']}, {facts['age_band']}, speaks {', '.join(facts['languages'])}; no name",
            style=_RECEIVER,
        )
        return offer

    def take_and_close(
        self, player: Participant, sender: Participant, referral_id: str, offer_id: str
    ) -> None:
        """Acceptance, the case, progress, the outcome: the loop is closed."""
        player.hub.accept(offer_id)
        self.stage.step(player.id, "accepts", style=_RECEIVER)
        with self.stage.waiting("the vault releases the case"):
            player.await_message("case.released", referral_id)
        case = player.hub.case(referral_id)
        self.stage.step(
            player.id,
            f"opens the case with its own key: {case['name']}, {case['phones'][0]}",
            style=_RECEIVER,
        )
        sender.await_message("offer.accepted", referral_id)
        self.stage.step(sender.id, f"is told: {player.name} has taken it", style=_SENDER)
        player.hub.progress(referral_id, "in_progress")
        sender.await_message("referral.progressed", referral_id)
        player.hub.complete(referral_id, "resolved")
        self.stage.step(player.id, "reports: in progress, then resolved", style=_RECEIVER)
        told = sender.await_message("referral.completed", referral_id)
        self.stage.step(sender.id, f"is told: {told['outcome']}. The loop is closed", style=_SENDER)
        status = sender.hub.referral(referral_id)["status"]
        if status != "completed":
            raise Missed(f"{referral_id} completed; it is {status}")


def second_candidate(theatre: DemoHub) -> str:
    """The first organisation declines; the second one takes the case."""
    sender, referral_id = theatre.submit("second-candidate")
    (first,) = theatre.offers(sender, referral_id)
    offer = theatre.receive_offer(first, referral_id)
    first.hub.decline(offer["offer_id"], "no_capacity", note="Our lawyers are full until next month.")
    theatre.stage.step(first.id, "declines: no capacity", style=_RECEIVER)
    declined = sender.await_message("offer.declined", referral_id)
    note = sender.await_message("note.delivered", referral_id)["note"]
    why = f"{declined['reason']}; its sealed note says: {sender.hub.open(note)['text']}"
    theatre.stage.step(sender.id, f"is told why: {why}", style=_SENDER)
    (second,) = theatre.offers(sender, referral_id)
    offer = theatre.receive_offer(second, referral_id)
    theatre.take_and_close(second, sender, referral_id, offer["offer_id"])
    return referral_id


def expires(theatre: DemoHub) -> str:
    """The first organisation stays silent; at the deadline the next one is asked."""
    sender, referral_id = theatre.submit("expires")
    (first,) = theatre.offers(sender, referral_id)
    offer = theatre.receive_offer(first, referral_id)
    theatre.stage.aside("It says nothing. The demo's policy gives it four seconds instead of three days.")
    with theatre.stage.waiting("the deadline approaches"):
        sender.await_message("offer.expired", referral_id)
    theatre.stage.step("network", f"the offer to {first.id} has expired", style=_NETWORK)
    (second,) = theatre.offers(sender, referral_id)
    following = theatre.receive_offer(second, referral_id)
    first.hub.accept(offer["offer_id"])
    refused = first.await_message("answer.refused", referral_id)
    theatre.stage.step(
        first.id, f"accepts too late, and is refused: {refused['problem']['detail']}", style=_RECEIVER
    )
    theatre.take_and_close(second, sender, referral_id, following["offer_id"])
    return referral_id


def consulate_forbidden(theatre: DemoHub) -> str:
    """The consulate would be the nearest, and must not be told: the rule fails closed."""
    sender, referral_id = theatre.submit("consulate-forbidden")
    (only,) = theatre.offers(sender, referral_id)
    offer = theatre.receive_offer(only, referral_id)
    decision = sender.hub.decision(referral_id)["decisions"][0]
    kept_out = [
        candidate["organization"]
        for candidate in decision["candidates"]
        if any(rule["reason"] == "kind_not_opted_in" for rule in candidate["rules"])
    ]
    if not kept_out:
        raise Missed("a consular representative among the candidates that were kept out")
    for organization in sorted(set(kept_out)):
        player = theatre.cast.organization(organization)
        mine = [m for m in player.hub.mailbox()["items"] if m["data"].get("referral_id") == referral_id]
        if mine:
            raise Missed(f"an empty mailbox at {organization}")
        theatre.stage.step(organization, "kept out: the person has not opted in to this kind", style="red")
    theatre.take_and_close(only, sender, referral_id, offer["offer_id"])
    return referral_id


def nobody(theatre: DemoHub) -> str:
    """Nobody can take it: it does not vanish, it lies before a coordinator, who places it by hand."""
    sender, referral_id = theatre.submit("nobody")
    sender.await_message("referral.unplaced", referral_id)
    theatre.stage.step("network", "no candidate: the referral lies before the coordinator", style=_NETWORK)
    coordinator = theatre.cast.staff("coordinator")
    waiting = [item["id"] for item in coordinator.unplaced()]
    if referral_id not in waiting:
        raise Missed(f"{referral_id} among the unplaced")
    chosen = theatre.cast.organization("ru.primorye-seafarers-house")
    coordinator.place(referral_id, chosen.id)
    theatre.stage.step("coordinator", f"telephones, then offers it by hand to {chosen.id}", style=_NETWORK)
    offer = theatre.receive_offer(chosen, referral_id)
    theatre.take_and_close(chosen, sender, referral_id, offer["offer_id"])
    return referral_id


def emergency(theatre: DemoHub) -> str:
    """Three are asked at once; the first to accept takes it, the others are told that it is taken."""
    sender, referral_id = theatre.submit("emergency")
    asked = theatre.offers(sender, referral_id, wanted=3)
    offers = {player.id: theatre.receive_offer(player, referral_id) for player in asked}
    quickest, *others = reversed(asked)
    theatre.take_and_close(quickest, sender, referral_id, offers[quickest.id]["offer_id"])
    for player in others:
        player.await_message("offer.revoked", referral_id)
        theatre.stage.step(player.id, "is told: taken by another, nothing to do", style=_RECEIVER)
        try:
            player.hub.case(referral_id)
        except RefusedError:
            continue
        raise Missed(f"a refusal of the case to {player.id}")
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
    "expires": "Silence has a deadline",
    "consulate-forbidden": "The consulate is not told",
    "nobody": "Nobody, and then somebody",
    "emergency": "Three at once",
}
