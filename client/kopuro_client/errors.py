"""The library's errors. It raises no others.

    ClientError
    ├── InvalidArgumentError   the call is invalid; nothing was sent (also a ValueError)
    ├── SealingError           a case could not be sealed or opened; nothing was sent
    │   ├── CaseError          the case does not follow the contract; has pointers
    │   ├── UnreadableError    sealed to the key given, but unreadable: report it to the hub
    │   └── WrongKeyError      sealed to another key than the one given: use the right key
    ├── RefusedError           the hub refused with an RFC 9457 problem; a retry changes nothing
    ├── AuthenticationError    the hub rejected the credentials
    ├── UnavailableError       the hub is unavailable; `retry_after` says when to retry
    ├── TransportError         no response: no connection, a broken one, or a timeout
    ├── DefectError            the hub failed (500), or its response violates its contract
    └── tlog.TlogError         verification of a log or a part of it failed: `kopuro_client.tlog.errors`

The hub itself reports three kinds of error: `RefusedError` (for a 401 `AuthenticationError`),
`UnavailableError` and `DefectError`. No message contains a secret, a token or a part of a case.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PROBLEM: Final = "urn:kopuro:problem:"  # prefix of the types of a hub's own problems


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldError:
    """One error in a document. pointer: RFC 6901, "" for the whole document; detail: a sentence."""

    pointer: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """An RFC 9457 problem. type: a stable URN for programs; title and detail: for people.

    reference: of a fault of the hub, to quote in a report; else empty. until: the time until which the
    request is refused, None if the hub gives none.
    """

    type: str
    title: str
    status: int
    detail: str = ""
    errors: tuple[FieldError, ...] = ()
    reference: str = ""
    until: dt.datetime | None = None

    @classmethod
    def read(cls, body: object, *, status: int, reason: str) -> Problem:
        """Return the problem in a response, with defaults for missing members.

        body: the parsed JSON, or None if there is none; status and reason: the response's.
        """
        fields: Mapping[object, object] = body if isinstance(body, Mapping) else {}
        listed = fields.get("errors")
        return cls(
            type=_text(fields, "type") or "about:blank",
            title=_text(fields, "title") or reason or f"HTTP status {status}",
            status=status,
            detail=_text(fields, "detail"),
            errors=tuple(
                FieldError(pointer=_text(entry, "pointer"), detail=_text(entry, "detail"))
                for entry in (listed if isinstance(listed, list) else ())
                if isinstance(entry, Mapping)
            ),
            reference=_text(fields, "reference"),
            until=_moment(_text(fields, "until")),
        )

    @property
    def sentence(self) -> str:
        """Return the error as one sentence: the detail, or title and detail if the detail needs its title.

        The detail of each of Kopuro's own problems is a sentence that says more than the title does.
        """
        if not self.detail:
            return self.title
        if self.type.startswith(PROBLEM) or self.detail.startswith(self.title):
            return self.detail
        return f"{self.title}: {self.detail}"

    def as_json(self) -> dict[str, object]:
        """Return the problem as the JSON object of RFC 9457."""
        body: dict[str, object] = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = [{"pointer": e.pointer, "detail": e.detail} for e in self.errors]
        if self.reference:
            body["reference"] = self.reference
        if self.until is not None:
            body["until"] = self.until.isoformat()
        return body


class ClientError(Exception):
    """The base class of all errors that this library raises."""


class InvalidArgumentError(ClientError, ValueError):
    """An argument is invalid; nothing was sent."""


class SealingError(ClientError):
    """A case could not be sealed or opened."""


class CaseError(SealingError):
    """The case does not follow the contract. errors: each error with its pointer.

    Pointers are relative to the case; `below` makes them relative to a document that contains the case.
    summary: a sentence without the errors.
    """

    def __init__(
        self, errors: tuple[FieldError, ...], *, summary: str = "the case does not follow the contract"
    ) -> None:
        super().__init__("; ".join(f"{e.pointer or 'the case'}: {e.detail}" for e in errors))
        self.errors = errors
        self.summary = summary

    def below(self, pointer: str) -> CaseError:
        """Return this error with `pointer`, such as `/case`, before every pointer."""
        moved = (FieldError(pointer=pointer + e.pointer, detail=e.detail) for e in self.errors)
        return CaseError(tuple(moved), summary=self.summary)


class UnreadableError(SealingError):
    """A sealed case or note is unreadable. `Kopuro.report_unreadable` notifies its sender.

    reason: cannot_decrypt, or not_understood (the content is not a case or note).
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class WrongKeyError(SealingError):
    """A case or note is sealed to another key than the one given, such as a previous key."""


class RefusedError(ClientError):
    """The hub refused the request. Programs use `type` (stable); people read the other members."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.sentence)
        self.problem = problem

    @property
    def type(self) -> str:
        return self.problem.type

    @property
    def title(self) -> str:
        return self.problem.title

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def detail(self) -> str:
        return self.problem.detail

    @property
    def errors(self) -> tuple[FieldError, ...]:
        return self.problem.errors

    @property
    def until(self) -> dt.datetime | None:
        return self.problem.until


class AuthenticationError(ClientError):
    """The hub rejected the credentials, or the token obtained with them."""


class UnavailableError(ClientError):
    """The hub is unavailable, or the organisation has used up its rate.

    retry_after: seconds, or None if the hub gave no time. type: of the problem, `about:blank` without one.
    """

    def __init__(self, detail: str, *, retry_after: float | None = None, type: str = "about:blank") -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.type = type


class TransportError(ClientError):
    """No response arrived. The request may still have taken effect."""


class DefectError(ClientError):
    """The hub failed or violated its contract. A retry does not help; tell the hub's operator."""


def _text(fields: Mapping[object, object], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _moment(text: str) -> dt.datetime | None:
    """Return the time that a text says with an offset; None for any other text."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment
