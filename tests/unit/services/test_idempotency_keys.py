"""Every POST, PUT and PATCH resource honours an Idempotency-Key or refuses it; none ignores it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from contracts.errors import Refused
from contracts.idempotency_key import require_well_formed
from contracts.queries import ReferralQuery
from runtime.access.caller_limits import Share
from runtime.access.tokens import Principal
from runtime.clock import SystemClock
from runtime.identifiers import new_id
from runtime.telemetry import trace
from runtime.web.parameters import IDEMPOTENCY_KEY
from runtime.web.request import Request
from runtime.web.response import Response
from runtime.web.router import Route
from services.intake.api import ApiContext
from tests.support.routed import routed
from tests.support.service_resources import resources
from tests.unit.services.intake.intake_fixture import IntakeBench
from tests.unit.services.intake.samples import (
    MOSCOW,
    MOSCOW_KID,
    OFFER,
    OSH,
    OSH_KID,
    REFERRAL,
    document,
    sealed,
)
from tests.unit.services.routing.samples import DAY, NOW, SENDER, organization, service
from tests.unit.services.routing.workbench import submitted, workbench

KEY = "my-key"

Handler = Callable[[Any, Request], Response]


def _changing_routes() -> dict[str, tuple[Route, Handler]]:
    """Return "METHOD url" -> (route, method of the service) for every resource that changes something."""
    return {
        f"{route.method} {route.template}": (route, member)
        for _, entrypoint, member in resources()
        if (route := entrypoint.route()).method != "GET"
    }


ROUTES = _changing_routes()
HONOURING = sorted(name for name, (route, _) in ROUTES.items() if route.takes_key)
REFUSING = sorted(ROUTES.keys() - HONOURING)

BODIES: Mapping[str, Any] = {
    "POST /v1/referrals": document(),
    "POST /v1/referrals:batch": document(),
    "POST /v1/submissions:batch": {"submit": "accept", "offer_id": OFFER},
    "POST /v1/referrals/<id>/withdraw": {"reason": "other"},
    "POST /v1/referrals/<id>/progress": {"status": "on_hold"},
    "POST /v1/referrals/<id>/complete": {"outcome": "resolved"},
    "POST /v1/referrals/<id>/hand-back": {"reason": "language"},
    "POST /v1/referrals/<id>/notes": {"note": sealed(OSH_KID)},
    "POST /v1/referrals/<id>/unreadable": {"reason": "cannot_decrypt"},
    "POST /v1/referrals/<id>/case": {"to": MOSCOW, "case": sealed(MOSCOW_KID)},
    "POST /v1/referrals/<id>/consent/revoke": {},
    "POST /v1/offers/<id>/accept": {},
    "POST /v1/offers/<id>/decline": {"reason": "language"},
    "POST /v1/watch/reports": {},  # test_repetition_under_a_key_makes_one_report
    "POST /v1/coordination/<id>/offer": {"organization": "ru.far"},
    "POST /v1/coordination/<id>/nudge": {"reason": "other"},
    "POST /v1/coordination/<id>/extend": {"reason": "other", "until": (NOW + 5 * DAY).isoformat()},
    "POST /v1/coordination/<id>/move-on": {"reason": "other"},
    "POST /v1/coordination/<id>/withdraw": {"organization": SENDER, "reason": "consent_revoked"},
}


def ask(route: Route, headers: Mapping[str, str]) -> tuple[int, Any]:
    """Send a request without a body through the router to a handler that returns its key."""

    def echo(request: Request, _at: trace.Trace) -> Response:
        return Response.json(request.headers.get("idempotency-key"))

    return routed(replace(route, roles=None, handle_request=echo), **headers)


def request(route: Route, subject: str, role: str, caller: str, body: Any) -> Request:
    return Request(
        method=route.method,
        route=route.template,
        path_params={"id": subject},
        headers={"idempotency-key": KEY},
        body=json.dumps(body).encode(),
        caller=Principal(id=caller, roles=frozenset({role})),
    )


@pytest.fixture
def bench(sqlite_database: str) -> Iterator[IntakeBench]:
    made = IntakeBench(sqlite_database)
    yield made
    made.database.close()


def test_key_tests_cover_the_resources_of_all_services() -> None:
    assert len(ROUTES) > 18
    assert BODIES.keys() == set(HONOURING)
    assert {"POST /v1/credentials", "POST /v1/agreements", "PUT /v1/organizations/<id>"} <= set(REFUSING)


@pytest.mark.parametrize("name", REFUSING)
def test_resource_without_idempotency_refuses_the_key(name: str) -> None:
    route, _ = ROUTES[name]
    for key in (KEY, ""):
        status, problem = ask(route, {"HTTP_IDEMPOTENCY_KEY": key})
        assert (status, problem["type"]) == (400, "urn:kopuro:problem:idempotency-key-unsupported")
    assert ask(route, {}) == (200, None)


@pytest.mark.parametrize("name", HONOURING)
def test_key_reaches_the_resource_that_honours_it(name: str) -> None:
    route, _ = ROUTES[name]
    assert ask(route, {"HTTP_IDEMPOTENCY_KEY": KEY}) == (200, KEY)


@pytest.mark.parametrize(
    "name", [name for name in HONOURING if not {"coordination", "watch"} & set(name.split("/"))]
)
def test_repeated_submission_has_one_effect(bench: IntakeBench, name: str) -> None:
    with bench.database.write() as transaction:
        bench.handlers._store.note_offers(transaction, [(OFFER, REFERRAL, MOSCOW)])
    # Only a sender replaces a case; the other submissions about the referral are its acceptor's.
    sender = MOSCOW if name.endswith("/case") else OSH
    view = {"sender": sender, "facts": {}, "offers": [{"organization": MOSCOW}], "acceptor": MOSCOW}
    bench.routing.answers[ReferralQuery(id=REFERRAL, viewer=MOSCOW, oversight=False)] = view
    route, handler = ROUTES[name]
    parts = SimpleNamespace(api=ApiContext(bench.handlers, "/kg/intake", SystemClock()))
    subject = OFFER if "/offers/" in name else REFERRAL
    asked = request(route, subject, "partner", MOSCOW, BODIES[name])
    first = handler(SimpleNamespace(handlers=parts), asked)
    assert first.status in (200, 202)
    effects = len(bench.sent())
    assert effects > 0
    again = handler(SimpleNamespace(handlers=parts), asked)
    assert (again.status, again.body) == (first.status, first.body)
    assert len(bench.sent()) == effects


@pytest.mark.parametrize("name", [name for name in HONOURING if "coordination" in name])
def test_repeated_submission_of_a_coordinator_has_one_effect(sqlite_database: str, name: str) -> None:
    waits_for_an_answer = name.endswith(("/nudge", "/extend", "/move-on"))
    bench = workbench(
        sqlite_database,
        organization("ru.far", service(areas=("RU-SPE",))),
        *(["ru.one"] if waits_for_an_answer else []),
    )
    referral = new_id()
    bench.take(submitted(referral))
    bench.without_client.add(SENDER)
    route, handler = ROUTES[name]
    routing = SimpleNamespace(
        handlers=SimpleNamespace(commands=bench.commands), application=SimpleNamespace(clock=bench.clock)
    )
    asked = request(route, referral, "coordinator", "kg.coordinator", BODIES[name])
    first = handler(routing, asked)
    effects = len(bench.published())
    again = handler(routing, asked)
    assert (first.status, again.body) == (202, first.body)
    assert len(bench.published()) == effects
    malformed = handler(routing, replace(asked, headers={"idempotency-key": "x" * 256}))
    assert malformed.status == 400
    bench.close()


@pytest.mark.parametrize(
    ("key", "fits"),
    [("order 7", True), ("a", True), ("~" * 255, True), ("", False), ("é", False), ("a\tb", False)],
)
def test_published_form_of_a_key_is_the_one_that_is_checked(key: str, fits: bool) -> None:
    schema = IDEMPOTENCY_KEY.schema
    assert (re.search(schema["pattern"], key) is not None and len(key) <= schema["maxLength"]) is fits
    with nullcontext() if fits else pytest.raises(Refused):
        require_well_formed(key)


def test_preview_of_a_referral_counts_as_a_read() -> None:
    """It takes no key, and does not keep the caller's submissions waiting."""
    route, _ = ROUTES["POST /v1/referrals:preview"]
    assert (route.takes_key, route.open_to_excluded, route.share) == (False, False, Share.read)


def test_simulation_of_a_policy_takes_no_key_and_is_one_at_a_time() -> None:
    """It changes nothing, so a repetition does the same."""
    route, _ = ROUTES["POST /v1/coordination/policies:simulate"]
    assert (route.takes_key, route.open_to_excluded, route.share) == (False, False, Share.simulation)


def test_resources_that_end_a_stolen_token_have_a_share_of_their_own() -> None:
    """The thief's requests do not keep them waiting."""
    found = {name for name, (route, _) in ROUTES.items() if route.share is Share.credentials}
    assert found == {
        "DELETE /v1/credentials/<client_id>",
        "POST /v1/credentials/<client_id>/rotate",
        "PUT /v1/credentials/<client_id>/keys",
        "POST /v1/credentials/<client_id>/revoke-tokens",
        "POST /v1/organizations/<id>/revoke-tokens",
    }
