"""Previews at intake: which are passed to routing, and that nothing is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import func, select

from contracts.errors import Refused, Unavailable
from contracts.queries import PreviewQuery
from contracts.records import load
from contracts.referral import ReferralFacts
from runtime.access.tokens import Principal
from runtime.clock import SystemClock
from runtime.web.request import Request
from services.intake import api
from services.intake.adapters.tables import METADATA
from tests.unit.services.intake.intake_fixture import IntakeBench
from tests.unit.services.intake.samples import FACTS, KEYLESS, MOSCOW, OSH, SUSPENDED, document

FOUND = {
    "candidates": "1-4",
    "half_answered_seconds": None,
    "found_nobody": 0.25,
    "more_by_language": {"ru": "5-19"},
    "more_by_region": {},
    "only_by_kind": {"consular_representative": "0"},
    "parts": [{"needs": ["work"], "candidates": "5-19"}, {"needs": ["children"], "candidates": "0"}],
    "would_split": True,
}


def facts(**changes: Any) -> ReferralFacts:
    return load(ReferralFacts, {**FACTS, **changes})


def preview(bench: IntakeBench, body: Any, by: str = OSH) -> Any:
    request = Request(
        method="POST",
        route="",
        path_params={},
        body=json.dumps(body).encode(),
        caller=Principal(id=by, roles=frozenset({"partner"})),
    )
    context = api.ApiContext(bench.handlers, "/kg/intake", SystemClock())
    return json.loads(api.preview_referral(context, request).body)


def rows(bench: IntakeBench) -> dict[str, int]:
    with bench.database.read() as transaction:
        return {
            table.name: transaction.execute(select(func.count()).select_from(table)).scalar_one()
            for table in METADATA.sorted_tables
        }


def test_preview_is_routings_answer_and_stores_nothing(bench: IntakeBench) -> None:
    bench.routing.answers[PreviewQuery(sender=OSH, facts=facts())] = FOUND
    before = rows(bench)
    assert preview(bench, FACTS) == FOUND
    assert (rows(bench), bench.woken) == (before, 0)


def test_preview_by_a_routing_of_an_earlier_build_has_no_parts(bench: IntakeBench) -> None:
    earlier = {name: value for name, value in FOUND.items() if name not in ("parts", "would_split")}
    bench.routing.answers[PreviewQuery(sender=OSH, facts=facts())] = earlier
    assert preview(bench, FACTS) == {**earlier, "parts": [], "would_split": False}


def test_preview_with_a_case_is_refused(bench: IntakeBench) -> None:
    with pytest.raises(Refused) as refused:
        preview(bench, document())
    assert [error.pointer for error in refused.value.errors] == ["/case"]
    assert bench.routing.asked == []


@pytest.mark.parametrize(
    ("by", "changes", "slug", "pointers"),
    [
        (SUSPENDED, {}, "forbidden", []),
        ("kg.nobody", {}, "forbidden", []),
        (OSH, {"to": "kg.nobody"}, "unknown-organization", ["/to"]),
        (OSH, {"to": KEYLESS}, "receiver-has-no-key", ["/to"]),
        (
            OSH,
            {"consent": {**FACTS["consent"], "storage_countries": ["RU"]}},
            "invalid-submission",
            ["/consent/storage_countries"],
        ),
        (OSH, {"consent": {**FACTS["consent"], "given": False}}, "invalid-submission", ["/consent/given"]),
    ],
)
def test_preview_is_refused_where_the_submission_would_be(
    bench: IntakeBench, by: str, changes: dict[str, Any], slug: str, pointers: list[str]
) -> None:
    with pytest.raises(Refused) as refused:
        preview(bench, {**FACTS, **changes}, by)
    assert (refused.value.slug, [error.pointer for error in refused.value.errors]) == (slug, pointers)
    assert bench.routing.asked == []


def test_preview_to_a_receiver_outside_the_hubs_country_needs_no_storage_here(bench: IntakeBench) -> None:
    changes = {"to": MOSCOW, "consent": {**FACTS["consent"], "storage_countries": ["RU"]}}
    bench.routing.answers[PreviewQuery(sender=OSH, facts=facts(**changes))] = FOUND
    assert preview(bench, {**FACTS, **changes}) == FOUND


def test_preview_passes_on_that_routing_does_not_answer(bench: IntakeBench) -> None:
    bench.routing.answers[PreviewQuery(sender=OSH, facts=facts())] = Unavailable("No reply in time.")
    with pytest.raises(Unavailable):
        preview(bench, FACTS)
