"""The OpenAPI document: valid, complete, equal to the code, with examples that validate."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_spec_validator import OpenAPIV31SpecValidator

from contracts.errors import PROBLEMS
from contracts.problem_advice import ADVICE
from docs import openapi
from docs.published_operations import operations, published_path
from runtime.web.discovery import PATH
from runtime.web.published_contracts import LINKS
from tests.support.resources import resources

DOCUMENT: Mapping[str, Any] = json.loads(openapi.FILE.read_bytes())
METHODS = {"get", "put", "post", "patch", "delete"}
OPERATIONS = {
    operation["operationId"]: operation
    for item in DOCUMENT["paths"].values()
    for method, operation in item.items()
    if method in METHODS
}


def test_file_equals_the_declarations_in_the_code() -> None:
    assert openapi.FILE.read_bytes() == openapi.content(), "run `python -m docs.openapi`"


def test_document_is_valid_openapi_3_1() -> None:
    faults = [
        f"{list(fault.absolute_path)}: {fault.message[:200]}"
        for fault in OpenAPIV31SpecValidator(dict(DOCUMENT)).iter_errors()
    ]
    assert faults == []


def test_every_resource_is_in_the_document_with_its_roles() -> None:
    published = {(one.service, one.method, one.url) for one in operations()}
    for name, declared in resources().items():
        service, route = name.split()[0], declared.route()
        if declared.operation is None or route.url in {PATH, *LINKS.values()}:
            continue  # the same at every service
        assert (service, route.method, route.url) in published
        described = DOCUMENT["paths"][published_path(route.url)][route.method.lower()]
        assert described.get("x-roles") == (None if route.roles is None else sorted(route.roles))


@pytest.mark.parametrize("body", ["DeclineOfferInput", "HandBackInput"])
def test_body_whose_note_a_reason_requires_says_so(body: str) -> None:
    described = DOCUMENT["components"]["schemas"][body]
    assert "note" not in described["required"]
    assert "required with the reason `other`" in described["description"]


def test_every_problem_is_listed_with_status_meaning_and_advice() -> None:
    assert ADVICE.keys() == PROBLEMS.keys()
    text = DOCUMENT["info"]["description"]
    for slug, (title, status) in PROBLEMS.items():
        (row,) = [line for line in text.splitlines() if f":{slug}`" in line]
        assert str(status) in row
        assert title in row
        assert ADVICE[slug] in row


def examples() -> Iterator[tuple[str, Any, Any]]:
    for name, operation in OPERATIONS.items():
        for media in operation.get("requestBody", {}).get("content", {}).values():
            for example in media.get("examples", {}).values():
                yield name, media["schema"], example["value"]


def validator(schema: Any) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


@pytest.mark.parametrize(("name", "schema", "value"), [pytest.param(*one, id=one[0]) for one in examples()])
def test_example_follows_its_schema(name: str, schema: Any, value: Any) -> None:
    assert [error.message for error in validator(schema).iter_errors(value)] == []


def test_every_json_body_has_an_example() -> None:
    without = [
        name
        for name, operation in OPERATIONS.items()
        for media_type, media in operation.get("requestBody", {}).get("content", {}).items()
        if media_type.endswith("json") and media_type != "application/x-ndjson" and not media.get("examples")
    ]
    assert without == []


def test_operation_that_takes_a_key_publishes_the_header() -> None:
    names = [parameter["name"] for parameter in OPERATIONS["intake_submit"]["parameters"]]
    assert "Idempotency-Key" in names
    assert "409" in OPERATIONS["intake_submit"]["responses"]


def test_member_with_another_name_in_json_is_published_by_that_name() -> None:
    period = DOCUMENT["components"]["schemas"]["KeyPeriod"]
    assert "from" in period["properties"]
    assert "from" in period["required"]
    assert "since" not in period["properties"]


def test_member_that_may_be_absent_is_not_required() -> None:
    line = DOCUMENT["components"]["schemas"]["LineResult"]
    assert line["required"] == ["line", "status"]
    assert {"id", "problem"} < line["properties"].keys()


@pytest.mark.parametrize("name", ["InterventionRequestInput", "ReferralSubmissionInput"])
def test_request_schema_is_closed(name: str) -> None:
    assert DOCUMENT["components"]["schemas"][name]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("read", "written"),
    [("OrganizationRecord", "OrganizationInput"), ("AgreementRecord", "AgreementInput")],
)
def test_record_may_be_sent_back_with_every_member_that_was_read(read: str, written: str) -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas[read]["properties"].keys() == schemas[written]["properties"].keys()
    assert "`If-Match`" in schemas[written]["properties"]["revision"]["description"]
    assert "revision" not in schemas[written]["required"]


def test_check_names_a_document_that_differs(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tmp_path / "openapi.json"
    stale.write_bytes(b"{}")
    monkeypatch.setattr(openapi, "FILE", stale)
    assert openapi.main(["--check"]) == 1
    assert "openapi.json differs" in capsys.readouterr().err
    assert stale.read_bytes() == b"{}"
    assert openapi.main([]) == 0
    assert openapi.main(["--check"]) == 0
