"""The order of tests that share the hub of their folder."""

from __future__ import annotations

from collections.abc import Sequence

from tests.distribution import together


def shared_last(names: Sequence[str], folder: str) -> list[int]:
    """Return the positions of all tests in their order: those that share the folder's hub after its others.

    A shared hub runs until its process leaves the folder, and the hubs of other modules would run beside it:
    an idle hub takes a fifteenth of a processor. names: node ids. Tests elsewhere keep their places.
    """
    inside = [at for at, name in enumerate(names) if name.startswith(f"{folder}/")]
    moved = iter(sorted(inside, key=lambda at: together(names[at]).startswith(f"{folder} on ")))
    return [next(moved) if name.startswith(f"{folder}/") else at for at, name in enumerate(names)]
