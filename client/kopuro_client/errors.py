"""What can go wrong between a partner and a hub. Nothing else is raised by this library.

    ClientError
    ├── InvalidArgumentError   the call itself is wrong; nothing was sent (also a ValueError)
    ├── SealingError           a case could not be sealed or opened; nothing was sent
    │   ├── CaseError          the case does not follow the contract, with pointers
    │   ├── UnreadableError    sealed to one's key, and still no case or note: report it to the hub
    │   └── WrongKeyError      sealed to another key than the one given here: give the right one
    ├── RefusedError           the hub refused: an RFC 9457 problem; asking again changes nothing
    ├── AuthenticationError    the credentials were not accepted
    ├── UnavailableError       the hub cannot answer just now; `retry_after` says when to ask again
    ├── TransportError         no answer: no connection, a broken one, or a time limit passed
    ├── DefectError            the hub failed (500), or answered what its contract does not allow
    └── tlog.TlogError         a log or a part of it does not hold: `kopuro_client.tlog.errors`

The hub's three families are `RefusedError` (and its 401 case, `AuthenticationError`),
`UnavailableError` and `DefectError`. No message holds a secret, a token or a part of a case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldError:
    """One thing wrong in a document. pointer: RFC 6901, "" for the whole; detail: a sentence."""

    pointer: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """An RFC 9457 problem. type: a stable URN to decide by; title and detail: for a person."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: tuple[FieldError, ...] = ()

    @classmethod
    def read(cls, body: object, *, status: int, reason: str) -> Problem:
        """The problem in an answer's JSON body, however little of it is there.

        body: the parsed JSON, or None where there was none; status and reason: the answer's own.
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
        )

    def as_json(self) -> dict[str, object]:
        """The problem as RFC 9457 writes it."""
        body: dict[str, object] = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = [{"pointer": e.pointer, "detail": e.detail} for e in self.errors]
        return body


class ClientError(Exception):
    """The root of everything this library raises."""


class InvalidArgumentError(ClientError, ValueError):
    """The call cannot be right whatever the hub says; nothing was sent."""


class SealingError(ClientError):
    """A case could not be sealed or opened."""


class CaseError(SealingError):
    """The case does not follow the contract. errors: what is wrong, and where.

    Pointers start at the case; `below` moves them into the document that holds it. summary: a sentence
    without the errors.
    """

    def __init__(
        self, errors: tuple[FieldError, ...], *, summary: str = "the case does not follow the contract"
    ) -> None:
        super().__init__("; ".join(f"{e.pointer or 'the case'}: {e.detail}" for e in errors))
        self.errors = errors
        self.summary = summary

    def below(self, pointer: str) -> CaseError:
        """The same error with every pointer below this one, such as `/case`."""
        moved = (FieldError(pointer=pointer + e.pointer, detail=e.detail) for e in self.errors)
        return CaseError(tuple(moved), summary=self.summary)


class UnreadableError(SealingError):
    """What was sealed to one's key cannot be read. `Kopuro.report_unreadable` tells whoever sealed it.

    reason: cannot_decrypt, or not_understood (it was opened, and is no case or note).
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class WrongKeyError(SealingError):
    """It is sealed to another key than the one given here, such as one's key of last year."""


class RefusedError(ClientError):
    """The hub refused. Decide by `type` (stable); show `title`, `detail` and `errors`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.title}: {problem.detail}" if problem.detail else problem.title)
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


class AuthenticationError(ClientError):
    """The credentials, or the token got with them, were not accepted."""


class UnavailableError(ClientError):
    """The hub cannot answer just now. retry_after: seconds, or None where it named no time."""

    def __init__(self, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class TransportError(ClientError):
    """No answer came. A request that is not repeatable may still have taken effect."""


class DefectError(ClientError):
    """The hub failed, or broke its contract. Asking again will not help; telling its operator may."""


def _text(fields: Mapping[object, object], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
