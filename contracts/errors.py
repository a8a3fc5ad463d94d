"""The three families of errors, which HTTP and AMQP read alike.

KopuroError
├── Refused       the caller's: never retried, answered with an RFC 9457 problem
├── Unavailable   ours, passing: retried, bounded; 503 with Retry-After over HTTP
└── Defect        ours, lasting: parked at once, alerted; a bare 500 over HTTP
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PROBLEM_PREFIX = "urn:kopuro:problem:"
_LONGEST_SEGMENT = 64  # characters of a name in a pointer: an unknown member's is the caller's own text

# Every problem a partner can meet: slug -> (title, usual HTTP status). A slug, once published, stays.
PROBLEMS: dict[str, tuple[str, int]] = {
    "malformed-request": ("The request does not follow RFC 9112", 400),
    "head-too-large": ("The request's headers are larger than allowed", 431),
    "duplicate-header": ("A header is given more than once", 400),
    "invalid-path": ("The path cannot be used", 400),
    "unsupported-content-encoding": ("The body's content coding is not supported", 415),
    "duplicate-name": ("A JSON object has two members of one name", 400),
    "malformed-json": ("The body is not valid JSON", 400),
    "invalid-cursor": ("The paging cursor is not one of ours", 400),
    "invalid-parameter": ("A query parameter cannot be used", 400),
    "missing-token": ("A bearer token is needed", 401),
    "invalid-token": ("The bearer token cannot be trusted", 401),
    "expired-token": ("The bearer token has expired", 401),
    "invalid-client": ("The client is unknown or its secret is wrong", 401),
    "forbidden": ("This token does not allow that", 403),
    "not-found": ("There is no such thing here for you", 404),
    "method-not-allowed": ("This address does not answer that method", 405),
    "conflict": ("The state has moved on", 409),
    "idempotency-conflict": ("The same Idempotency-Key came with another body", 409),
    "offer-closed": ("The offer is no longer open", 409),
    "not-in-this-state": ("The referral's state does not allow that", 409),
    "not-a-party": ("Only the accepting organisation may say that", 403),
    "precondition-failed": ("The record is not in the state that was named", 412),
    "body-too-large": ("The body is larger than allowed", 413),
    "unsupported-media-type": ("The body is not of a supported media type", 415),
    "invalid-submission": ("The submission does not follow the contract", 422),
    "invalid-grant": ("The token request does not follow OAuth 2.0", 400),
    "case-not-sealed": ("The case is not sealed as the contract asks", 422),
    "case-unreadable": ("The sealed case cannot be opened or understood", 422),
    "unknown-organization": ("No such organisation is known here", 422),
    "receiver-has-no-key": ("The receiving organisation has published no sealing key", 422),
    "bundle-too-large": ("The history is longer than one bundle holds", 422),
    "precondition-required": ("Say which state of the record is to be changed", 428),
    "unavailable": ("The service cannot answer just now", 503),
    "internal": ("Something is wrong on our side", 500),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PointerError:
    """One thing wrong, and where: an RFC 6901 pointer and a sentence that never repeats the value."""

    pointer: str
    detail: str


def pointer(path: Sequence[str | int]) -> str:
    """A path into a JSON document as an RFC 6901 pointer; `""` for `()`, the whole document."""
    return "".join(f"/{_segment(part)}" for part in path)


def _segment(part: str | int) -> str:
    return str(part)[:_LONGEST_SEGMENT].replace("~", "~0").replace("/", "~1")


class KopuroError(Exception):
    """The root of every error that crosses a room's wall."""


class Refused(KopuroError):
    """What the caller asked for cannot be done, however often it is asked.

    slug: a key of `PROBLEMS`; detail: one sentence for a person; errors: what is wrong, and where.
    """

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        status: int | None = None,
        errors: Sequence[PointerError] = (),
    ) -> None:
        super().__init__(detail)
        self.title, usual_status = PROBLEMS[slug]
        self.slug = slug
        self.detail = detail
        self.status = usual_status if status is None else status
        self.errors = tuple(errors)

    def problem(self) -> dict[str, Any]:
        """The RFC 9457 body, the same over HTTP and in a mailbox."""
        return problem(self.slug, self.detail, status=self.status, errors=self.errors)


class Unavailable(KopuroError):
    """It could not be done just now; asked again after `retry_after` seconds it may be."""

    def __init__(self, detail: str, *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after

    def problem(self) -> dict[str, Any]:
        """The RFC 9457 body."""
        return problem("unavailable", self.detail)


class Defect(KopuroError):
    """Something of ours is wrong; asking again changes nothing. The detail never repeats content."""

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
    """An RFC 9457 problem. Source: RFC 9457 §3; pointers: RFC 6901."""
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
