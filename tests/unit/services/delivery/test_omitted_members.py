"""Bodies whose members stay as they are when they are left out refuse null, which could mean a reset."""

from __future__ import annotations

import dataclasses

import pytest

from contracts.errors import PointerError, Refused
from contracts.records import load
from docs.record_schemas import request_schemas
from services.delivery.api import ConsumerSettings
from services.delivery.webhooks.api import EndpointChange

BODIES = (EndpointChange, ConsumerSettings)
MEMBERS = [(body, item.name) for body in BODIES for item in dataclasses.fields(body)]


@pytest.mark.parametrize(("body", "member"), MEMBERS)
def test_null_member_is_refused_with_its_pointer(body: type, member: str) -> None:
    with pytest.raises(Refused) as caught:
        load(body, {member: None})
    assert caught.value.errors == (PointerError(pointer=f"/{member}", detail="Must not be null."),)


@pytest.mark.parametrize("body", BODIES)
def test_member_that_is_left_out_is_read_as_none(body: type) -> None:
    assert set(dataclasses.asdict(load(body, {})).values()) == {None}


@pytest.mark.parametrize(("body", "member"), MEMBERS)
def test_published_member_is_neither_required_nor_null(body: type, member: str) -> None:
    schema = request_schemas([body])[f"{body.__name__}Input"]
    assert "null" not in schema["properties"][member]["type"]
    assert "default" not in schema["properties"][member]
    assert "required" not in schema
