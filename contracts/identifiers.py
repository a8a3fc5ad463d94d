"""Identifiers as constrained strings. Time-ordered ones are UUIDv7 (RFC 9562)."""

from __future__ import annotations

from typing import Annotated, Any, Final

from marshmallow import ValidationError
from marshmallow.validate import Length, Regexp

from contracts.open_text import PlainText
from contracts.vocabularies import InVocabulary


class Pattern(Regexp):
    """Requires the whole text to match. `Regexp` admits a final line feed: Python's `$` matches before it."""

    def __call__(self, value: Any) -> Any:
        if self.regex.fullmatch(value) is None:
            raise ValidationError(self.error)
        return value


UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
ORGANIZATION_PATTERN = r"^[a-z]{2}\.[a-z0-9]+(-[a-z0-9]+)*$"
SLUG_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*$"

LONGEST_ORGANIZATION_ID: Final = 100

Uuid = Annotated[str, Pattern(UUID_PATTERN, error="Must be a lower-case UUID.")]
ReferralId = Uuid
OfferId = Uuid
MessageId = Uuid

# `<hub>.<slug>`: lower case, so that it makes two valid words of an AMQP routing key.
OrganizationId = Annotated[
    str,
    Pattern(ORGANIZATION_PATTERN, error="Must be an organisation id such as 'kg.osh-legal-aid'."),
    Length(max=LONGEST_ORGANIZATION_ID),
]
Slug = Annotated[str, Pattern(SLUG_PATTERN, error="Must be a lower-case slug."), Length(max=60)]

# The `message_id` of a submission over AMQP, which is its idempotency key: printable ASCII.
SubmissionKey = Annotated[
    str,
    Pattern(r"^[ -~]+$", error="Must consist of printable ASCII characters."),
    Length(min=1, max=255),
]

NeedCode = Annotated[str, InVocabulary("needs")]
Region = Annotated[str, InVocabulary("regions")]
Language = Annotated[str, InVocabulary("languages")]
# A person may come from any country; `Region` lists only the network's own regions.
Country = Annotated[str, Pattern(r"^[A-Z]{2}$", error="Must be an ISO 3166-1 alpha-2 code.")]

ShortText = Annotated[str, Length(min=1, max=200)]
# A name or title, as lists show it.
NameText = Annotated[str, Length(min=1, max=200), PlainText()]
LongText = Annotated[str, Length(max=2000)]
