"""Interpretation of HTTP responses, as a body or an error. Pure functions."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
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

    None if the header is missing or invalid. Source: RFC 9110 §10.2.3.
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return max(0.0, (moment - now).total_seconds())


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
    results = [json_object(line) for line in body.splitlines() if line.strip()]
    if len(results) != expected:
        raise DefectError(f"the hub returned {len(results)} results for a batch of {expected} lines")
    return results


def _json_or_none(body: bytes) -> object:
    # A value takes twenty times its text in memory, so the limit of a response bounds too little.
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MOST_SEPARATORS:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def answered(answer: Mapping[str, Any], member: str) -> Any:
    """A member that every answer of the hub has. Raises DefectError where it is missing."""
    if member not in answer:
        raise DefectError(f"the hub's response lacks {member!r}, which the contract requires")
    return answer[member]
