"""The case: the person's data. In the open only at the sender's, inside the vault, at the acceptor's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from marshmallow.validate import Length

from contracts.identifiers import Pattern

E164 = Annotated[str, Pattern(r"^\+[1-9][0-9]{6,14}$", error="Not an E.164 number.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A paper of the case. content: base64 (RFC 4648 §4)."""

    name: Annotated[str, Length(min=1, max=200)]
    media_type: Annotated[str, Length(min=3, max=100)]
    content: Annotated[str, Length(max=1_000_000)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """name is one free text: many names do not split in two."""

    name: Annotated[str, Length(min=1, max=300)]
    phones: Annotated[tuple[E164, ...], Length(max=10)] = ()
    # How to reach the person without harm: whom, when, which words.
    safe_contact: Annotated[str, Length(max=1000)] | None = None
    narrative: Annotated[str, Length(max=20_000)] = ""
    documents: Annotated[tuple[Document, ...], Length(max=20)] = ()
