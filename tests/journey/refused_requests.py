"""Requests that a hub refuses: every operation of the published API, with a canary in each place in turn."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx

from docs import openapi
from kopuro_client.request_proof import HEADER, RequestSigner
from runtime.identifiers import new_id
from tests.journey.running_hub import RunningHub
from tests.support.canaries import Canaries, leaf_schemas, with_leaf

# Makes every body invalid, so that no request takes effect.
_UNKNOWN: Final = "no_member_of_any_record"
_FORM: Final = "application/x-www-form-urlencoded"
_LINES: Final = "application/x-ndjson"
_HEADERS: Final = (
    "User-Agent",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "X-Request-Id",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusable:
    """One request. who: its sender; None: without a token. body: with its media type."""

    service: str
    method: str
    path: str
    who: str | None
    body: tuple[str, bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedRequests:
    """Makes and sends the requests. referral, offer, candidate: of the organisations that send them."""

    def __init__(
        self, hub: RunningHub, canaries: Canaries, *, referral: str, offer: str, candidate: str, sender: str
    ) -> None:
        self._hub = hub
        self._canaries = canaries
        self._document = json.loads(openapi.FILE.read_bytes())
        schemas = self._document["components"]["schemas"]
        self._sealed = schemas["AddNoteInput"]["properties"]["note"]["pattern"]
        self._sender, self._candidate = sender, candidate
        self._ids = {
            "/v1/offers/{id}": offer,
            "/v1/organizations/{id}": sender,
            "/v1/approvals/{id}": new_id(),
            "{id}": referral,
            "{referral_id}": referral,
            "{client_id}": self._entry(sender)["client_id"],
            "{name}": "canaries",
            "{service}": "legal-advice",
            "{index}": "1",
            "{path}": "0/000",
        }
        self._tokens: dict[str, str] = {}
        self._http = httpx.Client(timeout=40)

    def all(self) -> Iterator[tuple[str, Refusable]]:
        """Yield every request, and where its canary stands."""
        for path, item in self._document["paths"].items():
            for method, operation in item.items():
                if isinstance(operation, dict) and "operationId" in operation:
                    yield from self._of(path, method.upper(), operation)

    def send(self, request: Refusable) -> tuple[int, bytes]:
        """Send a request; return the answer's status, and its head and body."""
        root = self._hub.address(request.service)
        headers = dict(request.headers)
        content = None
        if request.body is not None:
            headers["Content-Type"], content = request.body
        if request.who is not None and "Authorization" not in headers:
            token = self._token(request.who)
            headers["Authorization"] = f"Bearer {token}"
            if request.service == "directory" and request.method != "GET":
                signer = RequestSigner(root, self._entry(request.who)["client_secret"])
                headers[HEADER] = signer.proof(
                    request.method,
                    root + request.path,
                    token=token,
                    body=content or b"",
                    if_match=headers.get("If-Match"),
                    if_none_match=headers.get("If-None-Match"),
                )
        answer = self._http.request(request.method, root + request.path, content=content, headers=headers)
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        statuses = [answer.status_code]
        if request.body is not None and request.body[0] == _LINES and answer.status_code == 200:
            statuses = [json.loads(line)["status"] for line in answer.content.splitlines()]
        return min(statuses), head.encode() + answer.content

    def close(self) -> None:
        self._http.close()

    def _of(self, path: str, method: str, operation: Mapping[str, Any]) -> Iterator[tuple[str, Refusable]]:
        (service,) = operation["tags"]
        name, roles = operation["operationId"], operation.get("x-roles", ())
        who = None
        if roles:
            partner = self._candidate if path.startswith("/v1/offers/") else self._sender
            who = partner if "partner" in roles else roles[0]

        def request(path: str, **more: Any) -> Refusable:
            return Refusable(**{"service": service, "method": method, "path": path, "who": who, **more})

        filled = self._filled(path)
        for variable in re.findall(r"\{\w+\}", path):
            place = f"{name} {variable}"
            one = self._filled(path.replace(variable, quote(self._canaries.text(place))))
            yield place, request(one, body=self._invalid(operation))
        for parameter in operation.get("parameters", ()):
            if parameter.get("in") == "query":
                place = f"{name} ?{parameter['name']}"
                query = urlencode({parameter["name"]: self._canaries.text(place), _UNKNOWN: "1"})
                yield place, request(f"{filled}?{query}", body=self._invalid(operation))
        if roles:
            for names in (_HEADERS, ("Authorization",)):
                headers = {header: self._canaries.text(f"{name} {header}") for header in names}
                one = f"{filled}?{_UNKNOWN}=1"
                yield f"{name} {names}", request(one, headers=headers, body=self._invalid(operation))
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            yield from (
                (place, request(filled, body=(media_type, body)))
                for place, body in self._bodies(name, media_type, content)
            )

    def _bodies(self, name: str, media_type: str, content: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
        schema, example = content["schema"], _example(content)
        if media_type == _LINES:
            schema = self._document["paths"]["/v1/referrals"]["post"]["requestBody"]["content"][
                "application/json"
            ]["schema"]
        elif media_type == "application/merge-patch+json":
            schema = self._document["paths"]["/v1/organizations/{id}"]["put"]["requestBody"]["content"][
                "application/json"
            ]["schema"]
        for path, leaf in leaf_schemas(self._document, schema):
            if leaf.get("pattern") == self._sealed and media_type != _FORM:
                # Only its form is that of a sealed text, so the rules behind the schema refuse the request.
                place = f"{name} {'/'.join(path)} in the form of a sealed text"
                planted = with_leaf(example, path, ".".join([self._canaries.text(place)] * 5))
                yield place, json.dumps(planted).encode() + (b"\n" if media_type == _LINES else b"")
            place = f"{name} {'/'.join(path)}"
            planted = with_leaf(example, path, self._canaries.text(place))
            if media_type == _FORM:
                yield place, urlencode(planted).encode()
                continue
            members = planted if isinstance(planted, dict) else example
            planted = {**members, _UNKNOWN: self._canaries.text(f"{place} and an unknown member")}
            yield place, json.dumps(planted).encode() + (b"\n" if media_type == _LINES else b"")

    def _invalid(self, operation: Mapping[str, Any]) -> tuple[str, bytes] | None:
        """Return a body that the operation refuses, if it takes one."""
        for media_type in operation.get("requestBody", {}).get("content", {}):
            return media_type, b"x" if media_type == _FORM else json.dumps({_UNKNOWN: 1}).encode()
        return None

    def _filled(self, path: str) -> str:
        for start, value in self._ids.items():
            if start.startswith("/") and path.startswith(start):
                path = path.replace("{id}", value)
        for variable, value in self._ids.items():
            path = path.replace(variable, value)
        return re.sub(r"\{\w+\}", new_id(), path)

    def _entry(self, who: str) -> Mapping[str, Any]:
        entry: Mapping[str, Any] = self._hub.people["organizations"].get(who) or self._hub.people[who]
        return entry

    def _token(self, who: str) -> str:
        if who not in self._tokens:
            self._tokens[who] = self._hub.token(who)
        return self._tokens[who]


def _example(content: Mapping[str, Any]) -> dict[str, Any]:
    for example in content.get("examples", {}).values():
        if isinstance(example.get("value"), dict):
            return dict(example["value"])
    return {}
