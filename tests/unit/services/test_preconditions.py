"""Every resource that changes something checks a precondition or refuses it; none ignores it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime.telemetry import trace
from runtime.web.request import Request
from runtime.web.response import Response
from runtime.web.router import Route
from services.directory.preconditions import precondition_of
from tests.support.routed import routed
from tests.support.service_resources import resources

ROUTES = {
    f"{route.method} {route.template}": route
    for _, entrypoint, _ in resources()
    if (route := entrypoint.route()).method != "GET"
}
# The handlers that read the headers.
CHECKING = {
    "POST /v1/agreements",
    "POST /v1/credentials",
    "POST /v1/keys",
    "PUT /v1/organizations/<id>",
    "PATCH /v1/organizations/<id>",
    "POST /v1/organizations/<id>/suspend",
    "POST /v1/organizations/<id>/services/<service>/approval",
    "POST /v1/organizations/<id>/services/<service>/approval/withdraw",
}


def ask(route: Route, **headers: str) -> tuple[int, object]:
    """Send a request without a body through the router to a handler that reads its precondition."""

    def read(request: Request, _at: trace.Trace) -> Response:
        return Response.json(str(precondition_of(request)))

    return routed(replace(route, roles=None, handle_request=read), **headers)


def test_operations_declare_the_preconditions_that_their_handlers_read() -> None:
    declared = {"If-Match", "If-None-Match"}
    found = {
        name: declared & {header.name for header in route.operation.headers}
        for name, route in ROUTES.items()
        if route.operation is not None
    }
    assert found.keys() == ROUTES.keys()
    assert {name for name, taken in found.items() if taken} == CHECKING
    assert all(found[name] == declared for name in CHECKING)


@pytest.mark.parametrize("name", sorted(ROUTES.keys() - CHECKING))
@pytest.mark.parametrize(
    ("header", "value"), [("If-Match", '"7"'), ("If-Match", "*"), ("If-None-Match", "*"), ("If-Match", "")]
)
def test_resource_without_preconditions_refuses_one(name: str, header: str, value: str) -> None:
    sent = {f"HTTP_{header.replace('-', '_').upper()}": value}
    status, problem = ask(ROUTES[name], **sent)
    assert status == 400
    assert f"`{header}`" in str(problem)
    assert ask(ROUTES[name])[0] == 200


@pytest.mark.parametrize("name", sorted(CHECKING))
def test_precondition_reaches_the_resource_that_checks_it(name: str) -> None:
    assert ask(ROUTES[name], HTTP_IF_MATCH='"7"') == (200, str(precondition_of(_with("if-match", '"7"'))))
    assert ask(ROUTES[name], HTTP_IF_NONE_MATCH="*")[0] == 200


@pytest.mark.parametrize("name", sorted(ROUTES))
def test_precondition_by_time_is_refused_by_every_change(name: str) -> None:
    assert ask(ROUTES[name], HTTP_IF_UNMODIFIED_SINCE="Sun, 29 Nov 2026 12:00:00 GMT")[0] == 400


def _with(name: str, value: str) -> Request:
    return Request(method="PUT", route="/", headers={name: value})
