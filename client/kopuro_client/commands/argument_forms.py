"""Refused values in the words of the command line: the hub names parameters, members and parts of a path."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from kopuro_client.commands.input_file import read_json
from kopuro_client.commands.nearest_codes import with_nearest
from kopuro_client.errors import PROBLEM, FieldError, InvalidArgumentError, Problem, RefusedError

_NOT_FOUND: Final = 404
_INVALID: Final = frozenset(
    PROBLEM + slug for slug in ("invalid-parameter", "invalid-cursor", "invalid-submission")
)
# Options whose parameter or member has another name than they have, in every command that has them.
_HUB_NAMES: Final = {
    "spoken": "language",
    "why_not": "organization",
    "note_from": "author",
    "wanted_id": "proposed_id",
}


@dataclass(frozen=True, slots=True)
class _Form:
    pattern: re.Pattern[str]
    expected: str


_UUID: Final = _Form(
    re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "must be a lower-case UUID, such as 01930f6e-8a4b-7c2d-9e1f-0a1b2c3d4e5f",
)
_ORGANIZATION: Final = _Form(
    re.compile(r"[a-z]{2}\.[a-z0-9]+(-[a-z0-9]+)*"), "must be an organisation id, such as kg.osh-legal-aid"
)
_SLUG: Final = _Form(re.compile(r"[a-z0-9]+(-[a-z0-9]+)*"), "must be a lower-case slug, such as case-system")
# The values that are part of a path, in every command that has them.
_FORMS: Final = {
    **dict.fromkeys(("referral", "approval", "offer", "application", "applications"), _UUID),
    **dict.fromkeys(("watched", "report", "endpoint", "message", "messages"), _UUID),
    **dict.fromkeys(("organization", "to"), _ORGANIZATION),
    "service": _SLUG,
    "consumer": _SLUG,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A value on the command line. name: of the command's parameter; shown: `--consumer`, or `REFERRAL`."""

    name: str
    shown: str
    value: Any

    @property
    def texts(self) -> list[str]:
        """The texts that the value consists of."""
        values = self.value if isinstance(self.value, list) else [self.value]
        return [value for value in values if isinstance(value, str)]

    @property
    def hub_names(self) -> frozenset[str]:
        """The names that a pointer of the hub can have for the value."""
        if self.name in _HUB_NAMES:
            return frozenset({_HUB_NAMES[self.name]})
        return frozenset({self.name, self.shown.removeprefix("--").replace("-", "_")})


def given_of(context: Any, arguments: Mapping[str, Any]) -> list[Given]:
    """Return the values that are on the command line. context: the click context of the command."""
    return [
        Given(
            name=parameter.name,
            shown=parameter.opts[0] if parameter.param_type_name == "option" else _plain_name(parameter),
            value=arguments[parameter.name],
        )
        for parameter in context.command.params
        if parameter.name in arguments and is_given(context, parameter.name)
    ]


def is_given(context: Any, name: str) -> bool:
    """Return whether a value is on the command line, and not a default or from the environment."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@contextmanager
def named_arguments(given: Iterable[Given]) -> Iterator[None]:
    """Raise InvalidArgumentError in place of the hub's refusal of values that are on the command line.

    The hub decides what is valid; this names the option or argument, so that its exit status is that of a
    wrong command line. A 404 is replaced if a value in the path cannot be the id of anything.
    """
    try:
        yield
    except RefusedError as error:
        values = list(given)
        faults = _formless(values) if error.status == _NOT_FOUND else []
        if error.type in _INVALID:
            faults = _refused(values, error.errors)
        if faults:
            raise InvalidArgumentError("; ".join(faults)) from error
        if error.type == PROBLEM + "invalid-submission" and error.errors:
            raise RefusedError(_in_the_input(values, error.problem)) from error
        raise


def _formless(given: Iterable[Given]) -> list[str]:
    """Return a sentence for each value that has not the form of its kind of id."""
    return [
        f"{one.shown} {_FORMS[one.name].expected}"
        for one in given
        if one.name in _FORMS and not all(map(_FORMS[one.name].pattern.fullmatch, one.texts))
    ]


def _refused(given: Iterable[Given], errors: Iterable[FieldError]) -> list[str]:
    """Return a sentence for each error; none if an error concerns something else than a given value."""
    shown = {name: one.shown for one in given for name in one.hub_names}
    sentences = []
    for error in errors:
        # `/contact/email` is --email, not --contact. In a file's document only its own members are options.
        names = [part for part in error.pointer.split("/") if part and not part.isdecimal()]
        name = next((name for name in reversed(names) if name in shown), None)
        if name is None or ("file" in shown and len(names) > 1):
            return []
        one = next(one for one in given if one.shown == shown[name])
        sentences.append(f"{one.shown}: {with_nearest(error.detail, _value_at(one.value, error.pointer))}")
    return list(dict.fromkeys(sentences))


def _value_at(value: object, pointer: str) -> object:
    """Return the value of an option; of a repeated one the value that the pointer names."""
    if not isinstance(value, list):
        return value
    number = next((int(part) for part in reversed(pointer.split("/")) if part.isdecimal()), 0)
    return value[number] if number < len(value) else None


def _in_the_input(given: Iterable[Given], problem: Problem) -> Problem:
    """Return the hub's refusal of a body in the words of the command, whose user wrote a file or options.

    The hub says "Correct the body." or names members; each code of a vocabulary gets the nearest valid ones.
    """
    values = list(given)
    file = next((one for one in values if one.name == "file"), None)
    if file is None:
        # Without a pointer, any of the options may be wrong.
        wrong = {part for one in problem.errors for part in one.pointer.split("/") if part}
        options = [
            one.shown
            for one in values
            if one.shown.startswith("--") and one.texts and (not wrong or one.hub_names & wrong)
        ]
        named = ", ".join(options) if options else "the arguments"
        document: object = None
    else:
        named = "the document on stdin" if str(file.value) == "-" else str(file.value)
        document = _document(file.value)
    errors = tuple(
        FieldError(pointer=one.pointer, detail=with_nearest(one.detail, _member(document, one.pointer)))
        for one in problem.errors
    )
    detail = f"Correct {named}." if problem.detail.startswith("Correct ") else problem.detail
    return replace(problem, detail=detail, errors=errors)


def _document(file: object) -> object:
    """Return the document in the file; None if it cannot be read again, such as stdin."""
    try:
        return read_json(Path(str(file)))
    except InvalidArgumentError:
        return None


def _member(document: object, pointer: str) -> object:
    """Return what a JSON pointer names in the document; None if it has no such member."""
    for part in pointer.split("/")[1:]:
        if isinstance(document, list) and part.isdecimal() and int(part) < len(document):
            document = document[int(part)]
        elif isinstance(document, dict):
            document = document.get(part.replace("~1", "/").replace("~0", "~"))
        else:
            return None
    return document


def _plain_name(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper().replace("_", "-")).removesuffix("...")
