"""Which classes of a dimension share one row, because some hold too few persons for a row of their own.

A table by one dimension shows a sum, so whatever is withheld beside it is known as one number anyway. That
number is therefore shown, as the row `combined`: it holds every class that has no row of its own. A missing
row would be read as zero.

A single small class would be known from it, so `combined` holds at least two classes and THRESHOLD persons:
the smallest of the others join the small ones until it does. Any count of a small class, up to the row's own,
then fits what is shown. Classes that all hold the most that is small are joined by another.

What this does not prevent: whoever knows these rules, and which classes occur, may conclude a small count
from the smallest class that is shown, where that ties with the one that joined.

Classes are chosen by persons and not by units (a referral counts once for each need), so that a dimension has
the same rows in every table.

Source: recoding and complementary suppression, L. Willenborg and T. de Waal, Elements of Statistical
Disclosure Control, 2001.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Final

from services.audit.reports.domain.statistics_suppression import THRESHOLD

COMBINED: Final = "combined"

# The persons of each class, by any number of their own.
Classes = Mapping[str, Collection[int]]


def combined_classes(dimensions: list[Classes], *, most_cells: int) -> list[frozenset[str]]:
    """For each dimension, the classes without a row of their own; none, or at least two.

    most_cells: how many cells the table may have. Where there are more, the smallest classes of the dimension
    with most rows are combined too.
    """
    combined = [_small_classes(classes) for classes in dimensions]
    waiting = [
        [name for name in _rising(classes) if name not in found]
        for classes, found in zip(dimensions, combined, strict=True)
    ]

    def rows(at: int) -> int:
        return len(waiting[at]) + bool(combined[at])

    while dimensions and math.prod(map(rows, range(len(dimensions)))) > most_cells:
        largest = max(range(len(dimensions)), key=rows)
        combined[largest].add(waiting[largest].pop(0))
    return [frozenset(found) for found in combined]


def _small_classes(classes: Classes) -> set[str]:
    found = {name for name, persons in classes.items() if len(persons) < THRESHOLD}
    if not found:
        return found
    persons = set().union(*(classes[name] for name in found))
    for name in _rising(classes):
        # Whoever knows these rules knows that they were all small where no other class was needed.
        all_at_most = all(len(classes[one]) == THRESHOLD - 1 for one in found)
        if len(found) > 1 and len(persons) >= THRESHOLD and not all_at_most:
            break
        found.add(name)
        persons.update(classes[name])
    return found


def _rising(classes: Classes) -> list[str]:
    """From the smallest class on."""
    return sorted(classes, key=lambda name: (len(classes[name]), name))
