"""The crash points of a process, and how a test selects one."""

from __future__ import annotations

import os
import signal
from enum import StrEnum
from pathlib import Path

# The variable that names the plan's file; while the file is not there, nothing happens.
PLAN = "KOPURO_TEST_PLAN"


class Moment(StrEnum):
    """Steps in the processing of a message or request. A crash point lies between two steps."""

    delivered = "the consumer has taken a batch"
    before_commit = "a durable transaction is complete but not committed"
    committed = "a durable transaction is committed"
    before_acknowledgement = "the batch is processed, and not acknowledged"
    acknowledged = "the batch is acknowledged"
    before_publishing = "the relay has a wave in hand"
    confirmed = "the wave is confirmed"
    forgotten = "the rows of the wave are deleted"
    # The process survives these two: the database commits, but reports a failure.
    commit_reported_failed = "a durable transaction is committed, and reported failed"
    forgetting_reported_failed = "the rows of the wave are deleted, and that is reported failed"


def named(value: object) -> str | None:
    """Return a moment as a test id; None for other values, for which pytest makes the id."""
    return value.name if isinstance(value, Moment) else None


def plan(file: Path, moment: Moment) -> None:
    """Plan that the process dies when it first reaches the moment."""
    draft = file.with_suffix(".draft")
    draft.write_text(moment)
    draft.rename(file)


def reached(file: Path) -> bool:
    """Return whether the process has reached the planned moment."""
    return not file.exists()


def comes_to(moment: Moment) -> bool:
    """Return whether the moment is planned in this process; True only once."""
    file = Path(os.environ[PLAN])
    if not file.exists() or file.read_text() != moment:
        return False
    file.unlink()
    return True


def die_at(moment: Moment) -> None:
    """Kill this process with SIGKILL if that is planned: nothing is flushed, closed or sent."""
    if comes_to(moment):
        os.kill(os.getpid(), signal.SIGKILL)
