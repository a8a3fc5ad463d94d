"""Staff who read a person's facts without a reason: the log names the reader and the query of every read.

Staff cannot be kept from reading, which is their work. Each read is on record before the response
leaves, and the parties to the referral see it.
"""

from __future__ import annotations

import contextlib
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from functools import partial
from typing import Any

import httpx
import pytest

from admin.embedded_broker import BrokerFiles, BrokerIdentity
from admin.operator_name import login_name
from contracts.facts import ReferralSubmitted
from contracts.records import read
from contracts.referral import ReferralFacts
from contracts.topology import OPERATIONS
from kopuro_client.commands import ExitCode, main
from kopuro_client.paging import following
from runtime.access.reads import Reads
from runtime.messaging.dead_letters.dead_letter import dead_letter_of
from runtime.messaging.ports import Delivery
from runtime.messaging.rabbit.broker import RabbitBroker
from sandbox.hub_files import HUB
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.messaging.consumer_harness import START
from tests.support.events import message_of
from tests.support.service_resources import resources
from tests.unit.services.directory.application_samples import application_record

# Every way in which staff read facts of persons: who, at which service, and the path. `{id}` is a referral,
# `{sender}` its sender.
READS = [
    (role, "intake", path)
    for role in ("coordinator", "auditor", "operator")
    for path in ("/v1/referrals/{id}", "/v1/referrals?status=unplaced&limit=200")
]
READS += [(role, "routing", "/v1/referrals/{id}/decision") for role in ("coordinator", "auditor", "operator")]
READS += [
    (role, "routing", f"/v1/coordination/{{id}}/candidates{query}")
    for role in ("coordinator", "auditor")
    for query in ("", "?organization={sender}")
]
READS += [
    (role, service, path)
    for role in ("coordinator", "auditor", "operator")
    for service, path in (
        ("intake", "/v1/submissions?id={id}&organization={sender}"),
        ("delivery", "/v1/deliveries/{id}"),
    )
]
READS += [
    ("coordinator", "routing", "/v1/coordination/unplaced?limit=200"),
    ("coordinator", "routing", "/v1/coordination/queue?kind=unplaced&limit=200"),
    (
        "coordinator",
        "routing",
        "/v1/coordination/queue?kind=unplaced&region={region}&need={need}&organization={sender}",
    ),
    ("coordinator", "delivery", "/v1/mailbox?limit=200"),
    ("coordinator", "delivery", "/v1/mailbox?type=referral.unplaced&from=2026-01-01T00:00:00Z&limit=200"),
]
READS += [
    (role, "audit", path)
    for role in ("coordinator", "auditor", "operator")
    for path in (
        "/v1/history?referral={id}",
        "/v1/history?type=kopuro.referral.submitted.v1&limit=200",
        "/v1/history/{id}",
        "/v1/history/{id}/bundle",
        "/v1/history/{id}/story",
        "/v1/history/{id}/readers",
        "/v1/entries/{index}",
        "/v1/export?limit=5000",
    )
]
READS.append(("auditor", "audit", "/v1/statistics/entries?region={region}"))


class HubWithStaff(RunningHub):
    """A hub with a referral that nobody could take.

    operator_uri, routing_uri: the broker's address as an operator and as routing.
    operations_key: the key of `operations`, which an operator has.
    """

    def __init__(self, hub: RunningHub) -> None:
        super().__init__(hub.hub, databases=hub.databases)
        identity = BrokerFiles(root=self.files.directory / "broker").identity
        addresses = BrokerIdentity.from_json(identity.read_text(encoding="utf-8"))
        self.operator_uri = addresses.uri_of(HUB, OPERATIONS)
        self.routing_uri = addresses.uri_of(HUB, "routing")
        self.operations_key = self.files.key("service-operations")
        self.sender, self.referral_id = self.submit("nobody")
        self.history(self.referral_id, last="referral.unplaced")


@pytest.fixture(scope="module")
def hub(hub: RunningHub) -> HubWithStaff:
    return HubWithStaff(hub)


def seen_by_sender(hub: HubWithStaff) -> list[Mapping[str, Any]]:
    """Return all recorded reads of the referral, as its sender sees them."""
    found: list[Mapping[str, Any]] = []
    after = None
    while True:
        page = hub.sender.hub.readers(hub.referral_id, after=after, limit=200)
        found += page["items"]
        if (after := page["next"]) is None:
            return found


def claims_of(token: str) -> Mapping[str, Any]:
    """Return the claims of a token."""
    payload = token.split(".")[1]
    claims: Mapping[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


@pytest.mark.parametrize(("role", "service", "path"), READS)
def test_staff_read_names_reader_and_query_to_the_party(
    hub: HubWithStaff, role: str, service: str, path: str
) -> None:
    known = {read["index"] for read in seen_by_sender(hub)}
    index = hub.history(hub.referral_id, last="referral.unplaced")[0]["index"]
    filled = path.format(
        id=hub.referral_id,
        index=index,
        region=hub.facts("nobody")["region"],
        need=hub.facts("nobody")["needs"][0],
        sender=hub.sender.id,
    )
    token = hub.token(role)

    answer = httpx.get(
        hub.address(service) + filled, headers={"Authorization": f"Bearer {token}"}, timeout=30
    )

    assert answer.status_code == 200, answer.text
    assert hub.referral_id in answer.text, "the answer contains the referral"
    who = claims_of(token)["sub"]

    def recorded() -> Mapping[str, Any] | None:
        new = [read for read in seen_by_sender(hub) if read["index"] not in known and read["reader"] == who]
        wanted = [read for read in new if asks(read, service, filled)]
        return wanted[0] if wanted else None

    read = until(recorded, f"{role} read {filled}, as its party sees it")
    assert read["client_id"] == claims_of(token).get("client_id")
    assert read["roles"] == [role]
    if read["type"] != "kopuro.log.exported.v1":  # an export is not part of a single referral's history
        assert who in hub.sender.hub.story(hub.referral_id)


# Reads without the id of a referral: figures that may stand for one person, and applicants' names.
UNNAMED_READS = [
    ("coordinator", "routing", "/v1/coordination/wishes"),
    ("coordinator", "routing", "/v1/coordination/wishes?region={region}&need={need}&organization={sender}"),
    ("coordinator", "routing", "/v1/coordination/coverage"),
    (
        "coordinator",
        "routing",
        "/v1/coordination/coverage?region={region}&need={need}&language=ru&lacking=true",
    ),
    ("coordinator", "routing", "/v1/coordination/organizations/{sender}/engagements"),
    ("coordinator", "directory", "/v1/applications"),
    ("coordinator", "directory", "/v1/applications?state=waiting"),
    ("operator", "directory", "/v1/applications"),
    ("operator", "directory", "/v1/applications/{application}"),
]


# Parameters that ask nothing about persons: pages, waits, forms. A consumer is a partner's, a key is free
# text.
NO_QUESTION = {"after", "limit", "wait", "format", "language", "consumer", "key"}


def test_every_question_about_persons_is_asked() -> None:
    asked: dict[str, set[str]] = {}
    for _, _, path in (*READS, *UNNAMED_READS):
        route, _, query = path.partition("?")
        names = asked.setdefault(re.sub(r"\{\w+\}", "<>", route), set())
        names.update(pair.partition("=")[0] for pair in query.split("&") if pair)
    for _, entrypoint, _ in resources():
        method, template = entrypoint.route().method, entrypoint.route().template
        if entrypoint.reads is Reads.recorded and method == "GET":
            declared = {one if isinstance(one, str) else one.name for one in entrypoint.parameters}
            route = re.sub(r"<\w+>", "<>", template)
            assert route in asked, route
            assert declared - NO_QUESTION <= asked[route], route


@pytest.fixture(scope="module")
def application(hub: HubWithStaff) -> str:
    """The id of an application with the name and telephone of the person who applies."""
    answer = httpx.post(f"{hub.address('directory')}/v1/applications", json=application_record())
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@pytest.mark.parametrize(("role", "service", "path"), UNNAMED_READS)
def test_staff_read_of_figures_and_applications_is_an_entry_with_its_reader(
    hub: HubWithStaff, application: str, role: str, service: str, path: str
) -> None:
    token, auditor = hub.token(role), hub.participants.staff("auditor")
    who = claims_of(token)["sub"]

    def recorded() -> set[int]:
        """Return the entries about reads by this member of the staff that the service has recorded."""
        pages = following(
            lambda after: auditor.history(
                event_type="kopuro.referral.read.v1", actor=who, after=after, limit=200
            )
        )
        return {entry["index"] for entry in pages if entry["actor"] == f"/kg/{service}"}

    before = recorded()
    filled = path.format(
        sender=hub.sender.id,
        application=application,
        region=hub.facts("nobody")["region"],
        need=hub.facts("nobody")["needs"][0],
    )
    answer = httpx.get(
        hub.address(service) + filled, headers={"Authorization": f"Bearer {token}"}, timeout=30
    )
    assert answer.status_code == 200, answer.text
    (index,) = until(lambda: recorded() - before or None, f"the read of {filled} by {who} in the log")

    def published() -> Mapping[str, Any] | None:
        exported = auditor.export_page(event_type="kopuro.referral.read.v1", limit=5000)["entries"]
        return next((entry["data"] for entry in exported if entry["index"] == index), None)

    data = until(published, "the entry in the published log")
    # Without referrals in the entry, the filter has the id in the path too.
    named = {hub.sender.id, application}.intersection(filled.partition("?")[0].split("/"))
    assert named <= set(data["filter"].values())
    asked = {name: value for name, value in data["filter"].items() if value not in named}
    assert asks({**data, "filter": asked}, service, filled), data


@pytest.mark.parametrize("role", ["coordinator", "operator"])
def test_repeated_decision_about_an_application_shows_no_person_without_an_entry(
    hub: HubWithStaff, role: str
) -> None:
    sent = httpx.post(f"{hub.address('directory')}/v1/applications", json=application_record())
    assert sent.status_code == 201, sent.text
    resource = f"{hub.address('directory')}/v1/applications/{sent.json()['id']}/refuse"
    token, auditor = hub.token(role), hub.participants.staff("auditor")

    def recorded() -> int:
        pages = following(
            lambda after: auditor.history(
                event_type="kopuro.referral.read.v1", actor=claims_of(token)["sub"], after=after, limit=200
            )
        )
        return sum(entry["actor"] == "/kg/directory" for entry in pages)

    def more_than(known: int) -> bool:
        return recorded() > known

    for _ in range(2):
        before = recorded()
        answer = httpx.post(
            resource,
            json={"reason": "not_reachable"},
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        assert application_record()["contact"]["telephone"] in answer.text
        until(partial(more_than, before), f"the read of {resource} in the log")


def asks(read: Mapping[str, Any], service: str, path: str) -> bool:
    """Return whether the recorded read states the query of this request."""
    if service != "audit":
        route = read["resource"] or ""
        query = dict(pair.split("=") for pair in path.partition("?")[2].split("&") if pair)
        query.pop("limit", None)
        pieces = path.partition("?")[0].split("/")
        template = route.removeprefix("GET ").split("/")
        same = len(pieces) == len(template) and all(
            there == here or there.startswith("<") for here, there in zip(pieces, template, strict=True)
        )
        return bool(same and read["filter"] == query)
    kinds = {"bundle": "kopuro.history.exported.v1", "export": "kopuro.log.exported.v1"}
    last = path.partition("?")[0].rpartition("/")[2]
    return bool(read["type"] == kinds.get(last, "kopuro.history.read.v1"))


def test_dead_letter_read_names_the_operator(
    hub: HubWithStaff, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    event = message_of(
        ReferralSubmitted(
            referral_id=hub.referral_id,
            sender=hub.network.referral("nobody").sender,
            facts=read(ReferralFacts, hub.facts("nobody")),
        ),
        time=START,
    )
    delivery = Delivery(
        tag=1,
        queue="routing.0",
        routing_key="referral.submitted",
        message_id=event.id,
        body=event.encode(),
        headers={"partitionkey": hub.referral_id},
        redelivered=False,
    )
    with contextlib.closing(RabbitBroker(hub.routing_uri).publisher()) as publisher:
        publisher.publish([dead_letter_of(delivery, consumer="routing", reason="Defect", now=START)])
    monkeypatch.setenv("KOPURO_AMQP_URI", hub.operator_uri)
    show = ["admin", "dead-letters", "show", "routing", event.id, "--data", "--json"]
    assert main(show) == ExitCode.USAGE
    unrecorded = capsys.readouterr()
    assert "KOPURO_SERVICE_KEY" in unrecorded.err
    assert hub.facts("nobody")["region"] not in unrecorded.out
    monkeypatch.setenv("KOPURO_SERVICE_KEY", str(hub.operations_key))

    assert main(show) == ExitCode.OK

    assert hub.facts("nobody")["region"] in capsys.readouterr().out

    def recorded() -> Mapping[str, Any] | None:
        found = [one for one in seen_by_sender(hub) if one["type"] == "kopuro.dead_letter.read.v1"]
        return found[0] if found else None

    assert until(recorded, "the operator's read")["reader"] == login_name()


def test_acceptors_fetch_of_the_case_is_on_record_for_the_sender(hub: HubWithStaff) -> None:
    sender, acceptor, referral_id = hub.accepted("wage-claim-osh-moscow")
    acceptor.hub.case(referral_id)

    def recorded() -> Mapping[str, Any] | None:
        items = sender.hub.readers(referral_id)["items"]
        found = [one for one in items if one["type"] == "kopuro.case.fetched.v1"]
        return found[0] if found else None

    assert until(recorded, "the fetch of the case")["reader"] == acceptor.id


def test_organization_that_is_not_a_party_learns_of_no_reader(hub: HubWithStaff) -> None:
    token = hub.token("uz.silk-needle-union")
    answer = httpx.get(
        f"{hub.address('audit')}/v1/history/{hub.referral_id}/readers",
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    assert answer.status_code == 404
