"""What an HTTP answer means: its body, or the error it stands for. Pure: values in, values out."""

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

# Passing by nature, whoever said it: the hub itself or a proxy before it.
_PASSING: Final = frozenset({408, 429, 502, 503, 504})


def error_of(
    *, status: int, reason: str, body: bytes, retry_after: str | None, now: dt.datetime
) -> ClientError | None:
    """The error an answer stands for; None for a success (2xx).

    retry_after: the header's value; now: aware, for a Retry-After that is a date.
    """
    if 200 <= status < 300:
        return None
    problem = Problem.read(_json_or_none(body), status=status, reason=reason)
    sentence = f"{problem.title}: {problem.detail}" if problem.detail else problem.title
    if status == 401:
        return AuthenticationError(sentence)
    if status in _PASSING:
        return UnavailableError(sentence, retry_after=seconds_until(retry_after, now=now))
    if 400 <= status < 500:
        return RefusedError(problem)
    return DefectError(f"{sentence} (HTTP status {status})")


def seconds_until(retry_after: str | None, *, now: dt.datetime) -> float | None:
    """Seconds named by a Retry-After header: a number or an HTTP date.

    None if unreadable. Source: RFC 9110 §10.2.3.
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
    """The JSON object in an answer. Raises DefectError for anything else."""
    value = _json_or_none(body)
    if not isinstance(value, dict):
        raise DefectError("the hub's answer is not a JSON object")
    return value


def json_page(body: bytes) -> dict[str, Any]:
    """A page, {"items": [...], "next": cursor | null}. Raises DefectError for anything else."""
    page = json_object(body)
    if not isinstance(page.get("items"), list) or not isinstance(page.get("next"), str | None):
        raise DefectError('the hub\'s answer is not a page: {"items": [...], "next": ...}')
    return page


def json_lines(body: bytes, *, expected: int) -> list[dict[str, Any]]:
    """The objects of an NDJSON answer, one for each line sent.

    Raises DefectError where one is not an object, or there are more or fewer than `expected`.
    """
    results = [json_object(line) for line in body.splitlines() if line.strip()]
    if len(results) != expected:
        raise DefectError(f"the hub answered {len(results)} of the batch's {expected} lines")
    return results


def _json_or_none(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def answered(answer: Mapping[str, Any], member: str) -> Any:
    """A member that every answer of the hub has. Raises DefectError where it is missing."""
    if member not in answer:
        raise DefectError(f"the hub's answer lacks {member!r}, which the contract requires")
    return answer[member]
