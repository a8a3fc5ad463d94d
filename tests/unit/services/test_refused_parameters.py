"""A refused query parameter is named by a pointer, wherever the handler checks its value."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from contracts.errors import Refused
from runtime.access.tokens import Principal
from runtime.web.paging import limit_of, position_of
from runtime.web.request import Request, parse_parameters
from services.audit.parameters import entry_number
from services.audit.reports import export_api, history_api, statistics_api, story_api
from services.audit.reports.domain.statistics_counts import DIMENSIONS
from services.audit.reports.search_parameters import time_parameter
from services.directory import api as directory_api
from services.intake import api as intake_api
from services.routing import api as routing_api

AUDITOR = Principal(id="ann", roles=frozenset({"auditor"}), client_id="ann-laptop")
EXCHANGED = {"from": "2026-11-29T10:00:00Z", "to": "2026-11-28T10:00:00Z"}
NOBODY: Any = None  # these refusals come before any handler is called


def request(**query: str) -> Request:
    path = dict.fromkeys(("id", "referral_id"), "0199a0de-0000-7000-8000-000000000001")
    return Request(method="GET", route="/", path_params=path, query_params=query, caller=AUDITOR)


@pytest.mark.parametrize(
    ("ask", "pointers"),
    [
        (lambda: limit_of({"limit": "0"}), ["/limit"]),
        (lambda: position_of({"after": "made-up"}, "x", ()), ["/after"]),
        (lambda: parse_parameters("kind=ngo&kind=ngo"), ["/kind"]),
        (lambda: time_parameter({"from": "yesterday"}, "from"), ["/from"]),
        (lambda: entry_number({}, "index"), ["/index"]),
        (lambda: history_api.search(NOBODY, request(referral="x")), ["/referral"]),
        (lambda: export_api.export(NOBODY, request(format="xml")), ["/format"]),
        # A name without prefix and version matches no entry, and would look like an empty log.
        (lambda: history_api.search(NOBODY, request(type="offer.opened")), ["/type"]),
        (lambda: export_api.export(NOBODY, request(type="offer.opened")), ["/type"]),
        (lambda: history_api.search(NOBODY, request(type="kopuro.foo.v1")), ["/type"]),
        (lambda: export_api.export(NOBODY, request(type="kopuro.foo.v1")), ["/type"]),
        (lambda: history_api.search(NOBODY, request(need="foo")), ["/need"]),
        (lambda: history_api.search(NOBODY, request(region="RU-ZZ")), ["/region"]),
        (lambda: history_api.search(NOBODY, request(outcome="foo")), ["/outcome"]),
        (lambda: story_api.story(NOBODY, request(language="xx"), frozenset()), ["/language"]),
        (lambda: story_api.story(NOBODY, request(format="xml"), frozenset()), ["/format"]),
        (lambda: statistics_api.statistics(NOBODY, request(by="name")), ["/by"]),
        (lambda: statistics_api.statistics(NOBODY, request(by="sex", exact="1")), ["/exact"]),
        (lambda: statistics_api.entries(NOBODY, request(sex="a b")), ["/sex"]),
        (lambda: statistics_api.entries(NOBODY, request(sex="combined")), ["/sex"]),
        # A misspelt value matches nothing, and would look like a figure of no referrals.
        *(
            (partial(statistics_api.entries, NOBODY, request(**{name: value})), [f"/{name}"])
            for name in DIMENSIONS
            for value in ("femal", "", "kg", "a" * 300)
        ),
        (lambda: statistics_api.entries(NOBODY, request(outcome="unknown", sex="male")), ["/outcome"]),
        # No entry is in a time range whose ends are exchanged, and the result would look like an empty log.
        *(
            (partial(ask, NOBODY, request(**more, **EXCHANGED)), ["/from"])
            for ask, more in (
                (history_api.search, {}),
                (export_api.export, {}),
                (statistics_api.statistics, {"by": "sex"}),
                (statistics_api.entries, {"sex": "male"}),
            )
        ),
        (lambda: directory_api.organizations(NOBODY, request(kind="x")), ["/kind"]),
        (lambda: directory_api.organizations(NOBODY, request(country="kg")), ["/country"]),
        (lambda: directory_api.services(NOBODY, request(need="x")), ["/need"]),
        (lambda: directory_api.approvals(NOBODY, request(state="x")), ["/state"]),
        (lambda: intake_api.listing(NOBODY, request(status="x")), ["/status"]),
        (lambda: routing_api.queue(NOBODY, request(kind="x"), NOBODY), ["/kind"]),
        (lambda: routing_api.queue(NOBODY, request(kind="silent", region="x"), NOBODY), ["/region"]),
        (lambda: routing_api.wishes(NOBODY, request(organization="x"), NOBODY), ["/organization"]),
        (lambda: routing_api.candidates(NOBODY, request(organization="x"), NOBODY), ["/organization"]),
        (lambda: routing_api.coverage(NOBODY, request(lacking="1"), NOBODY), ["/lacking"]),
    ],
)
def test_refused_parameter_is_named_by_a_pointer(ask: Callable[[], object], pointers: list[str]) -> None:
    with pytest.raises(Refused) as refused:
        ask()
    assert [error.pointer for error in refused.value.errors] == pointers
