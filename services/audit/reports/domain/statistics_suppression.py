"""Cell suppression: withholds figures so that no small one can be computed from those that are shown.

A table counts by some dimensions. Every figure has a key: in each dimension a category, or None for the sum
over all; the sums are shown too. Small figures are withheld (primary suppression), and enough others that no
small figure can be recomputed from sums (complementary suppression).

Method: every withheld figure is a corner of a hypercube of withheld figures. Moving units along it (up at one
corner, down at its neighbours, and so on) changes no shown figure. So a table with another value in that
place looks exactly like the true one. If possible, that other value is not small. Small categories have been
combined before (`statistics_classes`), so a figure that is withheld here does not reveal that a rare category
exists.

Source: the hypercube method, R.-D. Repsilber, in L. Willenborg and T. de Waal, Elements of Statistical
Disclosure Control, 2001.

Known limit: it does not prevent comparing the tables of two time ranges, or linking tables that share a
dimension. Readers of statistics may also read the history, and every query is recorded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import combinations, product
from typing import Final

THRESHOLD: Final = 5

Key = tuple[str | None, ...]
Finest = tuple[str, ...]


class TooDetailed(ValueError):
    """The table has too few units to protect its small figures."""


def keys_of(cell: Finest) -> Iterator[Key]:
    """Return the figures that a unit in this cell counts in: the cell's own and every sum over it."""
    return product(*((category, None) for category in cell))


def sums(finest: Mapping[Finest, int]) -> dict[Key, int]:
    """Return every figure of the table, for every combination of its categories, zeros included."""
    dimensions = len(next(iter(finest), ()))
    found: dict[Key, int] = dict.fromkeys(product(*((*names, None) for names in _categories(finest))), 0)
    found.setdefault((None,) * dimensions, 0)
    for cell, count in finest.items():
        for key in keys_of(cell) if count else ():
            found[key] += count
    return found


def shown(
    finest: Mapping[Finest, int],
    *,
    persons: Mapping[Key, int],
    threshold: int = THRESHOLD,
    pause: Callable[[], None] = lambda: None,
) -> dict[Key, int]:
    """Return the figures that may be shown.

    finest: units by cell. persons: the number of distinct persons behind a figure, where it is smaller than
    the number of units. pause: called after each small figure, to let other greenlets run. Raises
    TooDetailed.
    """
    figures = sums(finest)
    if not any(finest.values()):
        return {}
    everything = (None,) * len(next(iter(finest)))
    if min(figures[everything], persons.get(everything, figures[everything])) < threshold:
        return {}
    # In a dimension with one category, its figure equals the sum: both are shown or withheld together.
    wide = [len(names) > 1 for names in _categories(finest)]
    small = {
        _folded(key, wide)
        for key, count in figures.items()
        if min(count, persons.get(key, count)) < threshold
    }
    small.discard(everything)
    folded = {_folded(key, wide): count for key, count in figures.items()}
    withheld = _Protection(folded, small, threshold).withheld(pause)
    return {key: count for key, count in figures.items() if _folded(key, wide) not in withheld}


class _Protection:
    """The search for complementary suppressions. figures: keys have None in dimensions with one category."""

    def __init__(self, figures: Mapping[Key, int], small: Collection[Key], threshold: int) -> None:
        self._figures = figures
        self._small = small
        self._threshold = threshold
        self._withheld = set(small)
        names: dict[int, dict[str, None]] = defaultdict(dict)
        for key in figures:
            for dimension, category in enumerate(key):
                if category is not None:
                    names[dimension][category] = None
        self._names = {dimension: sorted(found) for dimension, found in names.items()}

    def withheld(self, pause: Callable[[], None]) -> set[Key]:
        # Sums first, each within its own table: a second dimension then does not change them.
        for key in sorted(self._small, key=lambda key: (len(key) - key.count(None), str(key))):
            self._withheld |= self._cover(key)
            pause()
        return self._withheld

    def _cover(self, key: Key) -> set[Key]:
        """Return what to withhold for a small figure: first to hide its size, then to withhold little."""
        own = [dimension for dimension, category in enumerate(key) if category is not None]
        rest = [dimension for dimension in self._names if dimension not in own]
        others = [[name for name in self._names[dimension] if name != key[dimension]] for dimension in own]
        corners = self._best(key, (_corners(key, own, opposite) for opposite in product(*others)))
        # The sums over the other dimensions change with their cells.
        places = [dict(zip(rest, place, strict=True)) for place in product(*(self._names[d] for d in rest))]
        cells = self._best(key, ([_at(corner, place) for corner in corners] for place in places))
        place = {dimension: cells[0][dimension] for dimension in rest}
        return {
            _at(corner, {dimension: place[dimension] for dimension in held})
            for corner in corners
            for count in range(len(rest) + 1)
            for held in combinations(rest, count)
        }

    def _best(self, key: Key, hypercubes: Iterable[list[Key]]) -> list[Key]:
        """Return the best hypercube; `key` is corner 0 of each, or a sum over it. Raises TooDetailed."""
        best: list[Key] = []
        best_cost: tuple[bool, int] | None = None
        for corners in hypercubes:
            counts = [self._figures[corner] for corner in corners]
            signs = [n.bit_count() % 2 for n in range(len(corners))]
            up = (
                min(count for count, sign in zip(counts, signs, strict=True) if sign)
                if len(counts) > 1
                else 0
            )
            down = min(count for count, sign in zip(counts, signs, strict=True) if not sign)
            if not up and not down:
                continue
            revealing = self._figures[key] + up < self._threshold
            new = [corner for corner in corners if corner not in self._withheld]
            cost = revealing, sum(self._figures[corner] for corner in new)
            if best_cost is None or cost < best_cost:
                best, best_cost = corners, cost
            if best_cost == (False, 0):
                break
        if not best:
            raise TooDetailed("a small figure of this table cannot be protected")
        return best


def _corners(key: Key, dimensions: list[int], opposite: Finest) -> list[Key]:
    """Return the corners; corner n has the opposite category in the dimensions whose bits are set in n."""
    return [
        _at(key, {d: opposite[bit] for bit, d in enumerate(dimensions) if n >> bit & 1})
        for n in range(1 << len(dimensions))
    ]


def _at(key: Key, place: Mapping[int, str | None]) -> Key:
    return tuple(place.get(dimension, category) for dimension, category in enumerate(key))


def _folded(key: Key, wide: list[bool]) -> Key:
    return tuple(category if is_wide else None for category, is_wide in zip(key, wide, strict=True))


def _categories(finest: Mapping[Finest, int]) -> list[list[str]]:
    dimensions = len(next(iter(finest), ()))
    return [sorted({cell[at] for cell, count in finest.items() if count}) for at in range(dimensions)]
