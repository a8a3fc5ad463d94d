"""The error classes, with one meaning over HTTP and AMQP.

KopuroError
├── Refused       the caller's fault: never retried; answered with an RFC 9457 problem
├── Unavailable   a temporary fault of ours: retried a bounded number of times; HTTP 503 with Retry-After
│   └── RateLimited   the caller has used up its requests: retried later; HTTP 429 with Retry-After
│       └── TooManySubmissions   the organisation has used up its submissions; also of a line of a batch
└── Defect        a permanent fault of ours: dead-lettered at once and alerted; a bare HTTP 500
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PROBLEM_PREFIX = "urn:kopuro:problem:"
_MEMBER_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LONGEST_SEGMENT = 64  # characters of a name in a pointer: the name of an unknown member is caller input

# Every problem a partner can receive: slug -> (title, default HTTP status). Published slugs never change.
PROBLEMS: dict[str, tuple[str, int]] = {
    "malformed-request": ("The request does not follow RFC 9112", 400),
    "head-too-large": ("The request head is too large", 431),
    "duplicate-header": ("A header appears more than once", 400),
    "misspelt-header": ("A header is spelt with an underscore", 400),
    "invalid-path": ("The path is invalid", 400),
    "unsupported-content-encoding": ("The content coding of the body is not supported", 415),
    "duplicate-name": ("A JSON object has duplicate member names", 400),
    "malformed-json": ("The body is not valid JSON", 400),
    "invalid-cursor": ("The paging cursor is invalid", 400),
    "invalid-parameter": ("A parameter is invalid", 400),
    "missing-token": ("A bearer token is required", 401),
    "invalid-token": ("The bearer token is invalid", 401),
    "expired-token": ("The bearer token has expired", 401),
    "invalid-client": ("The client is unknown or its credentials are wrong", 401),
    "unauthorized-client": ("The client may not have a token", 400),
    "clock-skew": ("The clocks of the client and the hub differ too much", 401),
    "forbidden": ("The token does not permit this request", 403),
    "proof-required": ("The request needs a proof by the client's key", 403),
    "invalid-proof": ("The proof of the request is invalid", 403),
    "not-found": ("Not found, or you do not have access", 404),
    "method-not-allowed": ("This resource does not support the method", 405),
    "method-not-implemented": ("The service does not implement the method", 501),
    "conflict": ("The request conflicts with the current state", 409),
    "idempotency-conflict": ("The Idempotency-Key was already used for another request", 409),
    "idempotency-key-unsupported": ("This resource does not take an Idempotency-Key", 400),
    "offer-closed": ("The offer is no longer open", 409),
    "not-in-this-state": ("The referral's state does not permit this request", 409),
    "not-a-party": ("This organisation may not do this to the referral", 403),
    "precondition-failed": ("The precondition does not match the current record", 412),
    "body-too-large": ("The body is too large", 413),
    "unsupported-media-type": ("The media type of the body is not supported", 415),
    "expectation-failed": ("The service cannot meet the expectation", 417),
    "invalid-submission": ("The submission does not follow the contract", 422),
    "invalid-token-request": ("The token request does not follow OAuth 2.0", 400),
    "unsupported-grant-type": ("The hub does not support this grant type", 400),
    "invalid-scope": ("The hub has no OAuth scopes", 400),
    "case-not-sealed": ("The content is not sealed as the contract requires", 422),
    "case-unreadable": ("The sealed case cannot be decrypted or parsed", 422),
    "unknown-organization": ("The organisation is unknown", 422),
    "receiver-has-no-key": ("The receiving organisation has published no sealing key", 422),
    "bundle-too-large": ("The history is too long for one bundle", 422),
    "precondition-required": ("A precondition is required (If-Match)", 428),
    "too-many-open-requests": ("Too many requests wait for a decision", 409),
    "response-too-large": ("The response is too large", 500),
    "content-mismatch": ("Stored content does not match the log", 500),
    "too-many-requests": ("Too many requests in a minute", 429),
    "too-many-statements": ("Too many submissions about one referral in a day", 429),
    "too-many-submissions": ("Too many submissions in a minute", 429),
    "custody-full": ("Your open referrals have no room for another case or note", 409),
    "unavailable": ("The service is temporarily unavailable", 503),
    "internal": ("Internal server error", 500),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PointerError:
    """One fault in a document: its RFC 6901 pointer and a sentence that never repeats the value."""

    pointer: str
    detail: str


def pointer(path: Sequence[str | int]) -> str:
    """Return a path as an RFC 6901 pointer; `()`, the whole document, gives `""`."""
    return "".join(f"/{_segment(part)}" for part in path)


def has_form_of_a_member(name: str) -> bool:
    """Return whether a caller's name of a member has the contract's form. Another name may be a person's."""
    return _MEMBER_NAME.fullmatch(name) is not None


def path_to_show(path: Sequence[str | int]) -> Sequence[str | int]:
    """Return the beginning of a path in a caller's document, up to the first name of another form."""
    for place, part in enumerate(path):
        if isinstance(part, str) and not has_form_of_a_member(part):
            return path[:place]
    return path


def error_at(path: Sequence[str | int], *, value: str, inside: str) -> PointerError:
    """Return the error of the value at a path in a caller's document.

    value: what is wrong with the value. inside: how to say it of what contains the value, if the names on the
    way to the value may not be shown.
    """
    shown = path_to_show(path)
    return PointerError(pointer=pointer(shown), detail=value if len(shown) == len(path) else inside)


def written(moment: dt.datetime) -> str:
    """Return a moment as problems write it: in UTC, by RFC 3339."""
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def _segment(part: str | int) -> str:
    return str(part)[:_LONGEST_SEGMENT].replace("~", "~0").replace("/", "~1")


def drop_frames(error: BaseException) -> None:
    """Drop the error's traceback, cause and context. Call it before an error is kept, or when it is answered.

    A traceback holds the frames of its callers too, and with them whole request bodies. If one of them holds
    the error, reference counting frees none of it, and the collector counts a body of 8 MiB as one object.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None


class KopuroError(Exception):
    """The base class of every error that crosses a package boundary."""


class Refused(KopuroError):
    """The request cannot succeed, however often it is repeated.

    slug: a key of `PROBLEMS`; detail: one sentence for a person; errors: each fault with its place.
    retry_after: seconds after which it may succeed after all, None if it never will. until: the time until
    which it is refused, where a message in a mailbox, or a line of a batch, must say it.
    """

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        status: int | None = None,
        errors: Sequence[PointerError] = (),
        retry_after: int | None = None,
        until: dt.datetime | None = None,
    ) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.until = until
        self.title, usual_status = PROBLEMS[slug]
        self.slug = slug
        self.detail = detail
        self.status = usual_status if status is None else status
        self.errors = tuple(errors)

    def problem(self) -> dict[str, Any]:
        """Return the RFC 9457 body, the same over HTTP and in a mailbox."""
        body = problem(self.slug, self.detail, status=self.status, errors=self.errors)
        return body if self.until is None else {**body, "until": written(self.until)}


class Unavailable(KopuroError):
    """The request failed for a temporary reason; it may succeed when retried after `retry_after` seconds."""

    def __init__(self, detail: str, *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after

    def problem(self) -> dict[str, Any]:
        """Return the RFC 9457 body."""
        return problem("unavailable", self.detail)


class RateLimited(Unavailable):
    """The caller has used up its requests; it may send more after `retry_after` seconds."""

    def problem(self) -> dict[str, Any]:
        """Return the RFC 9457 body."""
        return problem("too-many-requests", self.detail)


class TooManySubmissions(RateLimited):
    """The organisation has used up its submissions. Nothing of this one was recorded."""

    def problem(self) -> dict[str, Any]:
        """Return the RFC 9457 body. A line of a batch has no headers, so `retry_after` is a member."""
        return {**problem("too-many-submissions", self.detail), "retry_after": self.retry_after}


class Defect(KopuroError):
    """A fault of ours that a retry does not cure. The detail never repeats message content."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


def problem(
    slug: str,
    detail: str,
    *,
    status: int | None = None,
    errors: Sequence[PointerError] = (),
) -> dict[str, Any]:
    """Return an RFC 9457 problem. Source: RFC 9457 §3; pointers: RFC 6901."""
    title, usual_status = PROBLEMS[slug]
    body: dict[str, Any] = {
        "type": PROBLEM_PREFIX + slug,
        "title": title,
        "status": usual_status if status is None else status,
        "detail": detail,
    }
    if errors:
        body["errors"] = [{"pointer": e.pointer, "detail": e.detail} for e in errors]
    return body
