"""A member that was suspended, has left, or is inactive uses what it still holds: tokens, secrets, offers.

A past candidate and a past acceptor look for the facts of a referral that is no longer theirs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from contracts.codes import ReferralStatus
from kopuro_client import RefusedError
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.support.partners import ask_for_token
from tests.threats.guarded_resources import resources_for
from tests.threats.operator import changed_record
from tests.threats.readmission import SECONDS, readmitted_after, refuses

MEMBER = "kg.second-harvest"
EXCLUSIONS: Mapping[str, Mapping[str, Any]] = {
    "suspended": {"vetting": "suspended"},
    "left": {"vetting": "left"},
    "inactive": {"active": False},
}
# A language that no sample organisation speaks and no other referral names, and its label in a story.
CANARY, CANARY_LABEL = "dng", "Dungan"
OWN_RECORD = "directory GET /v1/organizations/<id>"
exclusions = pytest.mark.parametrize("exclusion", EXCLUSIONS)


def poll(hub: RunningHub, token: str, *, wait: int, after: str | None = None) -> httpx.Response:
    return httpx.get(
        f"{hub.address('delivery')}/v1/mailbox",
        params={"wait": wait, "limit": 200, **({} if after is None else {"after": after})},
        headers={"Authorization": f"Bearer {token}"},
        timeout=40,
    )


def end_of_mailbox(hub: RunningHub, token: str) -> str | None:
    """Return the cursor behind every message that is waiting."""
    after: str | None = None
    while True:
        page: dict[str, Any] = poll(hub, token, wait=0, after=after).json()
        after = page["resume"]
        if page["next"] is None:
            return after


@contextmanager
def excluded(hub: RunningHub, organization: str, exclusion: str) -> Iterator[None]:
    """Exclude an organisation for the block, and return when every service admits it again."""
    with (
        readmitted_after(hub, organization),
        changed_record(hub, organization, **EXCLUSIONS[exclusion]),
    ):
        yield


@exclusions
def test_every_resource_refuses_the_member_within_five_seconds(hub: RunningHub, exclusion: str) -> None:
    token = hub.token(MEMBER)
    resources = resources_for("partner")
    assert len({resource.service for resource in resources}) == 5
    with excluded(hub, MEMBER, exclusion):
        changed = time.monotonic()
        waiting = {str(resource): resource for resource in resources}
        while waiting:
            refused = [name for name, resource in waiting.items() if refuses(resource, hub, token)]
            for name in refused:
                del waiting[name]
            assert time.monotonic() < changed + SECONDS, sorted(waiting)
        # Once a request is refused, all later ones are; the member can read its own record only.
        own = {"id": MEMBER}
        answers = {
            str(resource): resource.refusal(hub, token, **(own if str(resource) == OWN_RECORD else {}))
            for resource in resources
        }
        assert answers.pop(OWN_RECORD) == (200, "")
        assert answers == dict.fromkeys(answers, (403, "forbidden"))


@exclusions
def test_member_gets_no_token(hub: RunningHub, exclusion: str) -> None:
    credentials = hub.people["organizations"][MEMBER]
    pair = (credentials["client_id"], credentials["client_secret"])
    with excluded(hub, MEMBER, exclusion):
        answer = ask_for_token(hub.address("directory"), *pair)
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:kopuro:problem:unauthorized-client")
        assert answer.json()["error"] == "unauthorized_client"
        assert "suspended, inactive" in answer.json()["detail"]
    assert ask_for_token(hub.address("directory"), *pair).status_code == 200


@exclusions
def test_open_long_poll_ends_with_the_refusal(hub: RunningHub, exclusion: str) -> None:
    token = hub.token(MEMBER)
    after = end_of_mailbox(hub, token)
    with ThreadPoolExecutor(1) as pool:
        polling = pool.submit(poll, hub, token, wait=30, after=after)
        until(lambda: polls_in_progress(hub) == 1, "the poll")
        with excluded(hub, MEMBER, exclusion):
            answer = polling.result(SECONDS)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:kopuro:problem:forbidden")


def polls_in_progress(hub: RunningHub) -> float:
    metrics = hub.operations("delivery", "/metrics").text
    return sum(
        float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith("kopuro_http_requests_in_flight ")
    )


@exclusions
def test_open_offer_is_revoked_and_made_to_the_next(hub: RunningHub, exclusion: str) -> None:
    sender, referral_id = hub.submit("wage-claim-osh-moscow", urgency="urgent")
    asked, offer_id = hub.next_offer(sender, referral_id)
    token = hub.token(asked.id)
    with excluded(hub, asked.id, exclusion):

        def following() -> Mapping[str, Any] | None:
            offers = sender.hub.referral(referral_id)["offers"]
            return next((o for o in offers if o["state"] == "open" and o["organization"] != asked.id), None)

        until(following, "the next offer", within=SECONDS)
        (revoked,) = [o for o in sender.hub.referral(referral_id)["offers"] if o["id"] == offer_id]
        assert (revoked["state"], revoked["reason"]) == ("revoked", "organization_suspended")
        answer = httpx.post(
            f"{hub.address('intake')}/v1/offers/{offer_id}/accept",
            json={},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.status_code == 403, answer.text
    sender.hub.withdraw(referral_id, "placed_elsewhere")


def test_coordinator_revokes_consent_for_the_suspended_sender(hub: RunningHub) -> None:
    sender, referral_id = hub.submit("wage-claim-osh-moscow", urgency="urgent")
    acceptor, offer_id = hub.next_offer(sender, referral_id)
    acceptor.hub.accept(offer_id)
    acceptor.await_message("case.released", referral_id)
    coordinator = hub.participants.staff("coordinator")
    with pytest.raises(RefusedError, match="can withdraw the referral itself"):
        coordinator.withdraw_for(referral_id, sender.id, "consent_revoked")
    with changed_record(hub, sender.id, **EXCLUSIONS["suspended"]):

        def withdrawn() -> bool:
            try:
                coordinator.withdraw_for(referral_id, sender.id, "consent_revoked")
            except RefusedError as refusal:
                if refusal.type != "urn:kopuro:problem:conflict":
                    raise
                return False  # routing has not read the suspension yet
            return True

        until(withdrawn, "the suspension in routing's replica", within=SECONDS)
        told = acceptor.await_message("referral.withdrawn", referral_id)
        assert (told["reason"], told["coordinator"]) == ("consent_revoked", "kg.coordinator")
        with pytest.raises(RefusedError):
            acceptor.hub.sealed_case(referral_id)
        types = {entry["type"] for entry in hub.history(referral_id, last="referral.withdrawn")}
        assert "kopuro.coordinator_withdrawal.submitted.v1" in types
    # The sender is notified when it is readmitted.
    token = hub.token(sender.id)
    until(lambda: poll(hub, token, wait=0).status_code == 200, "the readmission", within=SECONDS)
    assert sender.await_message("referral.withdrawn", referral_id)["coordinator"] == "kg.coordinator"


def test_past_candidate_and_past_acceptor_read_no_facts_at_any_resource(hub: RunningHub) -> None:
    languages = [*hub.facts("wage-claim-osh-moscow")["languages"], CANARY]
    sender, referral_id = hub.submit("wage-claim-osh-moscow", urgency="urgent", languages=languages)
    candidate, offer_id = hub.next_offer(sender, referral_id)
    assert "intake GET /v1/referrals/<id>" in resources_with_facts(hub, candidate.id, referral_id)

    candidate.hub.decline(offer_id, "language")
    sender.await_message("offer.declined", referral_id)
    acceptor, offer_id = hub.next_offer(sender, referral_id)
    hub.history(referral_id, last="directory_correction.suggested")
    frozen = everything_about(hub, candidate.id, referral_id)
    acceptor.hub.accept(offer_id)
    acceptor.await_message("case.released", referral_id)
    sender.hub.note(referral_id, "The bus leaves at six.", to=acceptor.id)
    note = acceptor.await_message("note.delivered", referral_id)["note"]
    hub.history(referral_id, last="offer.accepted")
    assert resources_with_facts(hub, candidate.id, referral_id) == []
    assert len(resources_with_facts(hub, acceptor.id, referral_id)) > 1
    assert services_that_hold(f'"{CANARY}"', hub) >= {"delivery", "routing"}
    assert services_that_hold(note[-40:], hub) >= {"delivery"}

    sender.hub.revoke_consent(referral_id)
    acceptor.await_message("referral.withdrawn", referral_id)
    assert any(entry["type"].endswith("referral.read.v1") for entry in staff_reads(hub, referral_id))
    assert len(frozen["story"]) > 2
    hub.history(referral_id, last="content.erased")
    assert everything_about(hub, candidate.id, referral_id) == frozen
    for organization in (candidate, acceptor):
        assert resources_with_facts(hub, organization.id, referral_id) == []
    # Not at once: SQLite's write-ahead log has old pages for some seconds.
    # Audit keeps the log's content for auditors, until its retention.
    until(
        lambda: services_that_hold(f'"{CANARY}"', hub) | services_that_hold(note[-40:], hub) <= {"audit"},
        "the end of every trace in the databases",
    )


def everything_about(hub: RunningHub, organization: str, referral_id: str) -> dict[str, Any]:
    """Return what an organisation learns of a referral: how it stands, in which lists it is, who read it."""
    headers = {"Authorization": f"Bearer {hub.token(organization)}"}

    def get(service: str, path: str, **query: str) -> Any:
        answer = httpx.get(f"{hub.address(service)}{path}", params=query, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    listed = {
        status: [one["id"] for one in get("intake", "/v1/referrals", status=status)["items"]]
        for status in ReferralStatus
    }
    readers = get("audit", f"/v1/history/{referral_id}/readers")["items"]
    story = get("audit", f"/v1/history/{referral_id}/story", format="json")
    return {
        "referral": get("intake", f"/v1/referrals/{referral_id}"),
        "lists": [status for status, ids in listed.items() if referral_id in ids],
        # Without the organisation's own reads.
        "story": [one for one in story["events"]["sentences"] if organization not in one["text"]],
        "readers": [one for one in readers if one["reader"] != organization],
    }


def staff_reads(hub: RunningHub, referral_id: str) -> Sequence[Mapping[str, Any]]:
    """Let a coordinator read the referral, and return its history with that read."""
    hub.participants.staff("coordinator").referral(referral_id)
    return hub.history(referral_id, last="referral.read")


def resources_with_facts(hub: RunningHub, organization: str, referral_id: str) -> list[str]:
    """Return the resources that show the organisation the canary."""
    token = hub.token(organization)
    asked = [resource for resource in resources_for("partner") if resource.method == "GET"]
    assert len(asked) > 5
    answers = {
        str(resource): resource.ask(hub, token, id=referral_id, referral_id=referral_id).text
        for resource in asked
    }
    return [name for name, text in answers.items() if f'"{CANARY}"' in text or CANARY_LABEL in text]


def services_that_hold(text: str, hub: RunningHub) -> set[str]:
    """Return the services whose database contains the text in one of its files."""
    return {service for service, url in hub.databases.items() if _is_in_files(text, url)}


def _is_in_files(text: str, url: str) -> bool:
    database = Path(urlsplit(url).path)
    files = [file.read_bytes() for file in database.parent.glob(f"{database.name}*")]
    assert files
    return any(text.encode() in file for file in files)
