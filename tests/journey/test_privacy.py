"""Only sender and acceptor can read a case, and the hub keeps no trace of its content."""

from __future__ import annotations

import base64

import pytest

from contracts.codes import OrganizationKind
from sandbox.broker import PrivateBroker
from tests.journey.running_hub import RunningHub
from tests.journey.traces import traces
from tests.servers import PostgresServer

NAME = "Мырзабек Канатбекович Тоголоков"
PHONE = "+996700918273"
NARRATIVE = "The foreman Gavrilov-Zavolzhsky locked her passport into the green safe."
CONTACT = "Sister Perizat-Nurjamal, after nine at the bakery"
DOCUMENT = b"%PDF-1.7 certificate of Togolokov, number 4417-ZX-99"
MARKERS = (NAME, PHONE, "Gavrilov-Zavolzhsky", "Perizat-Nurjamal", "number 4417-ZX-99")


def test_decline_note_is_read_by_the_sender_only(hub: RunningHub, broker: PrivateBroker) -> None:
    sender, referral_id = hub.submit("second-candidate")
    asked, offer_id = hub.next_offer(sender, referral_id)
    words = "Her sister Perizat-Nurjamal has another number: +996 555 12-04-56"
    asked.hub.decline(offer_id, "other", note=words)
    assert sender.await_message("offer.declined", referral_id)["reason"] == "other"
    told = sender.await_message("note.delivered", referral_id)
    assert (told["author"], told["offer_id"]) == (asked.id, offer_id)
    assert sender.hub.open(told["note"]) == {"text": words}
    assert traces(hub, ("Perizat-Nurjamal", "+996 555 12-04-56"), further=[broker.files.root]) == []


def test_case_leaves_no_trace_and_excluded_consulate_gets_nothing(
    hub: RunningHub, broker: PrivateBroker, request: pytest.FixtureRequest
) -> None:
    further = [broker.files.root]
    if hub.databases["vault"].startswith("postgresql"):
        postgres: PostgresServer = request.getfixturevalue("postgres")
        further.append(postgres.directory)
    case = {
        "name": NAME,
        "phones": [PHONE],
        "safe_contact": CONTACT,
        "narrative": NARRATIVE,
        "documents": [
            {
                "name": "certificate.pdf",
                "media_type": "application/pdf",
                "content": base64.b64encode(DOCUMENT).decode(),
            }
        ],
    }
    sender, referral_id = hub.submit("consulate-forbidden", case=case)
    acceptor, offer_id = hub.next_offer(sender, referral_id)

    # While the case lies in the vault, and again when everything is over.
    assert traces(hub, MARKERS, further=further) == []
    acceptor.hub.accept(offer_id)
    acceptor.await_message("case.released", referral_id)
    assert acceptor.hub.case(referral_id) == case
    acceptor.hub.note(referral_id, f"{NAME} has arrived", to=sender.id)
    note = sender.await_message("note.delivered", referral_id)["note"]
    assert sender.hub.open(note) == {"text": f"{NAME} has arrived"}
    acceptor.hub.complete(referral_id, "resolved")
    sender.await_message("referral.completed", referral_id)
    hub.history(referral_id, last="case.erased")
    assert traces(hub, MARKERS, further=further) == []

    # The search works: it finds the referral's id in the databases and in the logs.
    places = traces(hub, [referral_id])
    for service in ("intake", "routing", "delivery", "vault", "audit"):
        assert any(place.startswith(f"{service}: ") for place in places), service
    for organization in hub.network.organizations:
        if organization.kind is OrganizationKind.consular_representative:
            messages = hub.organization(organization.id).hub.mailbox()["items"]
            assert referral_id not in str(messages), organization.id
