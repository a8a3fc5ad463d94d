"""The head of the log: how far it reaches, and the signed word for it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from services.audit.log.domain import note
from services.audit.log.domain.checkpoint import Checkpoint
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.merkle import Frontier
from services.audit.log.domain.note import Ed25519Signer


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """frontier: all that is needed to append. checkpoint: the signed note. signed_at: when.

    chronology: of all its entries.
    """

    frontier: Frontier
    chronology: Chronology
    checkpoint: bytes
    signed_at: dt.datetime

    @property
    def size(self) -> int:
        """How many entries the log has."""
        return self.frontier.size


@dataclass(frozen=True, kw_only=True, slots=True)
class LogKey:
    """The key a log signs with; its name is the log's origin."""

    signer: Ed25519Signer

    @property
    def origin(self) -> str:
        """What the checkpoints begin with, `kopuro/<hub>`."""
        return self.signer.name

    @property
    def verifier_key(self) -> str:
        """The public key as notes write it, `name+key id+base64`. Source: C2SP signed-note."""
        return self.signer.verifier.format()

    def sign(self, frontier: Frontier, chronology: Chronology, now: dt.datetime) -> Head:
        """The head of a log that has grown to this."""
        checkpoint = Checkpoint(origin=self.origin, size=frontier.size, root=frontier.root())
        return Head(
            frontier=frontier,
            chronology=chronology,
            checkpoint=note.sign(checkpoint.format(), self.signer),
            signed_at=now,
        )

    def read(self, checkpoint: bytes) -> Checkpoint:
        """What this key has signed. Raises NoteError for anything else."""
        return Checkpoint.parse(note.open_note(checkpoint, [self.signer.verifier]).text)


def origin_of(hub: str) -> str:
    """The origin of a hub's log."""
    return f"kopuro/{hub}"
