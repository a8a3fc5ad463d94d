"""Declarations of the resources about applications, as the OpenAPI document publishes them."""

from __future__ import annotations

from typing import Any, Final

from contracts.application import (
    LONGEST_APPLICATION,
    ApplicationRejection,
    ApplicationRequest,
    ApplicationVetting,
)
from contracts.codes import ApplicationState
from contracts.responses.applications import (
    ApplicationList,
    ApplicationReceipt,
    ApplicationRecord,
    ApplicationStatus,
)
from runtime.web.operation import Body, Operation, Parameter, record_of, text
from runtime.web.parameters import PAGED, coded
from runtime.web.problems import MEDIA_TYPE
from services.directory.api.applications import REFERENCE_HEADER
from services.directory.api.apply_pages import LANGUAGES
from services.directory.operations import CHANGING, PROOF

LONGEST: Final = LONGEST_APPLICATION
LISTED_APPLICATIONS: Final = (coded("state", ApplicationState, "Only applications in this state."), *PAGED)
PAGE_LANGUAGE: Final = (coded("language", LANGUAGES, "The language of the page."),)
_REFERENCE: Final = Parameter(
    name=REFERENCE_HEADER,
    schema={"type": "string", "minLength": 1},
    description="The reference that the response to the application showed; 404 without it.",
    required=True,
)
_APPLICATION: Final[dict[str, Any]] = {
    "name": "Osh Legal Aid (invented)",
    "kind": "ngo",
    "country": "KG",
    "languages": ["ky", "ru"],
    "description": "Lawyers help labour migrants with wages and documents (invented).",
    "contact": {"name": "A. Invented", "email": "office@legal-aid.example"},
    "website": "https://legal-aid.example",
    "proposed_id": "kg.osh-legal-aid",
}
_DECIDING: Final = CHANGING | {"conflict", "not-found"}

POST_APPLICATION: Final = Operation(
    summary="Apply to join the network; `reference` is shown once",
    body=Body(record=ApplicationRequest, examples={"an organisation": _APPLICATION}),
    responses={
        201: record_of(
            ApplicationReceipt,
            description="The application waits for a coordinator.",
            headers={"Location": "The address of its state."},
        )
    },
    refusals=frozenset({"too-many-requests", "conflict"}),
)
APPLICATION_STATE: Final = Operation(
    summary="Read the state of one's own application, with its reference",
    headers=(_REFERENCE,),
    responses={200: record_of(ApplicationStatus)},
    refusals=frozenset({"not-found", "too-many-requests"}),
)
WITHDRAW_APPLICATION: Final = Operation(
    summary="Withdraw one's own application; what was sent is erased",
    headers=(_REFERENCE,),
    responses={200: record_of(ApplicationStatus)},
    refusals=frozenset({"not-found", "conflict", "too-many-requests"}),
)
APPLICATIONS: Final = Operation(
    summary="List the applications to join the network, oldest first",
    responses={200: record_of(ApplicationList)},
    refusals=frozenset({"invalid-cursor"}),
)
SHOW_APPLICATION: Final = Operation(
    summary="Read one application with all that was sent",
    responses={200: record_of(ApplicationRecord)},
    refusals=frozenset({"not-found"}),
)
VET_APPLICATION: Final = Operation(
    summary="Ask to vet an application; a second person approves, and the organisation is created",
    body=Body(record=ApplicationVetting, examples={"as proposed": {}, "another id": {"id": "kg.osh-law"}}),
    headers=(PROOF,),
    responses={
        200: record_of(ApplicationRecord, description="The organisation is vetted."),
        202: record_of(ApplicationRecord, description="A second person must approve `approval_id`."),
    },
    refusals=_DECIDING | {"unknown-organization", "too-many-open-requests"},
)
REFUSE_APPLICATION: Final = Operation(
    summary="Refuse an application; only the applicant reads the note",
    body=Body(record=ApplicationRejection, examples={"a reason": {"reason": "not_verified"}}),
    headers=(PROOF,),
    responses={200: record_of(ApplicationRecord)},
    refusals=_DECIDING,
)


def _form(*required: str) -> Body:
    schema = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in required},
        "additionalProperties": {"type": "string"},
    }
    return Body(schema=schema, media_type="application/x-www-form-urlencoded", required=False)


_HTML: Final = "text/html"
_STATE_PAGES: Final = {
    200: text("The state.", _HTML),
    404: text("The form again: no application has this id and reference.", _HTML),
    429: text("Too many requests from this address.", _HTML),
}
APPLY_FORM: Final = Operation(
    summary="Get the form of an application as a page, without scripts",
    responses={
        200: text("The form.", _HTML),
        503: text("The network takes no applications.", _HTML, MEDIA_TYPE),
    },
)
APPLY: Final = Operation(
    summary="Apply by the form",
    body=_form("name", "kind", "country", "description", "contact_name"),
    responses={
        201: text("The page with the reference.", _HTML),
        409: text("The form again: it was used for another application.", _HTML),
        422: text("The form again, with what to correct beside each field.", _HTML),
        429: text("The form again: too many requests from this address.", _HTML),
        503: text("The form again: the network takes no applications now.", _HTML, MEDIA_TYPE),
    },
    refusals=frozenset({"unsupported-media-type"}),
)
APPLY_STATE_FORM: Final = Operation(
    summary="Get the page on which an applicant reads the state",
    responses={200: text("The form.", _HTML)},
)
APPLY_STATE: Final = Operation(
    summary="Read the state of an application by the form",
    body=_form("id", "reference"),
    responses=_STATE_PAGES,
    refusals=frozenset({"unsupported-media-type"}),
)
APPLY_WITHDRAW: Final = Operation(
    summary="Withdraw an application by the form",
    body=_form("id", "reference"),
    responses={**_STATE_PAGES, 409: text("The form again: it cannot be withdrawn.", _HTML)},
    refusals=frozenset({"unsupported-media-type"}),
)
