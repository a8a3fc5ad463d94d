"""Refused values in the words of the command line: the hub names parameters, members and parts of a path."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from kopuro_client.errors import PROBLEM, FieldError, InvalidArgumentError, RefusedError

_NOT_FOUND: Final = 404
_INVALID: Final = frozenset(
    PROBLEM + slug for slug in ("invalid-parameter", "invalid-cursor", "invalid-submission")
)
# Options whose parameter or member has another name than they have, in every command that has them.
_HUB_NAMES: Final = {"spoken": "language", "why_not": "organization", "note_from": "author"}


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
        sentences.append(f"{shown[name]}: {error.detail}")
    return list(dict.fromkeys(sentences))


def _plain_name(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper().replace("_", "-")).removesuffix("...")
