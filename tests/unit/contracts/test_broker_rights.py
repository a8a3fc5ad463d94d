"""The rights of the broker's users, as regular expressions that the broker matches anywhere in a name."""

from __future__ import annotations

import re

import pytest

from contracts.broker_rights import (
    USERS,
    dead_letter_queues_of,
    exchanges_of,
    queues_of,
    rights_of,
    user_name,
)
from contracts.topology import (
    CASES,
    LOG,
    OPERATIONS,
    RECEIPTS,
    SERVICES,
    hub_topology,
    owners_of,
    published_to,
)
from runtime.identifiers import new_id

NAMES = {e.name for e in hub_topology().exchanges} | {q.name for q in hub_topology().queues}
# The broker checks the default exchange under this name.
DEFAULT_EXCHANGE = "amq.default"


def allowed(right: str, names: set[str]) -> set[str]:
    # Erlang's \z is Python's \Z
    expression = right.replace(r"\z", r"\Z")
    return {name for name in names if re.search(expression, name)}


@pytest.mark.parametrize("user", USERS)
def test_rights_match_whole_names_only(user: str) -> None:
    rights = rights_of(user)
    for right in (rights.configure, rights.write, rights.read):
        for name in allowed(right, NAMES):
            assert not allowed(right, {"x" + name, name + "x", name + "\n", name.replace(".", "-")} - {name})
        assert not allowed(right, {DEFAULT_EXCHANGE, "amq.topic", "kopuro.events", "\n"})


@pytest.mark.parametrize("service", SERVICES)
def test_service_reads_its_queues_and_writes_its_exchanges(service: str) -> None:
    rights = rights_of(service)
    assert allowed(rights.configure, NAMES) == set()
    assert allowed(rights.write, NAMES) == {*exchanges_of(service), *dead_letter_queues_of(service)}
    replies = {f"kopuro.replies.{service}"} & NAMES
    assert allowed(rights.read, NAMES) == {*queues_of(service), *replies}


def test_every_exchange_of_facts_has_one_writer_who_owns_what_is_bound() -> None:
    for binding in hub_topology().bindings:
        if binding.source.startswith(("kopuro.events.", "kopuro.cases.")):
            (writer,) = [user for user in USERS if allowed(rights_of(user).write, {binding.source})]
            assert binding.key == "#" or "*" in binding.key or writer in owners_of(binding.key)


def test_sealed_cases_are_read_by_vault_and_delivery_only() -> None:
    sources = {published_to(CASES, key) for key in ("sealed_case.submitted", "sealed_case.released")}
    queues = {b.destination for b in hub_topology().bindings if b.source in sources}
    readers = {user for user in USERS if allowed(rights_of(user).read, queues)}
    assert readers == {"vault", "delivery"}


def test_audit_alone_sends_receipts_and_every_service_offers_events_to_the_log() -> None:
    assert [user for user in USERS if allowed(rights_of(user).write, {RECEIPTS})] == ["audit"]
    assert [user for user in USERS if allowed(rights_of(user).write, {LOG})] == list(SERVICES)


def test_every_work_queue_has_one_reader() -> None:
    for queue in hub_topology().queues:
        readers = [user for user in USERS if allowed(rights_of(user).read, {queue.name})]
        assert len(readers) == 1
        assert (readers == [OPERATIONS]) == queue.name.endswith(".parked")


def test_only_intake_has_private_queues_and_only_its_own() -> None:
    name = new_id()
    own, other = f"intake.replies.{name}", f"routing.replies.{name}"
    assert [u for u in USERS if allowed(rights_of(u).configure, {own, other})] == ["intake"]
    rights = rights_of("intake")
    for right in (rights.configure, rights.write, rights.read):
        assert allowed(right, {own, other}) == {own}


def test_user_names_carry_the_hub() -> None:
    assert user_name("kg", "vault") == "kg.vault"
