"""The declaration of a resource: what it takes, returns and refuses.

`@resource` carries it; `docs.openapi` publishes it; and a response that it does not declare does not
leave the service, so that the published document stays true.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from contracts.errors import PROBLEMS, Defect, Refused
from contracts.responses.form import Page

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
FORM: Final = "application/x-www-form-urlencoded"
MERGE_PATCH: Final = "application/merge-patch+json"  # RFC 7396
_FORMS: Final[Mapping[str, re.Pattern[str]]] = {
    JSON: re.compile(r"application/([a-z0-9.-]+\+)?json"),
    NDJSON: re.compile(r"application/(x-)?ndjson"),
    MERGE_PATCH: re.compile(r"application/merge-patch\+json"),
}
_UTF_8: Final = ("charset=utf-8", 'charset="utf-8"')


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """A query parameter or a header. schema: JSON Schema keywords of its text.

    required: the request is refused without it.
    """

    name: str
    schema: Mapping[str, Any]
    description: str
    required: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """A request body: a record, or a schema where no record describes the document.

    required: an empty body is refused. examples: documents that a resource accepts, by name. more: schemas of
    members that the resource takes beside those of the record, by name.
    """

    record: type | None = None
    schema: Mapping[str, Any] | None = None
    media_type: str = JSON
    required: bool = True
    examples: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def require_media_type(self, content_type: str) -> None:
        """Raise Refused for a body that says that it is not JSON in UTF-8; NDJSON or a patch where declared.

        content_type: the header's value, empty without one: then the body is read as what is declared. Forms
        are checked by their handlers, which also require the media type of a patch.
        """
        forms = _FORMS.get(self.media_type)
        if forms is None or not content_type:
            return
        media_type, *given = (part.strip().lower() for part in content_type.split(";"))
        charset = [part for part in given if part.startswith("charset=") and part not in _UTF_8]
        if charset or not forms.fullmatch(media_type):
            raise Refused(
                "unsupported-media-type", f"The media type of the body must be {self.media_type}, in UTF-8."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class DeclaredResponse:
    """One successful response.

    records: the kinds of record that may be its body; none for a body without a record (`schema` describes
    it, if JSON), and none for no body (`media_types` is empty then). paged: the body is a page of records.
    headers: of the response, by name with their descriptions.
    """

    description: str
    records: frozenset[type] = frozenset()
    paged: bool = False
    media_types: tuple[str, ...] = (JSON,)
    schema: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Content:
    """The source of a response: the kinds of record, and whether they are items of a page."""

    records: frozenset[type]
    paged: bool = False

    @classmethod
    def of(cls, value: Any) -> Content:
        """Return the content of a record or a page of records."""
        if isinstance(value, Page):
            return cls(frozenset(map(type, value.items)), paged=True)
        return cls(frozenset({type(value)}))


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One method of a path. summary: one line for a reader. refusals: the slugs of problems of its own.

    refuses_as_json: its own refusals are `application/json`, with the members of OAuth too (RFC 6749 §5.2).

    Problems that every resource of its kind can have are not repeated (`runtime/web/refusals.py`).
    """

    summary: str
    responses: Mapping[int, DeclaredResponse]
    body: Body | None = None
    headers: tuple[Parameter, ...] = ()
    refusals: frozenset[str] = frozenset()
    refuses_as_json: bool = False
    deprecated: Deprecation | None = None

    def __post_init__(self) -> None:
        if not self.responses or not self.summary:
            raise ValueError("an operation has a summary and at least one response")
        if unknown := self.refusals - PROBLEMS.keys():
            raise ValueError(f"these are not problem types: {sorted(unknown)}")

    def require_expected(self, body: bytes, content_type: str) -> None:
        """Raise Refused for a body that the operation does not declare: its content would have no effect.

        An empty object says nothing, and some programs send it with each POST.
        """
        if self.body is not None:
            if body:
                self.body.require_media_type(content_type)
        elif body and body.strip() not in (b"", b"{}"):
            raise Refused(
                "invalid-parameter",
                "The resource takes no body. Send the parameters in the URL.",
            )

    def require_declared(
        self, status: int, headers: Mapping[str, str], content: Content | None, *, empty: bool
    ) -> None:
        """Raises Defect for a response that the operation does not declare."""
        declared = self.responses.get(status)
        if declared is None:
            raise Defect(f"The response {status} is not declared.")
        media_type = headers.get("Content-Type", "").partition(";")[0]
        if not (empty and not declared.media_types) and media_type not in declared.media_types:
            raise Defect(f"The media type {media_type} of response {status} is not declared.")
        found = Content(frozenset()) if content is None else content
        if declared.records and media_type in (JSON, NDJSON):
            if content is None or not found.records <= declared.records or found.paged is not declared.paged:
                raise Defect(f"The body of response {status} is not of a declared record.")
        elif found.records:
            raise Defect(f"The record of response {status} is not declared.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Deprecation:
    """The end of an operation. since, sunset: HTTP dates; link: the page that says what to use instead.

    Source: RFC 9745 (`Deprecation`), RFC 8594 (`Sunset`).
    """

    since: int  # seconds since 1970, as RFC 9745 writes it
    sunset: str
    link: str

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of every response of the operation."""
        return {
            "Deprecation": f"@{self.since}",
            "Sunset": self.sunset,
            "Link": f'<{self.link}>; rel="deprecation"',
        }


def or_csv(declared: DeclaredResponse) -> DeclaredResponse:
    """Return the declaration of the same response with a second form: CSV, where `format` asks for it."""
    return replace(declared, media_types=(*declared.media_types, CSV))


def record_of(
    record: type, *, description: str = "", headers: Mapping[str, str] | None = None
) -> DeclaredResponse:
    """Return the declaration of a response whose body is this record."""
    return one_of([record], description=description, headers=headers)


def one_of(
    records: Iterable[type], *, description: str = "", headers: Mapping[str, str] | None = None
) -> DeclaredResponse:
    """Return the declaration of a response whose body is one of these records."""
    kinds = frozenset(records)
    names = " or ".join(sorted(kind.__name__ for kind in kinds))
    return DeclaredResponse(description=description or names, records=kinds, headers=headers or {})


def page_of(record: type, *, description: str = "") -> DeclaredResponse:
    """Return the declaration of a page of these records."""
    return DeclaredResponse(
        description=description or f"A page: {record.__name__}", records=frozenset({record}), paged=True
    )


def lines_of(record: type, *, description: str) -> DeclaredResponse:
    """Return the declaration of NDJSON with one record a line."""
    return DeclaredResponse(description=description, records=frozenset({record}), media_types=(NDJSON,))


def text(description: str, *media_types: str) -> DeclaredResponse:
    """Return the declaration of a body without records."""
    return DeclaredResponse(description=description, media_types=media_types or ("text/plain",))


def nothing(description: str) -> DeclaredResponse:
    """Return the declaration of a response without a body."""
    return DeclaredResponse(description=description, media_types=())
