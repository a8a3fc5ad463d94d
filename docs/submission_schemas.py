"""The schemas of submissions, one variant for each command: lines of a batch, and messages over AMQP.

Both are made from the records that intake reads, so that the documents of HTTP and AMQP say the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from contracts.idempotency_key import MAXIMUM_KEY
from contracts.identifiers import UUID_PATTERN
from contracts.referral import ReferralSubmission
from docs.record_schemas import request_schemas
from services.intake.domain.command import COMMANDS

Json = dict[str, Any]

# Components of the OpenAPI document.
COMMAND_LINE: Final = "SubmissionLine"
REFERRAL_LINE: Final = "ReferralLine"
# The value of `submit` of a referral over AMQP.
REFERRAL: Final = "referral"
_KEY: Final[Json] = {
    "idempotency_key": {
        "type": ["string", "null"],
        "pattern": f"^[!-~]{{1,{MAXIMUM_KEY}}}$",
        "description": "The line's own idempotency key; without it the batch's counts.",
    }
}
_ID: Final[Json] = {"type": "string", "pattern": f"^({UUID_PATTERN.removeprefix('^').removesuffix('$')})$"}


def line_schemas() -> Json:
    """Return the components of batch lines. Their references are to components of the OpenAPI document."""
    records = _records()
    referral = {**records[f"{ReferralSubmission.__name__}Input"]}
    referral["properties"] = {**referral["properties"], **_KEY}
    referral["description"] = "A line of `POST /v1/referrals:batch`."
    return {
        COMMAND_LINE: {
            "description": "A line of `POST /v1/submissions:batch`.",
            "oneOf": list(_commands(records, _KEY)),
        },
        REFERRAL_LINE: referral,
    }


def message_schema() -> Json:
    """Return the schema of a submission over AMQP, with everything that it refers to in `$defs`.

    Its references are to components of an OpenAPI document: `docs/asyncapi.py` writes its own.
    """
    records = _records()
    referral = records[f"{ReferralSubmission.__name__}Input"]
    own = {f"{kind.__name__}Input" for kind in (*COMMANDS.values(), ReferralSubmission)}
    return {
        "description": "A referral with `submit` as `referral`, or a command.",
        "oneOf": [_variant(REFERRAL, referral, {}), *_commands(records, {})],
        "$defs": {name: schema for name, schema in records.items() if name not in own},
    }


def _records() -> Json:
    return request_schemas([*COMMANDS.values(), ReferralSubmission])


def _commands(records: Json, more: Json) -> Iterator[Json]:
    for name, kind in COMMANDS.items():
        subject = "offer_id" if kind.about_offer else "referral_id"
        yield _variant(name, records[f"{kind.__name__}Input"], {subject: _ID}, more)


def _variant(name: str, body: Json, subject: Json, more: Json | None = None) -> Json:
    own: Json = {"submit": {"const": name}, **subject}
    return {
        **{keyword: value for keyword, value in body.items() if keyword != "description"},
        "title": name,
        "properties": {**own, **body.get("properties", {}), **(more or {})},
        "required": sorted({*own, *body.get("required", ())}),
    }
