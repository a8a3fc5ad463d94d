"""Every resource of every service refuses query parameters that it does not declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from runtime.telemetry import trace
from runtime.web.request import Request
from runtime.web.response import Response
from runtime.web.router import Route
from tests.support.routed import routed
from tests.support.service_resources import resources


def _echo(request: Request, _at: trace.Trace) -> Response:
    return Response.json(dict(request.query_params))


def _routes() -> list[Route]:
    """Return the routes of all services as public routes that echo their parameters."""
    public = [
        replace(entrypoint.route(), roles=None, handle_request=_echo) for _, entrypoint, _ in resources()
    ]
    found = {(route.method, route.url): route for route in public}
    return [found[key] for key in sorted(found)]


ROUTES = _routes()


def ask(route: Route, query: str) -> tuple[int, Mapping[str, Any]]:
    return routed(route, QUERY_STRING=query)


def test_parameter_tests_cover_the_routes_of_all_services() -> None:
    assert len(ROUTES) > 35
    assert {
        "/v1/mailbox",
        "/v1/referrals",
        "/v1/history",
        "/v1/organizations",
        "/v1/coordination/unplaced",
    } <= {route.url for route in ROUTES}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.url}")
def test_unknown_parameter_is_refused_with_its_name(route: Route) -> None:
    for query, name in [
        ("limt=1", "limt"),
        ("limit%20=1", "limit "),
        ("Limit=1", "Limit"),
        ("x" * 500 + "=", "x"),
    ]:
        status, problem = ask(route, query)
        assert (status, problem["type"]) == (400, "urn:kopuro:problem:invalid-parameter")
        assert f"`{name}" in problem["detail"]
        assert all(f"`{known}`" in problem["detail"] for known in route.query)
        assert len(problem["detail"]) < 500


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.url}")
def test_repeated_parameter_is_refused_with_its_name(route: Route) -> None:
    for name in sorted(route.query) or ["limt"]:
        status, problem = ask(route, f"{name}=1&{name}=1")
        assert (status, problem["type"]) == (400, "urn:kopuro:problem:invalid-parameter")
        assert f"`{name}` appears more than once" in problem["detail"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.url}")
def test_declared_parameters_reach_the_handler(route: Route) -> None:
    query = "&".join(f"{name}=1" for name in sorted(route.query))
    assert ask(route, query) == (200, dict.fromkeys(route.query, "1"))
