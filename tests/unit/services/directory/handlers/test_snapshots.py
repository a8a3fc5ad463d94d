"""Snapshots: all entries that a replica's queue is bound to, then a completion."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.envelope import Event, decode
from contracts.errors import Defect
from contracts.facts import (
    AgreementChanged,
    ClientChanged,
    Fact,
    OrganizationChanged,
    ReplicaCompleted,
    ReplicaRequested,
    TokenKeyChanged,
)
from contracts.topology import SNAPSHOTS
from runtime.messaging.ports import Outgoing
from services.directory.domain.entry import TokenKey
from services.directory.domain.precondition import ANY_REVISION
from tests.support.events import message_of
from tests.unit.services.directory.samples import (
    NOON,
    OPERATOR,
    OSH,
    Directory,
    agreement,
    issue,
    organization,
    without_digest,
)


def request(queue: str, number: int = 1) -> Event[Fact]:
    fact = ReplicaRequested(queue=queue)
    return message_of(fact, queue, time=NOON, id_=f"request-{number}", correlation_id="first-cause")


def answer(directory: Directory, *requests: Event[Any]) -> list[Outgoing]:
    with directory.database.write() as transaction:
        return list(directory.snapshots.answer(transaction, requests, NOON))


@pytest.fixture
def filled(directory: Directory) -> Directory:
    entries = directory.entries
    entries.put_organization(OPERATOR, organization())
    entries.put_organization(OPERATOR, organization(name="New"), precondition=ANY_REVISION)
    entries.put_organization(OPERATOR, organization("kg.other"))
    entries.put_agreement(OPERATOR, agreement())
    entries.announce([TokenKey(id="kid", key={"kid": "kid"})], by="x")
    issue(directory, OSH, OSH, "s")
    return directory


def test_snapshot_for_routing_holds_all_current_entries(filled: Directory) -> None:
    sent = answer(filled, request("routing.directory"))
    facts = [without_digest(decode(message.body).data) for message in sent]
    assert facts == [
        TokenKeyChanged(revision=1, key={"kid": "kid"}),
        OrganizationChanged(revision=2, organization=organization(name="New")),
        OrganizationChanged(revision=1, organization=organization("kg.other")),
        AgreementChanged(revision=1, agreement=agreement()),
        ClientChanged(revision=1, client_id=OSH, principal=OSH, roles=("partner",), live=True),
        ReplicaCompleted(queue="routing.directory", records=5),
    ]
    assert {(message.exchange, message.routing_key) for message in sent} == {(SNAPSHOTS, "routing.directory")}


def test_snapshot_for_the_vault_holds_organizations_only(filled: Directory) -> None:
    *records, end = [decode(message.body).data for message in answer(filled, request("vault.directory"))]
    assert {type(record) for record in records} == {OrganizationChanged}
    assert end == ReplicaCompleted(queue="vault.directory", records=2)


def test_snapshot_messages_have_new_ids_and_the_request_as_cause(filled: Directory) -> None:
    told_before = {event.id for event in filled.events()}
    events = [decode(message.body) for message in answer(filled, request("routing.directory"))]
    assert len({event.id for event in events} - told_before) == len(events)
    assert {(event.causation_id, event.correlation_id) for event in events} == {("request-1", "first-cause")}
    assert [event.partition_key for event in events] == [
        "kid", OSH, "kg.other", "network-memorandum", OSH, "routing.directory"
    ]  # fmt: skip


def test_snapshot_of_an_empty_directory_completes(directory: Directory) -> None:
    (end,) = answer(directory, request("intake.directory"))
    assert decode(end.body).data == ReplicaCompleted(queue="intake.directory", records=0)


def test_repeated_snapshot_request_in_a_batch_is_answered_once(filled: Directory) -> None:
    sent = answer(
        filled, request("vault.directory", 1), request("delivery.directory", 2), request("vault.directory", 3)
    )
    ends = [m.routing_key for m in sent if isinstance(decode(m.body).data, ReplicaCompleted)]
    assert ends == ["vault.directory", "delivery.directory"]


@pytest.mark.parametrize("queue", ["audit.log", "delivery.events", "stranger.directory"])
def test_snapshot_for_another_queue_raises_defect(filled: Directory, queue: str) -> None:
    with pytest.raises(Defect):
        answer(filled, request(queue))
