"""A witness that polls: it fetches a log's checkpoint and computes the consistency proof itself."""

from __future__ import annotations

from kopuro_client.tlog.checkpoint import Checkpoint, parse_checkpoint
from kopuro_client.tlog.errors import ContentError, ForkError, RollbackError, UntrustedError
from kopuro_client.tlog.keys import VerifierKey
from kopuro_client.tlog.note import SignedNote
from kopuro_client.tlog.tiles import Source, TileNodes
from kopuro_client.tlog.tree import prove_consistency
from kopuro_client.witness.request import AddCheckpoint
from kopuro_client.witness.witness import Witness


class Follower:
    """Polls one log for a witness. log_key: its name is the log's origin."""

    def __init__(self, *, witness: Witness, source: Source, log_key: VerifierKey) -> None:
        self._witness = witness
        self._source = source
        self._log_key = log_key

    def turn(self) -> Checkpoint:
        """Fetch the log's checkpoint once and return it cosigned.

        Raises RollbackError and ForkError, with the evidence; UntrustedError, MalformedError,
        ContentError, and what the source raises.
        """
        note = self._source.read("checkpoint")
        if note is None:
            raise ContentError("the log has no checkpoint")
        checkpoint = parse_checkpoint(note, [self._log_key])
        if checkpoint.origin != self._log_key.name:
            raise UntrustedError(f"the checkpoint belongs to another log, {checkpoint.origin}")
        last = self._witness.last(checkpoint.origin)
        size = 0 if last is None else last.size
        evidence = (str(checkpoint.note),) if last is None else (str(last.note), str(checkpoint.note))
        if size > checkpoint.size:
            raise RollbackError(
                f"the log has {checkpoint.size} entries, but {size} were cosigned", evidence=evidence
            )
        proof = prove_consistency(size, checkpoint.size, TileNodes(self._source, checkpoint.size))
        # The witness records only the log's own signature lines.
        log_lines = tuple(signed.line for signed in checkpoint.signatures)
        note_of_log = SignedNote(text=checkpoint.note.text, lines=log_lines)
        response = self._witness.add_checkpoint(
            AddCheckpoint(old_size=size, proof=tuple(proof), note=note_of_log)
        )
        if response.status == 409:  # another process of this witness was faster
            return self.turn()
        if response.status != 200:
            raise ForkError(
                f"the log does not extend the {size} cosigned entries: {response.body.strip()}",
                evidence=evidence,
            )
        cosigned = self._witness.last(checkpoint.origin)
        assert cosigned is not None
        return cosigned
