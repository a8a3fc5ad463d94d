"""Declarations of intake's resources, as the OpenAPI document publishes it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, Final

from contracts.codes import ReferralStatus
from contracts.identifiers import UUID_PATTERN
from contracts.referral import ReferralFacts, ReferralSubmission
from contracts.responses.referrals import (
    AdmittedSubmission,
    LineResult,
    OwnOffer,
    Prospects,
    ReferralSummary,
    ReferralView,
    Submitted,
)
from runtime.web.operation import NDJSON, Body, Operation, Parameter, lines_of, page_of, record_of
from runtime.web.parameters import IDEMPOTENCY_KEY, ORGANIZATION, PAGED, coded, matching
from services.intake.domain.command import COMMANDS, CommandBody

LISTED: Final = (
    coded(
        "status",
        ReferralStatus,
        "Only referrals in this state that you sent, accepted, or are offered now.",
    ),
    *PAGED,
)

FOUND: Final = (
    matching(
        "id",
        UUID_PATTERN,
        "The id of a submission; the id of a referral or an offer finds all submissions about that referral.",
    ),
    Parameter(
        name="key",
        schema=IDEMPOTENCY_KEY.schema,
        description="The Idempotency-Key of a submission or of a batch, in place of `id`.",
    ),
    Parameter(
        name="organization",
        schema=ORGANIZATION.schema,
        description="For staff: the organisation that used the `key`.",
    ),
)

_SEALED: Final = "eyJhbGciOiJFQ0RILUVTK0EyNTZLVyJ9.a2V5.aXY.Y2lwaGVydGV4dA.dGFn"
FACTS: Final[Mapping[str, Any]] = {
    "needs": ["legal.wage_claim"],
    "urgency": "urgent",
    "region": "RU-MOW",
    "settlement": "urban",
    "languages": ["ky", "ru"],
    "stage": "in_destination",
    "origin_country": "KG",
    "age_band": "25_59",
    "sex": "male",
    "special_categories": [],
    "to": None,
    "accepts_cost": False,
    "consent": {
        "given": True,
        "given_at": "2026-05-01T08:30:00Z",
        "method": "oral",
        "opt_in_kinds": [],
        "excluded_organizations": [],
        "storage_countries": [],
    },
}
_SUBMISSION: Final = {**FACTS, "case": _SEALED}
# Every submission can meet these.
_SUBMITTING: Final = frozenset(
    {"invalid-submission", "invalid-parameter", "forbidden", "unavailable", "too-many-submissions"}
)
# And those about an existing referral, by whether their subject is an offer.
_PARTIES: Final = {True: (), False: ("not-a-party",)}
_OF_REFERRALS: Final = frozenset(
    {"case-not-sealed", "unknown-organization", "receiver-has-no-key", "not-found"}
)
_COMMANDS: Final = ", ".join(f"`{name}`" for name in COMMANDS)


def _lines(described: str, schema: str) -> Body:
    """Declare the body of a batch. schema: the component that each line is of."""
    return Body(
        schema={
            "type": "string",
            "description": f"NDJSON: on each line {described}",
            "x-line": {"$ref": f"#/components/schemas/{schema}"},
        },
        media_type=NDJSON,
        required=False,
    )


_BATCH: Final = {
    200: lines_of(LineResult, description="One result for each line that is not empty, in the same order.")
}

SUBMIT: Final = Operation(
    summary="Submit a referral with its sealed case",
    body=Body(record=ReferralSubmission, examples={"a wage claim": _SUBMISSION}),
    responses={
        202: record_of(
            Submitted,
            description="Recorded durably, not yet decided.",
            headers={"Location": "The address of the referral."},
        )
    },
    refusals=_SUBMITTING | _OF_REFERRALS | {"custody-full"},
)
SUBMIT_BATCH: Final = Operation(
    summary="Submit up to a thousand referrals, one a line",
    body=_lines("a ReferralSubmission, optionally with `idempotency_key`.", "ReferralLine"),
    responses=_BATCH,
    refusals=_SUBMITTING,
)
SUBMIT_COMMANDS: Final = Operation(
    summary="Submit up to a thousand answers, reports and notes, one a line",
    body=_lines(
        "an object with `submit` (the command), `offer_id` or `referral_id`, the members of the command's"
        f" own body, and optionally `idempotency_key`. The commands: {_COMMANDS}.",
        "SubmissionLine",
    ),
    responses=_BATCH,
    refusals=_SUBMITTING,
)
PREVIEW: Final = Operation(
    summary="Count the organisations that could take a referral now; nothing is sent or stored",
    body=Body(record=ReferralFacts, examples={"a wage claim": FACTS}),
    responses={200: record_of(Prospects)},
    refusals=frozenset({"unknown-organization", "receiver-has-no-key"}),
)
LIST: Final = Operation(
    summary="List the referrals to which the caller is a party; staff see all",
    responses={200: page_of(ReferralSummary)},
    refusals=frozenset({"invalid-cursor"}),
)
SHOW: Final = Operation(
    summary="Read a referral as the caller may see it",
    responses={200: record_of(ReferralView)},
)
FIND: Final = Operation(
    summary="Find admitted submissions by id or Idempotency-Key; a partner sees its own, staff see all",
    responses={200: page_of(AdmittedSubmission)},
)
SHOW_OFFER: Final = Operation(
    summary="Read an offer that was made to the caller",
    responses={200: record_of(OwnOffer)},
)


def command(
    name: str, summary: str, example: Mapping[str, Any], *, refusals: Set[str] = frozenset()
) -> Operation:
    """Return the operation of a command about an offer or a referral."""
    kind: type[CommandBody] = COMMANDS[name]
    return Operation(
        summary=summary,
        body=Body(record=kind, required=bool(example), examples={name: dict(example)}),
        responses={
            202: record_of(Submitted, description="Recorded durably; the result comes to the mailbox.")
        },
        refusals=_SUBMITTING
        | _OF_REFERRALS
        | {"too-many-statements", *_PARTIES[kind.about_offer]}
        | refusals,
    )


ACCEPT: Final = command("accept", "Accept an offer", {})
DECLINE: Final = command("decline", "Decline an offer", {"reason": "no_capacity"})
WITHDRAW: Final = command("withdraw", "Withdraw a referral", {"reason": "placed_elsewhere"})
PROGRESS: Final = command("progress", "Report the progress of a referral", {"status": "in_progress"})
COMPLETE: Final = command("complete", "Report the outcome of a referral", {"outcome": "resolved"})
HAND_BACK: Final = command("hand_back", "Hand an accepted referral back", {"reason": "out_of_area"})
NOTE: Final = command(
    "note", "Send the other party a sealed note", {"note": _SEALED}, refusals=frozenset({"custody-full"})
)
UNREADABLE: Final = command(
    "unreadable", "Report a case or a note that cannot be read", {"reason": "cannot_decrypt"}
)
REPLACE_CASE: Final = command(
    "replace_case",
    "Replace a case, in the hub's custody or sealed to its acceptor",
    {"case": _SEALED},
    refusals=frozenset({"not-in-this-state", "custody-full"}),
)
REVOKE_CONSENT: Final = command("revoke_consent", "Report that the person has withdrawn the consent", {})
