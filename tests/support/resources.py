"""Every resource of every service, as its class declares it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from runtime.entrypoints.resource import Resource

SERVICES = ("audit", "delivery", "directory", "intake", "routing", "vault")


def resources() -> dict[str, Resource]:
    """Return the resources by service, method and path."""
    return dict(_named())


def _named() -> Iterator[tuple[str, Resource]]:
    for name in SERVICES:
        service = importlib.import_module(f"services.{name}.service").SERVICE
        for member in sorted(dir(service)):
            for entrypoint in getattr(getattr(service, member), "nameko_entrypoints", ()):
                if isinstance(entrypoint, Resource):
                    route = entrypoint.route()
                    yield f"{name} {route.method} {route.template}", entrypoint
