"""A report about an employer, the organisations that may receive one, and the reply of an employer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from contracts.canonical import canonical_json
from contracts.codes import OrganizationKind
from contracts.commitment import commitment_to
from contracts.employer import Allegation, Employer, EmployerReport
from contracts.errors import PointerError, Refused
from contracts.jose import decoded
from contracts.organization import Organization
from contracts.paused_key import paused_key
from contracts.sealed_text import not_sealed, require_sealed

# Labour inspectorates are state bodies.
RECEIVING_KINDS: Final = frozenset({OrganizationKind.union, OrganizationKind.state_body})
# The most reports of one organisation, retracted or not, in the time for which a report counts. Every request
# for the watched employers compares all reports that count.
MOST_REPORTS: Final = 500
# The most reports of one organisation, retracted or not, in 24 hours. Each has evidence for up to 60
# mailboxes.
MOST_IN_A_DAY: Final = 20
A_DAY: Final = dt.timedelta(days=1)
_DOMAIN: Final = b"kopuro watch report\n"
_PAUSED: Final = (
    "The recipient's sealing key was replaced without proof of the earlier key. No allegation goes to it"
    " before {until}: report without this recipient, or wait."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchReport:
    """A report as the directory keeps it, without its evidence. salt: opens `commitment`, base64url."""

    id: str
    reporter: str
    allegation: Allegation
    recipients: tuple[str, ...]
    salt: str
    reported_at: dt.datetime
    retracted_at: dt.datetime | None = None

    @property
    def commitment(self) -> str:
        """Return the commitment to the report's id and reporter that the log holds."""
        return reporter_commitment(self.id, self.reporter, self.salt)


def reporter_commitment(report_id: str, reporter: str, salt: str) -> str:
    """Return the commitment to a report's id and reporter. salt: 32 bytes in base64url.

    Raises ValueError for a salt that is not base64url.
    """
    content = canonical_json({"report_id": report_id, "reporter": reporter})
    return commitment_to(content, decoded(salt), domain=_DOMAIN)


@dataclass(frozen=True, kw_only=True, slots=True)
class EmployerReply:
    """The reply of an employer. by: the coordinator that entered it for the entry `watched_id`."""

    watched_id: str
    employer: Employer
    text: str
    by: str
    at: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """How many reports an organisation has made, retracted or not. in_period: that have not expired."""

    in_period: int
    in_a_day: int


def may_receive(organization: Organization) -> bool:
    """Return whether the organisation, if it has opted in, receives reports now."""
    return (
        organization.in_good_standing
        and organization.kind in RECEIVING_KINDS
        and organization.sealing_key is not None
    )


def paused_until(organization: Organization, now: dt.datetime, pause: dt.timedelta) -> dt.datetime | None:
    """Return until when no allegation goes to the organisation's key; None if one may.

    pause: after a replacement of the key without proof of the earlier one.
    """
    change = organization.sealing_key_change
    until = None if change is None else change.paused_until(pause)
    return until if until is not None and now < until else None


def require_may_opt_in(organization: Organization | None) -> None:
    """Raises Refused `forbidden` for a kind or standing without watch reports, `conflict` without a key."""
    if organization is None or not organization.in_good_standing:
        raise Refused("forbidden", "Only active and vetted organisations may receive watch reports.")
    if organization.kind not in RECEIVING_KINDS:
        raise Refused("forbidden", "Only trade unions and state bodies may receive watch reports.")
    if organization.sealing_key is None:
        raise Refused("conflict", "Publish a sealing key first: evidence is sealed to it.")


def check_report(
    report: EmployerReport,
    receiving: Collection[Organization],
    *,
    reporter: Organization | None,
    made: Made,
    root_of: Callable[[str], str],
    now: dt.datetime,
    pause: dt.timedelta,
) -> None:
    """Check who reports, the period, and that each evidence is sealed to an organisation that opted in.

    receiving: the named organisations that opted in and may receive reports. root_of: the root of an
    organisation (`watched.py`). pause: after the replacement of a recipient's key without proof of the
    earlier one. Raises Refused `forbidden`, `conflict` for an organisation that has made MOST_REPORTS or
    MOST_IN_A_DAY and during a recipient's pause, `invalid-submission` and `case-not-sealed`.
    """
    if reporter is None or not reporter.in_good_standing:
        raise Refused("forbidden", "Only active and vetted organisations may report an employer.")
    if made.in_period >= MOST_REPORTS:
        raise Refused(
            "conflict",
            f"Your organisation has made {MOST_REPORTS} reports that have not expired, the most that it may "
            "make. Retracted reports are among them. Wait until one expires.",
        )
    if made.in_a_day >= MOST_IN_A_DAY:
        raise Refused(
            "conflict",
            f"Your organisation has made {MOST_IN_A_DAY} reports in 24 hours, the most that it may make. "
            "Retracted reports are among them. Report again tomorrow.",
        )
    # In the easternmost time zone a month begins 14 hours earlier than in UTC.
    if report.last_month > f"{now + dt.timedelta(hours=14):%Y-%m}":
        raise _invalid("/last_month", "Must not be in the future.")
    by_id = {organization.id: organization for organization in receiving}
    for index, evidence in enumerate(report.evidence):
        recipient = by_id.get(evidence.organization)
        if recipient is None:
            raise _invalid(
                f"/evidence/{index}/organization", "Must be an organisation of `/v1/watch/recipients`."
            )
        where = f"/evidence/{index}/sealed"
        if require_sealed(evidence.sealed, where) not in _kids(recipient, now):
            raise not_sealed(where, "The JWE is not sealed to the recipient's current key.")
        if (until := paused_until(recipient, now, pause)) is not None:
            error = PointerError(pointer=where, detail="The recipient's key was just replaced without proof.")
            raise paused_key(_PAUSED, until=until, now=now, slug="conflict", errors=[error])
    if all(root_of(name) == root_of(reporter.id) for name in by_id):
        raise _invalid("/evidence", "At least one recipient must be unrelated to your organisation.")


def _kids(organization: Organization, now: dt.datetime) -> set[str]:
    kids = set() if organization.sealing_key is None else {organization.sealing_key.kid}
    change = organization.sealing_key_change
    replaced = () if change is None else change.replaced
    return kids | {key.kid for key in replaced if now < key.until}


def _invalid(pointer: str, detail: str) -> Refused:
    error = PointerError(pointer=pointer, detail=detail)
    return Refused("invalid-submission", f"Correct {pointer}.", errors=[error])
