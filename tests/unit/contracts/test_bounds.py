"""Every list and text that a partner can store has a bound: what is not bounded is stored again and again."""

from __future__ import annotations

import importlib
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from marshmallow import Schema, fields
from marshmallow.validate import ContainsOnly, Length, OneOf, Regexp

from contracts.record_schema import schema_of
from contracts.vocabularies import InVocabulary
from services.intake.domain.command import COMMANDS

_SERVICES = Path(__file__).parents[3] / "services"
# RoutingPolicy: written by operators on the hub's own machine. RequestProof: travels in a header, which has a
# bound, and is not kept.
_NOT_STORED = {"RoutingPolicy", "RequestProof"}
# Members whose bound is not in the record: the member, and what bounds it.
_BOUNDED: Mapping[str, str] = {
    "ConsumerSettings.types[]": "require_kinds: a closed list",
    "ConsumerSettings.contract": "require_contract: a version of this hub",
    "EndpointChange.types[]": "require_kinds: a closed list",
    "Registration.types[]": "require_kinds: a closed list",
    "TriggeredMessage.data": "the sandbox alone has it",
    "SubmissionAnswerList.answers[].problem": "the gateway's own answer, which no partner writes",
    **{f"KeyRequest.{name}": "loaded as a SealingKey too" for name in ("kty", "crv", "x", "kid")},
    **{
        f"{keys}[].{name}": "client_keys: known algorithms"
        for keys in ("KeySet.keys", "CredentialRequest.jwks.keys")
        for name in ("kty", "crv", "x", "kid", "y", "alg", "use")
    },
}
_LOADED = re.compile(r"\bload\(\s*([A-Z]\w*)[,)]")


def _admitted() -> Iterator[type[Any]]:
    for path in sorted(_SERVICES.rglob("*.py")):
        names = set(_LOADED.findall(path.read_text())) - _NOT_STORED
        if names:
            place = path.relative_to(_SERVICES.parent).with_suffix("")
            module = importlib.import_module(".".join(place.parts))
            for name in sorted(names):
                found = getattr(module, name)
                if isinstance(found, type) and is_dataclass(found):
                    yield found
    yield from COMMANDS.values()


ADMITTED = sorted(set(_admitted()), key=lambda kind: kind.__name__)


def _has_most(field: fields.Field[Any]) -> bool:
    return any(isinstance(rule, Length) and (rule.max or rule.equal) for rule in field.validators)


def _is_bounded(field: fields.Field[Any]) -> bool:
    closed = any(isinstance(rule, OneOf | ContainsOnly | InVocabulary) for rule in field.validators)
    return closed or _has_most(field) or any(map(_ends, field.validators))


def _ends(rule: object) -> bool:
    """Return whether a pattern matches texts of a bounded length only."""
    if not isinstance(rule, Regexp):
        return False
    outside_sets = re.sub(r"\\.|\[[^]]*\]", "", str(rule.regex.pattern))
    return re.search(r"[*+]|,\}", outside_sets) is None


def _unbounded(field: fields.Field[Any], place: str) -> Iterator[str]:
    if isinstance(field, fields.Nested):
        yield from _unbounded_of(field.schema, place)
    elif isinstance(field, fields.List):
        if not _has_most(field):
            yield place
        yield from _unbounded(field.inner, f"{place}[]")
    elif _is_open(field):
        yield place


def _is_open(field: fields.Field[Any]) -> bool:
    if isinstance(field, fields.String) and not isinstance(field, fields.UUID):
        return not _is_bounded(field)
    return isinstance(field, fields.Mapping) or type(field) is fields.Raw


def _unbounded_of(schema: Schema, place: str) -> Iterator[str]:
    for name, field in schema.fields.items():
        yield from _unbounded(field, f"{place}.{name}")


def test_records_of_partners_are_found() -> None:
    names = {kind.__name__ for kind in ADMITTED}
    assert {"Organization", "Agreement", "ReferralSubmission", "Registration", "EmployerReport"} <= names


@pytest.mark.parametrize("kind", ADMITTED, ids=lambda kind: kind.__name__)
def test_every_list_and_text_of_a_record_has_a_bound(kind: type[Any]) -> None:
    found = set(_unbounded_of(schema_of(cast(Hashable, kind))(), kind.__name__))
    assert found == {place for place in _BOUNDED if place.startswith(f"{kind.__name__}.")}
