"""The views that each party has of a referral and of the hub."""

from __future__ import annotations

from typing import Any

import pytest

from kopuro_client import Kopuro, RefusedError
from kopuro_client.records import Message
from sandbox.demo.participants import Participant
from sandbox.hub_files import SERVICES
from tests.journey.running_hub import STRANGER, RunningHub
from tests.journey.waiting import until


def test_each_party_sees_only_its_own_part(hub: RunningHub) -> None:
    sender, referral_id = hub.submit("wage-claim-osh-moscow")
    declined, offer_id = hub.next_offer(sender, referral_id)
    declined.hub.decline(offer_id, "language")
    sender.await_message("offer.declined", referral_id)
    acceptor, offer_id = hub.next_offer(sender, referral_id)
    acceptor.hub.accept(offer_id)
    sender.await_message("offer.accepted", referral_id)
    acceptor.await_message("case.released", referral_id)
    acceptor.hub.complete(referral_id, "resolved")
    sender.await_message("referral.completed", referral_id)

    whole = sender.hub.referral(referral_id)
    assert (whole["acceptor"], whole["outcome"]) == (acceptor.id, "resolved")
    assert [o["organization"] for o in whole["offers"]] == [declined.id, acceptor.id]
    assert whole["facts"] is not None
    assert whole["facts"]["consent"]["given"] is True
    assert hub.participants.staff("coordinator").referral(referral_id) == whole
    assert hub.participants.staff("auditor").referral(referral_id) == whole

    theirs = declined.hub.referral(referral_id)
    assert (theirs["acceptor"], theirs["outcome"]) == (None, None)
    assert [o["organization"] for o in theirs["offers"]] == [declined.id]
    assert {step["organization"] for step in theirs["timeline"]} == {declined.id}
    assert acceptor.id not in str(theirs)
    assert theirs["facts"] is None
    listed = [item for item in declined.hub.referrals() if item["id"] == referral_id]
    assert [(item["acceptor"], item["needs"], item["region"]) for item in listed] == [(None, None, None)]

    taken = acceptor.hub.referral(referral_id)
    assert (taken["acceptor"], taken["outcome"]) == (acceptor.id, "resolved")
    assert declined.id not in str(taken)

    _is_nothing_to(hub.organization(STRANGER).hub, referral_id)
    with pytest.raises(RefusedError) as refused:
        declined.hub.sealed_case(referral_id)
    assert refused.value.status == 404


def test_candidate_does_not_see_other_candidates(hub: RunningHub) -> None:
    sender, referral_id = hub.submit("wage-claim-osh-moscow")
    asked, _ = hub.next_offer(sender, referral_id)

    (decision,) = sender.hub.decision(referral_id)["decisions"]
    others = {candidate["organization"] for candidate in decision["candidates"]} - {asked.id}
    assert others
    with pytest.raises(RefusedError) as refused:
        asked.hub.decision(referral_id)
    assert (refused.value.status, refused.value.type) == (403, "urn:kopuro:problem:forbidden")
    shown = str(asked.hub.referral(referral_id))
    assert [organization for organization in others if organization in shown] == []
    sender.hub.withdraw(referral_id, "entered_in_error")
    sender.await_message("referral.withdrawn", referral_id)


def test_preview_counts_candidates_and_submits_nothing(hub: RunningHub) -> None:
    sender = hub.organization(hub.network.referral("wage-claim-osh-moscow").sender)
    facts, before = hub.facts("wage-claim-osh-moscow"), [one["id"] for one in sender.hub.referrals()]
    found = sender.hub.preview(facts)
    assert found["candidates"] in ("1-4", "5-19")
    assert found["only_by_kind"].keys() == set(facts["consent"]["opt_in_kinds"])
    both = sender.hub.preview({**facts, "needs": [*facts["needs"][:1], "consular.passport"]})
    assert sorted(need for part in both["parts"] for need in part["needs"]) == sorted(
        [facts["needs"][0], "consular.passport"]
    )
    assert [one["id"] for one in sender.hub.referrals()] == before


def test_employer_is_watched_after_reports_of_two_unrelated_organizations(hub: RunningHub) -> None:
    """Only the recipients learn who reported; the coordinator enters the employer's reply."""
    inspection, union = (
        hub.organization(name) for name in ("kg.labour-inspection-south", "kg.builders-union")
    )
    first, branch, second, third = (
        hub.organization(name)
        for name in ("kg.osh-legal-aid", "kg.osh-legal-aid-batken", "kg.find-the-road", "kg.suusar-hotline")
    )
    for receiving in (inspection, union):
        assert receiving.hub.watch_opt_in(receives=True)["receives"]
    employer = {"name": "Stroy (invented)", "kind": "employer", "country": "RU", "region": "RU-MOW"}

    def report(by: Participant, **options: Any) -> str:
        return by.hub.report_employer(
            employer,
            practices=["passport_kept"],
            first_month="2026-01",
            last_month="2026-01",
            evidence=f"Seen by {by.id}.",
            **options,
        )["id"]

    reported = report(first, to=[inspection.id], idempotency_key="one")
    assert report(branch, to=[inspection.id]) != reported
    assert third.hub.watched_page(country="RU")["items"] == []

    messages: list[Message] = []
    while len(messages) < 2:
        arrived = inspection.hub.mailbox(types=["employer_report.delivered"], wait=10)["items"]
        assert arrived, "no watch report arrived within ten seconds"
        messages += arrived
        for message in arrived:
            inspection.hub.acknowledge(message["id"])
    told = {one["data"]["report_id"]: one["data"] for one in messages}
    assert told[reported]["reporter"] == first.id
    assert inspection.hub.open_note(told[reported]["evidence"]) == f"Seen by {first.id}."
    # The union opted in, but this evidence is not for it.
    assert union.hub.mailbox(types=["employer_report.delivered"])["items"] == []

    report(second)
    (entry,) = third.hub.watched_page(country="RU", name="stroy")["items"]
    assert (entry["practices"], entry["reporters"]) == (["passport_kept"], "two_to_four")
    for reporter in (first, branch, second):
        assert reporter.id not in str(entry)
    reply = hub.participants.staff("coordinator").reply_for_employer(
        entry["id"], "The passports were returned."
    )
    assert third.hub.watched(entry["id"])["reply"] == reply["reply"]

    def reasons() -> list[str | None]:
        """Return the ends of the inspection's reports; None: its content can be read."""
        again = inspection.hub.mailbox(since="2026-01-01T00:00:00Z", limit=200)["items"]
        ids = {message["id"] for message in messages}
        found = [message["data"].get("reason") for message in again if message["id"] in ids]
        assert len(found) == len(ids)
        return found

    # A report can be read again, until its end erases the reporter's name and the evidence.
    assert reasons() == [None, None]
    first.hub.retract_watch_report(reported)
    until(lambda: sorted(map(str, reasons())) == ["None", "retracted"], "the end of the retracted report")
    inspection.hub.watch_opt_in(receives=False)
    until(lambda: sorted(map(str, reasons())) == ["opted_out", "retracted"], "the end of the other one")
    # A report must go to somebody who is not related to its reporter.
    with pytest.raises(RefusedError) as refused:
        report(union, to=[union.id])
    assert refused.value.status == 422


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_ready_and_serves_metrics(hub: RunningHub, service: str) -> None:
    assert hub.operations(service, "/healthz").status_code == 200
    assert hub.operations(service, "/readyz").status_code == 200
    metrics = hub.operations(service, "/metrics")
    assert metrics.status_code == 200
    assert "# TYPE kopuro_messages_published_total counter" in metrics.text
    assert "process_resident_memory_bytes" in metrics.text


def _is_nothing_to(hub: Kopuro, referral_id: str) -> None:
    for ask in (
        lambda: hub.referral(referral_id),
        lambda: hub.decision(referral_id),
        lambda: hub.sealed_case(referral_id),
        lambda: hub.withdraw(referral_id, "other"),
        lambda: hub.revoke_consent(referral_id),
        lambda: hub.complete(referral_id, "resolved"),
        lambda: hub.hand_back(referral_id, "language"),
    ):
        with pytest.raises(RefusedError) as refused:
            ask()
        assert (refused.value.status, refused.value.type) == (404, "urn:kopuro:problem:not-found")
    assert referral_id not in [item["id"] for item in hub.referrals()]
