"""The table of owners covers the catalogue, and each service makes only its own facts."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from contracts.facts import CATALOGUE
from contracts.topology import OPERATIONS, OWNERS, SERVICES, owners_of

ROOT = Path(__file__).parents[3]
KEYS = {fact.__name__: fact.routing_key for fact in CATALOGUE.values()}

SHARED = {
    "submission.refused": {"routing", "vault"},
    "replica.requested": {"intake", "routing", "delivery", "vault", "audit"},
    "referral.read": {"intake", "routing", "delivery", "directory"},
}
# Facts that a service makes for its own use and never publishes.
NOT_PUBLISHED = {
    ("delivery", "case.released"),  # the mailbox entry for the sealed case that it received
    ("delivery", "submission.refused"),  # the mailbox entry for a submission over AMQP that intake refused
}
# The gateway is a client of the hub's HTTP API: it publishes no fact and has no key.
CLIENTS = {"gateway"}


def made_by(service: str) -> set[str]:
    """Return the routing keys of the facts that the service's code constructs."""
    found = set()
    for path in (ROOT / "services" / service).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func
                name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
                if name in KEYS:
                    found.add(KEYS[name])
    return found


def test_owners_cover_exactly_the_catalogue() -> None:
    assert OWNERS.keys() == {fact.routing_key for fact in CATALOGUE.values()}
    assert owners_of("referral.invented") == frozenset()


def test_owners_are_services_and_one_each_unless_shared() -> None:
    assert {service for owners in OWNERS.values() for service in owners} == {*SERVICES, OPERATIONS}
    assert {key: set(owners) for key, owners in OWNERS.items() if len(owners) != 1} == SHARED


def test_services_are_the_packages_of_services() -> None:
    packages = {path.parent.name for path in (ROOT / "services").glob("*/service.py")}
    assert set(SERVICES) == packages - CLIENTS


@pytest.mark.parametrize("service", SERVICES)
def test_service_makes_only_facts_that_it_owns(service: str) -> None:
    made = made_by(service)
    assert made, "the search found no fact"
    foreign = {key for key in made if service not in owners_of(key) and (service, key) not in NOT_PUBLISHED}
    assert not foreign
