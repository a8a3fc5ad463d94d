"""Every record that `load` accepts can be logged, with any number and any text, however it is read."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marshmallow import fields

from contracts.canonical import LARGEST_INTEGER, canonical_json, is_unicode
from contracts.envelope import Envelope
from contracts.errors import Defect, Refused
from contracts.facts import CATALOGUE, Fact, OfferOpened, OrganizationChanged, ReferralSubmitted
from contracts.publish import BODIES
from contracts.record_schema import schema_of
from contracts.records import load, plain
from contracts.referral import ReferralFacts
from services.audit.log.domain.entry import entry_of_message, head_json, organizations_of
from services.audit.log.domain.facets import facets_of
from services.audit.log.domain.retention import closing_of
from services.delivery.api import Acknowledgements
from services.directory.admission import Credential, CredentialRequest, KeyRequest, Proof, RotationRequest
from services.directory.domain.client_key import KeySet
from services.intake.domain.command import COMMANDS
from services.routing.api import PlacementRequest
from tests.golden_messages.examples import EXAMPLES, ORGANIZATION
from tests.long_run import times
from tests.support.events import message_of
from tests.unit.contracts.both_readers import NOON, by_reader, by_schema
from tests.unit.contracts.drawn_records import json_values, records_of

DOORS = (
    *BODIES.values(),
    *COMMANDS.values(),
    Acknowledgements,
    Credential,
    CredentialRequest,
    KeyRequest,
    PlacementRequest,
    Proof,
    RotationRequest,
    KeySet,
)
RECORDS = [*CATALOGUE.values(), *DOORS]

HOSTILE: st.SearchStrategy[Any] = (
    st.sampled_from(
        [
            2**53,
            -(2**53),
            2**53 - 1,
            2**63,
            2**64,
            10**30,
            -1,
            True,
            1.5,
            2.0**60,
            float("inf"),
            float("nan"),
            "\ud800",
            "a\udfff",
            "\0",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59-14:00",
            {"a": 2**53},
            {"a": ["\ud800"]},
            {"\ud800": 1},
            [float("nan")],
        ]
    )
    | json_values()
    | st.integers()
    | st.text()
)


def as_entry(fact: Fact) -> None:
    """Make a log entry of the fact, as audit does."""
    event = message_of(fact, "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a01", time=NOON, correlation_id="c")
    message = Envelope.decode(event.encode())
    entry = entry_of_message(message)
    assert head_json(entry, None)
    assert canonical_json(message.data)
    organizations_of(message.data)
    facets_of(message.type, message.source, message.data)
    closing_of(message.type, entry.referral_id, message.time, message.data)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Return every container in a document with each of its keys."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(inner):
        yield value, key
        yield from places(item)


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
@settings(
    max_examples=times(8, 30),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_record_is_read_as_by_its_schema_and_what_loads_is_loggable(cls: type, data: st.DataObject) -> None:
    """Draw a record once for both: that takes most of the time. A third of the documents are unchanged."""
    drawn = data.draw(records_of(cls))
    document = plain(drawn)
    changes = data.draw(st.integers(0, 2))
    for _ in range(changes):
        where = list(places(document))
        if where:
            container, key = data.draw(st.sampled_from(where))
            if data.draw(st.integers(0, 2)):
                # A copy: the next round may change its inside, and the strategy's own values must not change.
                container[key] = copy.deepcopy(data.draw(HOSTILE))
            else:
                del container[key]
    if changes and isinstance(document, dict) and data.draw(st.integers(0, 6)) == 0:
        document["unknown"] = None
    before = repr(document)
    expected, found = by_schema(cls, document), by_reader(cls, document)
    assert repr(document) == before
    # Being undecided about valid data would be correct but slow. No document drawn here causes it.
    assert found == expected
    assert type(found) is type(expected)
    try:
        record: Any = load(cls, document, now=NOON)
    except Refused:
        assert changes or not issubclass(cls, Fact)
        return
    if not changes:
        assert record == drawn
    assert rfc8785.dumps(plain(record)) == canonical_json(plain(record))
    if isinstance(record, Fact):
        as_entry(record)


def numbers(schema: Any, seen: set[Any]) -> Iterator[fields.Integer]:
    """Return the schema of every integer in a record and in its nested records."""
    for field in schema._declared_fields.values():
        while isinstance(field, fields.List):
            field = field.inner
        if isinstance(field, fields.Integer):
            yield field
        elif isinstance(field, fields.Nested) and field.schema.__class__ not in seen:
            seen.add(field.schema.__class__)
            yield from numbers(field.schema.__class__, seen)


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
def test_every_integer_of_a_record_is_bounded(cls: type) -> None:
    for field in numbers(schema_of(cls), set()):
        for value in (2**53, -(2**53), 2**63):
            with pytest.raises(Exception, match=r"Must (not )?be"):
                field.deserialize(value)


@pytest.mark.parametrize("name", ["staff", "volunteers"])
@pytest.mark.parametrize("count", [1_000_001, 2**53, 2**63, -1])
def test_organization_with_absurd_headcount_is_refused(name: str, count: int) -> None:
    document = plain(ORGANIZATION)
    document["profile"][name] = count
    with pytest.raises(Refused) as caught:
        load(type(ORGANIZATION), document)
    assert [error.pointer for error in caught.value.errors] == [f"/profile/{name}"]


@pytest.mark.parametrize("text", ["\ud800", "x\udfff"])
def test_text_without_canonical_form_is_refused(text: str) -> None:
    assert not is_unicode(text)
    with pytest.raises(Refused) as caught:
        load(type(ORGANIZATION), {**plain(ORGANIZATION), "name": text})
    assert [error.pointer for error in caught.value.errors] == ["/name"]


@pytest.mark.parametrize("value", [2**53, -(2**53)])
def test_event_with_inexact_number_raises_defect(value: int) -> None:
    opened: Any = EXAMPLES[OfferOpened.type].data
    fact = dataclasses.replace(opened, rank=value)
    with pytest.raises(Defect, match=r"2\^53"):
        as_entry(fact)


def test_event_with_long_number_in_a_text_is_encoded() -> None:
    organization = load(type(ORGANIZATION), {**plain(ORGANIZATION), "description": "a:1234567890123456789"})
    as_entry(OrganizationChanged(revision=LARGEST_INTEGER, organization=organization))


def past_and_future(document: Any, cls: type) -> set[str]:
    """Return the pointers of times that are refused because they are in the future."""
    try:
        load(cls, document, now=dt.datetime(2000, 1, 2, tzinfo=dt.UTC))
    except Refused as refused:
        return {error.pointer for error in refused.errors if error.detail == "Must not be in the future."}
    return set()


def test_every_time_in_partner_input_is_bounded() -> None:
    """Fails for a new field without bounds."""
    for cls in DOORS:
        for field in moments(schema_of(cls), set()):
            for value in ("0001-01-01", "0001-01-01T00:00:00Z", "9998-01-01", "9998-01-01T00:00:00Z"):
                with pytest.raises(
                    Exception, match=r"Must be from|Must not be before|Must not be in the future|Must be a"
                ):
                    field.deserialize(value)


def moments(schema: Any, seen: set[Any]) -> Iterator[Any]:
    for field in schema._declared_fields.values():
        while isinstance(field, fields.List):
            field = field.inner
        if isinstance(field, fields.DateTime | fields.Date):
            yield field
        elif isinstance(field, fields.Nested) and field.schema.__class__ not in seen:
            seen.add(field.schema.__class__)
            yield from moments(field.schema.__class__, seen)


def test_past_times_are_refused_when_in_the_future() -> None:
    assert past_and_future(plain(ORGANIZATION), type(ORGANIZATION)) == {
        "/profile/active_since",
        "/approved_services/0/at",
        "/sealing_key_change/at",
        "/services/0/capacity/updated_at",
        "/services/0/further_capacities/0/updated_at",
        "/services/1/capacity/updated_at",
        "/vetted_on",
    }
    submitted: Any = EXAMPLES[ReferralSubmitted.type].data
    assert past_and_future(plain(submitted.facts), ReferralFacts) == {"/consent/given_at"}
