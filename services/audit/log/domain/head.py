"""The head of the log: its tree and the signed checkpoint."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.audit.log.domain import note
from services.audit.log.domain.checkpoint import Checkpoint
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.merkle import Frontier
from services.audit.log.domain.note import Ed25519Signer, Ed25519Verifier


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The head of a log. frontier: the state needed to append; checkpoint: the signed note.

    chronology: of all entries; signed_at: the time of the signature.
    """

    frontier: Frontier
    chronology: Chronology
    checkpoint: bytes
    signed_at: dt.datetime

    @property
    def size(self) -> int:
        """The number of entries."""
        return self.frontier.size


class CheckpointKeys(Protocol):
    """The keys of a log, which may be replaced while the process runs (`LogKey` says what each does)."""

    @property
    def origin(self) -> str:
        """See `LogKey`."""
        ...

    @property
    def verifier_key(self) -> str:
        """See `LogKey`."""
        ...

    def verifier_key_of(self, checkpoints: Sequence[bytes]) -> str:
        """See `LogKey`."""
        ...

    def sign(self, frontier: Frontier, chronology: Chronology, now: dt.datetime) -> Head:
        """See `LogKey`."""
        ...

    def read(self, checkpoint: bytes) -> Checkpoint:
        """See `LogKey`."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LogKey:
    """The signing keys of a log, whose name is the log's origin.

    signer: the present key. earlier: the keys before, while a rotation lasts: they sign too, so that anyone
    who has pinned one of them can verify every checkpoint. A checkpoint that only they signed is accepted.
    """

    signer: Ed25519Signer
    earlier: tuple[Ed25519Signer, ...] = ()

    @property
    def origin(self) -> str:
        """The first line of the checkpoints, `kopuro/<hub>`."""
        return self.signer.name

    @property
    def verifier_key(self) -> str:
        """The present public key as signed notes write it, `name+key id+base64`. Source: C2SP signed-note."""
        return self.signer.verifier.format()

    def verifier_key_of(self, checkpoints: Sequence[bytes]) -> str:
        """Return the newest key that has signed all these checkpoints; the present one if there is none.

        A key that was just added signs the next checkpoint, and a quiet log has none for hours. Until then
        nobody can verify with it what is published.
        """
        verifiers = (signer.verifier for signer in (self.signer, *self.earlier))
        signed = (one for one in verifiers if all(_has_signed(one, note) for note in checkpoints))
        return next(signed, self.signer.verifier).format()

    def sign(self, frontier: Frontier, chronology: Chronology, now: dt.datetime) -> Head:
        """Return the signed head of a log in this state."""
        checkpoint = Checkpoint(origin=self.origin, size=frontier.size, root=frontier.root())
        return Head(
            frontier=frontier,
            chronology=chronology,
            checkpoint=note.sign(checkpoint.format(), self.signer, *self.earlier),
            signed_at=now,
        )

    def read(self, checkpoint: bytes) -> Checkpoint:
        """Return the checkpoint that one of the keys signed. Raises NoteError for anything else."""
        verifiers = [signer.verifier for signer in (self.signer, *self.earlier)]
        return Checkpoint.parse(note.open_note(checkpoint, verifiers).text)


def _has_signed(verifier: Ed25519Verifier, checkpoint: bytes) -> bool:
    try:
        note.open_note(checkpoint, [verifier])
    except note.NoteError:
        return False
    return True


def origin_of(hub: str) -> str:
    """Return the origin of a hub's log."""
    return f"kopuro/{hub}"
