"""Corroboration: when two reports of an employer support each other.

Organisations are related if their chains of parents end in the same organisation, their root. Two reports
support each other if their reporters are unrelated, and each of them went to a recipient that is related to
neither reporter, so that somebody else holds its name. In the entry of a name, one of the two states no
number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass

from services.directory.domain.watch_report import WatchReport


@dataclass(frozen=True, kw_only=True, slots=True)
class Voice:
    """The organisations for which a report counts. root: of the reporter.

    only_witness: the root of the only recipients that are not related to the reporter, None if there are
    others. has_number: whether the report states a number that its entry is not about.
    """

    root: str
    only_witness: str | None
    has_number: bool = False

    def supports(self, other: Voice) -> bool:
        """Return whether a report with this voice and one with the other support each other."""
        return (
            self.root != other.root
            and self.only_witness != other.root
            and other.only_witness != self.root
            and not (self.has_number and other.has_number)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Testimony:
    """A report that counts in an entry."""

    report: WatchReport
    voice: Voice


def voice_of(root: str, witnesses: Collection[str], *, has_number: bool) -> Voice | None:
    """Return the voice of a report; None if nobody unrelated received it.

    witnesses: the roots of the recipients.
    """
    outside = set(witnesses) - {root}
    if not outside:
        return None
    return Voice(root=root, only_witness=outside.pop() if len(outside) == 1 else None, has_number=has_number)


def completing(
    testimonies: Iterable[Testimony], stated: Callable[[Testimony], Hashable] = lambda _: None
) -> Testimony | None:
    """Return the first that supports an earlier one which states the same, None if none does."""
    heard: dict[Hashable, set[Voice]] = defaultdict(set)
    for testimony in testimonies:
        same = heard[stated(testimony)]
        if testimony.voice in same:
            continue
        if any(testimony.voice.supports(other) for other in same):
            return testimony
        same.add(testimony.voice)
    return None


def number_of_supported(voices: Iterable[Voice], most: int) -> int:
    """Return how many roots are supported by another one; at most `most`, where counting stops."""
    by_root: dict[str, set[Voice]] = defaultdict(set)
    for voice in voices:
        by_root[voice.root].add(voice)
    count = 0
    for root, own in by_root.items():
        others = (voice for name, theirs in by_root.items() if name != root for voice in theirs)
        count += any(voice.supports(other) for other in others for voice in own)
        if count == most:
            break
    return count
