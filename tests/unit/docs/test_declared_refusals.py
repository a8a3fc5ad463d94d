"""Every problem that a service's code raises is declared by one of its resources, or never sent by HTTP."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.errors import PROBLEMS
from contracts.responses.directory import ApprovalRecord, ClientRecord
from contracts.responses.referrals import Prospects
from docs.openapi import refusals_by_status
from docs.published_operations import SERVICES, operations
from docs.record_schemas import response_schemas
from services.directory.domain.approval import State
from services.directory.domain.client import Role
from services.routing.domain.preview import Band

# Problems that arrive in a mailbox, as the `problem` of a message of this type.
ELSEWHERE = {"routing": {"offer-closed": "answer.refused"}}


def raised(service: str) -> Iterator[tuple[str, str]]:
    """Yield each problem that the service's sources name, with its place."""
    root = Path(importlib.import_module(f"services.{service}").__path__[0])
    for file in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refused":
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and first.value in PROBLEMS:
                    yield str(first.value), f"{file.relative_to(root)}:{node.lineno}"


@pytest.mark.parametrize("service", SERVICES)
def test_problem_that_a_service_raises_is_declared(service: str) -> None:
    declared = {slug for one in operations() if one.service == service for slug in one.refusals}
    undeclared = {
        f"{slug} at {place}"
        for slug, place in raised(service)
        if slug not in declared and slug not in ELSEWHERE.get(service, {})
    }
    assert undeclared == set()


def test_problem_of_elsewhere_is_raised_and_not_declared() -> None:
    for service, slugs in ELSEWHERE.items():
        declared = {slug for one in operations() if one.service == service for slug in one.refusals}
        assert slugs.keys() <= {slug for slug, _ in raised(service)} - declared


def test_wrong_clock_of_a_proof_is_declared_where_a_proof_is_taken() -> None:
    taking = [one for one in operations() if "invalid-proof" in one.refusals]
    assert len(taking) > 10
    for one in taking:
        found = refusals_by_status(one)
        assert [status for status, slugs in found.items() if "clock-skew" in slugs] == [403], one.path


def test_sources_of_every_service_are_read() -> None:
    found = {service: {slug for slug, _ in raised(service)} for service in SERVICES}
    assert "offer-closed" in found["routing"]
    assert "precondition-failed" in found["directory"]
    assert all(found.values())


@pytest.mark.parametrize(
    ("record", "member", "codes"),
    [(ApprovalRecord, "state", State), (ClientRecord, "roles", Role), (Prospects, "candidates", Band)],
)
def test_published_codes_are_those_of_the_domain(record: type, member: str, codes: type) -> None:
    schema = response_schemas([record])[record.__name__]["properties"][member]
    listed = schema.get("items", schema)["enum"]
    assert sorted(listed) == sorted(code.value for code in codes)  # type: ignore[attr-defined]
