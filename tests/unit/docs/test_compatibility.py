"""The compatibility check of the contracts, on today's document with one change at a time."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from contracts.facts import CATALOGUE, TYPE_PREFIX
from contracts.publish import FOLDER
from docs import compatibility, openapi
from docs.compatibility import broken_requests_and_answers, last_published, publish

DOCUMENT: dict[str, Any] = json.loads(openapi.FILE.read_bytes())
GOLDEN = Path(__file__).parents[2] / "golden_messages"
EARLIER = sorted((GOLDEN / "earlier").glob("*.json"))
Change = Callable[[dict[str, Any]], Any]


def changed(change: Change) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    return document


def schemas(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"]
    return found


def listing(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"]["/v1/referrals"]["get"]
    return found


def test_document_is_compatible_with_itself() -> None:
    assert list(broken_requests_and_answers(DOCUMENT, DOCUMENT)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["paths"].pop("/v1/mailbox"), "GET /v1/mailbox: removed"),
        (lambda d: listing(d)["parameters"].pop(0), "parameter status removed"),
        (lambda d: listing(d)["parameters"][1].update(required=True), "parameter after became required"),
        (lambda d: listing(d)["parameters"][0]["schema"]["enum"].remove("failed"), "does not take failed"),
        (lambda d: listing(d)["responses"].pop("200"), "does not answer 200"),
        (
            lambda d: schemas(d)["ReferralSubmissionInput"]["required"].append("to"),
            "body: member to became required",
        ),
        (
            lambda d: schemas(d)["ReferralSubmissionInput"]["properties"].pop("to"),
            "body: member to removed",
        ),
        (
            lambda d: schemas(d)["ConsentInput"]["properties"]["method"]["enum"].remove("oral"),
            "body/consent/method: does not take oral",
        ),
        (lambda d: schemas(d)["needs"]["enum"].remove("legal"), "body/needs/*: does not take legal"),
        (lambda d: schemas(d)["OfferView"]["required"].remove("deadline"), "member deadline is not always"),
        (
            lambda d: schemas(d)["ReferralView"]["properties"]["submitted_at"].update(
                type=["string", "null"]
            ),
            "submitted_at: may be null now",
        ),
    ],
)
def test_change_that_breaks_a_program_is_named(change: Change, said: str) -> None:
    assert any(said in line for line in broken_requests_and_answers(DOCUMENT, changed(change)))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["paths"].update({"/v1/new": {"get": {"responses": {}}}}),
        lambda d: listing(d)["parameters"].append(
            {"name": "new", "in": "query", "required": False, "schema": {"type": "string"}}
        ),
        lambda d: schemas(d)["needs"]["enum"].append("legal.added_next_year"),
        lambda d: schemas(d)["OfferView"]["properties"].update({"new": {"type": "string"}}),
        lambda d: schemas(d)["OfferView"]["required"].append("new"),
        lambda d: schemas(d)["ReferralSubmissionInput"]["properties"].update({"new": {"type": "string"}}),
    ],
)
def test_change_that_only_adds_is_compatible(change: Change) -> None:
    assert list(broken_requests_and_answers(DOCUMENT, changed(change))) == []


def test_present_contracts_are_compatible_with_the_last_published_version() -> None:
    assert compatibility.main([]) == 0


def test_newest_version_by_number_is_the_last_published(tmp_path: Path) -> None:
    assert last_published(tmp_path) is None
    for version in ("1.9.0", "1.10.0", "notes"):
        (tmp_path / version).mkdir()
    assert last_published(tmp_path) == tmp_path / "1.10.0"


def test_published_version_never_changes(tmp_path: Path) -> None:
    publish("1.0.0", tmp_path)
    with pytest.raises(FileExistsError):
        publish("1.0.0", tmp_path)


def published_schemas(tmp_path: Path) -> dict[str, Any]:
    """Return the schemas of the last published version, or of one published now when there is none."""
    folder = last_published() or publish("1.0.0", tmp_path)
    return {file.stem: json.loads(file.read_bytes()) for file in (folder / "events").glob("*.json")}


def test_golden_messages_of_today_follow_the_published_schemas(tmp_path: Path) -> None:
    known = published_schemas(tmp_path)
    assert known
    for name in sorted(CATALOGUE):
        if (schema := known.get(name.removeprefix(TYPE_PREFIX))) is None:
            continue  # a type that the older reader acknowledges and skips
        message = json.loads((GOLDEN / f"{name}.json").read_bytes())
        assert [error.message for error in Draft202012Validator(schema).iter_errors(message)] == [], name


@pytest.mark.parametrize("file", EARLIER, ids=lambda file: file.stem)
def test_earlier_golden_message_follows_the_schema_of_today(file: Path) -> None:
    message = json.loads(file.read_bytes())
    name = message["type"].removeprefix(TYPE_PREFIX)
    schema = json.loads((FOLDER / "events" / f"{name}.json").read_bytes())
    assert [error.message for error in Draft202012Validator(schema).iter_errors(message)] == []
