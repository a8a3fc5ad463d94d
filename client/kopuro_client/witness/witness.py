"""The witness: it records a checkpoint durably, then sends its cosignature.

The crash points of a request, in order:

1. *verified, not yet recorded*: nothing has changed; the log repeats the request.
2. *recorded, not yet responded*: the log has no cosignature and repeats the request with the old size. The
   witness responds with the new size (409), and the log sends a proof from there to the same size, which is
   empty, or to a later one.

So the record has every cosignature that was ever sent, and no crash can make a witness sign two trees that
contradict each other. Source: https://c2sp.org/tlog-witness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kopuro_client.tlog.checkpoint import Checkpoint, parse_checkpoint
from kopuro_client.tlog.errors import MalformedError, ProofError, TlogError, UntrustedError
from kopuro_client.tlog.keys import SigningKey, VerifierKey
from kopuro_client.tlog.note import Signed, SignedNote, signature_line
from kopuro_client.tlog.tree import EMPTY_ROOT, verify_consistency
from kopuro_client.witness.record import WitnessRecord, name_of
from kopuro_client.witness.request import AddCheckpoint

SIZE_TYPE = "text/x.tlog.size"
TEXT_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True, kw_only=True, slots=True)
class WitnessResponse:
    """An HTTP response. status: as specified by tlog-witness."""

    status: int
    body: str
    content_type: str = TEXT_TYPE


class Witness:
    """Cosigns the checkpoints of known logs. Threads may share one."""

    def __init__(
        self, *, key: SigningKey, logs: Iterable[VerifierKey], record: WitnessRecord, now: Callable[[], int]
    ) -> None:
        """logs: keys whose names are the origins of the logs; now: POSIX seconds."""
        self._key = key
        self._logs = tuple(logs)
        self._record = record
        self._now = now

    def add_checkpoint(self, request: AddCheckpoint) -> WitnessResponse:
        """Cosign a checkpoint (200) or refuse (400, 403, 404, 409, 422).

        Raises TlogError if the witness's own record is damaged.
        """
        try:
            checkpoint = Checkpoint.read(request.note)
        except MalformedError as error:
            return WitnessResponse(status=400, body=f"{error}\n")
        keys = self._keys_of(checkpoint.origin)
        if not keys:
            return WitnessResponse(status=404, body="unknown log\n")
        try:
            signed = request.note.signatures_by(keys)
        except UntrustedError as error:
            return WitnessResponse(status=403, body=f"{error}\n")
        if not signed:
            return WitnessResponse(status=403, body="no known key of the log has signed the checkpoint\n")
        if request.old_size > checkpoint.size:
            return WitnessResponse(status=400, body="the old size exceeds the checkpoint's size\n")
        with self._record.held(checkpoint.origin):
            return self._advance(request, checkpoint, signed)

    def last(self, origin: str) -> Checkpoint | None:
        """Return the last cosigned checkpoint of a log, with the witness's signature; None if there is none.

        Raises UntrustedError if the record is damaged.
        """
        note = self._record.read(name_of(origin))
        if note is None:
            return None
        own = self._key.verifier
        try:
            checkpoint = parse_checkpoint(note, [own])
            if checkpoint.origin != origin or not checkpoint.note.signatures_by(self._keys_of(origin)):
                raise UntrustedError("it belongs to another log, or to a log whose key is no longer known")
        except TlogError as error:
            raise UntrustedError(f"the witness's record of {origin} is damaged: {error}") from error
        return checkpoint

    def checkpoint(self, origin_hash: str) -> WitnessResponse:
        """Respond with the last cosigned checkpoint of the log with this origin hash: 200 or 404."""
        known = {name_of(key.name) for key in self._logs}
        note = self._record.read(origin_hash) if origin_hash in known else None
        if note is None:
            return WitnessResponse(status=404, body="no cosigned checkpoint of this log\n")
        return WitnessResponse(status=200, body=note.decode())

    def _advance(
        self, request: AddCheckpoint, checkpoint: Checkpoint, signed: tuple[Signed, ...]
    ) -> WitnessResponse:
        last = self.last(checkpoint.origin)
        size = 0 if last is None else last.size
        if request.old_size != size:
            return WitnessResponse(status=409, body=f"{size}\n", content_type=SIZE_TYPE)
        if last is not None and last.size == checkpoint.size and last.root != checkpoint.root:
            # The log has signed both, which proves a fork.
            self._record.keep_fork(checkpoint.origin, f"{last.note}\n{checkpoint.note}".encode())
        old_root = EMPTY_ROOT if last is None else last.root
        try:
            verify_consistency(size, checkpoint.size, request.proof, old_root, checkpoint.root)
        except ProofError as error:
            return WitnessResponse(status=422, body=f"{error}\n")
        line = signature_line(checkpoint.note.text, self._key, time=self._now())
        lines = (*(one.line for one in signed), line)
        self._record.replace(
            checkpoint.origin, str(SignedNote(text=checkpoint.note.text, lines=lines)).encode()
        )
        return WitnessResponse(status=200, body=str(line))

    def _keys_of(self, origin: str) -> tuple[VerifierKey, ...]:
        return tuple(key for key in self._logs if key.name == origin)
