"""The problem of a refused submission as the mailbox keeps it."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from contracts.errors import PointerError, Refused, problem
from docs import openapi
from services.gateway.domain.kept_problem import kept_problem


def refusal(pointer: str) -> dict[str, Any]:
    where = PointerError(pointer=pointer, detail="This field is not in the contract.")
    return problem("invalid-submission", f"Correct {pointer}.", errors=(where,))


@pytest.mark.parametrize(
    "name",
    [
        "Aigerim",
        "aigerim t",
        "Айгерим",
        "+996555120456",
        "12345",
        "a~1b",
        "a~0b",
        "x" * 41,
        "gulnara_bekova",
        "urgancy",
    ],
)
def test_names_that_the_contract_cannot_have_are_hidden(name: str) -> None:
    kept = kept_problem(refusal(f"/consent/{name}/0"))
    assert name not in str(kept)
    assert kept["errors"][0]["pointer"] == "/consent/.../0"
    assert kept["detail"] == "Correct /consent/.../0."


def test_a_short_invented_name_leaves_the_text_readable() -> None:
    where = PointerError(pointer="/A", detail="A field like this is not in the contract.")
    longer = PointerError(pointer="/A/B", detail="Correct /A/B or /A.")
    kept = kept_problem(problem("invalid-submission", "Correct /A and /A/B.", errors=(where, longer)))
    assert kept["detail"] == "Correct /... and /.../...."
    assert [error["detail"] for error in kept["errors"]] == [
        "A field like this is not in the contract.",
        "Correct /.../... or /....",
    ]


@pytest.mark.parametrize("pointer", ["", "/urgency", "/consent/given_at", "/languages/0"])
def test_contract_names_are_unchanged(pointer: str) -> None:
    assert kept_problem(refusal(pointer)) == refusal(pointer)


def test_no_member_of_the_contract_is_hidden() -> None:
    schemas = json.loads(openapi.FILE.read_bytes())["components"]["schemas"]
    members = {
        member
        for name, schema in schemas.items()
        if name.endswith("Input")
        for member in schema.get("properties", ())
    }
    assert {"urgency", "storage_countries", "age_band"} <= members
    for member in members:
        assert kept_problem(refusal(f"/{member}")) == refusal(f"/{member}")


def test_time_until_which_a_submission_is_refused_stays() -> None:
    until = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
    where = PointerError(pointer="/note", detail="Wait.")
    refused = Refused("not-in-this-state", "Wait.", errors=(where,), until=until).problem()
    assert kept_problem(refused)["until"] == "2026-03-02T12:00:00Z"


def test_problem_without_errors_stays() -> None:
    assert kept_problem(problem("not-found", "No such offer.")) == problem("not-found", "No such offer.")
