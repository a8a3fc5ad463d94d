"""Combined classes: the classes of a dimension that share one row because some hold too few persons.

A table by one dimension shows a sum, so the total of the withheld classes is known anyway. The row `combined`
therefore shows that total for all classes without a row of their own. Readers would take a missing row for
zero.

A single small class would be revealed by it, so `combined` holds at least two classes and THRESHOLD persons:
the smallest other classes join until it does. Any count of a small class, up to the row's own, is then
consistent with the table. When all small classes hold THRESHOLD - 1 persons, one more class joins.

Known limit: a reader who knows these rules, and which classes occur, may infer a small count from the
smallest shown class when that ties with the class that joined.

Persons decide, not units (a referral counts once for each need), so that a dimension has the same rows in
every table.

Source: recoding and complementary suppression, L. Willenborg and T. de Waal, Elements of Statistical
Disclosure Control, 2001.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Final

from services.audit.reports.domain.statistics_suppression import THRESHOLD

COMBINED: Final = "combined"

# The persons of each class, identified by arbitrary numbers.
Classes = Mapping[str, Collection[int]]


def combined_classes(dimensions: list[Classes], *, most_cells: int) -> list[frozenset[str]]:
    """Return, for each dimension, the classes without a row of their own: none, or at least two.

    most_cells: the limit on cells of the table. While it is exceeded, the smallest class of the dimension
    with the most rows is combined too.
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
        # A reader who knows these rules would infer that all are small if no other class had joined.
        all_at_most = all(len(classes[one]) == THRESHOLD - 1 for one in found)
        if len(found) > 1 and len(persons) >= THRESHOLD and not all_at_most:
            break
        found.add(name)
        persons.update(classes[name])
    return found


def _rising(classes: Classes) -> list[str]:
    """Return the class names, smallest class first."""
    return sorted(classes, key=lambda name: (len(classes[name]), name))
