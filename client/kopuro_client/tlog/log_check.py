"""Verification of a log against its signatures, its witnesses and earlier checkpoints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kopuro_client.tlog.checkpoint import Checkpoint
from kopuro_client.tlog.errors import ContentError
from kopuro_client.tlog.policy import AcceptedCheckpoint, TrustPolicy
from kopuro_client.tlog.replay import Progress, Replayed, Visitor, check_spare_files, replay
from kopuro_client.tlog.tiles import DirectorySource, Source

CHECKPOINT: Final = "checkpoint"
# A hub's extension: the newest checkpoint that enough witnesses have cosigned.
COSIGNED: Final = "cosigned-checkpoint"


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedLog:
    """The result of `verify_log`.

    accepted: the newest checkpoint; witnessed: the newest one that reaches the policy's quorum; spare_files:
    number of files below `tile/` that a log of this size does not need, None if not counted.
    """

    accepted: AcceptedCheckpoint
    witnessed: AcceptedCheckpoint | None
    replayed: Replayed
    spare_files: int | None


def verify_log(
    source: Source,
    policy: TrustPolicy,
    *,
    known: Iterable[Checkpoint] = (),
    whole: bool = False,
    progress: Progress = lambda _: None,
    visit: Visitor | None = None,
) -> VerifiedLog:
    """Verify that the log matches its signed checkpoint, extends `known` and is witnessed.

    If the newest checkpoint has too few cosignatures, the log's `cosigned-checkpoint` must have enough, and
    the log must extend it. For the other arguments and the errors see `replay` and `TrustPolicy.accept`. For
    a directory that is read as a whole, compares the spare files, too.
    """
    # The older one is read first, so that a log that grows meanwhile does not seem to have shrunk.
    older = source.read(COSIGNED)
    note = source.read(CHECKPOINT)
    if note is None:
        raise ContentError("the log's checkpoint is missing")
    cosigned = None if older is None else policy.accept(older)
    accepted = policy.accept(note, witnessed=cosigned is None)
    seen = list(known)
    whole = whole or not seen  # the log's own cosigned checkpoint is not a trusted starting point
    if cosigned is not None:
        seen.append(cosigned.checkpoint)
    for checkpoint in seen:
        if checkpoint.origin != accepted.checkpoint.origin:
            raise ContentError(
                f"this is the log {accepted.checkpoint.origin}, but an earlier checkpoint is of "
                f"{checkpoint.origin}"
            )
    replayed = replay(source, accepted.checkpoint, known=seen, whole=whole, progress=progress, visit=visit)
    spare = None
    if whole and isinstance(source, DirectorySource):
        spare = check_spare_files(source, accepted.checkpoint.size)
    return VerifiedLog(
        accepted=accepted,
        witnessed=accepted if policy.is_witnessed(accepted) else cosigned,
        replayed=replayed,
        spare_files=spare,
    )
