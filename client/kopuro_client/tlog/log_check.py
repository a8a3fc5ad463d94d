"""A whole log held against its signatures, its witnesses, and what was seen of it before."""

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
# A hub's own addition: the newest checkpoint that its witnesses have cosigned.
COSIGNED: Final = "cosigned-checkpoint"


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedLog:
    """accepted: the newest checkpoint; witnessed: the newest one that reaches the policy's quorum.

    spare_files: files below `tile/` that a log of this size does not need; None where they were not
    looked for.
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
    """Return if the log is what its signed checkpoint says, continues `known`, and is witnessed.

    Where the newest checkpoint has too few cosignatures yet, the log's `cosigned-checkpoint` must have
    them, and the log must continue it. The other arguments, and what is raised: see `replay` and
    `Policy.accept`. Of a directory read whole, spare files are compared too.
    """
    # First the older one, so that a log that grows meanwhile does not seem to have shrunk.
    older = source.read(COSIGNED)
    note = source.read(CHECKPOINT)
    if note is None:
        raise ContentError("the log's checkpoint is missing")
    cosigned = None if older is None else policy.accept(older)
    accepted = policy.accept(note, witnessed=cosigned is None)
    seen = list(known)
    whole = whole or not seen  # what the log itself shows is no place to begin at
    if cosigned is not None:
        seen.append(cosigned.checkpoint)
    for checkpoint in seen:
        if checkpoint.origin != accepted.checkpoint.origin:
            raise ContentError(
                f"this is the log {accepted.checkpoint.origin}, and not {checkpoint.origin} as before"
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
