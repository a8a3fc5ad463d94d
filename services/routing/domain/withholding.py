"""Withheld figures: counts that are too small to show, and the rows that hide them.

The counts form a tree: a leaf is a cell of a table, a branch is a group of cells, the root is everything. The
published rows are disjoint, and every counted unit is in exactly one of them: in the row of its own cell, or
in the row "all others" of a branch. So whatever somebody adds or subtracts, the result is a sum of whole rows
and never the count of a cell without a row. The total is the sum of all rows.

- A cell with THRESHOLD units or more has its own row. The other cells of a branch share one row of that
  branch; if that row would be too small, they go to the next wider branch, and at last to the root.
- If the row of the root would be too small, it takes in the smallest row above it, so that the total can be
  shown. With fewer than THRESHOLD units in all, nothing is shown.
- A shared row stands for at least FEWEST_HIDDEN cells or branches without a row, because the owner of one of
  them knows its own count. It also holds less than they could hold at most; otherwise each would be known
  to be just below THRESHOLD. If the root would hold so much, nothing is shown.

Some sources of units may read the figures themselves, such as a sender whose referrals are counted. For
these, a row and the total have THRESHOLD units or more without those of any one source
(`published_by_source`).

A reader who knows these rules cannot compute a count below THRESHOLD either: units can be moved between two
cells of a shared row, and the same rows come out. Zero is such a count.

Source: recoding and complementary suppression, L. Willenborg and T. de Waal, Elements of Statistical
Disclosure Control, 2001.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

THRESHOLD: Final = 5
FEWEST_HIDDEN: Final = 3

# The way from the root to a cell or a branch. The root is ().
Path = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedFigures:
    """The figures of a tree that may be shown.

    total: all units; None if withheld. rows: the units by cell, or those of "all others" by branch.
    """

    total: int | None = None
    rows: Mapping[Path, int] = field(default_factory=dict)


def published(
    counts: Mapping[Path, int],
    levels: Sequence[int],
    breadth: Callable[[Path], int],
    lot: Callable[[Path], int],
) -> PublishedFigures:
    """Return the rows and the total that may be shown.

    counts: units by cell. levels: the lengths of the paths of cells, then of ever wider branches, down to 0.
    breadth: how many cells or branches a branch has directly below it, whether or not anything was counted in
    them. It must not depend on the counts. lot: decides which of two equal rows the root takes in. Readers
    must not know it; otherwise they could tell the row that was taken in from a small cell.
    """
    total = sum(counts.values())
    if total < THRESHOLD:
        return PublishedFigures()
    rows = {path: count for path, count in counts.items() if count >= THRESHOLD}
    left: Mapping[Path, int] = {path: count for path, count in counts.items() if 0 < count < THRESHOLD}
    for wider in levels[1:]:
        shared: Counter[Path] = Counter()
        for path, count in left.items():
            shared[path[:wider]] += count
        open_in = _without_rows(rows, levels[: levels.index(wider) + 1], breadth)
        left = {branch: count for branch, count in shared.items() if not _is_shown(count, open_in(branch))}
        rows.update((branch, count) for branch, count in shared.items() if branch not in left)
    if () in rows:
        return PublishedFigures(total=total, rows=rows)
    hidden, rest = _without_rows(rows, levels, breadth)(()), left.get((), 0)
    if not hidden:
        return PublishedFigures(total=total, rows=rows)  # each has its own row, and nothing is left
    if rest >= _most(hidden):
        return PublishedFigures()
    while rows:
        # The shared row of its branch is removed together with a cell: it would otherwise seem to count the
        # cell.
        moved = min(
            ([path[:n] for n in range(1, len(path) + 1) if path[:n] in rows] for path in rows),
            key=lambda paths: (sum(map(rows.__getitem__, paths)), lot(paths[-1]), paths),
        )
        rest += sum(map(rows.pop, moved))
        if _without_rows(rows, levels, breadth)(()) >= FEWEST_HIDDEN:
            return PublishedFigures(total=total, rows={**rows, (): rest})
    return PublishedFigures()


def published_by_source(
    counts: Mapping[Path, Mapping[str, int]],
    levels: Sequence[int],
    breadth: Callable[[Path], int],
    lot: Callable[[Path], int],
) -> PublishedFigures:
    """Return the rows and the total that may be shown even to one of the sources. counts: by cell and source.

    The decision leaves out the largest source of each cell, so that a source that subtracts its own units
    from a row is left with THRESHOLD or more. The figures count the units of all sources.
    """
    units = {path: sum(by_source.values()) for path, by_source in counts.items()}
    others = {path: units[path] - max(by_source.values(), default=0) for path, by_source in counts.items()}
    shown = published(others, levels, breadth, lot)
    if shown.total is None:
        return shown
    rows: Counter[Path] = Counter()
    for path, count in units.items():
        rows[next(path[:n] for n in range(len(path), -1, -1) if path[:n] in shown.rows)] += count
    return PublishedFigures(total=sum(units.values()), rows=dict(rows))


def _without_rows(
    rows: Collection[Path], levels: Sequence[int], breadth: Callable[[Path], int]
) -> Callable[[Path], int]:
    """Return the number of cells or branches directly below a branch of the last level that rows leave open.

    A branch has no row, but nothing below it is open either, if everything directly below it has a row.
    """
    closed = {path for path in rows if len(path) == levels[0]}
    below: Counter[Path] = Counter()
    for wider in levels[1:]:
        below = Counter(path[:wider] for path in closed)
        closed = {path for path in rows if len(path) == wider}
        closed |= {branch for branch, count in below.items() if count == breadth(branch)}
    return lambda branch: breadth(branch) - below[branch]


def _is_shown(count: int, hidden: int) -> bool:
    return count >= THRESHOLD and hidden >= FEWEST_HIDDEN and count < _most(hidden)


def _most(hidden: int) -> int:
    """Return how much this number of cells or branches without a row can hold."""
    return hidden * (THRESHOLD - 1)
