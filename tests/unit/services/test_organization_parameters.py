"""Every query parameter that takes an organisation's id refuses what no organisation can have as its id."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from contracts.errors import Refused
from runtime.access.tokens import Principal
from runtime.clock import SystemClock
from runtime.web.operation import Parameter
from runtime.web.parameters import ORGANIZATION
from runtime.web.request import Request
from services.directory.api import sealing_keys
from services.intake import api as intake_api
from services.routing.api import coordination
from tests.support.resources import resources

NOTHING: Any = None
DOORS: dict[str, Callable[[Request], object]] = {
    "candidates": lambda request: coordination.candidates(NOTHING, request, SystemClock()),
    "queue": lambda request: coordination.queue(NOTHING, request, SystemClock()),
    "wishes": lambda request: coordination.wishes(NOTHING, request, SystemClock()),
    "keys": lambda request: sealing_keys.keys(NOTHING, request),
    "submissions": lambda request: intake_api.find(NOTHING, request),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("text", ["xyzzy", "-1", "null", "1.5", "", "KG.osh", "kg.osh\n", "kg." + "o" * 100])
def test_malformed_id_is_refused_with_a_pointer(door: str, text: str) -> None:
    request = Request(
        method="GET",
        route="/",
        path_params={"id": "0199a0de-0000-7000-8000-000000000001"},
        query_params={"kind": "unplaced", "key": "k", "organization": text},
        caller=Principal(id="kg.coordinator", roles=frozenset({"operator", "coordinator"})),
    )
    with pytest.raises(Refused) as refusal:
        DOORS[door](request)
    assert (refusal.value.slug, refusal.value.status) == ("invalid-parameter", 400)
    assert [one.pointer for one in refusal.value.errors] == ["/organization"]


def test_every_resource_with_an_organization_parameter_publishes_its_form() -> None:
    declared = {
        name: re.compile(one.schema["pattern"])
        for name, resource in resources().items()
        for one in resource.parameters
        if isinstance(one, Parameter) and one.name == ORGANIZATION.name
    }
    assert len(declared) >= len(DOORS)
    assert [name for name, form in declared.items() if not form.search("kg.osh-legal-aid")] == []
    assert [name for name, form in declared.items() if any(map(form.search, ("xyzzy", "-1", "1.5")))] == []
