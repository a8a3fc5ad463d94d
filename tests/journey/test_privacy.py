"""Only sender and acceptor can read a case, and the hub keeps no trace of its content.

Every field of a case and of a note, and every leaf of requests that are refused, contains a canary. They are
looked for in all that the hub keeps and says, in clear, encoded and packed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import chain
from typing import Any

import pytest

from contracts.codes import OrganizationKind
from contracts.envelope import Event
from contracts.facts import SealedCaseSubmitted
from kopuro_client import RefusedError
from runtime.clock import SystemClock
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import outgoing
from runtime.messaging.rabbit.broker import RabbitBroker
from sandbox.broker import PrivateBroker
from sandbox.demo.participants import Participant
from sandbox.hub_files import SERVICES
from tests.journey.refused_requests import RefusedRequests
from tests.journey.running_hub import RunningHub
from tests.journey.test_unreadable import named_receiver, sealed, submit_unreadable
from tests.journey.traces import contents, traces
from tests.journey.waiting import until
from tests.servers import PostgresServer
from tests.support.canaries import Canaries
from tests.support.webhook_receiver import Received, WebhookReceiver, repeating_challenge

REFERRAL = "wage-claim-osh-moscow"


@pytest.mark.timeout(300)  # searches all that the hub keeps, several times
def test_hub_stores_and_returns_no_canary_of_a_whole_referral(
    hub: RunningHub, broker: PrivateBroker, request: pytest.FixtureRequest
) -> None:
    further = [broker.files.root]
    if hub.databases["vault"].startswith("postgresql"):
        postgres: PostgresServer = request.getfixturevalue("postgres")
        further.append(postgres.directory)
    canaries = Canaries()
    said: list[tuple[str, bytes]] = []

    def hits() -> dict[str, set[str]]:
        everything = chain(contents(hub, further=further, since=canaries.invented_at), said)
        return {place: found for place, content in everything if (found := canaries.found(content))}

    case = canaries.case("case")
    sender, referral_id = hub.submit(REFERRAL, case=case)
    withdrawn = _withdrawn(hub, canaries)
    with WebhookReceiver(_failing_with(canaries)) as receiver:
        first, offer_id = hub.next_offer(sender, referral_id)
        endpoint = first.hub.webhooks.register(receiver.url)["endpoint"]["id"]
        first.hub.webhooks.test(endpoint)
        until(lambda: first.hub.webhooks.endpoint(endpoint)["state"] == "active", "the endpoint is verified")
        # While the case is in custody.
        assert hits() == {}
        first.hub.accept(offer_id)
        first.await_message("case.released", referral_id)
        assert first.hub.case(referral_id) == case
        _exchange_notes(sender, first, referral_id, canaries)
        first.hub.progress(referral_id, "in_progress")
        note = canaries.text("note of a hand-back")
        first.hub.hand_back(referral_id, "out_of_area", note=note)
        assert _opened(sender, referral_id) == {"text": note}

        second, offer_id = hub.next_offer(sender, referral_id)
        note = canaries.text("note of a decline")
        second.hub.decline(offer_id, "other", note=note)
        told = sender.await_message("note.delivered", referral_id)
        assert (told["author"], told["offer_id"]) == (second.id, offer_id)
        assert sender.hub.open(told["note"]) == {"text": note}
        until(lambda: receiver.received[1:], "a request that fails")
        page = first.hub.webhooks.attempts_page(endpoint)
        assert any(each["response"] and each["response"]["status"] == 500 for each in page["items"])
        said.append(("attempts", str(page).encode()))
        said += [("webhook", str((each.headers, each.body)).encode()) for each in receiver.received]
        first.hub.webhooks.delete(endpoint)

    unreadable = _unreadable(hub, canaries)
    completed = _completed_without_consulates(hub, canaries)
    _dead_letter(hub, canaries)
    _refused_later(hub, sender, second, offer_id, referral_id, canaries)
    sender.hub.revoke_consent(referral_id)
    for ended in (referral_id, withdrawn, unreadable, completed):
        hub.history(ended, last="case.erased")
    said += _read(hub, sender, referral_id)
    assert hits() == {}

    # The search works: it finds the referral's id in the databases and in the logs.
    places = traces(hub, [referral_id])
    for service in ("intake", "routing", "delivery", "vault", "audit"):
        assert any(place.startswith(f"{service}: ") for place in places), service


@pytest.mark.parametrize("hub", ["sqlite"], indirect=True)
def test_no_refusal_repeats_what_its_request_says(hub: RunningHub) -> None:
    canaries = Canaries()
    sender, referral_id = hub.submit(REFERRAL)
    candidate, offer_id = hub.next_offer(sender, referral_id)
    requests = RefusedRequests(
        hub, canaries, referral=referral_id, offer=offer_id, candidate=candidate.id, sender=sender.id
    )
    with closing(requests):
        answers = {place: requests.send(one) for place, one in requests.all()}
    statuses = Counter(status for status, _ in answers.values())
    assert {place for place, (status, _) in answers.items() if status < 400 or status >= 500} == set()
    # The requests come as far as the validation: few are refused for their sender or their media type.
    assert statuses[422] + statuses[400] > 2 * (statuses.total() - statuses[422] - statuses[400])
    repeating = {place for place, (_, answer) in answers.items() if canaries.found(answer)}
    # The page of the form keeps what was typed, so that the applicant can correct it.
    assert {place.partition(" ")[0] for place in repeating} == {"directory_apply"}
    hits = {
        place: found
        for place, content in contents(hub, since=canaries.invented_at)
        if (found := canaries.found(content))
    }
    assert hits == {}
    sender.hub.withdraw(referral_id, "entered_in_error")


def _failing_with(canaries: Canaries) -> Callable[[Received], tuple[int, bytes]]:
    """Answer a challenge; fail otherwise, with a body that repeats personal data of the partner's."""
    page = canaries.text("error page of a partner").encode()
    return lambda got: repeating_challenge(got) if got.type == "kopuro.webhook.challenge" else (500, page)


def _exchange_notes(sender: Participant, acceptor: Participant, referral_id: str, canaries: Canaries) -> None:
    for author, reader in ((sender, acceptor), (acceptor, sender)):
        text = canaries.text(f"note of {author.id}")
        author.hub.note(referral_id, text, to=reader.id)
        assert _opened(reader, referral_id) == {"text": text}


def _opened(reader: Participant, referral_id: str) -> dict[str, Any]:
    return reader.hub.open(reader.await_message("note.delivered", referral_id)["note"])


def _withdrawn(hub: RunningHub, canaries: Canaries) -> str:
    sender, referral_id = hub.submit(REFERRAL, case=canaries.case("withdrawn case"))
    sender.hub.withdraw(referral_id, "placed_elsewhere")
    return referral_id


def _unreadable(hub: RunningHub, canaries: Canaries) -> str:
    """Return a referral whose case is not a case, was reported, and was replaced."""
    no_case = json.dumps({canaries.text("unknown member of a case"): canaries.text("its value")}).encode()
    receiver = named_receiver(hub)
    sender, referral_id = submit_unreadable(hub, receiver, no_case)
    offer = receiver.await_message("offer.opened", referral_id)
    receiver.hub.accept(offer["offer_id"])
    receiver.await_message("case.released", referral_id)
    receiver.hub.report_unreadable(referral_id, "not_understood")
    sender.await_message("case.unreadable", referral_id)
    case = canaries.case("replacement of a case")
    sender.hub.replace_case(referral_id, case)
    receiver.await_message("case.released", referral_id)
    assert receiver.hub.case(referral_id) == case
    receiver.hub.complete(referral_id, "resolved")
    return referral_id


def _dead_letter(hub: RunningHub, canaries: Canaries) -> None:
    """Publish a case without a signature; return once it is a dead letter."""
    assert hub.broker is not None
    sender, referral_id = hub.network.referral(REFERRAL).sender, new_id()
    case = hub.organization(sender).hub.seal(canaries.case("dead letter"))
    number = new_id()
    forged = Event(
        id=number,
        source="/kg/intake",
        time=SystemClock().now(),
        partition_key=referral_id,
        correlation_id=number,
        causation_id=None,
        data=SealedCaseSubmitted(referral_id=referral_id, sender=sender, to=None, case=case),
    )
    with closing(RabbitBroker(hub.broker).publisher()) as publisher:
        publisher.publish([outgoing(forged)])

    def parked() -> bool:
        return "of vault." in (hub.operations("vault", "/readyz").json()["warnings"]["parked"] or "")

    until(parked, "the dead letter")


def _completed_without_consulates(hub: RunningHub, canaries: Canaries) -> str:
    """Return a completed referral of which no excluded consulate has heard."""
    sender, referral_id = hub.submit("consulate-forbidden", case=canaries.case("case and consulates"))
    acceptor, offer_id = hub.next_offer(sender, referral_id)
    acceptor.hub.accept(offer_id)
    acceptor.await_message("case.released", referral_id)
    acceptor.hub.complete(referral_id, "resolved")
    sender.await_message("referral.completed", referral_id)
    for organization in hub.network.organizations:
        if organization.kind is OrganizationKind.consular_representative:
            messages = hub.organization(organization.id).hub.mailbox()["items"]
            assert referral_id not in str(messages), organization.id
    return referral_id


def _refused_later(
    hub: RunningHub,
    sender: Participant,
    declined: Participant,
    offer_id: str,
    referral_id: str,
    canaries: Canaries,
) -> None:
    """Send submissions that intake admits and that routing or the vault refuses."""
    declined.hub.decline(offer_id, "other", note=canaries.text("note of an answer that is refused"))
    declined.await_message("answer.refused", referral_id)
    custody = dict(sender.hub.discovery.custody_key)
    no_case = json.dumps({canaries.text("no case for the hub"): canaries.text("its value")}).encode()
    unopened = sender.hub.submit(hub.facts(REFERRAL), sealed=sealed(no_case, custody))["id"]
    sender.await_message("referral.failed", unopened)
    with pytest.raises(RefusedError):
        declined.hub.note(referral_id, canaries.text("note of a former candidate"), to=sender.id)


def _statement(sender: Participant) -> object | None:
    try:
        return sender.hub.statement()
    except RefusedError:
        return None


def _read(hub: RunningHub, sender: Participant, referral_id: str) -> list[tuple[str, bytes]]:
    """Return what the hub answers to those who may read about the referral."""
    auditor, coordinator = hub.participants.staff("auditor"), hub.participants.staff("coordinator")
    answers: dict[str, object] = {
        "referral": sender.hub.referral(referral_id),
        "decisions": sender.hub.decision(referral_id),
        # The first report is made within seconds of the hub's start.
        "statement": until(lambda: _statement(sender), "the first report"),
        "proved statement": sender.hub.proved_statement(),
        "recovered": list(sender.hub.recover("2020-01-01T00:00:00Z")),
        "story": auditor.story(referral_id),
        "readers": auditor.readers(referral_id),
        "history": auditor.history(referral=referral_id, limit=200),
        "export": auditor.export_page(),
        "statistics": auditor.statistics(["need"]),
        "report": coordinator.weekly_report(),
        "unplaced": coordinator.unplaced_page(),
        "dead letters": [hub.operations(service, "/readyz").text for service in SERVICES],
    }
    said = [(name, str(answer).encode()) for name, answer in answers.items()]
    return [*said, ("bundle", auditor.bundle(referral_id))]
