"""The case: the person's data. Only the sender, the vault and the acceptor see it in plain text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from marshmallow.validate import Length

from contracts.identifiers import Pattern

E164 = Annotated[str, Pattern(r"^\+[1-9][0-9]{6,14}$", error="Must be an E.164 number.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A document attached to the case. content: base64 (RFC 4648 §4)."""

    name: Annotated[str, Length(min=1, max=200)]
    media_type: Annotated[str, Length(min=3, max=100)]
    content: Annotated[str, Length(max=1_000_000)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """The person's data. name: one free text, because many names have no first and last part."""

    name: Annotated[str, Length(min=1, max=300)]
    phones: Annotated[tuple[E164, ...], Length(max=10)] = ()
    # How to contact the person safely: whom to ask for, when, and what to say.
    safe_contact: Annotated[str, Length(max=1000)] | None = None
    narrative: Annotated[str, Length(max=20_000)] = ""
    documents: Annotated[tuple[Document, ...], Length(max=20)] = ()
