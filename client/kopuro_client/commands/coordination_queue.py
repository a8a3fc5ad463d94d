"""Queues of referrals that need a coordinator, as text that fits 80 columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final

from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import moment, one_line
from kopuro_client.commands.sentence_lines import show_wrapped
from kopuro_client.records import QueueItem

KINDS: Final = ("emergency", "overdue", "silent", "unplaced")

# The hub's reason codes, as phrases. age: the time since the cause began.
_REASONS: Final = {
    "no_candidate": "no organisation can be asked, for {age}",
    "candidates_exhausted": "nobody else can be asked, for {age}",
    "half_of_answer_time_passed": "asked {age} ago, no answer after half of the time",
    "report_overdue": "the report is overdue, for {age}",
    "report_awaited": "a report is awaited, for {age}",
    "case_overdue": "the case cannot be read and is overdue from the sender, for {age}",
    "case_awaited": "the case cannot be read and is awaited from the sender, for {age}",
    "answer_awaited": "asked {age} ago, an answer is awaited",
}


def show_queue(out: Output, items: Iterable[QueueItem], now: dt.datetime) -> None:
    """Print two or more lines for each item: the referral, how long the person has waited, and why."""
    for item in items:
        age = waiting(item["submitted_at"], now)
        out.text(f"{one_line(item['id'])}  {item['urgency']:<9}  {item['region']:<6}  waiting {age}")
        show_wrapped(out, _cause(item, now), first="    ")


def waiting(since: str, now: dt.datetime) -> str:
    """Return the time since a moment in its two largest units: `3 d 4 h`, `2 h 5 min`, `7 min`."""
    minutes = max(0, int((now - dt.datetime.fromisoformat(since)).total_seconds() // 60))
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def _cause(item: QueueItem, now: dt.datetime) -> str:
    age = waiting(item["since"], now)
    reason = _REASONS.get(item["reason"], item["reason"] + ", for {age}").format(age=age)
    text = f"{', '.join(item['needs'])} from {item['sender']}: {reason}"
    if item["waits_for"]:
        text += f"; waits for {', '.join(item['waits_for'])}"
    if item["deadline"] is not None:
        text += f" until {moment(item['deadline'])}"
    if (whole := item.get("part_of")) is not None:
        text += f"; part of {whole}"
    return one_line(text)
