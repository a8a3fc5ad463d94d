"""What the verifier has to say against a log, a bundle or a witness. One family.

    ClientError
    └── TlogError               what was to be verified does not hold
        ├── MalformedError      not a key, note, checkpoint, proof, tile, policy or bundle at all
        ├── UntrustedError      a signature is missing or wrong, or too few witnesses cosigned
        ├── ProofError          a proof does not prove what it is said to prove
        ├── ContentError        an entry, a tile or a file is missing, or not what was signed
        └── HistoryError        the log contradicts a checkpoint that it signed before
            ├── RollbackError   it is shorter than it was
            └── ForkError       it no longer contains what it contained

Reading can also fail as any other request does: with TransportError, UnavailableError or
DefectError, which say nothing about the log.
"""

from __future__ import annotations

from kopuro_client.errors import ClientError


class TlogError(ClientError):
    """Something does not hold. The message is one clause that says what."""


class MalformedError(TlogError):
    """The bytes are not what they are said to be; their content was not looked at."""


class UntrustedError(TlogError):
    """Nobody who is trusted vouches for this, or not enough of them."""


class ProofError(TlogError):
    """A proof does not lead where it should."""


class ContentError(TlogError):
    """What is stored is not what the log signed: changed, missing, moved or added."""


class HistoryError(TlogError):
    """Two checkpoints of one log contradict each other.

    evidence: the notes, as they were signed. Together they show to anybody that the log, and not
    its reader, is at fault, so they are worth keeping.
    """

    def __init__(self, message: str, *, evidence: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.evidence = evidence


class RollbackError(HistoryError):
    """The log is shorter than a checkpoint that it signed before."""


class ForkError(HistoryError):
    """The log does not contain the tree of a checkpoint that it signed before."""
