"""The seeds to simulate: those that failed before come first."""

from __future__ import annotations

from pathlib import Path

from tests.simulation.story import Story

REGRESSIONS = Path(__file__).with_name("regressions.txt")


def failure_of(seed: int) -> BaseException | None:
    """Run the story of a seed; return its failure, or None."""
    try:
        Story(seed).tell()
    except Exception as error:
        return error
    return None


def regressions() -> list[int]:
    """Return the seeds that once failed: the first word of each line that is not a comment."""
    lines = REGRESSIONS.read_text(encoding="utf-8").splitlines()
    return [int(line.split()[0]) for line in lines if line.strip() and not line.startswith("#")]


def remember(seed: int, reason: str) -> None:
    """Store a failing seed, which later runs simulate first."""
    if seed not in regressions():
        with REGRESSIONS.open("a", encoding="utf-8") as file:
            file.write(f"{seed} {' '.join(reason.split())}\n")
