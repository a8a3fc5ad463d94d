"""The directory as a process: its API over sockets, its events through a real broker."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey

from contracts.envelope import Event, decode
from contracts.facts import (
    ClientChanged,
    Fact,
    OrganizationChanged,
    ReplicaCompleted,
    ReplicaRequested,
    TokenKeyChanged,
)
from contracts.records import plain
from contracts.topology import hub_topology
from kopuro_client.sealing import open_sealed
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.storage.database import Database
from sandbox.ports import free_ports
from services.directory.load import load as load_files
from tests.processes import ROOT, RunningService
from tests.services.made_cursors import made_cursors
from tests.support import migrated
from tests.support.client_assertions import Key, new_key, public_set
from tests.support.events import message_of
from tests.support.hub_keys import signed_event
from tests.support.partners import ask_for_token
from tests.support.signed_requests import send
from tests.unit.services.directory.samples import (
    OSH,
    new_sealing_key,
    new_signing_key,
    organization_record,
    service_record,
)

NOWHERE = "amqp://nobody:nothing@127.0.0.1:1//"
MERGE_PATCH = "application/merge-patch+json"
SECRET = "an-invented-secret-of-at-least-32-characters"
WRONG = SECRET[::-1]
CREDENTIALS = [
    {"client_id": name, "client_secret": SECRET, "principal": name, "roles": ["partner"]}
    for name in (OSH, "kg.other")
] + [
    {"client_id": name, "client_secret": SECRET, "principal": f"kg.{name}", "roles": [role]}
    for name, role in (
        ("operator", "operator"),
        ("second", "operator"),
        ("auditor", "auditor"),
        ("coordinator", "coordinator"),
    )
]
ORGANIZATIONS = [organization_record(), organization_record("kg.other", services=[])]


def load(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.directory.load", *arguments],
        env={**os.environ, "KOPURO_DATABASE_URL": database_url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def written(file: Path, content: Any) -> str:
    file.write_text(json.dumps(content))
    return str(file)


@dataclass(frozen=True, kw_only=True)
class Hub:
    """A running directory, and requests to it."""

    service: RunningService
    database_url: str
    directory: Path

    def token_of(self, client_id: str, secret: str = SECRET) -> str:
        answer = ask_for_token(self.service.url, client_id, secret)
        return str(answer.raise_for_status().json()["access_token"])

    def ask(self, client_id: str, method: str, path: str, **more: Any) -> httpx.Response:
        token = self.token_of(client_id)
        return send(self.service.url, method, path, token=token, secret=SECRET, **more)


@contextmanager
def running(
    directory: Path,
    amqp_uri: str,
    *,
    filled: bool,
    approvals: str = "one-person",
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Hub]:
    url = f"sqlite:///{directory / 'directory.sqlite'}"
    database = Database.open(url)
    migrated.upgrade("services.directory", database)
    if filled:
        # The command `load` calls this function. Running the command would take a second for its imports.
        files = {
            "organizations": Path(written(directory / "organizations.json", ORGANIZATIONS)),
            "credentials": Path(written(directory / "credentials.json", CREDENTIALS)),
        }
        faults = io.StringIO()
        assert load_files(database, "kg", files, io.StringIO(), faults) == 0, faults.getvalue()
    database.close()
    key = written(directory / "signing-key.json", new_signing_key())
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    discovery = {"hub": "kg", "version": "1", "services": {"directory": address}}
    service = RunningService(
        "services.directory",
        directory,
        amqp_uri=amqp_uri,
        database_url=url,
        port=port,
        environment={
            "KOPURO_TOKEN_SIGNING_KEY": key,
            "KOPURO_APPROVALS": approvals,
            "KOPURO_ISSUER": address,
            "KOPURO_REQUESTS_PER_MINUTE": "999999",
            "KOPURO_DISCOVERY": written(directory / "hub.json", discovery),
            **environment,
        },
    )
    if amqp_uri != NOWHERE:
        RabbitBroker(amqp_uri).declare(hub_topology())
    with service:
        yield Hub(service=service, database_url=url, directory=directory)


@pytest.fixture(scope="module")
def hub(module_vhost: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A shared directory for tests that do not change its records or other tests' records."""
    with running(tmp_path_factory.mktemp("directory"), module_vhost, filled=True) as started:
        started.service.until_ready()
        yield started


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["type"]) == (status, f"urn:kopuro:problem:{slug}")
    return body


def pages(hub: Hub, path: str, limit: int) -> list[list[Any]]:
    found, after = [], None
    while True:
        params = {"limit": limit} | ({"after": after} if after else {})
        page = hub.ask("auditor", "GET", path, params=params).raise_for_status().json()
        found.append(page["items"])
        after = page["next"]
        if after is None:
            return found


# --- Tokens --------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_form", [True, False])
def test_client_receives_a_token(hub: Hub, in_form: bool) -> None:
    form = {"grant_type": "client_credentials"}
    answer = httpx.post(
        hub.service.url + "/oauth/token",
        data={**form, "client_id": OSH, "client_secret": SECRET} if in_form else form,
        auth=None if in_form else (OSH, SECRET),
    )
    body = answer.json()
    assert answer.status_code == 200
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 900)
    assert answer.headers["cache-control"] == "no-store"
    shown = httpx.get(
        hub.service.url + f"/v1/organizations/{OSH}",
        headers={"Authorization": f"Bearer {body['access_token']}"},
    )
    assert shown.json()["id"] == OSH


def oauth_client(hub: Hub, client_id: str, secret: str | Key, way: str) -> OAuth2Client:
    """An OAuth client that is not ours, as it configures itself from the hub's metadata."""
    found = httpx.get(f"{hub.service.url}/.well-known/oauth-authorization-server").raise_for_status().json()
    metadata = AuthorizationServerMetadata(found)
    assert metadata["issuer"] == hub.service.url
    for name in ("issuer", "token_endpoint", "jwks_uri"):
        assert metadata[name].startswith(hub.service.url)
    metadata.validate_response_types_supported()
    metadata.validate_grant_types_supported()
    metadata.validate_token_endpoint_auth_methods_supported()
    metadata.validate_token_endpoint_auth_signing_alg_values_supported()
    client = OAuth2Client(client_id, secret, way, token_endpoint=metadata["token_endpoint"])
    # Its own default is an hour.
    short = {"exp": int(time.time()) + 300}
    client.register_client_auth_method(PrivateKeyJWT(metadata["token_endpoint"], short, alg="ES256"))
    return client


@pytest.mark.parametrize("way", ["client_secret_basic", "client_secret_post"])
def test_oauth_library_gets_a_token_by_secret_and_reads_the_refusal(hub: Hub, way: str) -> None:
    with oauth_client(hub, OSH, SECRET, way) as client:
        token = client.fetch_token(grant_type="client_credentials")
        assert (token["token_type"], token["expires_in"]) == ("Bearer", 900)
        shown = client.get(f"{hub.service.url}/v1/organizations/{OSH}")
        assert shown.json()["id"] == OSH
        for wrong, error in (({"scope": "openid"}, "invalid_scope"), ({"grant_type": "password"}, "")):
            with pytest.raises(OAuthError) as refused:
                client.fetch_token(**{"grant_type": "client_credentials", **wrong})
            assert refused.value.error == (error or "unsupported_grant_type")
    with oauth_client(hub, OSH, WRONG, way) as client, pytest.raises(OAuthError) as refused:
        client.fetch_token(grant_type="client_credentials")
    assert (refused.value.error, refused.value.description) == (
        "invalid_client",
        "No client has this id and secret.",
    )


def test_oauth_library_gets_a_token_by_private_key_and_the_keys_verify_it(hub: Hub) -> None:
    key = new_key("P-256")
    path = "/v1/credentials/kg.other/keys"
    uploaded = hub.ask("kg.other", "PUT", path, json=public_set(key))
    assert [kept["kid"] for kept in uploaded.raise_for_status().json()["keys"]] == ["k-1"]
    with oauth_client(hub, "kg.other", key, "private_key_jwt") as client:
        token = client.fetch_token(grant_type="client_credentials")["access_token"]
        assert client.get(f"{hub.service.url}/v1/organizations/kg.other").json()["id"] == "kg.other"
    keys = httpx.get(f"{hub.service.url}/oauth/jwks")
    assert keys.headers["content-type"] == "application/jwk-set+json"
    verified = jwt.decode(token, KeySet.import_key_set(keys.json()), algorithms=["EdDSA"])
    assert verified.header["typ"] == "at+jwt"
    assert (verified.claims["aud"], verified.claims["client_id"]) == ("kopuro:kg", "kg.other")


def test_errors_of_the_token_endpoint_are_those_of_rfc_6749(hub: Hub) -> None:
    def ask(**request: Any) -> httpx.Response:
        return httpx.post(hub.service.url + "/oauth/token", **request)

    answers = {
        "invalid_client": ask(data={"grant_type": "client_credentials"}, auth=(OSH, WRONG)),
        "invalid_request": ask(data={"client_id": OSH}),
        "unsupported_grant_type": ask(data={"grant_type": "implicit"}),
        "invalid_scope": ask(data={"grant_type": "client_credentials", "scope": "a"}),
    }
    # Refused before the handler: the body, the query and a header.
    early = [ask(content=b"x" * 20_000), ask(params={"a": "b"}), ask(headers={"Idempotency-Key": "1" * 16})]
    for error, answer in [*answers.items(), *(("invalid_request", answer) for answer in early)]:
        body = answer.json()
        assert (body["error"], body["status"]) == (error, answer.status_code)
        assert body["error_description"].isascii()
        assert body["type"].startswith("urn:kopuro:problem:")
        assert answer.headers["content-type"] == "application/json"
        assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert answers["invalid_client"].headers["www-authenticate"].startswith("Basic")
    assert {answer.status_code for error, answer in answers.items() if error != "invalid_client"} == {400}


def test_invalid_client_response_reveals_nothing_more(hub: Hub) -> None:
    def ask(form: dict[str, str], auth: tuple[str, str] | None) -> httpx.Response:
        return httpx.post(hub.service.url + "/oauth/token", data=form, auth=auth)

    grant = {"grant_type": "client_credentials"}
    unknown = problem(ask(grant, ("nobody", SECRET)), 401, "invalid-client")
    assert problem(ask(grant, (OSH, WRONG)), 401, "invalid-client") == unknown
    assert ask(grant, (OSH, WRONG)).headers["www-authenticate"].startswith("Basic")
    problem(ask(grant, None), 401, "invalid-client")
    problem(ask({"grant_type": "password"}, (OSH, SECRET)), 400, "unsupported-grant-type")
    assert SECRET not in hub.service.log.read_text()


# --- Records -------------------------------------------------------------------------------------


def test_organization_changes_its_own_record(hub: Hub) -> None:
    path = f"/v1/organizations/{OSH}"
    read = hub.ask(OSH, "GET", path)
    record = read.json()
    assert read.headers["etag"] == f'"{record["revision"]}"'
    changed = hub.ask(OSH, "PUT", path, json={**record, "description": "Opposite the bazaar."})
    assert changed.status_code == 200
    assert changed.json() == {
        **record,
        "description": "Opposite the bazaar.",
        "revision": record["revision"] + 1,
    }
    assert hub.ask("auditor", "GET", path).json() == changed.json()
    again = hub.ask(OSH, "PUT", path, json=changed.json())
    assert again.json() == changed.json()


def test_change_from_an_old_revision_is_a_conflict(hub: Hub) -> None:
    path = f"/v1/organizations/{OSH}"
    record = hub.ask(OSH, "GET", path).json()
    revision = record.pop("revision")
    newer = {**record, "description": "A newer one."}
    for tag in (str(revision + 1), f'"{revision - 1}"', 'W/"abc"', f'W/"{revision}"'):
        stale = hub.ask(OSH, "PUT", path, json=newer, headers={"If-Match": tag})
        problem(stale, 412, "precondition-failed")
    problem(hub.ask(OSH, "PUT", path, json={**newer, "revision": revision - 1}), 412, "precondition-failed")
    problem(hub.ask(OSH, "PUT", path, json=newer, headers={"If-None-Match": "*"}), 412, "precondition-failed")
    problem(hub.ask(OSH, "PUT", path, json=newer), 428, "precondition-required")
    for headers in (
        {"If-None-Match": '"3"'},
        {"If-None-Match": "*", "If-Match": "*"},
        {"If-Match": "W/abc"},
        {"If-Match": f'"{revision}'},
    ):
        problem(hub.ask(OSH, "PUT", path, json=newer, headers=headers), 400, "invalid-parameter")
    assert hub.ask(OSH, "GET", path).json() == {**record, "revision": revision}
    answer = hub.ask(OSH, "PUT", path, json=newer, headers={"If-Match": f'"{revision}"'})
    assert answer.json()["revision"] == revision + 1


def patched(hub: Hub, changes: Any, *, media_type: str = MERGE_PATCH, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return hub.ask(
        OSH,
        "PATCH",
        f"/v1/organizations/{OSH}",
        content=json.dumps(changes),
        headers={"Content-Type": media_type, **named},
    )


def test_organization_patches_its_record(hub: Hub) -> None:
    read = hub.ask(OSH, "GET", f"/v1/organizations/{OSH}")
    record, tag = read.json(), read.headers["ETag"]
    problem(patched(hub, {"name": "New"}), 428, "precondition-required")
    problem(patched(hub, {"name": "New"}, If_Match='"0"'), 412, "precondition-failed")
    problem(patched(hub, {"name": "New"}, media_type="application/json"), 415, "unsupported-media-type")
    problem(patched(hub, ["name"], If_Match=tag), 422, "invalid-submission")
    problem(patched(hub, {"vetting": "left"}, If_Match=tag), 403, "forbidden")
    assert hub.ask(OSH, "GET", f"/v1/organizations/{OSH}").json() == record
    changed = patched(hub, {"profile": {"staff": 7}, "languages": ["ky"]}, If_Match=tag)
    assert (changed.status_code, changed.headers["ETag"]) == (200, f'"{record["revision"] + 1}"')
    assert changed.json() == {
        **record,
        "profile": {**record["profile"], "staff": 7},
        "languages": ["ky"],
        "revision": record["revision"] + 1,
    }


def test_record_neither_deletes_nor_replaces_the_sealing_key(hub: Hub) -> None:
    path = f"/v1/organizations/{OSH}"
    hub.ask(OSH, "POST", "/v1/keys", json=plain(new_sealing_key())).raise_for_status()
    record = hub.ask(OSH, "GET", path).json()
    kept = ("sealing_key", "sealing_key_change", "approved_services")
    without = {name: value for name, value in record.items() if name not in kept}
    assert hub.ask(OSH, "PUT", path, json=without).json() == record
    for key in (None, plain(new_sealing_key())):
        refused = hub.ask(OSH, "PUT", path, json={**record, "sealing_key": key})
        assert [e["pointer"] for e in problem(refused, 403, "forbidden")["errors"]] == ["/sealing_key"]
        refused = patched(hub, {"sealing_key": key}, If_Match=f'"{record["revision"]}"')
        assert [e["pointer"] for e in problem(refused, 403, "forbidden")["errors"]] == ["/sealing_key"]
    assert hub.ask(OSH, "GET", path).json() == record


def test_partner_cannot_change_operator_fields_or_other_records(hub: Hub) -> None:
    record = hub.ask(OSH, "GET", f"/v1/organizations/{OSH}").json()
    refused = hub.ask(
        OSH, "PUT", f"/v1/organizations/{OSH}", json={**record, "vetting": "left", "kind": "union"}
    )
    errors = problem(refused, 403, "forbidden")["errors"]
    assert [error["pointer"] for error in errors] == ["/kind", "/vetting"]
    problem(hub.ask("kg.other", "PUT", f"/v1/organizations/{OSH}", json=record), 403, "forbidden")
    problem(hub.ask("auditor", "PUT", f"/v1/organizations/{OSH}", json=record), 403, "forbidden")
    mismatch = hub.ask(OSH, "PUT", "/v1/organizations/kg.other", json=record)
    assert problem(mismatch, 422, "invalid-submission")["errors"][0]["pointer"] == "/id"
    assert hub.ask(OSH, "GET", f"/v1/organizations/{OSH}").json() == record


def test_operator_creates_and_vets_an_organization(hub: Hub) -> None:
    path = "/v1/organizations/uz.new"
    problem(hub.ask("operator", "GET", path), 404, "not-found")
    record = organization_record("uz.new", country="UZ", vetting="applied")
    entered = hub.ask("operator", "PUT", path, json=record)
    assert (entered.status_code, entered.json()["revision"]) == (201, 1)
    vetted = hub.ask(
        "operator", "PUT", path, json={**record, "vetting": "vetted"}, headers={"If-Match": '"1"'}
    )
    assert (vetted.status_code, vetted.json()["revision"]) == (200, 2)


def test_record_that_breaks_the_contract_is_refused_with_pointers(hub: Hub) -> None:
    record = organization_record(services=[service_record(needs=["magic"])], nickname="x")
    refused = hub.ask(OSH, "PUT", f"/v1/organizations/{OSH}", json=record)
    errors = problem(refused, 422, "invalid-submission")["errors"]
    assert [error["pointer"] for error in errors] == ["/nickname", "/services/0/needs/0"]
    not_a_record = hub.ask(OSH, "PUT", f"/v1/organizations/{OSH}", json=[])
    problem(not_a_record, 422, "invalid-submission")
    untrue = hub.ask(OSH, "PUT", f"/v1/organizations/{OSH}", json=organization_record(revision="1"))
    assert problem(untrue, 422, "invalid-submission")["errors"][0]["pointer"] == "/revision"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"profile": {"volunteers": 2**53}}, "/profile/volunteers"),
        ({"profile": {"staff": 2**63}}, "/profile/staff"),
        ({"vetted_on": "2099-01-01"}, "/vetted_on"),
        (
            {
                "services": [
                    service_record(capacity={"status": "capacity", "updated_at": "2099-01-01T00:00:00Z"})
                ]
            },
            "/services/0/capacity/updated_at",
        ),
        ({"revision": 2**53}, "/revision"),
        ({"revision": -1}, "/revision"),
    ],
)
def test_organization_without_canonical_json_or_from_the_future_is_refused(
    hub: Hub, change: dict[str, Any], pointer: str
) -> None:
    path = f"/v1/organizations/{OSH}"
    before = hub.ask(OSH, "GET", path).json()
    answer = hub.ask(OSH, "PUT", path, json={**organization_record(), **change})
    assert [e["pointer"] for e in problem(answer, 422, "invalid-submission")["errors"]] == [pointer]
    assert hub.ask(OSH, "GET", path).json() == before


def test_keys_are_those_of_the_caller_and_operators_read_every_history(hub: Hub) -> None:
    assert hub.ask("kg.other", "GET", "/v1/keys").json() == {"items": [], "next": None}
    pair = OKPKey.generate_key("X25519")
    first = {
        "kty": "OKP",
        "crv": "X25519",
        "x": str(pair.as_dict(private=False)["x"]),
        "kid": pair.thumbprint(),
    }
    published = hub.ask("kg.other", "POST", "/v1/keys", json=first)
    assert (published.status_code, published.json()) == (201, first)
    assert hub.ask("kg.other", "POST", "/v1/keys", json=first).status_code == 201
    second = plain(new_sealing_key())
    asked = hub.ask("kg.other", "POST", "/v1/keys", json=second)
    assert asked.status_code == 202
    assert asked.headers["Location"] == f"/v1/keys/{asked.json()['challenge']}/prove"
    assert hub.ask(OSH, "GET", "/v1/organizations/kg.other").json()["sealing_key"] == first
    proof = asked.headers["Location"]
    problem(hub.ask("kg.other", "POST", proof, json={"answer": "guess"}), 403, "forbidden")
    problem(hub.ask("operator", "POST", proof, json={"answer": "guess"}), 403, "forbidden")
    answer = open_sealed(asked.json()["sealed"], pair.as_dict(private=True))["answer"]
    proved = hub.ask("kg.other", "POST", proof, json={"answer": answer})
    assert (proved.status_code, proved.json()) == (201, second)
    items = hub.ask("kg.other", "GET", "/v1/keys").json()["items"]
    assert [(item["key"], item["manner"], item["until"] is None) for item in items] == [
        (second, "proved", True),
        (first, "first", False),
    ]
    history = {"organization": "kg.other"}
    assert hub.ask("operator", "GET", "/v1/keys", params=history).json()["items"] == items
    problem(hub.ask(OSH, "GET", "/v1/keys", params=history), 403, "forbidden")
    problem(hub.ask("auditor", "GET", "/v1/keys", params=history), 403, "forbidden")
    for wrong in (
        {**second, "kid": "A" * 43},
        {**second, "approval": "yes"},
        {**second, "organization": OSH},
        [second],
    ):
        problem(hub.ask("kg.other", "POST", "/v1/keys", json=wrong), 422, "invalid-submission")
    problem(hub.ask("operator", "POST", "/v1/keys", json=second), 422, "invalid-submission")
    lost = hub.ask("kg.other", "POST", "/v1/keys", json={**plain(new_sealing_key()), "approval": True})
    assert (lost.status_code, lost.json()["kind"]) == (202, "sealing_key")
    granted = hub.ask("operator", "POST", lost.headers["Location"] + "/approve")
    assert granted.json()["state"] == "granted"


def test_agreements_are_written_by_operators_and_read_by_all(hub: Hub) -> None:
    record = {
        "id": "bilateral",
        "title": "Of two",
        "kind": "bilateral",
        "parties": [OSH, "kg.other"],
        "disclosure": "sensitive",
        "effective_from": "2024-01-01",
    }
    problem(hub.ask(OSH, "POST", "/v1/agreements", json=record), 403, "forbidden")
    posted = hub.ask("operator", "POST", "/v1/agreements", json=record)
    assert (posted.status_code, posted.json()["revision"]) == (201, 1)
    problem(hub.ask("operator", "POST", "/v1/agreements", json=record), 428, "precondition-required")
    again = hub.ask("operator", "POST", "/v1/agreements", json=posted.json())
    assert (again.status_code, again.json()) == (200, posted.json())
    stranger = {**posted.json(), "parties": [OSH, "kg.nobody"]}
    refused = problem(
        hub.ask("operator", "POST", "/v1/agreements", json=stranger), 422, "unknown-organization"
    )
    assert [error["pointer"] for error in refused["errors"]] == ["/parties/1"]
    assert hub.ask(OSH, "GET", "/v1/agreements").json() == {"items": [posted.json()], "next": None}


def test_new_secret_is_shown_once_and_replaces_the_old_one(hub: Hub) -> None:
    wanted = {"principal": "kg.new-desk", "roles": ["partner"]}
    unknown = hub.ask("operator", "POST", "/v1/credentials", json=wanted)
    assert problem(unknown, 422, "unknown-organization")["errors"][0]["pointer"] == "/principal"
    record = organization_record("kg.new-desk", services=[])
    hub.ask("operator", "PUT", "/v1/organizations/kg.new-desk", json=record).raise_for_status()
    problem(hub.ask(OSH, "POST", "/v1/credentials", json=wanted), 403, "forbidden")
    first = hub.ask("operator", "POST", "/v1/credentials", json=wanted)
    problem(hub.ask("operator", "POST", "/v1/credentials", json=wanted), 428, "precondition-required")
    rotate = {"If-Match": first.headers["ETag"]}
    second = hub.ask("operator", "POST", "/v1/credentials", json=wanted, headers=rotate)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["client_id"] == second.json()["client_id"] == "kg.new-desk"
    assert hub.token_of("kg.new-desk", second.json()["client_secret"])
    with pytest.raises(httpx.HTTPStatusError, match="401"):
        hub.token_of("kg.new-desk", first.json()["client_secret"])


def test_revoked_client_gets_no_token(hub: Hub) -> None:
    record = organization_record("kg.leaver", services=[])
    hub.ask("operator", "PUT", "/v1/organizations/kg.leaver", json=record).raise_for_status()
    wanted = {"principal": "kg.leaver", "roles": ["partner"]}
    issued = hub.ask("operator", "POST", "/v1/credentials", json=wanted).json()
    assert hub.token_of("kg.leaver", issued["client_secret"])
    problem(hub.ask(OSH, "DELETE", "/v1/credentials/kg.leaver"), 404, "not-found")
    problem(hub.ask("auditor", "DELETE", "/v1/credentials/kg.leaver"), 403, "forbidden")
    revoked = hub.ask("operator", "DELETE", "/v1/credentials/kg.leaver")
    assert (revoked.status_code, revoked.json()["live"]) == (200, False)
    with pytest.raises(httpx.HTTPStatusError, match="401"):
        hub.token_of("kg.leaver", issued["client_secret"])
    own = hub.ask(OSH, "GET", "/v1/credentials").json()["items"]
    assert [client["client_id"] for client in own] == [OSH]
    assert not any(name in ("client_secret", "secret_sha256") for client in own for name in client)
    assert issued["client_secret"] not in str(own)


@pytest.mark.parametrize(
    "wanted",
    [
        {"principal": "ann", "roles": ["operator", "auditor"]},
        {"principal": OSH, "roles": ["partner", "coordinator"]},
        {"principal": "ann", "roles": ["auditor"], "secret_sha256": "A" * 64},
    ],
)
def test_credential_with_two_roles_or_a_malformed_digest_is_refused(hub: Hub, wanted: Any) -> None:
    refused = hub.ask("operator", "POST", "/v1/credentials", json=wanted)
    problem(refused, 422, "invalid-submission")


def test_two_persons_approve_a_service_and_its_organization_does_not(tmp_path: Path) -> None:
    with running(tmp_path, NOWHERE, filled=True, approvals="two-person") as hub:
        services = [service_record(needs=["legal.wage_claim", "protection.trafficking"])]
        patched = hub.ask(
            OSH,
            "PATCH",
            f"/v1/organizations/{OSH}",
            json={"services": services},
            headers={"Content-Type": MERGE_PATCH, "If-Match": "*"},
        )
        assert patched.status_code == 200, patched.text
        place = f"/v1/organizations/{OSH}/services/legal/approval"
        wanted, why = {"needs": ["protection.trafficking"]}, {"reason": "service_changed"}
        for cannot in (OSH, "kg.other", "auditor"):
            problem(hub.ask(cannot, "POST", place, json=wanted), 403, "forbidden")
            problem(hub.ask(cannot, "POST", f"{place}/withdraw", json=why), 403, "forbidden")
        seen = {"If-Match": patched.headers["ETag"]}
        bodies: list[Any] = [{"needs": []}, {"needs": ["money"]}, {}, {**wanted, "by": "kg.second"}]
        for wrong in bodies:
            problem(hub.ask("operator", "POST", place, json=wrong, headers=seen), 422, "invalid-submission")
        stale = hub.ask("operator", "POST", place, json=wanted, headers={"If-Match": '"1"'})
        problem(stale, 412, "precondition-failed")
        for unseen in ({}, {"If-Match": "*"}):
            blind = hub.ask("operator", "POST", place, json=wanted, headers=unseen)
            problem(blind, 428, "precondition-required")

        asked = hub.ask("operator", "POST", place, json=wanted, headers=seen)
        assert (asked.status_code, asked.json()["kind"]) == (202, "service")
        decision = f"{asked.headers['Location']}/approve"
        problem(hub.ask("operator", "POST", decision), 403, "forbidden")
        assert hub.ask("second", "POST", decision).status_code == 200
        (approved,) = hub.ask(OSH, "GET", f"/v1/organizations/{OSH}").json()["approved_services"]
        assert (approved["service"], approved["needs"], approved["by"]) == (
            "legal",
            ["protection.trafficking"],
            "kg.second",
        )
        for unnamed in ({}, {"reason": "no_answer"}, {"reason": None}):
            refused = hub.ask("operator", "POST", f"{place}/withdraw", json=unnamed)
            problem(refused, 422, "invalid-submission")
        assert hub.ask("operator", "POST", f"{place}/withdraw", json=why).json()["approved_services"] == []


def test_coordinator_suspends_and_does_nothing_else_to_a_record(tmp_path: Path) -> None:
    with running(tmp_path, NOWHERE, filled=True, approvals="two-person") as hub:
        record = f"/v1/organizations/{OSH}"
        wanted = {"reason": "data_misused"}
        for cannot in (OSH, "kg.other", "auditor"):
            problem(hub.ask(cannot, "POST", f"{record}/suspend", json=wanted), 403, "forbidden")
        bodies: list[Any] = [{}, {"reason": "bored"}, {**wanted, "note": "Aigul B., passport AN1"}]
        for wrong in bodies:
            answer = hub.ask("coordinator", "POST", f"{record}/suspend", json=wrong)
            problem(answer, 422, "invalid-submission")
            assert "Aigul" not in answer.text
        unproved = httpx.post(
            f"{hub.service.url}{record}/suspend",
            json=wanted,
            headers={"Authorization": f"Bearer {hub.token_of('coordinator')}"},
        )
        problem(unproved, 403, "proof-required")
        stale = hub.ask("coordinator", "POST", f"{record}/suspend", json=wanted, headers={"If-Match": '"7"'})
        problem(stale, 412, "precondition-failed")
        unknown = hub.ask("coordinator", "POST", "/v1/organizations/kg.nobody/suspend", json=wanted)
        problem(unknown, 404, "not-found")
        assert hub.ask("operator", "GET", record).json()["vetting"] == "vetted"

        done = hub.ask("coordinator", "POST", f"{record}/suspend", json=wanted)
        assert (done.status_code, done.json()["vetting"], done.headers["ETag"]) == (200, "suspended", '"2"')
        again = hub.ask("coordinator", "POST", f"{record}/suspend", json=wanted)
        assert (again.status_code, again.json()) == (200, done.json())
        other = hub.ask("coordinator", "POST", f"{record}/suspend", json={"reason": "other"})
        assert (other.status_code, other.headers["ETag"]) == (200, '"3"')
        for who in ("coordinator", "auditor", "operator"):
            shown = hub.ask(who, "GET", record).json()["suspension"]
            assert (shown["by"], shown["reason"]) == ("kg.coordinator", "other")
        assert hub.ask("kg.other", "GET", record).json()["suspension"] is None
        assert ask_for_token(hub.service.url, OSH, SECRET).json()["error"] == "unauthorized_client"

        merge = {"Content-Type": MERGE_PATCH, "If-Match": "*"}
        back = {"json": {"vetting": "vetted"}, "headers": merge}
        problem(hub.ask("coordinator", "PATCH", record, **back), 403, "forbidden")
        replaced = organization_record()
        put = hub.ask("coordinator", "PUT", record, json=replaced, headers={"If-Match": "*"})
        problem(put, 403, "forbidden")
        asked = hub.ask("operator", "PATCH", record, **back)
        assert (asked.status_code, asked.json()["kind"]) == (202, "vetting")
        approve = f"{asked.headers['Location']}/approve"
        problem(hub.ask("coordinator", "POST", approve), 403, "forbidden")
        assert hub.ask("second", "POST", approve).status_code == 200
        assert hub.ask("operator", "GET", record).json()["vetting"] == "vetted"


def test_second_operator_approves_and_everybody_concerned_can_read_it(tmp_path: Path) -> None:
    with running(tmp_path, NOWHERE, filled=True, approvals="two-person") as hub:
        secret = "another-secret-of-at-least-32-characters"
        wanted = {
            "principal": OSH,
            "roles": ["partner"],
            "client_id": "osh-laptop",
            "secret_sha256": sha256(secret.encode()).hexdigest(),
        }
        without = {name: value for name, value in wanted.items() if name != "secret_sha256"}
        problem(hub.ask("operator", "POST", "/v1/credentials", json=without), 422, "invalid-submission")
        asked = hub.ask("operator", "POST", "/v1/credentials", json=wanted)
        address = asked.headers["Location"]
        assert (asked.status_code, asked.json()["state"]) == (202, "requested")
        assert address == f"/v1/approvals/{asked.json()['id']}"
        assert hub.ask("operator", "POST", "/v1/credentials", json=wanted).json() == asked.json()
        for reader in (OSH, "auditor", "second", "operator"):
            assert hub.ask(reader, "GET", address).json() == asked.json()
            waiting = hub.ask(reader, "GET", "/v1/approvals", params={"state": "requested"}).json()
            assert waiting == {"items": [asked.json()], "next": None}
        problem(hub.ask("kg.other", "GET", address), 404, "not-found")
        assert hub.ask("kg.other", "GET", "/v1/approvals").json()["items"] == []
        problem(hub.ask("kg.other", "GET", "/v1/approvals", params={"state": "x"}), 400, "invalid-parameter")
        for cannot in (OSH, "auditor", "operator"):
            problem(hub.ask(cannot, "POST", f"{address}/approve"), 403, "forbidden")
        problem(hub.ask("second", "POST", "/v1/approvals/none/approve"), 404, "not-found")
        granted = hub.ask("second", "POST", f"{address}/approve").json()
        assert (granted["state"], granted["decided_by"]) == ("granted", "kg.second")
        assert hub.token_of("osh-laptop", secret)
        problem(hub.ask("second", "POST", f"{address}/refuse"), 409, "conflict")

        record = organization_record("uz.new", country="UZ")
        vetting = hub.ask("operator", "PUT", "/v1/organizations/uz.new", json=record)
        assert (vetting.status_code, vetting.json()["kind"]) == (202, "vetting")
        problem(hub.ask("operator", "GET", "/v1/organizations/uz.new"), 404, "not-found")
        withdrawn = hub.ask("operator", "POST", vetting.headers["Location"] + "/refuse").json()
        assert withdrawn["state"] == "refused"


# --- Lists ---------------------------------------------------------------------------------------


def test_lists_are_complete_at_every_page_size(hub: Hub) -> None:
    for path in (
        "/v1/organizations",
        "/v1/services",
        "/v1/service_at_locations",
        "/v1/taxonomy_terms",
        "/v1/agreements",
    ):
        (whole,) = pages(hub, path, 200)
        small = pages(hub, path, 1 if path != "/v1/taxonomy_terms" else 30)
        assert [item for page in small for item in page] == whole
        assert all(small[:-1]), "no page before the last is empty"
    ids = [record["id"] for record in pages(hub, "/v1/organizations", 200)[0]]
    assert ids == sorted(ids)
    assert {OSH, "kg.other"} <= set(ids)


def test_lists_are_filtered_by_their_parameters(hub: Hub) -> None:
    def ids(path: str, **params: str) -> set[str]:
        items = hub.ask(OSH, "GET", path, params=params).raise_for_status().json()["items"]
        return {item.get("organization", item["id"]) for item in items}

    assert OSH in ids("/v1/services", need="legal.wage_claim", region="KG-GO")
    assert ids("/v1/services", need="legal.wage_claim", region="KZ-75") == set()
    assert OSH in ids("/v1/organizations", kind="ngo", country="KG")
    assert ids("/v1/organizations", country="TJ") == set()


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("/v1/services?need=magic", "invalid-parameter"),
        ("/v1/services?region=XX", "invalid-parameter"),
        ("/v1/organizations?kind=club", "invalid-parameter"),
        ("/v1/organizations?country=kg", "invalid-parameter"),
        ("/v1/organizations?limt=1", "invalid-parameter"),
        ("/v1/organizations?limit=0", "invalid-parameter"),
        ("/v1/organizations?after=x", "invalid-cursor"),
    ],
)
def test_invalid_parameters_are_refused(hub: Hub, path: str, slug: str) -> None:
    problem(hub.ask(OSH, "GET", path), 400, slug)


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("organizations", "organizations"),
        ("services", "services"),
        ("service_at_locations", "service_areas"),
        ("taxonomy_terms", "taxonomy_terms"),
        ("agreements", "agreements"),
        ("credentials", "credentials"),
        ("approvals", "approvals"),
    ],
)
def test_forged_cursors_are_refused(hub: Hub, path: str, scope: str) -> None:
    headers = {"Authorization": f"Bearer {hub.token_of(OSH)}"}
    with httpx.Client(base_url=hub.service.url, headers=headers) as client:
        for cursor in made_cursors(scope):
            problem(client.get(f"/v1/{path}", params={"after": cursor}), 400, "invalid-cursor")


def test_every_resource_but_token_requires_a_token(hub: Hub) -> None:
    for path in ("/v1/organizations", f"/v1/organizations/{OSH}", "/v1/services", "/v1/keys"):
        problem(httpx.get(hub.service.url + path), 401, "missing-token")


# --- Loading beside the service ------------------------------------------------------------------


def test_invalid_file_loads_nothing_and_reports_the_position(hub: Hub) -> None:
    bad = written(
        hub.directory / "bad.json",
        [organization_record("tj.good"), organization_record("tj.bad", kind="club")],
    )
    ended = load(hub.database_url, "--organizations", bad)
    assert ended.returncode == 1
    assert f"{bad}[1] /kind" in ended.stderr
    assert "Traceback" not in ended.stderr
    problem(hub.ask(OSH, "GET", "/v1/organizations/tj.good"), 404, "not-found")


def test_database_without_a_schema_is_reported(tmp_path: Path) -> None:
    file = written(tmp_path / "organizations.json", ORGANIZATIONS)
    ended = load(f"sqlite:///{tmp_path / 'empty.sqlite'}", "--organizations", file)
    assert (ended.returncode, "migrations" in ended.stderr) == (1, True)
    assert "The database cannot be used: no such table" in ended.stderr, "it says why, as for a full disk"
    assert "Traceback" not in ended.stderr


# --- Events --------------------------------------------------------------------------------------


def taken(uri: str, queue: str, enough: Callable[[list[Event[Fact]]], bool]) -> list[Event[Fact]]:
    """Return a queue's events in order, once there are enough of them."""
    consumer = RabbitBroker(uri).consumer([queue], prefetch=100)
    events: list[Event[Fact]] = []
    deadline = time.monotonic() + 30
    try:
        while not enough(events):
            assert time.monotonic() < deadline, f"{queue} holds only {[event.type for event in events]}"
            arrived = consumer.take(100, 1.0)
            events += [decode(delivery.body) for delivery in arrived]
            consumer.acknowledge(arrived)
    finally:
        consumer.close()
    return events


def completed(events: list[Event[Fact]]) -> bool:
    return any(isinstance(event.data, ReplicaCompleted) for event in events)


def ask_for_snapshot(uri: str, queue: str) -> None:
    publisher = RabbitBroker(uri).publisher()
    request = message_of(ReplicaRequested(queue=queue), queue, source="/kg/vault")
    publisher.publish([signed_event(request)])
    publisher.close()


def test_changes_and_snapshots_reach_the_replicas(hub_vhost: str, tmp_path: Path) -> None:
    with running(tmp_path, hub_vhost, filled=True) as hub:
        hub.service.until_ready()
        told = taken(
            hub_vhost,
            "intake.directory",
            lambda events: any(isinstance(e.data, TokenKeyChanged) for e in events),
        )
        assert [event.partition_key for event in told[:2]] == [OSH, "kg.other"]
        *clients, key = told[2:]
        assert {type(event.data) for event in clients} == {ClientChanged}
        assert isinstance(key.data, TokenKeyChanged)
        assert SECRET not in str(clients)

        taken(hub_vhost, "vault.directory", lambda events: len(events) >= 2)
        ask_for_snapshot(hub_vhost, "vault.directory")
        *records, end = taken(hub_vhost, "vault.directory", completed)
        assert end.data == ReplicaCompleted(queue="vault.directory", records=2)
        assert {type(event.data) for event in records} == {OrganizationChanged}
        assert not {event.id for event in records} & {event.id for event in told}

        record = hub.ask(OSH, "GET", f"/v1/organizations/{OSH}").json()
        hub.ask(OSH, "PUT", f"/v1/organizations/{OSH}", json={**record, "name": "New"}).raise_for_status()
        (changed,) = taken(hub_vhost, "vault.directory", lambda events: len(events) >= 1)
        assert isinstance(changed.data, OrganizationChanged)
        assert (changed.data.revision, changed.data.organization.name) == (2, "New")


def test_snapshot_of_empty_directory_completes_and_unknown_request_is_a_dead_letter(
    hub_vhost: str, tmp_path: Path
) -> None:
    with running(tmp_path, hub_vhost, filled=False):
        ask_for_snapshot(hub_vhost, "audit.log")
        ask_for_snapshot(hub_vhost, "vault.directory")
        (end,) = taken(hub_vhost, "vault.directory", completed)
        assert end.data == ReplicaCompleted(queue="vault.directory", records=0)
        (parked,) = taken(hub_vhost, "directory.requests.parked", lambda events: len(events) >= 1)
        assert parked.data == ReplicaRequested(queue="audit.log")


def test_directory_without_a_broker_serves_tokens_reads_and_writes(tmp_path: Path) -> None:
    with running(tmp_path, NOWHERE, filled=True) as hub:
        path = f"/v1/organizations/{OSH}"
        record = hub.ask(OSH, "GET", path).raise_for_status().json()
        changed = hub.ask(OSH, "PUT", path, json={**record, "name": "New"})
        assert changed.json()["revision"] == 2
        ready = httpx.get(hub.service.operations_url + "/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"]["broker"] != "ok"


def test_directory_without_a_signing_key_does_not_start(tmp_path: Path) -> None:
    for name, content in (("unset", None), ("wrong", {"kty": "OKP", "crv": "Ed25519", "x": "public"})):
        directory = tmp_path / name
        directory.mkdir()
        key = {"KOPURO_TOKEN_SIGNING_KEY": written(directory / "key.json", content)} if content else {}
        service = RunningService(
            "services.directory",
            directory,
            amqp_uri=NOWHERE,
            database_url=f"sqlite:///{directory / 'directory.sqlite'}",
            environment=key,
        )
        service.process.spawn()
        assert service.process.wait(20)
        assert service.process.exit_code() == 2
        assert "KOPURO_TOKEN_SIGNING_KEY" in service.log.read_text()
