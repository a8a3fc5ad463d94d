"""Watched employers and watch reports in a hub's responses."""

from __future__ import annotations

from typing import TypedDict

from kopuro_client.records.keys import Jwk


class Employer(TypedDict):
    """An employer or recruitment agency. region, registration_number: None if not known."""

    name: str
    kind: str
    country: str
    region: str | None
    registration_number: str | None


class EmployerReply(TypedDict):
    """by: the coordinator that entered it for the employer."""

    text: str
    by: str
    at: str


class WatchedEmployer(TypedDict):
    """first_month, last_month, until: months such as 2026-03. reporters: a class such as two_to_four.

    practices, first_month, last_month: as two organisations state them; no month: None.
    """

    id: str
    employer: Employer
    practices: list[str]
    first_month: str | None
    last_month: str | None
    reporters: str
    until: str
    reply: EmployerReply | None


class WatchReport(TypedDict):
    """A report of the caller."""

    id: str
    employer: Employer
    practices: list[str]
    first_month: str
    last_month: str
    recipients: list[str]
    reported_at: str
    expires_at: str
    retracted_at: str | None


class WatchRecipient(TypedDict):
    organization: str
    name: str
    sealing_key: Jwk


class WatchOptIn(TypedDict):
    """since: None if the caller has not opted in."""

    receives: bool
    since: str | None
