"""The schemas of submissions in both published documents, against what intake reads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from contracts.errors import Refused
from contracts.records import load
from contracts.referral import ReferralSubmission
from docs import asyncapi, openapi
from runtime.web.operation import Operation
from services.intake import operations
from services.intake.domain.command import COMMANDS
from services.intake.ndjson import _command
from tests.unit.services.intake.samples import document as referral

NOW = dt.datetime(2026, 5, 2, tzinfo=dt.UTC)
ID = "0199a0de-0000-7000-8000-000000000001"
# The body of each command, as the document of its own resource shows it.
BODIES: Mapping[str, Mapping[str, Any]] = {
    name: next(iter(operation.body.examples.values()), {})
    for operation in vars(operations).values()
    if isinstance(operation, Operation) and operation.body is not None
    for name, kind in COMMANDS.items()
    if operation.body.record is kind
}


def golden(name: str) -> dict[str, Any]:
    subject = "offer_id" if COMMANDS[name].about_offer else "referral_id"
    return {"submit": name, subject: ID, **BODIES[name]}


@cache
def of_openapi(name: str) -> Draft202012Validator:
    published = openapi.document()
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": published["components"]}
    )


@cache
def of_asyncapi() -> Draft202012Validator:
    published = asyncapi.document()
    message = published["channels"]["partners-submit"]["messages"]["submission"]
    return Draft202012Validator({**message["payload"]["schema"], "components": published["components"]})


def test_each_batch_names_the_schema_of_its_lines() -> None:
    paths = openapi.document()["paths"]
    for path, line in (("/v1/submissions:batch", "SubmissionLine"), ("/v1/referrals:batch", "ReferralLine")):
        operation = paths[path]["post"]
        asked = operation["requestBody"]["content"]["application/x-ndjson"]["schema"]
        answered = operation["responses"]["200"]["content"]["application/x-ndjson"]["schema"]
        assert asked["x-line"] == {"$ref": f"#/components/schemas/{line}"}
        assert answered["x-line"] == {"$ref": "#/components/schemas/LineResult"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_valid_over_http_and_amqp_and_is_read(name: str) -> None:
    submission = golden(name)
    of_asyncapi().validate(submission)
    of_openapi("SubmissionLine").validate(submission)
    of_openapi("SubmissionLine").validate({**submission, "idempotency_key": "mine"})
    assert isinstance(_command(dict(submission), None, NOW).body, COMMANDS[name])


def test_referral_is_valid_over_http_and_amqp_and_is_read() -> None:
    of_openapi("ReferralLine").validate(referral())
    of_openapi("ReferralLine").validate({**referral(), "idempotency_key": "mine"})
    of_asyncapi().validate({"submit": "referral", **referral()})
    assert load(ReferralSubmission, referral(), now=NOW)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    "change",
    [
        {"submit": "approve"},
        {"submit": None},
        {"offer_id": "x", "referral_id": "x"},
        {"unknown": 1},
        {"reason": "nonsense", "note": 1, "status": "nonsense", "outcome": "nonsense"},
    ],
    ids=str,
)
def test_submission_that_intake_refuses_is_invalid_in_the_schemas(
    name: str, change: Mapping[str, Any]
) -> None:
    wrong = {**golden(name), **change}
    with pytest.raises(Refused):
        _command(dict(wrong), None, NOW)
    assert not of_openapi("SubmissionLine").is_valid(wrong)
    assert not of_asyncapi().is_valid(wrong)


def test_message_has_no_key_in_its_body() -> None:
    assert not of_asyncapi().is_valid({**golden("accept"), "idempotency_key": "mine"})
