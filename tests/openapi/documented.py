"""Requests to a running hub, each checked against the OpenAPI document with Schemathesis."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import requests
import schemathesis
from schemathesis import Response
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.errors import IncorrectUsage
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from docs import openapi
from kopuro_client.request_proof import HEADER, RequestSigner
from sandbox.hub_files import SECOND_OPERATOR
from tests.journey.running_hub import RunningHub

Members = Mapping[str, Any] | None

# Calls the operations that any partner may call.
PARTNER = "ru.moscow-common-table"
CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Records of others: their published schemas stay open.
_OPEN = frozenset({"Envelope", "Problem", "PointerError"})


@schemathesis.serializer("application/x-ndjson", "application/merge-patch+json")
def _as_json_or_text(_context: Any, value: Any) -> bytes:
    """Return a body of ours: NDJSON is generated as text, a merge patch as an object."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else json.dumps(value).encode()


def strict_document() -> dict[str, Any]:
    """Return the document with answers that admit no member beside those of the records."""
    document: dict[str, Any] = copy.deepcopy(json.loads(openapi.FILE.read_bytes()))
    for name, schema in document["components"]["schemas"].items():
        if "properties" in schema and name not in _OPEN:
            schema["additionalProperties"] = False
    # The Python client of the tests decides the addresses.
    document.pop("servers")
    for item in document["paths"].values():
        item.pop("servers")
    return document


def _text(value: str | bytes | None) -> str | None:
    return value.decode("latin-1") if isinstance(value, bytes) else value


class _Proof(requests.auth.AuthBase):
    """Adds a proof to each request that changes the directory, unless it has one."""

    def __init__(self, root: str, secret: str, token: str) -> None:
        self._signer = RequestSigner(root, secret)
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        method, url, body = str(request.method), str(request.url), request.body or b""
        assert isinstance(body, str | bytes)
        if self._signer.signs(method, url) and HEADER not in request.headers:
            request.headers[HEADER] = self._signer.proof(
                method,
                url,
                token=self._token,
                body=body.encode() if isinstance(body, str) else body,
                if_match=_text(request.headers.get("If-Match")),
                if_none_match=_text(request.headers.get("If-None-Match")),
            )
        return request


class DocumentedHub:
    """A hub whose every answer is checked. statuses: what each operation has answered."""

    def __init__(self, hub: RunningHub) -> None:
        self.hub = hub
        document = strict_document()
        self.operations = {
            operation.definition.raw["operationId"]: operation
            for result in schemathesis.openapi.from_dict(document).get_all_operations()
            if isinstance(result, Ok) and (operation := result.ok()) is not None
        }
        self.statuses: dict[str, set[int]] = defaultdict(set)
        self._tokens: dict[str, str] = {}

    def roles(self, name: str) -> list[str]:
        """Return the roles that may call an operation; none for a public one."""
        return list(self.operations[name].definition.raw.get("x-roles", ()))

    def service(self, name: str) -> str:
        """Return the service of an operation."""
        (tag,) = self.operations[name].definition.raw["tags"]
        return str(tag)

    def token(self, who: str) -> str:
        """Return a token of an organisation or of the staff."""
        if who not in self._tokens:
            self._tokens[who] = self.hub.token(who)
        return self._tokens[who]

    def _secret(self, who: str) -> str:
        entry = self.hub.people["organizations"].get(who) or self.hub.people[who]
        return str(entry["client_secret"])

    def someone(self, name: str, partner: str) -> str | None:
        """Return who may call an operation: a member of the staff, else the partner."""
        roles = self.roles(name)
        staff = next((role for role in ("operator", "coordinator", "auditor") if role in roles), None)
        return staff or (partner if roles else None)

    def call(self, name: str, case: Any, who: str | None, **more: Any) -> Response:
        """Send a case of Schemathesis, and check its answer."""
        response = self.send(name, case, who, **more)
        self.statuses[name].add(response.status_code)
        case.validate_response(response, checks=CHECKS)
        return response

    def send(self, name: str, case: Any, who: str | None, **more: Any) -> Response:
        """Send a case of Schemathesis."""
        if who is not None:
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {self.token(who)}"}
        address = self.hub.address(self.service(name))
        if who is not None and self.service(name) == "directory":
            more["auth"] = _Proof(address, self._secret(who), self.token(who))
        try:
            response: Response = case.call(base_url=address, timeout=40, **more)
        except (requests.RequestException, UnicodeError, IncorrectUsage) as fault:
            raise AssertionError(f"{name}: {fault}") from fault
        return response

    def case(self, name: str, *, body: Any, query: Members, headers: Members, path: Mapping[str, str]) -> Any:
        """Return a case of Schemathesis for the operation; without a body if it is None."""
        operation = self.operations[name]
        content = operation.definition.raw.get("requestBody", {}).get("content", {})
        given: dict[str, Any] = {} if body is None else {"body": body, "media_type": next(iter(content))}
        return operation.Case(
            path_parameters=dict(path), query=dict(query or {}), headers=dict(headers or {}), **given
        )

    def ask(
        self,
        name: str,
        who: str | None,
        /,
        *,
        body: Any = None,
        query: Members = None,
        headers: Members = None,
        **path: str,
    ) -> Any:
        """Send one request that must succeed; return its JSON, its text or its bytes."""
        case = self.case(name, body=body, query=query, headers=headers, path=path)
        response = self.call(name, case, who)
        assert 200 <= response.status_code < 300, f"{name}: {response.status_code} {response.content[:500]!r}"
        (media_type,) = response.headers.get("content-type", [""])
        if media_type == "application/json":
            return response.json()
        return response.text if media_type.startswith("text/") else response.content


__all__ = ["CHECKS", "PARTNER", "SECOND_OPERATOR", "DocumentedHub", "strict_document"]
