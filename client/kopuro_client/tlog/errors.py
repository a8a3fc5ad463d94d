"""Errors of verifying a log, bundle, receipt or witness.

    ClientError
    └── TlogError               verification failed
        ├── MalformedError      invalid format of a key, note, checkpoint, proof, tile, policy or bundle
        ├── UntrustedError      a signature is missing or invalid, or too few witnesses cosigned
        ├── ProofError          a proof is invalid
        ├── ContentError        an entry, tile or file is missing, or does not match what was signed
        └── HistoryError        the log contradicts a checkpoint that it signed before
            ├── RollbackError   it is shorter than before
            └── ForkError       it no longer contains its earlier entries

Reading can also raise TransportError, UnavailableError or DefectError, as any other request. These say
nothing about the log.
"""

from __future__ import annotations

from kopuro_client.errors import ClientError


class TlogError(ClientError):
    """Verification failed. The message is one clause that says why."""


class MalformedError(TlogError):
    """The input does not have the expected format; its content was not verified."""


class UntrustedError(TlogError):
    """No trusted key signed this, or too few witnesses did."""


class ProofError(TlogError):
    """An inclusion or consistency proof is invalid."""


class ContentError(TlogError):
    """The content does not match what the log signed: changed, missing, moved or added."""


class HistoryError(TlogError):
    """Two checkpoints of one log contradict each other.

    evidence: the signed notes. Keep them, with a copy of the log. Two notes of one size with different roots
    prove by themselves that the log is at fault. Notes of different sizes prove it only with the log's tiles.
    """

    def __init__(self, message: str, *, evidence: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.evidence = evidence


class RollbackError(HistoryError):
    """The log is shorter than a checkpoint that it signed before."""


class ForkError(HistoryError):
    """The log does not contain the tree of a checkpoint that it signed before."""
