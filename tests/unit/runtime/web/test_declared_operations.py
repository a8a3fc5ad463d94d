"""Every resource declares what it takes and answers, and answers nothing else."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from contracts.codes import KeyManner
from contracts.errors import Refused
from contracts.organization import SealingKey
from contracts.responses.directory import AccessToken, ClientRecord, IssuedClient, KeyPeriod
from contracts.responses.form import Page, record_json
from contracts.responses.referrals import LineResult, Submitted
from runtime.access.caller_limits import Share
from runtime.entrypoints.resource import resource
from runtime.web.body import DEFAULT_LIMIT
from runtime.web.operation import Deprecation, Operation, Parameter, lines_of, nothing, page_of, record_of
from runtime.web.request import Request, require_known
from runtime.web.response import Response
from tests.support.resources import resources

RESOURCES = resources()
NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize("name", RESOURCES)
def test_resource_declares_its_operation(name: str) -> None:
    assert RESOURCES[name].operation is not None, "declare `operation`"


@pytest.mark.parametrize("name", RESOURCES)
def test_resource_declares_the_form_of_each_parameter(name: str) -> None:
    undeclared = [one for one in RESOURCES[name].parameters if not isinstance(one, Parameter)]
    assert undeclared == [], "declare each as a `Parameter`"


@pytest.mark.parametrize("name", RESOURCES)
def test_resource_that_changes_something_declares_its_body_or_has_none(name: str) -> None:
    declared = RESOURCES[name]
    if declared.route().method == "GET":
        assert declared.operation is not None
        assert declared.operation.body is None


@pytest.mark.parametrize("name", RESOURCES)
def test_resource_of_large_bodies_takes_few_of_one_caller_at_once(name: str) -> None:
    """Sixteen slow bodies of 8 MiB each took 128 MiB of a service for nine minutes."""
    route = RESOURCES[name].route()
    if route.limit > 2 * DEFAULT_LIMIT:
        assert route.counted_in is Share.batch


def ask(operation: Operation | None, response: Response) -> Response:
    """Return what leaves the service when a handler of this operation returns the response."""

    class Service:
        application = SimpleNamespace(name="sample", reads=None)

        @resource("GET", "/v1/sample", roles=None, operation=operation)
        def show(self, _request: Request) -> Response:
            return response

    return Service().show(Request(method="GET", route="/v1/sample"))


TOKEN = AccessToken(access_token="t", token_type="Bearer", expires_in=900)
SUBMITTED = Submitted(id="1", status="submitted")
SAMPLE = Operation(summary="A sample", responses={200: record_of(AccessToken), 204: nothing("Nothing")})


@pytest.mark.parametrize("response", [Response.of(TOKEN), Response.empty()])
def test_declared_answer_leaves_unchanged(response: Response) -> None:
    assert ask(SAMPLE, response) is response


@pytest.mark.parametrize(
    "response",
    [
        Response.of(TOKEN, status=201),
        Response.of(SUBMITTED),
        Response.of(Page(items=[TOKEN], next=None)),
        Response.json({"access_token": "t", "token_type": "Bearer", "expires_in": 900}),
        Response.text("t"),
        Response.empty(200),
        Response.of(TOKEN, status=204),
    ],
    ids=["status", "record", "page", "hand-built", "media type", "no body", "unexpected body"],
)
def test_undeclared_answer_becomes_a_defect(response: Response) -> None:
    left = ask(SAMPLE, response)
    assert left.status == 500
    assert json.loads(left.body)["type"] == "urn:kopuro:problem:internal"


def test_page_may_be_empty_and_holds_only_its_records() -> None:
    operation = Operation(summary="A sample", responses={200: page_of(AccessToken)})
    assert ask(operation, Response.of(Page(items=[], next=None))).status == 200
    assert ask(operation, Response.of(Page(items=[TOKEN], next="c"))).status == 200
    assert ask(operation, Response.of(Page(items=[TOKEN, SUBMITTED], next=None))).status == 500
    assert ask(operation, Response.of(TOKEN)).status == 500


def test_lines_hold_only_their_records() -> None:
    operation = Operation(summary="A sample", responses={200: lines_of(LineResult, description="Results")})
    assert ask(operation, Response.lines([LineResult(line=1, status=202, id="1")])).status == 200
    assert ask(operation, Response.lines([TOKEN])).status == 500


def test_deprecated_operation_says_so_in_every_response() -> None:
    ending = Deprecation(since=1767225600, sunset="Wed, 01 Jul 2026 00:00:00 GMT", link="https://hub.example")
    operation = dataclasses.replace(SAMPLE, deprecated=ending)
    for response in (Response.of(TOKEN), Response.of(SUBMITTED)):
        headers = ask(operation, response).headers
        assert headers["Deprecation"] == "@1767225600"
        assert headers["Sunset"] == "Wed, 01 Jul 2026 00:00:00 GMT"
        assert headers["Link"] == '<https://hub.example>; rel="deprecation"'


def test_operation_refuses_an_unknown_problem_and_an_empty_declaration() -> None:
    with pytest.raises(ValueError, match="no-such-thing"):
        Operation(
            summary="A sample", responses={200: record_of(AccessToken)}, refusals=frozenset({"no-such-thing"})
        )
    with pytest.raises(ValueError, match="at least one response"):
        Operation(summary="A sample", responses={})


@pytest.mark.parametrize("name", [name for name, declared in RESOURCES.items() if declared.parameters])
def test_refused_parameter_has_a_pointer_to_its_name(name: str) -> None:
    """The router refuses before the handler runs; see also test_declared_parameters.py."""
    with pytest.raises(Refused) as refused:
        require_known({"vetting": "applied"}, RESOURCES[name].route().query)
    assert [error.pointer for error in refused.value.errors] == ["/vetting"]


# --- The JSON of records --------------------------------------------------------------------------

KEY = SealingKey(kty="OKP", crv="X25519", x="x" * 43, kid="k" * 43)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plain:
    time: Any
    kind: KeyManner


def test_record_without_forms_is_written_as_it_is() -> None:
    record = Plain(time=NOON, kind=KeyManner.first)
    assert json.loads(record_json(record)) == {"time": "2026-03-02T12:00:00Z", "kind": "first"}


def test_named_member_has_its_name_also_inside_a_page() -> None:
    period = KeyPeriod(key=KEY, since=NOON, until=None, manner=KeyManner.first, by="ann", approved_by=None)
    (item,) = json.loads(record_json(Page(items=[period], next=None)))["items"]
    assert "since" not in item
    assert item["from"] == "2026-03-02T12:00:00Z"
    assert item["until"] is None
    assert item["key"]["kty"] == "OKP"


def test_omitted_member_is_absent_only_without_a_value() -> None:
    client = ClientRecord(client_id="c", principal="p", roles=("partner",), live=True, revision=1)
    issued = IssuedClient(**dataclasses.asdict(client), client_secret=None)
    assert json.loads(record_json(issued)) == json.loads(record_json(client))
    shown = dataclasses.replace(issued, client_secret="s" * 43)
    assert json.loads(record_json(shown))["client_secret"] == "s" * 43
