"""Interpretation of HTTP responses, as a body or an error. Pure functions."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any, Final

from kopuro_client.errors import (
    AuthenticationError,
    ClientError,
    DefectError,
    Problem,
    RefusedError,
    UnavailableError,
)

# Commas and opening brackets of a response: a bundle of 10,000 entries has a tenth of them.
MOST_SEPARATORS: Final = 4_000_000
# Seconds of a Retry-After, 31 years: beyond some 292 years, `time.sleep` raises OverflowError.
_LONGEST_WAIT: Final = 1e9
# Transient whether the hub or a proxy sent them.
_TRANSIENT: Final = frozenset({408, 425, 429, 502, 503, 504})


def error_of(
    *, status: int, reason: str, body: bytes, retry_after: str | None, now: dt.datetime
) -> ClientError | None:
    """Return the error that a response means; None for a success (2xx).

    retry_after: the header's value. now: timezone-aware, for a Retry-After that is a date.
    """
    if 200 <= status < 300:
        return None
    problem = Problem.read(_json_or_none(body), status=status, reason=reason)
    sentence = problem.sentence
    if status == 401:
        return AuthenticationError(sentence)
    if status in _TRANSIENT:
        return UnavailableError(sentence, retry_after=seconds_until(retry_after, now=now), type=problem.type)
    if 400 <= status < 500:
        return RefusedError(problem)
    reference = f", reference {problem.reference}" if problem.reference else ""
    return DefectError(f"{sentence} (HTTP status {status}{reference})")


def seconds_until(retry_after: str | None, *, now: dt.datetime) -> float | None:
    """Return the seconds of a Retry-After header, which is a number or an HTTP date.

    None if the header is missing or invalid, or names a time decades away. Source: RFC 9110 §10.2.3.
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text)
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError):
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        seconds = max(0.0, (moment - now).total_seconds())
    return seconds if seconds <= _LONGEST_WAIT else None


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a response. Raises DefectError for anything else."""
    value = _json_or_none(body)
    if not isinstance(value, dict):
        raise DefectError("the hub's response is not a JSON object")
    return value


def json_page(body: bytes) -> dict[str, Any]:
    """Return a page, {"items": [...], "next": cursor | null}. Raises DefectError for anything else."""
    page = json_object(body)
    if not isinstance(page.get("items"), list) or not isinstance(page.get("next"), str | None):
        raise DefectError('the hub\'s response is not a page: {"items": [...], "next": ...}')
    return page


def json_lines(body: bytes, *, expected: int) -> list[dict[str, Any]]:
    """Return the objects of an NDJSON response, one for each line of the request.

    Raises DefectError if a line is not an object or if there are not `expected` lines.
    """
    results = list(islice(json_objects(body), expected + 1))
    if len(results) != expected:
        number = f"{len(results)} results" if len(results) < expected else f"more than {expected} results"
        raise DefectError(f"the hub returned {number} for a batch of {expected} lines")
    return results


def json_objects(body: bytes, *, most: int = MOST_SEPARATORS) -> Iterator[dict[str, Any]]:
    """Yield the objects of an NDJSON response. Empty lines are skipped.

    most: commas, opening brackets and ends of lines. Raises DefectError for more of them, and if a line is
    not an object.
    """
    if _separators(body) + body.count(b"\n") > most:
        raise DefectError("the hub's response has more lines and values than any response of a hub")
    # Not `splitlines`: a list of empty lines takes eight times the body.
    for line in io.BytesIO(body):
        if line.strip():
            yield json_object(line)


def _separators(body: bytes) -> int:
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _json_or_none(body: bytes) -> object:
    # A value takes twenty times its text in memory, so the limit of a response bounds too little.
    if _separators(body) > MOST_SEPARATORS:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def required_member(response: Mapping[str, Any], member: str) -> Any:
    """Return a member that every such response of the hub has. Raises DefectError if it is missing."""
    if member not in response:
        raise DefectError(f"the hub's response lacks {member!r}, which the contract requires")
    return response[member]
