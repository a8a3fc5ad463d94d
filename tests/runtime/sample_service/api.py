"""HTTP resources of the sample service."""

from __future__ import annotations

from runtime.web.request import Request
from runtime.web.response import Response
from tests.runtime.sample_service.handlers import Handlers

# The same bytes for every caller, as of an API's description.
PAGE = Response.json({"text": "x" * 1_000_000})


def page() -> Response:
    return PAGE


def echo(request: Request) -> Response:
    return Response.json({"caller": request.principal.id, "document": request.json()}, status=202)


def show(request: Request) -> Response:
    return Response.json({"id": request.path_params["id"], "query": dict(request.query_params)})


def refuse(handlers: Handlers) -> Response:
    handlers.refuse()
    return Response.empty()


def fail(handlers: Handlers, request: Request) -> Response:
    handlers.fail(request.path_params["kind"])
    return Response.empty()


def wait(handlers: Handlers, request: Request) -> Response:
    return Response.json(handlers.wait(float(request.query_params["seconds"])))


def block(handlers: Handlers, request: Request) -> Response:
    handlers.block(int(request.query_params["seconds"]))
    return Response.empty()
