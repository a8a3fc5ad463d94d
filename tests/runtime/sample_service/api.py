"""HTTP resources of the sample service."""

from __future__ import annotations

from runtime.web.answer import Answer
from runtime.web.request import Request
from tests.runtime.sample_service.handlers import Handlers


def echo(request: Request) -> Answer:
    return Answer.json({"caller": request.principal.id, "document": request.json()}, status=202)


def show(request: Request) -> Answer:
    return Answer.json({"id": request.path_params["id"], "query": dict(request.query_params)})


def refuse(handlers: Handlers) -> Answer:
    handlers.refuse()
    return Answer.empty()


def fail(handlers: Handlers, request: Request) -> Answer:
    handlers.fail(request.path_params["kind"])
    return Answer.empty()


def wait(handlers: Handlers, request: Request) -> Answer:
    return Answer.json(handlers.wait(float(request.query_params["seconds"])))


def block(handlers: Handlers, request: Request) -> Answer:
    handlers.block(int(request.query_params["seconds"]))
    return Answer.empty()
