"""Employers and recruitment agencies that organisations report, and the reports about them.

A report has no open text about workers: its evidence is sealed to each organisation that receives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from marshmallow import ValidationError
from marshmallow.validate import Length

from contracts.codes import EmployerKind, EmployerPractice
from contracts.identifiers import Country, OrganizationId, Pattern, Region
from contracts.open_text import NoTelephoneNumber, PlainText
from contracts.referral import SealedText
from contracts.vocabularies import country_of

# Characters of one JWE: some pages of text. Documents are handed over when a recipient asks for them.
LONGEST_EVIDENCE: Final = 98_304
# Organisations that one report may go to.
MOST_RECIPIENTS: Final = 60

EmployerName = Annotated[str, Length(min=2, max=200), NoTelephoneNumber(), PlainText()]
RegistrationNumber = Annotated[
    str, Pattern(r"^[0-9A-Z]{5,20}$", error="Must be 5 to 20 digits and capital Latin letters.")
]
Month = Annotated[str, Pattern(r"^20[0-9]{2}-(0[1-9]|1[0-2])$", error="Must be a month such as 2026-03.")]
ReplyText = Annotated[str, Length(min=1, max=1000), NoTelephoneNumber(), PlainText(lines=True)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Employer:
    """An employer or recruitment agency. region: where the work was or the agency recruits; None: not known.

    registration_number: in the register of its country, such as an INN, BIN or TIN.
    """

    name: EmployerName
    kind: EmployerKind
    country: Country
    region: Region | None = None
    registration_number: RegistrationNumber | None = None

    @staticmethod
    def rules(data: Mapping[str, Any]) -> None:
        """Refuse a region of another country."""
        region = data.get("region")
        if region is not None and country_of(region) != data["country"]:
            raise ValidationError({"region": ["Must be a region of `country`."]})


@dataclass(frozen=True, kw_only=True, slots=True)
class Allegation:
    """The practices that an employer is reported for, and their first and last month, both included."""

    employer: Employer
    practices: Annotated[tuple[EmployerPractice, ...], Length(min=1, max=10)]
    first_month: Month
    last_month: Month


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Evidence for one organisation that receives watch reports.

    sealed: a compact JWE of `{"text": "..."}` to its sealing key, like a note. The hub cannot check it;
    another form arrives as unreadable.
    """

    organization: OrganizationId
    sealed: Annotated[SealedText, Length(max=LONGEST_EVIDENCE)]


@dataclass(frozen=True, kw_only=True, slots=True)
class EmployerReport(Allegation):
    """The body of `POST /v1/watch/reports`."""

    evidence: Annotated[tuple[Evidence, ...], Length(min=1, max=MOST_RECIPIENTS)]

    @staticmethod
    def rules(data: Mapping[str, Any]) -> None:
        """Refuse a period that ends before it begins, repeated practices and repeated recipients."""
        if data["last_month"] < data["first_month"]:
            raise ValidationError({"last_month": ["Must not be before `first_month`."]})
        if len(set(data["practices"])) != len(data["practices"]):
            raise ValidationError({"practices": ["Must not repeat a practice."]})
        named = [one.organization for one in data["evidence"]]
        for index, organization in enumerate(named):
            if organization in named[:index]:
                detail = "Must differ from the organisations of the other evidence."
                raise ValidationError({"evidence": {index: {"organization": [detail]}}})
