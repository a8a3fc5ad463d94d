"""Refusals of the token endpoint: the published API declares each, and OAuth libraries read it."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

import httpx
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from contracts.errors import PROBLEM_PREFIX
from docs import openapi
from services.directory.domain.client_assertion import ASSERTION_TYPE
from tests.services.test_directory import NOWHERE, SECRET, Hub, running
from tests.support.client_assertions import assertion, new_key, public_set
from tests.unit.services.directory.samples import OSH

GRANT: Final = {"grant_type": "client_credentials"}
KEY, OTHER_KEY = new_key(), new_key()
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
# Refusals of faults that this test does not make: of the request's head, and of a service that cannot answer.
ELSEWHERE: Final = {
    "malformed-request",
    "head-too-large",
    "misspelt-header",
    "duplicate-header",
    "expectation-failed",
    "invalid-path",
    "unavailable",
    "internal",
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A directory with a client of a suspended organisation, and a revoked one, whose secret is SECRET."""
    with running(tmp_path_factory.mktemp("directory"), NOWHERE, filled=True) as started:
        started.ask(
            "kg.other", "PUT", "/v1/credentials/kg.other/keys", json=public_set(KEY)
        ).raise_for_status()
        leaver = {"principal": "kg.other", "roles": ["partner"], "client_id": "leaver-client"} | {
            "secret_sha256": sha256(SECRET.encode()).hexdigest()
        }
        started.ask("operator", "POST", "/v1/credentials", json=leaver).raise_for_status()
        started.token_of("leaver-client")
        started.ask("operator", "DELETE", "/v1/credentials/leaver-client").raise_for_status()
        suspended = started.ask(
            "coordinator", "POST", f"/v1/organizations/{OSH}/suspend", json={"reason": "data_misused"}
        )
        suspended.raise_for_status()
        yield started


def signed(hub: Hub, *, key: Any = KEY, client_id: str = "kg.other", late: float = 0, **claims: Any) -> str:
    now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=late)
    return assertion(key, client_id, f"{hub.service.url}/oauth/token", now, **claims)


def with_assertion(text: str, **more: str) -> dict[str, Any]:
    return {"data": {**GRANT, "client_assertion_type": ASSERTION_TYPE, "client_assertion": text, **more}}


def refused_requests(hub: Hub) -> Mapping[str, tuple[dict[str, Any], tuple[int, str, str]]]:
    """Return token requests by what is wrong with them, each with its status, problem and OAuth error."""
    used = signed(hub)
    httpx.post(f"{hub.service.url}/oauth/token", **with_assertion(used)).raise_for_status()
    client, skewed = (401, "invalid-client", "invalid_client"), (401, "clock-skew", "invalid_client")
    request = (400, "invalid-token-request", "invalid_request")
    parameter = (400, "invalid-parameter", "invalid_request")
    right = ("kg.other", SECRET)
    return {
        "suspended organisation": (
            {"data": GRANT, "auth": (OSH, SECRET)},
            (400, "unauthorized-client", "unauthorized_client"),
        ),
        "wrong secret": ({"data": GRANT, "auth": ("kg.other", "wrong")}, client),
        "unknown client": ({"data": GRANT, "auth": ("nobody", SECRET)}, client),
        "revoked client": ({"data": GRANT, "auth": ("leaver-client", SECRET)}, client),
        "no credentials": ({"data": GRANT}, client),
        "id without a secret": ({"data": {**GRANT, "client_id": "kg.other"}}, client),
        "no Basic": ({"data": GRANT, "headers": {"Authorization": "Bearer a.b.c"}}, client),
        "slow clock": (with_assertion(signed(hub, late=-3600)), skewed),
        "fast clock": (with_assertion(signed(hub, late=3600)), skewed),
        "replayed jti": (with_assertion(used), client),
        "no JWT": (with_assertion("no JWT"), client),
        "another key": (with_assertion(signed(hub, key=OTHER_KEY)), client),
        "another audience": (with_assertion(signed(hub, aud="https://other.example")), client),
        "no jti": (with_assertion(signed(hub, jti=None)), client),
        "a long life": (with_assertion(signed(hub, exp=4_000_000_000)), client),
        "exp as text": (with_assertion(signed(hub, exp="soon")), client),
        "another client_id": (with_assertion(signed(hub), client_id=OSH), client),
        "another assertion type": (
            with_assertion(signed(hub))
            | {"data": {**GRANT, "client_assertion_type": "a", "client_assertion": "b"}},
            request,
        ),
        "no assertion": ({"data": {**GRANT, "client_assertion_type": ASSERTION_TYPE}}, request),
        "secret and assertion": (with_assertion(signed(hub), client_secret=SECRET), request),
        "Basic and secret": ({"data": {**GRANT, "client_secret": SECRET}, "auth": right}, request),
        "no grant type": ({"data": {"client_id": "kg.other"}, "auth": right}, request),
        "unknown grant type": (
            {"data": {"grant_type": "password"}, "auth": right},
            (400, "unsupported-grant-type", "unsupported_grant_type"),
        ),
        "scope": (
            {"data": {**GRANT, "scope": "openid"}, "auth": right},
            (400, "invalid-scope", "invalid_scope"),
        ),
        "repeated parameter": (
            {
                "content": "grant_type=client_credentials&grant_type=client_credentials",
                "headers": FORM,
                "auth": right,
            },
            request,
        ),
        "form that is not URL-encoded": (
            {"content": b"grant_type=\xff", "headers": FORM, "auth": right},
            request,
        ),
        "JSON": ({"json": GRANT, "auth": right}, request),
        "text": (
            {
                "content": "grant_type=client_credentials",
                "headers": {"Content-Type": "text/plain"},
                "auth": right,
            },
            request,
        ),
        "multipart": ({"files": {"grant_type": (None, "client_credentials")}, "auth": right}, request),
        "no body": ({"auth": right}, request),
        "query": ({"params": GRANT, "auth": right}, parameter),
        "repeated query": ({"params": {"a": ["b", "c"]}, "auth": right}, parameter),
        "Idempotency-Key": (
            {"data": GRANT, "auth": right, "headers": {"Idempotency-Key": "1" * 16}},
            (400, "idempotency-key-unsupported", "invalid_request"),
        ),
        "large body": (
            {"content": b"x" * 20_000, "headers": FORM},
            (413, "body-too-large", "invalid_request"),
        ),
        "compressed body": (
            {"content": gzip.compress(b"a=b"), "headers": {**FORM, "Content-Encoding": "gzip"}},
            (415, "unsupported-content-encoding", "invalid_request"),
        ),
    }


def declared() -> Mapping[tuple[int, str], Mapping[str, Any]]:
    """Return the schema of each declared refusal, by its status and media type."""
    document = json.loads(openapi.FILE.read_bytes())
    found = {}
    for status, answer in document["paths"]["/oauth/token"]["post"]["responses"].items():
        if "$ref" in answer:
            answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
            for media_type, content in answer["content"].items():
                found[int(status), media_type] = {**content["schema"], "components": document["components"]}
    return found


def types_of(schema: Mapping[str, Any]) -> set[str]:
    return {kind.removeprefix(PROBLEM_PREFIX) for kind in schema["properties"]["type"]["enum"]}


def test_every_refusal_of_the_token_endpoint_is_declared_and_readable_by_oauth_libraries(hub: Hub) -> None:
    schemas, emitted = declared(), set()
    wrong = {}
    for name, (request, (status, slug, error)) in refused_requests(hub).items():
        answer = httpx.post(f"{hub.service.url}/oauth/token", **request)
        body = answer.json()
        found = (answer.status_code, body["type"].removeprefix(PROBLEM_PREFIX), body.get("error"))
        if found != (status, slug, error):
            wrong[name] = found
            continue
        emitted.add(slug)
        assert body["status"] == status
        assert answer.headers["content-type"] == "application/json"
        assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
        # RFC 6749 §5.2: its characters; 401 has the scheme that the client used, or may use.
        assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+", body["error_description"])
        assert ("www-authenticate" in answer.headers) is (status == 401)
        schema = schemas[status, "application/json"]
        assert list(Draft202012Validator(schema).iter_errors(body)) == [], name
    assert wrong == {}
    for _ in range(11):
        answer = httpx.post(f"{hub.service.url}/oauth/token", data=GRANT, auth=("kg.guessed", "wrong"))
    assert (answer.status_code, answer.json()["error"]) == (429, "temporarily_unavailable")
    assert list(Draft202012Validator(schemas[429, "application/json"]).iter_errors(answer.json())) == []
    emitted.add("too-many-requests")
    assert {slug for schema in schemas.values() for slug in types_of(schema)} - emitted == ELSEWHERE
