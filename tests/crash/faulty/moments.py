"""The crash points of a process, and how a test selects one."""

from __future__ import annotations

import os
import signal
from enum import StrEnum
from pathlib import Path

# The variable that names the plan's file; while the file is not there, nothing happens.
PLAN = "KOPURO_TEST_PLAN"


class Moment(StrEnum):
    """What a message or a request has gone through; between two of them lies a crash point of the code."""

    delivered = "the consumer has taken a batch"
    before_commit = "all of a durable transaction is said, and not committed"
    committed = "a durable transaction is committed"
    before_acknowledgement = "the batch is processed, and not acknowledged"
    acknowledged = "the batch is acknowledged"
    before_publishing = "the relay has a wave in hand"
    confirmed = "the wave is confirmed"
    forgotten = "the rows of the wave are deleted"
    # Nobody dies at these two: the database does what it is told, and says that it could not.
    commit_reported_failed = "a durable transaction is committed, and reported failed"
    forgetting_reported_failed = "the rows of the wave are deleted, and that is reported failed"


def named(value: object) -> str | None:
    """A moment as the id of a test; None for other values, which pytest shows by itself."""
    return value.name if isinstance(value, Moment) else None


def plan(file: Path, moment: Moment) -> None:
    """From now on the process with this plan dies at the moment, the first time that it comes to it."""
    draft = file.with_suffix(".draft")
    draft.write_text(moment)
    draft.rename(file)


def reached(file: Path) -> bool:
    """Whether the process has come to the moment that was planned."""
    return not file.exists()


def comes_to(moment: Moment) -> bool:
    """Whether that is planned, in this process; once only."""
    file = Path(os.environ[PLAN])
    if not file.exists() or file.read_text() != moment:
        return False
    file.unlink()
    return True


def die_at(moment: Moment) -> None:
    """SIGKILL to this very process, if that is planned: nothing is flushed, closed or said."""
    if comes_to(moment):
        os.kill(os.getpid(), signal.SIGKILL)
