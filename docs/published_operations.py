"""The operations of every service, as the published documents describe them."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from runtime.entrypoints.resource import Resource
from runtime.web.operation import Operation
from runtime.web.refusals import refusals_of

SERVICES: Final = ("audit", "delivery", "directory", "intake", "routing")
WORDS: Final = {
    "audit": "The log, its proofs, the history of referrals, statistics",
    "delivery": "Mailboxes and released cases",
    "directory": "Organisations, services, agreements, keys, clients, approvals and tokens",
    "intake": "Referrals, answers to offers, reports and notes",
    "routing": "Decisions, and the work of coordinators",
}
VARIABLE: Final = re.compile(r"<(?:(?P<form>\w+):)?(?P<name>\w+)>")


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """One operation of the document, with what its service declares."""

    service: str
    name: str
    resource: Resource
    operation: Operation

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.resource.route().method

    @property
    def url(self) -> str:
        """The path with the form of each id."""
        return self.resource.route().url

    @property
    def path(self) -> str:
        """The path as OpenAPI writes it."""
        return published_path(self.url)

    @property
    def refusals(self) -> frozenset[str]:
        """The slugs of every problem that the operation can return."""
        route = self.resource.route()
        body = self.operation.body
        return refusals_of(
            method=route.method,
            url=route.url,
            public=route.roles is None,
            takes_key=route.takes_key,
            has_json=body is not None and body.media_type.endswith("json"),
            own=self.operation.refusals,
        )


def published_path(url: str) -> str:
    """Return a resource's path as OpenAPI writes it."""
    return VARIABLE.sub(r"{\g<name>}", url)


def operations() -> list[Published]:
    """Return every declared operation of every service, by path and method. The discovery document once."""
    found: dict[tuple[str, str], Published] = {}
    for service in SERVICES:
        module = importlib.import_module(f"services.{service}.service")
        for name, resource in _resources(module.SERVICE):
            if resource.operation is not None:
                published = Published(
                    service=service, name=name, resource=resource, operation=resource.operation
                )
                found.setdefault((published.path, published.method), published)
    return [found[key] for key in sorted(found)]


def _resources(service: type) -> Iterator[tuple[str, Resource]]:
    for name in sorted(dir(service)):
        for entrypoint in getattr(inspect.getattr_static(service, name), "nameko_entrypoints", ()):
            if isinstance(entrypoint, Resource):
                yield name, entrypoint
