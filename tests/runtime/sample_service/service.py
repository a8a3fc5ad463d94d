"""The nameko class of the sample service."""

from __future__ import annotations

from runtime.entrypoints.resource import resource
from runtime.entrypoints.service import WebService
from runtime.web.request import Request
from runtime.web.response import Response
from tests.runtime.sample_service import api

PARTNERS = frozenset({"partner"})


class SampleService(WebService):
    name = "sample"

    @resource("GET", "/v1/ping", roles=None)
    def ping(self, _request: Request) -> Response:
        return Response.json({"pong": True})

    @resource("GET", "/v1/things/<string:id>", roles=PARTNERS, query={"a", "b"})
    def show(self, request: Request) -> Response:
        return api.show(request)

    @resource("POST", "/v1/echo", roles=PARTNERS)
    def echo(self, request: Request) -> Response:
        return api.echo(request)

    @resource("POST", "/v1/refuse", roles=None)
    def refuse(self, _request: Request) -> Response:
        return api.refuse(self.handlers)

    @resource("POST", "/v1/fail/<slug:kind>", roles=None)
    def fail(self, request: Request) -> Response:
        return api.fail(self.handlers, request)

    @resource("GET", "/v1/wait", roles=None, query={"seconds"})
    def wait(self, request: Request) -> Response:
        return api.wait(self.handlers, request)

    @resource("GET", "/v1/hold", roles=PARTNERS, query={"seconds"})
    def hold(self, request: Request) -> Response:
        return api.wait(self.handlers, request)

    @resource("GET", "/v1/page", roles=None)
    def page(self, _request: Request) -> Response:
        return api.page()

    @resource("GET", "/v1/block", roles=None, query={"seconds"})
    def block(self, request: Request) -> Response:
        return api.block(self.handlers, request)


SERVICE = SampleService
