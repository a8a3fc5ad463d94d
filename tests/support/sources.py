"""The CloudEvents source of facts that a test publishes in place of their owner."""

from __future__ import annotations

from contracts.facts import Fact
from contracts.topology import owners_of
from tests.processes import HUB


def source_of(fact: Fact, *, hub: str = HUB) -> str:
    """Return the source of an owner of the fact."""
    return f"/{hub}/{min(owners_of(fact.routing_key))}"
