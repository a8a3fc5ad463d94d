"""Every resource of every service refuses ids of another form in its path, with the same problem."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from werkzeug.routing import Rule

from contracts.identifiers import UUID_PATTERN
from runtime.access.gate import Gate
from runtime.access.tokens import TokenVerifier
from runtime.clock import SystemClock
from runtime.telemetry import trace
from runtime.telemetry.metrics import HttpMetrics
from runtime.web.path import id_forms_of
from runtime.web.protocol import CONNECTION
from runtime.web.request import Request
from runtime.web.response import Response
from runtime.web.router import Route, Router
from tests.support.resource_paths import SAMPLE_IDS, path_of
from tests.threats.guarded_resources import routes

PROBLEM: Final = "urn:kopuro:problem:"
WITH_IDS: Final = [route for route in routes() if id_forms_of(route.url)]
# Public resources with an id, each with the test that an unknown id and a wrong secret are answered alike.
PUBLIC: Final = {
    # tests/unit/services/directory/handlers/test_applications.py,
    # test_wrong_reference_is_refused_as_an_unknown_application_is
    "GET /v1/applications/<id>/state",
    "POST /v1/applications/<id>/withdraw",
}
# For each form, ids that no resource can have.
MALFORMED: Final[Mapping[str, tuple[str, ...]]] = {
    "uuid": ("xyz", "1", SAMPLE_IDS["uuid"].upper(), SAMPLE_IDS["uuid"] + "0", "%D1%8F", "+", "*"),
    "organization": ("xyz", "KG.osh", "kg.", "kg.osh_aid", SAMPLE_IDS["uuid"], "kg." + "x" * 98),
    "slug": ("Legal", "a_b", "-a", "a-", "%20a", "x" * 101),
    "client": ("-a", ".a", "a:b", "%C3%A9", "a%20b", "x" * 101),
    "number": ("01", "-1", "+1", "1.0", "1e3", "x", "%D9%A1", "1000000000000"),
}


def ask(route: Route, path: str) -> tuple[int, dict[str, Any]]:
    """Send a request without a token through a router whose route returns its ids."""

    def echo(request: Request, _at: trace.Trace) -> Response:
        return Response.json(dict(request.path_params))

    verifier = TokenVerifier(lambda: {"keys": []}, "kopuro:kg", SystemClock(), clients=lambda _: None)
    router = Router(
        [replace(route, handle_request=echo)],
        Gate(verifier, lambda _: False),
        HttpMetrics(CollectorRegistry()),
    )
    statuses: list[str] = []
    environ = {
        "REQUEST_METHOD": route.method,
        "REMOTE_ADDR": "192.0.2.1",
        "RAW_PATH_INFO": path,
        "CONTENT_LENGTH": "0",
        CONNECTION: None,
    }
    (body,) = router(environ, lambda status, headers: statuses.append(status))
    return int(statuses[0].split()[0]), json.loads(body)


def test_every_id_in_a_path_has_a_form() -> None:
    assert len(WITH_IDS) > 25
    unchecked = {route.url for route in routes() if re.search("<(path|string):", route.url)}
    assert unchecked == {"/tile/<path:path>"}  # the log's specification defines its tiles


def test_router_compiles_no_functions_that_build_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    monkeypatch.setattr(Rule, "_get_func_code", staticmethod(lambda _, name: compiled.append(name)))
    route = next(route for route in WITH_IDS if "<uuid:id>" in route.url)
    assert ask(replace(route, roles=None), path_of(route.url))[0] == 200
    assert compiled == []


@pytest.mark.parametrize("route", WITH_IDS, ids=lambda route: f"{route.method} {route.template}")
def test_malformed_id_gets_404_that_names_the_form(route: Route) -> None:
    public = replace(route, roles=None)
    assert ask(public, path_of(route.url))[0] == 200
    for form, name in re.findall(r"<(\w+):(\w+)>", route.url):
        for value in MALFORMED[form]:
            status, problem = ask(public, path_of(route.url, **{name: value}))
            assert (status, problem["type"]) == (404, PROBLEM + "not-found"), value
            assert f"`{name}` must be " in problem["detail"]


def test_public_resource_with_an_id_has_a_test_of_its_own() -> None:
    public = [route for route in WITH_IDS if route.roles is None]
    assert {f"{route.method} {route.template}" for route in public} == PUBLIC


@pytest.mark.parametrize(
    "route",
    [route for route in WITH_IDS if route.roles is not None],
    ids=lambda route: f"{route.method} {route.template}",
)
def test_caller_without_a_token_gets_401_whatever_the_id(route: Route) -> None:
    for form, name in re.findall(r"<(\w+):(\w+)>", route.url):
        for value in (SAMPLE_IDS[form], *MALFORMED[form]):
            status, problem = ask(route, path_of(route.url, **{name: value}))
            assert (status, problem["type"]) == (401, PROBLEM + "missing-token")


@given(text=st.text("0123456789abcdefABCDEFxyz-._~", min_size=1, max_size=40))
@example(text=SAMPLE_IDS["uuid"])
def test_referral_is_found_by_a_lower_case_uuid_alone(text: str) -> None:
    (show,) = [route for route in routes("intake") if route.template == "/v1/referrals/<id>"]
    status, _ = ask(replace(show, roles=None), f"/v1/referrals/{text}")
    refused = 400 if text in (".", "..") else 404
    assert status == (200 if re.fullmatch(UUID_PATTERN, text) else refused)


def test_id_without_a_form_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="the id id of /v1/things/<id> has no known form"):
        ask(replace(WITH_IDS[0], url="/v1/things/<id>"), "/v1/things/x")
