"""A hub that ran all stories agrees with its log, down to each offer and step."""

from __future__ import annotations

import datetime as dt

import pytest

from admin.read_only_engine import open_read_only
from admin.reconciliation.differences import differences
from admin.reconciliation.mailbox_differences import misplaced_messages
from admin.reconciliation.message_ends import hidden_messages
from admin.reconciliation.replica_differences import replica_differences
from admin.reconciliation.service_states import SERVICES, ServiceStates
from kopuro_client import RefusedError
from tests.journey.running_hub import RunningHub
from tests.journey.test_suspension import suspended
from tests.journey.waiting import until

KEY = "wage-claim-osh-moscow"


def test_hub_agrees_with_its_log_after_all_stories(hub: RunningHub) -> None:
    """The last module on its hub: the referrals of the tests and stories before it are compared too.

    It hands back and declines, after which other organisations come first.
    """
    told = {_handed_back_and_revoked(hub), _suspended(hub), _placed(hub)}

    def differing() -> list[str]:
        engines = {service: open_read_only(hub.databases[service]) for service in SERVICES}
        try:
            states, after = ServiceStates(engines), ""
            found: list[str] = []
            seen: set[str] = set()
            while page := states.referrals(after, 500):
                after = page[-1].referral_id
                seen |= {state.referral_id for state in page}
                found += [f"{one.where}: {one.what}" for state in page for one in differences(state)]
            replicas = states.replicas.replicas()
            made, _ = states.directory.revisions()
            now = dt.datetime.now(dt.UTC)
            logged = states.replicas.logged(replicas, now, 500)
            assert all(replica.complete and replica.records for replica in replicas)
            for replica in replicas:
                found += [
                    f"{one.where}: {one.record}: {one.what}"
                    for one in replica_differences(replica, logged, made, now)
                ]
            sequence = 0
            while messages := states.mailboxes.messages(sequence, 500):
                sequence = messages[-1].sequence
                logged_messages = states.mailboxes.logged([message.message_id for message in messages])
                placed = [message for message in messages if message.key in logged_messages]
                found += [f"{one.where}: {one.what}" for one in misplaced_messages(placed, logged_messages)]
                ends = states.mailboxes.ends({message.referral_id for message in messages})
                of_referrals = [message for message in messages if message.referral_id]
                found += [
                    f"{one.where}: {one.referral_id}: {one.what}"
                    for one in hidden_messages(of_referrals, ends, now)
                ]
            assert sequence
        finally:
            for engine in engines.values():
                engine.dispose()
        assert told <= seen
        return found

    try:
        until(lambda: not differing(), "the agreement of the log and the services")
    except AssertionError as late:
        raise AssertionError(differing()) from late


def _handed_back_and_revoked(hub: RunningHub) -> str:
    sender, former, referral_id = hub.accepted(KEY)
    former.hub.hand_back(referral_id, "out_of_area")
    sender.await_message("referral.handed_back", referral_id)
    following, offer_id = hub.next_offer(sender, referral_id)
    following.hub.accept(offer_id)
    following.await_message("case.released", referral_id)
    sender.hub.revoke_consent(referral_id)
    following.await_message("referral.withdrawn", referral_id)
    hub.history(referral_id, last="case.erased")
    return referral_id


def _suspended(hub: RunningHub) -> str:
    sender, referral_id = hub.submit(KEY, urgency="urgent")
    asked, _ = hub.next_offer(sender, referral_id)
    with suspended(hub, asked.id):
        until(
            lambda: any(offer["state"] == "revoked" for offer in sender.hub.referral(referral_id)["offers"]),
            "the end of the offer",
        )
    sender.hub.withdraw(referral_id, "placed_elsewhere")
    sender.await_message("referral.withdrawn", referral_id)
    return referral_id


def _placed(hub: RunningHub) -> str:
    sender, referral_id = hub.submit("nobody")
    sender.await_message("referral.unplaced", referral_id)
    coordinator = hub.participants.staff("coordinator")
    with pytest.raises(RefusedError):
        coordinator.place(referral_id, "ru.no-such-organisation")
    house = hub.participants.organization("ru.primorye-seafarers-house")
    coordinator.place(referral_id, house.id)
    house.hub.decline(house.await_message("offer.opened", referral_id)["offer_id"], "conflict_of_interest")
    sender.await_message("offer.declined", referral_id)
    return referral_id
