"""Queues of referrals that need a coordinator, as text that fits 80 columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final

from kopuro_client.commands.code_words import in_words
from kopuro_client.commands.covered_needs import covered_needs
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import moment, one_line
from kopuro_client.commands.queue_words import REASONS, WORDS, in_language, word
from kopuro_client.commands.sentence_lines import show_wrapped
from kopuro_client.records import Page, QueueItem

KINDS: Final = ("emergency", "acceptor_suspended", "overdue", "silent", "unplaced")


def show_queue_heading(out: Output, kind: str, page: Page[QueueItem], language: str) -> None:
    """Print the name of a queue and how many referrals are shown; `or more` if the page has a next one."""
    count: object = len(page["items"])
    if page["next"] is not None:
        count = word("or_more", language, count=count)
    out.heading(f"{word(kind, language)}: {count}")


def show_queue(out: Output, items: Iterable[QueueItem], now: dt.datetime, language: str) -> None:
    """Print two or more lines for each item: the referral, how long the person has waited, and why."""
    for item in items:
        age = word("waiting", language, age=waiting(item["submitted_at"], now, language))
        urgency, region = (in_words(name, item[name], language) for name in ("urgency", "region"))
        show_wrapped(out, one_line(f"{item['id']}  {urgency}, {region}, {age}"), following="    ")
        show_wrapped(out, _cause(item, now, language), first="    ")


def waiting(since: str, now: dt.datetime, language: str) -> str:
    """Return the time since a moment in its two largest units: `3 d 4 h`, `2 h 5 min`, `7 min`."""
    minutes = max(0, int((now - dt.datetime.fromisoformat(since)).total_seconds() // 60))
    days, hours = divmod(minutes // 60, 24)
    if days:
        return word("days", language, days=days, hours=hours)
    if hours:
        return word("hours", language, hours=hours, minutes=minutes % 60)
    return word("minutes", language, minutes=minutes)


def _cause(item: QueueItem, now: dt.datetime, language: str) -> str:
    values = {
        "reason": item["reason"],
        "acceptor": item.get("acceptor"),
        "since": moment(item["since"]),
        "age": waiting(item["since"], now, language),
    }
    reason = in_language(REASONS.get(item["reason"], WORDS["unknown"]), language, values)
    text = word(
        "from",
        language,
        needs=in_words("needs", item["needs"], language),
        sender=item["sender"],
        reason=reason,
    )
    if item["waits_for"]:
        covered = covered_needs(item.get("covers", []), language)
        names = [f"{one} ({covered[one]})" if one in covered else one for one in item["waits_for"]]
        text += "; " + word("waits_for", language, organizations=", ".join(names))
    if item["deadline"] is not None:
        # Nobody is asked until then; the hub looks again.
        before, ends = (", ", "until") if item["waits_for"] else ("; ", "next_step")
        text += before + word(ends, language, time=moment(item["deadline"]))
    if (whole := item.get("part_of")) is not None:
        text += "; " + word("part_of", language, whole=whole)
    return one_line(text)
