"""Every resource of every service, and the requests with which an attacker tries them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import httpx

from runtime.web.path import template_of
from runtime.web.router import Route
from tests.journey.running_hub import RunningHub
from tests.support.resource_paths import SAMPLE_IDS, path_of
from tests.support.service_resources import resources

SERVICES = ("audit", "delivery", "directory", "intake", "routing")
# One line of each batch resource; their results have a status for each line.
_LINES = {
    "/v1/referrals:batch": {},
    "/v1/submissions:batch": {"submit": "withdraw", "referral_id": SAMPLE_IDS["uuid"], "reason": "other"},
}
# The query of each resource that requires one.
_QUERIES = {"/v1/submissions": {"key": "sample"}}


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardedResource:
    """A resource that takes tokens."""

    service: str
    method: str
    url: str
    roles: frozenset[str]

    def __str__(self) -> str:
        return f"{self.service} {self.method} {template_of(self.url)}"

    def path(self, **values: str) -> str:
        """Return a path of the resource. values: of its ids; others get samples."""
        return path_of(self.url, **values)

    def ask(self, hub: RunningHub, token: str, **values: str) -> httpx.Response:
        """Send a plausible request with the token. values: of the path's ids; others get samples."""
        path = self.path(**values)
        body = None if self.method in ("GET", "DELETE") else json.dumps(_LINES.get(self.url, {}))
        return httpx.request(
            self.method,
            hub.address(self.service) + path,
            params=_QUERIES.get(self.url),
            content=body,
            headers={"Authorization": f"Bearer {token}", "Content-Type": content_type(self.method, self.url)},
            timeout=40,
        )

    def refusal(self, hub: RunningHub, token: str, **values: str) -> tuple[int, str]:
        """Return the status and the kind of problem with which the request is refused.

        A batch is refused line by line; its one line counts.
        """
        answer = self.ask(hub, token, **values)
        if answer.status_code == 200 and self.url in _LINES:
            (line,) = [json.loads(text) for text in answer.text.splitlines()]
            return line["status"], line["problem"]["type"].rpartition(":")[2]
        problem = answer.json() if answer.content else {}
        return answer.status_code, str(problem.get("type", "")).rpartition(":")[2]


def guarded_resources() -> list[GuardedResource]:
    """Return all resources that take tokens, of all services."""
    return [
        GuardedResource(service=name, method=route.method, url=route.url, roles=route.roles)
        for name in SERVICES
        for route in routes(name)
        if route.roles is not None
    ]


def routes(*services: str) -> list[Route]:
    """Return the routes of these services, by default of all."""
    found = {
        (name, (route := entrypoint.route()).url, route.method): route
        for name, entrypoint, _ in resources(*services)
    }
    return [found[key] for key in sorted(found)]


def resources_for(role: str) -> list[GuardedResource]:
    """Return the resources that callers with this role may call."""
    return [resource for resource in guarded_resources() if role in resource.roles]


def content_type(method: str, url: str) -> str:
    if url in _LINES:
        return "application/x-ndjson"
    return "application/merge-patch+json" if method == "PATCH" else "application/json"
