"""Stories as documents: plain text, Markdown, HTML, or JSON for other renderers (the client's PDF).

All text of the story is escaped.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from html import escape
from types import MappingProxyType
from typing import Final

import orjson

from services.audit.reports.domain.story import Story

# CommonMark §2.4: escaped ASCII punctuation is never markup. `&<>` become entities.
_PUNCTUATION: Final = re.compile(r"([!-%'-/:;=?@\[-`{-~])")
_STYLE: Final = (
    "body{font-family:sans-serif;max-width:45em;margin:2em auto;padding:0 1em}"
    "dt{font-weight:bold}td,th{text-align:left;vertical-align:top;padding:.2em .8em .2em 0}"
    "td:first-child,td:nth-child(2){white-space:nowrap;color:#555}"
    "@media print{body{margin:0;max-width:none}tr{break-inside:avoid}}"
)


def as_text(story: Story) -> str:
    """Return the story as plain text, for a terminal or a letter."""
    situation = [f"  {name}: {value}" for name, value in story.situation] or ["  " + story.situation_lost]
    sentences = [f"  {line.moment}  {line.text}  [{line.entries}]" for line in story.lines]
    parts = [
        story.title,
        "",
        story.situation_heading,
        *situation,
        "",
        story.events_heading,
        *sentences,
        "",
    ]
    return "\n".join(parts)


def as_markdown(story: Story) -> str:
    """Return the story as CommonMark."""
    situation = [f"- **{_md(name)}**: {_md(value)}" for name, value in story.situation]
    sentences = [f"- {_md(line.moment)} — {_md(line.text)} \\[{line.entries}\\]" for line in story.lines]
    parts = [
        f"# {_md(story.title)}",
        "",
        f"## {_md(story.situation_heading)}",
        "",
        *(situation or [_md(story.situation_lost)]),
        "",
        f"## {_md(story.events_heading)}",
        "",
        *sentences,
        "",
    ]
    return "\n".join(parts)


def as_html(story: Story) -> str:
    """Return the story as a self-contained HTML page without scripts, fit for printing."""
    situation = "".join(f"<dt>{escape(n)}</dt><dd>{escape(v)}</dd>" for n, v in story.situation)
    rows = "".join(
        f"<tr><td>{line.entries}</td><td>{escape(line.moment)}</td><td>{escape(line.text)}</td></tr>\n"
        for line in story.lines
    )
    title = escape(story.title)
    return (
        f'<!doctype html>\n<html lang="{escape(story.language)}">\n<head><meta charset="utf-8">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n"
        f"<h2>{escape(story.situation_heading)}</h2>\n"
        + (f"<dl>{situation}</dl>\n" if situation else f"<p>{escape(story.situation_lost)}</p>\n")
        + f"<h2>{escape(story.events_heading)}</h2>\n<table>\n{rows}</table>\n</body>\n</html>\n"
    )


def as_json(story: Story) -> str:
    """Return `{"language", "title", "situation": {"heading", "stated": [[name, value], ...], "lost"},
    "events": {"heading", "sentences": [{"index", "time": RFC 3339, "type", "text"},
    ...], "lines": [{"first", "last", "time": RFC 3339, "text"}, ...]}}`.

    lost: the sentence shown when the situation is empty, otherwise null. sentences: one for each entry.
    lines: for people; one counts the consecutive reads of one reader on one day. first, last: the indices of
    its entries.
    """
    document = {
        "language": story.language,
        "title": story.title,
        "situation": {
            "heading": story.situation_heading,
            "stated": story.situation,
            "lost": None if story.situation else story.situation_lost,
        },
        "events": {
            "heading": story.events_heading,
            "sentences": [
                {"index": line.index, "time": _utc(line.time), "type": line.type, "text": line.text}
                for line in story.sentences
            ],
            "lines": [
                {"first": line.first, "last": line.last, "time": _utc(line.time), "text": line.text}
                for line in story.lines
            ],
        },
    }
    return orjson.dumps(document).decode()


def _utc(time: dt.datetime) -> str:
    return time.astimezone(dt.UTC).replace(tzinfo=None).isoformat() + "Z"


def _md(text: str) -> str:
    # Entities also protect against renderers that deviate from CommonMark and let HTML through.
    return escape(_PUNCTUATION.sub(r"\\\1", text), quote=False)


RENDERERS: Final[Mapping[str, tuple[str, Callable[[Story], str]]]] = MappingProxyType(
    {
        "text": ("text/plain; charset=utf-8", as_text),
        "markdown": ("text/markdown; charset=utf-8", as_markdown),
        "html": ("text/html; charset=utf-8", as_html),
        "json": ("application/json", as_json),
    }
)
