"""The base class of every service's nameko class: handlers, operations port, discovery.

class ThingService(WebService):
    name = "things"

    @resource("POST", "/v1/things", roles=PARTNERS)
    def add_thing(self, request: Request) -> Response:
        return api.add_thing(self.handlers, request)
"""

from __future__ import annotations

from typing import Any

from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider

from runtime.access.reads import Reads
from runtime.application import APPLICATION, Application
from runtime.entrypoints.operations import Operations
from runtime.entrypoints.resource import resource
from runtime.web import published_contracts
from runtime.web.discovery import DISCOVERY, PATH, discovery
from runtime.web.published_contracts import (
    ASYNCAPI,
    ASYNCAPI_PATH,
    OPENAPI,
    OPENAPI_PATH,
    REFERENCE,
    REFERENCE_PATH,
)
from runtime.web.request import Request
from runtime.web.response import Response


class ApplicationProvider(DependencyProvider):  # type: ignore[misc]  # nameko has no types
    """Provides the process's application to workers, and runs its background work."""

    def get_dependency(self, _worker: WorkerContext) -> Application[Any]:
        application: Application[Any] = self.container.config[APPLICATION]
        return application

    def start(self) -> None:
        for work in self.container.config[APPLICATION].background:
            work.start(self.container.spawn_managed_thread)

    def stop(self) -> None:
        # Stop in reverse order of the start; no worker is left that could need the work.
        for work in reversed(self.container.config[APPLICATION].background):
            work.stop()


class HandlersProvider(DependencyProvider):  # type: ignore[misc]  # nameko has no types
    """Provides the handlers that `bootstrap` built to workers."""

    def get_dependency(self, _worker: WorkerContext) -> Any:
        return self.container.config[APPLICATION].handlers


class WebService:
    """The base class. A service adds `name` and one-line methods that call its api module."""

    application: Application[Any] = ApplicationProvider()
    handlers: Any = HandlersProvider()
    operations = Operations()

    @resource("GET", PATH, roles=None, reads=Reads.no_person, operation=DISCOVERY)
    def discovery(self, _request: Request) -> Response:
        return discovery(self.application.settings.discovery)

    @resource("GET", OPENAPI_PATH, roles=None, reads=Reads.no_person, operation=OPENAPI)
    def openapi(self, _request: Request) -> Response:
        return published_contracts.openapi()

    @resource("GET", ASYNCAPI_PATH, roles=None, reads=Reads.no_person, operation=ASYNCAPI)
    def asyncapi(self, _request: Request) -> Response:
        return published_contracts.asyncapi()

    @resource("GET", REFERENCE_PATH, roles=None, reads=Reads.no_person, operation=REFERENCE)
    def reference(self, _request: Request) -> Response:
        return published_contracts.reference()
