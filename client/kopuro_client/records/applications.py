"""Applications to join a network in a hub's responses."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from kopuro_client.records.pages import Page


class ApplicationReceipt(TypedDict):
    """reference: what the applicant reads the state with; salt: opens the commitment in the hub's log."""

    id: str
    reference: str
    state: str
    salt: str | None
    expires_at: str


class ApplicationStatus(TypedDict):
    """organization: its id as a member, once it is vetted; next: what to do then."""

    id: str
    state: str
    submitted_at: str
    expires_at: str
    reason: str | None
    note: str | None
    organization: str | None
    next: str | None


class ApplicationContact(TypedDict):
    """The contact person of an application."""

    name: str
    email: str | None
    telephone: str | None


class ApplicationContent(TypedDict):
    """An application to join, as the applicant sent it."""

    name: str
    kind: str
    country: str
    languages: list[str]
    description: str
    contact: ApplicationContact
    website: str | None
    parent: str | None
    proposed_id: str | None


class ApplicationRecord(TypedDict):
    """An application as the staff see it. application: None once it need not be kept."""

    id: str
    state: str
    submitted_at: str
    expires_at: str
    application: ApplicationContent | None
    salt: str | None
    approval_id: str | None
    organization: str | None
    decided_by: str | None
    decided_at: str | None
    reason: str | None
    note: str | None


class ApplicationRoom(TypedDict):
    """How many applications count towards the limit, and the limit."""

    taken: int
    most: int


class ApplicationList(Page[ApplicationRecord]):
    """A page of applications. room: missing from older hubs."""

    room: NotRequired[ApplicationRoom]
