"""Full-state facts, and the subjects of each replica."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.canonical import content_digest
from contracts.facts import AgreementChanged, ClientChanged, OrganizationChanged, TokenKeyChanged
from contracts.records import plain
from contracts.topology import EVENT_QUEUES
from services.directory.domain.client import Role, client
from services.directory.domain.entry import Standing, Subject, TokenKey
from services.directory.domain.full_state import full_state, subjects_for
from tests.unit.services.directory.samples import agreement, organization

# The records by which a service admits callers.
ACCESS = {Subject.organization, Subject.token_key, Subject.client}


def test_full_state_fact_holds_entry_and_revision() -> None:
    key = TokenKey(id="kid", key={"kid": "kid"})
    assert full_state(Standing(revision=2, entry=organization())) == OrganizationChanged(
        revision=2, organization=organization()
    )
    assert full_state(Standing(revision=3, entry=agreement())) == AgreementChanged(
        revision=3, agreement=agreement()
    )
    assert full_state(Standing(revision=4, entry=key)) == TokenKeyChanged(revision=4, key={"kid": "kid"})


def test_full_state_fact_of_a_client_has_no_secret_and_no_digest_of_one() -> None:
    kept = client(client_id="a", principal="kg.a", roles=(Role.partner,), secret="x" * 43)
    fact = full_state(Standing(revision=1, entry=kept), by="aigul")
    assert fact == ClientChanged(
        revision=1,
        client_id="a",
        principal="kg.a",
        roles=("partner",),
        live=True,
        record_sha256=content_digest(plain(kept)),
    )
    assert kept.secret_sha256 not in str(fact)
    other = full_state(Standing(revision=1, entry=replace(kept, secret_sha256="0" * 64)))
    assert isinstance(other, ClientChanged)
    assert other.record_sha256 != fact.record_sha256


def test_full_state_fact_of_a_record_names_who_changed_it() -> None:
    fact = full_state(Standing(revision=1, entry=organization()), by="aigul")
    assert fact == OrganizationChanged(revision=1, organization=organization(), by="aigul")


@pytest.mark.parametrize(
    ("queue", "subjects"),
    [
        ("vault.directory", {Subject.organization}),
        ("audit.directory", ACCESS),
        ("delivery.directory", ACCESS),
        ("intake.directory", ACCESS),
        ("routing.directory", {*ACCESS, Subject.agreement}),
    ],
)
def test_replica_queue_receives_its_bound_subjects(queue: str, subjects: set[Subject]) -> None:
    assert set(subjects_for(queue)) == subjects


@pytest.mark.parametrize("queue", ["audit.log", "delivery.events", "other.directory", "", ".directory"])
def test_other_queue_receives_no_subjects(queue: str) -> None:
    assert list(subjects_for(queue)) == []


def test_every_replica_queue_has_a_subject() -> None:
    replicas = [queue for queue in EVENT_QUEUES if queue.endswith(".directory")]
    assert replicas
    assert all(list(subjects_for(queue)) for queue in replicas)
