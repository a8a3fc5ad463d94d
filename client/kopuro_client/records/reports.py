"""Reports from the audit log: stories and statistics."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class StorySentence(TypedDict):
    """A sentence of a story. index, time (RFC 3339), type: those of the log entry that it describes.

    type: missing in stories of older hubs.
    """

    index: int
    time: str
    type: NotRequired[str]
    text: str


class StorySituation(TypedDict):
    """A story's situation. stated: names and values; lost: a sentence if there are none, else null."""

    heading: str
    stated: list[tuple[str, str]]
    lost: str | None


class StoryLine(TypedDict):
    """A line of a story for people: a sentence, or one for several consecutive reads of one reader on a day.

    first, last: the indices of its log entries. time: of the first one (RFC 3339).
    """

    first: int
    last: int
    time: str
    text: str


class StoryEvents(TypedDict):
    """A story's events. sentences: one for each log entry. lines: for people; missing from older hubs."""

    heading: str
    sentences: list[StorySentence]
    lines: NotRequired[list[StoryLine]]


class StoryDocument(TypedDict):
    """A referral's history in sentences, in one language, for layout by a program."""

    language: str
    title: str
    situation: StorySituation
    events: StoryEvents


class StatisticsFigure(TypedDict):
    """A figure of a statistics table.

    values: class by dimension; the figure sums over dimensions that are missing, and the class `combined` is
    all classes without a row of their own. count: None if withheld. Times: seconds from submission to answer.
    """

    values: dict[str, str]
    count: int | None
    withheld: bool
    times_withheld: bool
    answered_median_seconds: int | None
    answered_p90_seconds: int | None


# In functional syntax, because `from` is a keyword and cannot be a field in a class body.
StatisticsTable = TypedDict(
    "StatisticsTable",
    {
        "by": list[str],
        "from": str | None,
        "to": str | None,
        "unit": str,
        "figures": list[StatisticsFigure],
        "combined": dict[str, list[str]],
        "exact": bool,
        "withheld": bool,
        "log_size": int,
    },
)


class CountedReferral(TypedDict):
    """A referral that a figure counts, with the indices of its log entries."""

    referral_id: str
    entries: list[int]
