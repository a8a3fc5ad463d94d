"""Applications of organisations that want to join the network, and decisions about them.

Anybody may send one. So each member is bounded, and no text can control a terminal or hide characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from marshmallow import ValidationError
from marshmallow.validate import Length

from contracts.codes import ApplicationRefusal, OrganizationKind
from contracts.identifiers import Country, Language, OrganizationId, Pattern
from contracts.open_text import PlainText

# Bytes of the body: every member at its longest, in the longest encoding of JSON and of a form.
LONGEST_APPLICATION: Final = 64 * 1024

EmailAddress = Annotated[
    str,
    Pattern(
        r"^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
        r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+$",
        error="Must be an e-mail address.",
    ),
    Length(max=200),
]
TelephoneNumber = Annotated[
    str,
    Pattern(r"^\+[0-9](?:[ -]?[0-9]){6,14}$", error="Must be a number such as +996 312 000000."),
    Length(max=40),
]
Website = Annotated[
    str,
    Pattern(
        r"^https?://[A-Za-z0-9.-]+(?:/[!-~]*)?$", error="Must be an address such as https://example.org."
    ),
    Length(max=200),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactPerson:
    """The contact person of an application. At least one way to reach the person is needed."""

    name: Annotated[str, Length(min=1, max=100), PlainText()]
    email: EmailAddress | None = None
    telephone: TelephoneNumber | None = None

    @staticmethod
    def rules(data: Mapping[str, Any]) -> None:
        """Refuse a contact without an e-mail address and telephone number."""
        if data.get("email") is None and data.get("telephone") is None:
            raise ValidationError({"email": ["An e-mail address or a telephone number is needed."]})


@dataclass(frozen=True, kw_only=True, slots=True)
class Application:
    """An organisation's application to join the network. description: what it does.

    proposed_id: the id that it wishes to have in the network. parent: a member that it belongs to.
    """

    name: Annotated[str, Length(min=2, max=200), PlainText()]
    kind: OrganizationKind
    country: Country
    languages: Annotated[tuple[Language, ...], Length(min=1, max=15)]
    description: Annotated[str, Length(min=1, max=2000), PlainText(lines=True)]
    contact: ContactPerson
    website: Website | None = None
    parent: OrganizationId | None = None
    proposed_id: OrganizationId | None = None

    @staticmethod
    def rules(data: Mapping[str, Any]) -> None:
        """Refuse repeated languages."""
        if len(set(data["languages"])) != len(data["languages"]):
            raise ValidationError({"languages": ["Must not repeat a language."]})


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplicationRequest(Application):
    """The body of `POST /v1/applications`.

    reference_sha256: hexadecimal digest of a reference that the applicant made itself (43 characters of
    base64url). A repetition with the same digest stores nothing new. Without it the hub makes the reference.
    """

    reference_sha256: (
        Annotated[str, Pattern(r"^[0-9a-f]{64}$", error="Must be a SHA-256 digest, hexadecimal.")] | None
    ) = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplicationVetting:
    """The body of `POST /v1/applications/{id}/vet`: what the network decides differently.

    id: of the organisation; None: as proposed. parent: a member that it belongs to; None: as proposed.
    without_parent: it belongs to none, whatever it proposed.
    """

    id: OrganizationId | None = None
    parent: OrganizationId | None = None
    without_parent: bool = False

    @staticmethod
    def rules(data: Mapping[str, Any]) -> None:
        """Refuse a parent beside `without_parent`."""
        if data.get("parent") is not None and data.get("without_parent", False):
            raise ValidationError({"parent": ["Cannot be combined with `without_parent`."]})


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplicationRejection:
    """The body of `POST /v1/applications/{id}/refuse`. note: to the applicant, which alone reads it."""

    reason: ApplicationRefusal
    note: Annotated[str, Length(min=1, max=1000), PlainText(lines=True)] | None = None
