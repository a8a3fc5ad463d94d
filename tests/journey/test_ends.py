"""Ways in which a referral can end or be delayed, the notifications they cause and what is erased."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from contracts.records import plain
from kopuro_client import RefusedError, SealingError
from sandbox.demo.participants import Participant
from tests.journey.running_hub import STRANGER, RunningHub
from tests.journey.waiting import until


def test_withdrawal_by_sender_revokes_offer_and_erases_case(hub: RunningHub) -> None:
    sender, referral_id = hub.submit("wage-claim-osh-moscow")
    asked, offer_id = hub.next_offer(sender, referral_id)
    assert hub.vault_keeps(referral_id)

    sender.hub.withdraw(referral_id, "placed_elsewhere")

    revoked = asked.await_message("offer.revoked", referral_id)
    assert revoked["offer_id"] == offer_id
    assert sender.await_message("referral.withdrawn", referral_id)["reason"] == "placed_elsewhere"
    assert sender.hub.referral(referral_id)["status"] == "withdrawn"
    hub.history(referral_id, last="case.erased")
    assert not hub.vault_keeps(referral_id)
    asked.hub.accept(offer_id)
    assert asked.await_message("answer.refused", referral_id)["problem"]["type"].endswith(":offer-closed")
    _refuses_the_case(asked, referral_id)


def test_revoked_consent_closes_case_to_acceptor(hub: RunningHub) -> None:
    sender, acceptor, referral_id = hub.accepted("wage-claim-osh-moscow")
    assert acceptor.hub.case(referral_id)["name"]

    sender.hub.revoke_consent(referral_id)

    assert acceptor.await_message("referral.withdrawn", referral_id)["reason"] == "consent_revoked"
    assert sender.await_message("referral.withdrawn", referral_id)["reason"] == "consent_revoked"
    hub.history(referral_id, last="case.erased")
    assert not hub.vault_keeps(referral_id)
    until(lambda: _is_refused_the_case(acceptor, referral_id), "the end of the released case")


def test_former_acceptor_reads_nothing_after_hand_back_and_next_one_does(hub: RunningHub) -> None:
    sender, former, referral_id = hub.accepted("wage-claim-osh-moscow")
    assert former.hub.case(referral_id)["name"]

    former.hub.hand_back(referral_id, "out_of_area", note="She moved to Omsk.")

    handed_back = sender.await_message("referral.handed_back", referral_id)
    assert (handed_back["organization"], handed_back["reason"]) == (former.id, "out_of_area")
    explained = sender.await_message("note.delivered", referral_id)
    assert sender.hub.open(explained["note"]) == {"text": "She moved to Omsk."}
    assert former.await_message("referral.handed_back", referral_id) == handed_back
    # Delivery has read the end of the acceptance, from which the notice comes.
    _refuses_the_case(former, referral_id)
    following, offer_id = hub.next_offer(sender, referral_id)
    assert following.id != former.id
    following.hub.accept(offer_id)
    following.await_message("case.released", referral_id)
    assert following.hub.case(referral_id)["name"]
    _refuses_the_case(former, referral_id)
    seen = former.hub.referral(referral_id)
    assert (seen["acceptor"], {offer["state"] for offer in seen["offers"]}) == (None, {"returned"})
    with pytest.raises(RefusedError) as refused:
        former.hub.complete(referral_id, "resolved")
    assert refused.value.type == "urn:kopuro:problem:not-a-party"
    decisions = sender.hub.decision(referral_id)["decisions"]
    assert [one["trigger"] for one in decisions] == ["submitted", "handed_back"]
    hub.history(referral_id, last="hand_back.submitted")
    assert f"{former.id} handed the referral back: outside the area served." in sender.hub.story(referral_id)
    following.hub.complete(referral_id, "resolved")


def test_statement_of_a_past_candidate_is_refused_and_reveals_nothing(hub: RunningHub) -> None:
    sender, referral_id = hub.submit("wage-claim-osh-moscow")
    past, offer_id = hub.next_offer(sender, referral_id)
    past.hub.decline(offer_id, "language")
    sender.await_message("offer.declined", referral_id)
    following, next_offer = hub.next_offer(sender, referral_id)
    assert following.id != past.id

    def answers() -> list[str]:
        found = []
        statements: tuple[Callable[[], object], ...] = (
            lambda: past.hub.progress(referral_id, "in_progress"),
            lambda: past.hub.complete(referral_id, "resolved"),
            lambda: past.hub.hand_back(referral_id, "out_of_area"),
            lambda: past.hub.revoke_consent(referral_id),
        )
        for state in statements:
            with pytest.raises(RefusedError) as refused:
                state()
            found.append(f"{refused.value.type} {refused.value.problem.detail}")
        return found

    while_open = answers()
    following.hub.accept(next_offer)
    following.await_message("case.released", referral_id)
    assert answers() == while_open
    following.hub.complete(referral_id, "resolved")
    sender.await_message("referral.completed", referral_id)
    assert answers() == while_open
    assert "reported progress" not in sender.hub.story(referral_id)
    facts = [step["fact"] for step in sender.hub.referral(referral_id)["timeline"]]
    assert "progress.submitted" not in facts


def test_onward_referral_has_its_own_consent_parties_and_end(hub: RunningHub) -> None:
    key = "wage-claim-osh-moscow"
    facts, case = hub.facts(key), plain(hub.network.referral(key).case)
    sender, former, first = hub.accepted(key)

    second = former.hub.submit(facts, case=case, onward_from=first)["id"]

    told = sender.await_message("referral.referred_onward", first)
    assert (told["organization"], told["onward"]) == (former.id, second)
    following, offer_id = hub.next_offer(former, second)
    assert following.id not in (sender.id, former.id)
    following.hub.accept(offer_id)
    following.await_message("case.released", second)
    sender.hub.revoke_consent(first)
    former.await_message("referral.withdrawn", first)
    assert following.hub.case(second)["name"]
    assert former.hub.referral(second)["onward_from"] == first
    with pytest.raises(RefusedError) as unreadable:
        sender.hub.referral(second)
    assert unreadable.value.type.endswith(":not-found")
    # Intake refuses a caller that is not a party. A party that holds nothing gets its referral back, and the
    # case ends.
    with pytest.raises(RefusedError) as refused:
        hub.organization(STRANGER).hub.submit(facts, case=case, onward_from=first)
    assert [error.pointer for error in refused.value.problem.errors] == ["/onward_from"]
    third = sender.hub.submit(facts, case=case, onward_from=first)["id"]
    assert sender.await_message("referral.failed", third)["reason"] == "not_the_acceptor"
    hub.history(third, last="case.erased")
    assert not hub.vault_keeps(third)
    story = former.hub.story(second)
    assert f"{former.id} referred the person onward with this referral. It continues {first}." in story
    following.hub.complete(second, "resolved")
    former.await_message("referral.completed", second)
    # The person withdraws the second consent too, after the end.
    former.hub.revoke_consent(second)
    assert following.await_message("referral.withdrawn", second)["reason"] == "consent_revoked"
    until(lambda: former.hub.referral(second)["facts"] is None, "the end of the second referral's facts")
    assert former.hub.referral(second)["status"] == "completed"


def test_sender_receives_progress_in_order(hub: RunningHub) -> None:
    sender, acceptor, referral_id = hub.accepted("wage-claim-osh-moscow")

    for status in ("in_progress", "on_hold", "in_progress"):
        acceptor.hub.progress(referral_id, status)
        assert sender.await_message("referral.progressed", referral_id)["status"] == status
        assert sender.hub.referral(referral_id)["status"] == status
    acceptor.hub.complete(referral_id, "partly_resolved")

    assert sender.await_message("referral.completed", referral_id)["outcome"] == "partly_resolved"
    acceptor.hub.progress(referral_id, "on_hold")
    refused = acceptor.await_message("submission.refused", referral_id)
    assert refused["problem"]["type"] == "urn:kopuro:problem:not-in-this-state"
    assert sender.hub.referral(referral_id)["status"] == "completed"


def test_notes_reach_only_the_other_party_in_both_directions(hub: RunningHub) -> None:
    sender, acceptor, referral_id = hub.accepted("wage-claim-osh-moscow")

    acceptor.hub.note(referral_id, "Which foreman signed?", to=sender.id)
    asked = sender.await_message("note.delivered", referral_id)
    assert sender.hub.open(asked["note"]) == {"text": "Which foreman signed?"}
    sender.hub.note(referral_id, "Нурбек, с первого участка.", to=acceptor.id)
    answered = acceptor.await_message("note.delivered", referral_id)

    assert acceptor.hub.open(answered["note"]) == {"text": "Нурбек, с первого участка."}
    assert "foreman" not in asked["note"]
    acceptor.hub.complete(referral_id, "resolved")


def test_acceptor_without_progress_is_reminded(hub: RunningHub) -> None:
    sender, acceptor, referral_id = hub.accepted("emergency")

    reminded = acceptor.await_message("referral.overdue", referral_id)

    assert sender.await_message("referral.overdue", referral_id)["due_at"] == reminded["due_at"]
    assert sender.hub.referral(referral_id)["status"] == "accepted"
    # The reminder is repeated while the referral is overdue.
    assert acceptor.await_message("referral.overdue", referral_id)["due_at"] > reminded["due_at"]
    assert _told_to_coordinators(hub, "referral.overdue", referral_id) == reminded
    acceptor.hub.complete(referral_id, "could_not_reach")
    sender.await_message("referral.completed", referral_id)


def test_referral_declined_by_all_goes_to_coordinator(hub: RunningHub) -> None:
    sender, referral_id = hub.submit("wage-claim-osh-moscow")
    asked: list[str] = []

    while (current := _open_offer(sender, referral_id, after=asked)) is not None:
        player = hub.organization(current)
        offer = player.await_message("offer.opened", referral_id)
        player.hub.decline(offer["offer_id"], "conflict_of_interest")
        asked.append(current)

    sender.await_message("referral.unplaced", referral_id)
    assert len(asked) == len(set(asked)) > 1
    decided = sender.hub.decision(referral_id)["decisions"]
    assert set(asked) == {c["organization"] for c in decided[0]["candidates"] if c["eligible"]}
    (waiting,) = [
        item for item in hub.participants.staff("coordinator").unplaced() if item["id"] == referral_id
    ]
    assert waiting["reason"] == "candidates_exhausted"
    unplaced = _told_to_coordinators(hub, "referral.unplaced", referral_id)
    assert unplaced["reason"] == "candidates_exhausted"


def test_coordinators_receive_outcome_of_placements(hub: RunningHub) -> None:
    sender, referral_id = hub.submit("nobody")
    sender.await_message("referral.unplaced", referral_id)
    coordinator = hub.participants.staff("coordinator")

    with pytest.raises(RefusedError) as refused:
        coordinator.place(referral_id, "ru.no-such-organisation")
    told = _told_to_coordinators(hub, "placement.refused", referral_id)
    assert told["problem"]["type"] == refused.value.problem.type
    assert "kopuro.placement.refused.v1" in {
        entry["type"] for entry in hub.history(referral_id, last="placement.refused")
    }

    house = hub.participants.organization("ru.primorye-seafarers-house")
    coordinator.place(referral_id, house.id)
    house.hub.decline(house.await_message("offer.opened", referral_id)["offer_id"], "conflict_of_interest")
    answered = _told_to_coordinators(hub, "placement.answered", referral_id)
    assert (answered["organization"], answered["result"]) == (house.id, "declined")
    placed = sender.hub.decision(referral_id)["decisions"][1]
    assert placed["overridden"] == ["area_served"]
    hub.history(referral_id, last="placement.answered")
    story = sender.hub.story(referral_id)
    assert f"The offer to {house.id} that a coordinator (" in story
    assert f"{house.id} declined: conflict of interest." in story
    # The house's part has ended with that.
    assert "offer.declined: the content of this entry is no longer available." in house.hub.story(referral_id)


def _told_to_coordinators(hub: RunningHub, fact: str, referral_id: str) -> dict[str, Any]:
    """Return the data of the first such message about the referral in the coordinators' mailbox."""
    for message in hub.participants.staff("coordinator").watch(wait=5, give_up_after=20):
        if message["type"] == f"kopuro.{fact}.v1" and message["data"]["referral_id"] == referral_id:
            return message["data"]
    raise AssertionError(f"the coordinators did not receive {fact} for {referral_id}")


def test_only_named_receiver_can_open_the_case(hub: RunningHub) -> None:
    sample = hub.network.referral("named-lawyer-astana")
    sender, referral_id = hub.submit("named-lawyer-astana")
    receiver, offer_id = hub.next_offer(sender, referral_id)
    assert receiver.id == sample.facts.to

    receiver.hub.accept(offer_id)
    receiver.await_message("case.released", referral_id)

    assert receiver.hub.case(referral_id)["name"] == sample.case.name
    sealed = receiver.hub.sealed_case(referral_id)
    custody_key = json.loads(hub.files.key("custody").read_text(encoding="utf-8"))
    for key in (hub.people["organizations"][sender.id]["sealing_key"], custody_key):
        with pytest.raises(SealingError):
            receiver.hub.open(sealed, key)
    _refuses_the_case(sender, referral_id)
    receiver.hub.decline(offer_id, "language")
    assert receiver.await_message("answer.refused", referral_id)["problem"]["status"] == 409
    receiver.hub.complete(referral_id, "resolved")


def _open_offer(sender: Participant, referral_id: str, *, after: list[str]) -> str | None:
    """Return the organisation with the next offer; None without further candidates."""

    def look() -> str | None:
        referral = sender.hub.referral(referral_id)
        if referral["status"] == "unplaced":
            return ""
        opened = [o["organization"] for o in referral["offers"] if o["state"] == "open"]
        return next((organization for organization in opened if organization not in after), None)

    return until(look, "the next offer") or None


def _is_refused_the_case(player: Participant, referral_id: str) -> bool:
    try:
        player.hub.case(referral_id)
    except RefusedError as refused:
        return refused.type == "urn:kopuro:problem:not-found"
    return False


def _refuses_the_case(player: Participant, referral_id: str) -> None:
    assert _is_refused_the_case(player, referral_id), f"{player.id} was given the case of {referral_id}"
