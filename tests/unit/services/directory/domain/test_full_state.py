"""What others are told, and which replica takes what."""

from __future__ import annotations

import pytest

from contracts.facts import AgreementChanged, OrganizationChanged, TokenKeyChanged
from contracts.topology import EVENT_QUEUES
from services.directory.domain.client import Role, client
from services.directory.domain.entry import Standing, Subject, TokenKey
from services.directory.domain.full_state import full_state, subjects_for
from tests.unit.services.directory.samples import agreement, organization


def test_each_public_entry_is_told_whole_with_its_revision() -> None:
    key = TokenKey(id="kid", key={"kid": "kid"})
    assert full_state(Standing(revision=2, entry=organization())) == OrganizationChanged(
        revision=2, organization=organization()
    )
    assert full_state(Standing(revision=3, entry=agreement())) == AgreementChanged(
        revision=3, agreement=agreement()
    )
    assert full_state(Standing(revision=4, entry=key)) == TokenKeyChanged(revision=4, key={"kid": "kid"})


def test_nobody_is_told_of_a_client() -> None:
    secret = client(client_id="a", principal="kg.a", roles=(Role.partner,), secret="x" * 43)
    assert full_state(Standing(revision=1, entry=secret)) is None


@pytest.mark.parametrize(
    ("queue", "subjects"),
    [
        ("vault.directory", {Subject.organization}),
        ("delivery.directory", {Subject.organization, Subject.token_key}),
        ("intake.directory", {Subject.organization, Subject.token_key}),
        ("routing.directory", {Subject.organization, Subject.agreement, Subject.token_key}),
    ],
)
def test_a_replica_is_sent_what_its_queue_is_bound_to(queue: str, subjects: set[Subject]) -> None:
    assert set(subjects_for(queue)) == subjects


@pytest.mark.parametrize("queue", ["audit.log", "delivery.events", "other.directory", "", ".directory"])
def test_no_other_queue_is_sent_anything(queue: str) -> None:
    assert list(subjects_for(queue)) == []


def test_every_replica_of_the_topology_takes_something() -> None:
    replicas = [queue for queue in EVENT_QUEUES if queue.endswith(".directory")]
    assert replicas
    assert all(list(subjects_for(queue)) for queue in replicas)
