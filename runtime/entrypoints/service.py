"""What every service's nameko class inherits: its handlers, its operations port, discovery.

class ThingService(Service):
    name = "things"

    @resource("POST", "/v1/things", roles=PARTNERS)
    def add_thing(self, request: Request) -> Answer:
        return api.add_thing(self.handlers, request)
"""

from __future__ import annotations

from typing import Any

from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider

from runtime.application import APPLICATION, Application
from runtime.entrypoints.operations import Operations
from runtime.entrypoints.resource import resource
from runtime.web.discovery import PATH, discovery
from runtime.web.request import Request
from runtime.web.response import Response


class ApplicationProvider(DependencyProvider):  # type: ignore[misc]  # nameko has no types
    """Gives a worker the process's application, and runs the application's background work."""

    def get_dependency(self, _worker: WorkerContext) -> Application[Any]:
        application: Application[Any] = self.container.config[APPLICATION]
        return application

    def start(self) -> None:
        for work in self.container.config[APPLICATION].background:
            work.start(self.container.spawn_managed_thread)

    def stop(self) -> None:
        # Last started, first stopped; by now no worker is left that could need it.
        for work in reversed(self.container.config[APPLICATION].background):
            work.stop()


class HandlersProvider(DependencyProvider):  # type: ignore[misc]  # nameko has no types
    """Gives a worker the handlers that `bootstrap` built."""

    def get_dependency(self, _worker: WorkerContext) -> Any:
        return self.container.config[APPLICATION].handlers


class WebService:
    """Inherit it, add `name`, and methods of one line each that call the service's api."""

    application: Application[Any] = ApplicationProvider()
    handlers: Any = HandlersProvider()
    operations = Operations()

    @resource("GET", PATH, roles=None)
    def discovery(self, _request: Request) -> Response:
        return discovery(self.application.settings.discovery)
