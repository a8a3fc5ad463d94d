"""The HTTP resources of the services' classes, without those that every service has."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from runtime.entrypoints.resource import Resource
from runtime.entrypoints.service import WebService

SERVICES = ("audit", "delivery", "directory", "intake", "routing", "vault")


def resources(*services: str) -> Iterator[tuple[str, Resource, Any]]:
    """Yield (service, resource, method of the class) of these services, by default of all.

    The resources of a service may be in several classes, which its own one inherits.
    """
    for name in services or SERVICES:
        service = importlib.import_module(f"services.{name}.service").SERVICE
        for cls in service.__mro__:
            if cls is WebService:
                break
            for member in vars(cls).values():
                for entrypoint in getattr(member, "nameko_entrypoints", ()):
                    if isinstance(entrypoint, Resource):
                        yield name, entrypoint, member
