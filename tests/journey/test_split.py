"""A referral that no one organisation covers, split between organisations by a whole hub."""

from __future__ import annotations

from typing import Any

from admin.read_only_engine import open_read_only
from admin.reconciliation.differences import differences
from admin.reconciliation.service_states import SERVICES, ServiceStates
from contracts.part_id import part_id
from contracts.records import plain
from kopuro_client import RefusedError
from sandbox.demo.participants import Participant
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until

KEY = "wage-claim-osh-moscow"
# In Moscow, organisations of the sample network meet either of them, and none meets both.
NEEDS = ["legal.wage_claim", "information.rights"]


def facts(hub: RunningHub, *, several: bool = True) -> dict[str, Any]:
    stated = hub.facts(KEY)
    return {**stated, "needs": NEEDS, "consent": {**stated["consent"], "several_organizations": several}}


def split(hub: RunningHub) -> tuple[Participant, str, tuple[str, ...]]:
    """Submit a referral that the hub splits; return its sender, its id and the ids of its parts."""
    sender, whole = hub.submit(KEY, **facts(hub))
    told = sender.await_message("referral.split", whole)
    return sender, whole, tuple(told["parts"])


def accepted(hub: RunningHub, sender: Participant, part: str) -> Participant:
    """Let the first candidate of a part accept it and wait for its case; return the acceptor."""
    acceptor, offer_id = hub.next_offer(sender, part)
    acceptor.hub.accept(offer_id)
    acceptor.await_message("case.released", part)
    return acceptor


def test_two_organizations_help_with_one_case_and_the_whole_completes_with_them(hub: RunningHub) -> None:
    sender, whole, parts = split(hub)

    assert parts == (part_id(whole, 1), part_id(whole, 2))
    opened = [sender.await_message("part.opened", part) for part in parts]
    assert [one["facts"]["needs"] for one in opened] == [[need] for need in NEEDS]
    case = plain(hub.network.referral(KEY).case)
    acceptors = [accepted(hub, sender, part) for part in parts]
    assert acceptors[0].id != acceptors[1].id
    for part, acceptor in zip(parts, acceptors, strict=True):
        assert acceptor.hub.case(part) == case
    shown = sender.hub.referral(whole)
    assert shown["status"] == "split"
    assert [(part["id"], part["acceptor"], part["waits_for"]) for part in shown["parts"]] == [
        (part, acceptor.id, [acceptor.id]) for part, acceptor in zip(parts, acceptors, strict=True)
    ]
    listed = [row["id"] for row in sender.hub.referrals() if row.get("part_of") == whole]
    assert sorted(listed) == sorted(parts)
    assert sender.hub.decision(whole)["parts"] == list(parts)
    assert sender.hub.decision(parts[0])["decisions"][0]["trigger"] == "submitted"
    assert f"The referral continues in parts: {', '.join(parts)}." in sender.hub.story(whole)
    assert f"This referral is a part of {whole}" in sender.hub.story(parts[1])

    acceptors[0].hub.complete(parts[0], "resolved")
    assert sender.await_message("referral.completed", parts[0])["organization"] == acceptors[0].id
    until(lambda: _is_refused(acceptors[0], parts[0]), "the end of the first acceptor's access")
    assert hub.vault_keeps(whole)
    assert acceptors[1].hub.case(parts[1]) == case
    acceptors[1].hub.complete(parts[1], "partly_resolved")

    done = sender.await_message("referral.completed", whole)
    assert (done["organization"], done["outcome"]) == (None, "partly_resolved")
    assert sender.hub.referral(whole)["status"] == "completed"
    hub.history(whole, last="case.erased")
    assert not hub.vault_keeps(whole)
    until(lambda: _is_refused(acceptors[1], parts[1]), "the end of the second acceptor's access")
    until(lambda: _agrees(hub, whole, *parts), "the log and the services agree about the whole and its parts")


def test_acceptor_of_a_part_reads_nothing_of_the_whole_or_of_the_other_part(hub: RunningHub) -> None:
    sender, whole, (first, second) = split(hub)
    candidate, offer_id = hub.next_offer(sender, second)
    acceptor = accepted(hub, sender, first)
    shown = str(acceptor.hub.referral(first)) + str(acceptor.hub.story(first))
    for foreign in (whole, second, NEEDS[1], candidate.id):
        assert foreign not in shown, foreign
    # A candidate of the other part that has not accepted reads no case at all.
    for reader, referral in (
        (acceptor, whole),
        (acceptor, second),
        (candidate, whole),
        (candidate, first),
        (candidate, second),
    ):
        assert _is_refused(reader, referral)
    for reader, referral in ((acceptor, whole), (acceptor, second), (candidate, whole), (candidate, first)):
        for ask in (reader.hub.referral, reader.hub.story, reader.hub.decision):
            assert _refused_type(lambda ask=ask, referral=referral: ask(referral)).endswith(":not-found")
    candidate.hub.decline(offer_id, "conflict_of_interest")
    sender.hub.withdraw(whole, "other")


def test_withdrawn_whole_takes_the_case_from_every_acceptor_at_once(hub: RunningHub) -> None:
    sender, whole, (first, second) = split(hub)
    acceptor = accepted(hub, sender, first)
    asked, offer_id = hub.next_offer(sender, second)

    sender.hub.revoke_consent(whole)

    assert acceptor.await_message("referral.withdrawn", first)["reason"] == "consent_revoked"
    assert asked.await_message("offer.revoked", second)["offer_id"] == offer_id
    hub.history(whole, last="case.erased")
    assert not hub.vault_keeps(whole)
    until(lambda: _is_refused(acceptor, first), "the end of the released case")
    asked.hub.accept(offer_id)
    assert asked.await_message("answer.refused", second)["problem"]["type"].endswith(":offer-closed")
    assert {sender.hub.referral(one)["status"] for one in (whole, first, second)} == {"withdrawn"}


def test_part_handed_back_is_opened_by_the_next_acceptor_and_a_case_sent_again_by_its_own(
    hub: RunningHub,
) -> None:
    sender, whole, (first, second) = split(hub)
    former = accepted(hub, sender, first)
    other = accepted(hub, sender, second)
    case = plain(hub.network.referral(KEY).case)

    former.hub.hand_back(first, "out_of_area")

    assert sender.await_message("referral.handed_back", first)["organization"] == former.id
    until(lambda: _is_refused(former, first), "the end of the former acceptor's access")
    following = accepted(hub, sender, first)
    assert following.id != former.id
    assert following.hub.case(first) == case
    following.hub.report_unreadable(first, "cannot_decrypt")
    assert sender.await_message("case.unreadable", first)["organization"] == following.id
    sender.hub.replace_case(first, case)
    following.await_message("case.released", first)
    assert following.hub.case(first) == case
    assert other.hub.case(second) == case
    following.hub.complete(first, "resolved")
    sender.hub.withdraw(second, "placed_elsewhere")
    assert sender.await_message("referral.completed", whole)["outcome"] == "partly_resolved"
    hub.history(whole, last="case.erased")


def test_preview_says_that_the_referral_would_be_split_and_only_with_permission(hub: RunningHub) -> None:
    sender = hub.organization(hub.network.referral(KEY).sender)
    found = sender.hub.preview(facts(hub))
    assert (found["would_split"], [part["needs"] for part in found["parts"]]) == (
        True,
        [[need] for need in NEEDS],
    )
    assert not sender.hub.preview(facts(hub, several=False))["would_split"]


def _agrees(hub: RunningHub, *ids: str) -> bool:
    engines = {service: open_read_only(hub.databases[service]) for service in SERVICES}
    try:
        found = [state for state in ServiceStates(engines).referrals("", 500) if state.referral_id in ids]
    finally:
        for engine in engines.values():
            engine.dispose()
    assert len(found) == len(ids)
    return [difference for state in found for difference in differences(state)] == []


def _refused_type(ask: Any) -> str:
    try:
        ask()
    except RefusedError as refused:
        return str(refused.type)
    return ""


def _is_refused(player: Participant, referral_id: str) -> bool:
    return _refused_type(lambda: player.hub.case(referral_id)) == "urn:kopuro:problem:not-found"
