"""The generated parts of docs/journey.md match the code."""

import ast
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path

import pytest

from contracts.facts import (
    CATALOGUE,
    DeadLetterRead,
    OfferOpened,
    ReceiptIssued,
    ReceiptsIssued,
    ReferralRead,
    ReferralSubmitted,
    ReplicaRequested,
)
from docs import diagrams
from tests.unit.docs.pages import ROOT


class Light(StrEnum):
    red = "red"
    green = "green"
    amber = "amber"
    broken = "broken"


class Push(StrEnum):
    press = "press"
    hit = "hit"


def test_journey_page_is_up_to_date() -> None:
    page = diagrams.PAGE.read_text(encoding="utf-8")
    assert diagrams.rendered(page) == page


def test_check_of_outdated_page_fails_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drifted = diagrams.PAGE.read_text(encoding="utf-8").replace("open --> declined: decline", "open --> gone")
    page = tmp_path / "journey.md"
    page.write_text(drifted, encoding="utf-8")
    monkeypatch.setattr(diagrams, "PAGE", page)

    assert diagrams.main(["--check"]) == 1
    assert page.read_text(encoding="utf-8") == drifted

    assert diagrams.main([]) == 0
    assert diagrams.main(["--check"]) == 0


def test_page_without_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="should have"):
        diagrams.rendered("<!-- generated: offer -->\n<!-- /generated -->")


def test_diagram_has_every_edge_and_draws_common_edges_once() -> None:
    drawn = diagrams.diagram(
        Light.red,
        {
            Light.red: {Push.press: Light.green, Push.hit: Light.broken},
            Light.green: {Push.press: Light.amber, Push.hit: Light.broken},
            Light.amber: {Push.press: Light.red, Push.hit: Light.broken},
            Light.broken: {},
        },
    )
    assert "[*] --> red" in drawn
    assert "red --> green: press" in drawn
    assert "amber --> red: press" in drawn
    assert "anywhere --> broken: hit" in drawn
    assert "red --> broken" not in drawn
    assert "broken --> [*]" in drawn


def test_edge_common_to_only_two_states_is_drawn_for_each() -> None:
    drawn = diagrams.diagram(
        Light.red,
        {
            Light.red: {Push.press: Light.green, Push.hit: Light.broken},
            Light.green: {Push.hit: Light.broken},
            Light.broken: {},
        },
    )
    assert "anywhere" not in drawn
    assert {"red --> broken: hit", "green --> broken: hit"} <= {line.strip() for line in drawn.splitlines()}


def test_fact_is_consumed_by_the_queues_bound_to_it() -> None:
    assert diagrams.consuming_queues(ReferralSubmitted) == ["routing", "audit.log"]
    assert diagrams.consuming_queues(OfferOpened) == ["intake.offers", "delivery.events", "audit.log"]


def test_facts_table_does_not_list_receipts_in_the_log() -> None:
    table = diagrams.facts_table().splitlines()
    for fact in (ReceiptsIssued, ReceiptIssued):
        [row] = [line for line in table if fact.routing_key in line]
        assert "audit.log" not in row


def test_every_fact_has_a_publisher() -> None:
    assert set(diagrams.PUBLISHERS) == set(CATALOGUE.values())


# Facts that no service constructs in its own code, and the file that does.
MADE_ELSEWHERE = {
    ReplicaRequested: "runtime/messaging/replica.py",
    ReferralRead: "runtime/access/read_recorder.py",
    DeadLetterRead: "admin/dead_letter_reads.py",
}


@pytest.mark.parametrize("fact", CATALOGUE.values(), ids=lambda fact: fact.routing_key)
def test_only_the_named_publishers_construct_a_fact(fact: type) -> None:
    """Exactly these services call the fact's class, or select it in a conditional expression."""
    makers = {
        service.name
        for service in sorted((ROOT / "services").iterdir())
        if service.is_dir() and any(makes(source, fact.__name__) for source in service.rglob("*.py"))
    }
    publishers = diagrams.PUBLISHERS[fact]
    if fact in MADE_ELSEWHERE:
        assert not makers
        assert makes(ROOT / MADE_ELSEWHERE[fact], fact.__name__)
        return
    if publishers == diagrams.NO_PUBLISHER:
        assert not makers
        return
    # Delivery constructs some facts of the vault for its mailboxes, but does not publish them.
    assert set(publishers.split(", ")) == makers - ({"delivery"} if "vault" in publishers else set())


def makes(source: Path, name: str) -> bool:
    return name in made_in(source)


@cache
def made_in(source: Path) -> frozenset[str]:
    return frozenset(_made(ast.parse(source.read_text(encoding="utf-8"))))


def _made(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        # SomeFact(...), and: kind = SomeFact if ... else AnotherFact
        chosen = [node.func] if isinstance(node, ast.Call) else []
        if isinstance(node, ast.IfExp):
            chosen = [node.body, node.orelse]
        yield from (one.id for one in chosen if isinstance(one, ast.Name))
