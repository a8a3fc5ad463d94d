"""The evidence of what the vault did: the signed facts that it acted on."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from contracts.envelope import Event, decode
from contracts.facts import Fact
from contracts.quick_init import quick_init


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class ProvenEvent:
    """An event with the bytes that it came in and the signature of its author, a compact JWS."""

    event: Event[Fact]
    body: bytes
    proof: str = ""

    @property
    def id(self) -> str:
        return self.event.id

    @property
    def source(self) -> str:
        return self.event.source

    @property
    def type(self) -> str:
        return self.event.type

    @property
    def time(self) -> dt.datetime:
        return self.event.time

    @property
    def traceparent(self) -> str | None:
        return self.event.traceparent

    @classmethod
    def decode(cls, body: bytes) -> ProvenEvent:
        """Parse a message. Raises Malformed."""
        return cls(event=decode(body), body=body)


def with_proof(proven: ProvenEvent, proof: str) -> ProvenEvent:
    """Return the event with the signature that came with it."""
    return replace(proven, proof=proof)
