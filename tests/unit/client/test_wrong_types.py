"""Every public method and function of the client raises only ClientErrors for wrong types."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import kopuro_client
from kopuro_client import (
    ClientError,
    InvalidArgumentError,
    Kopuro,
    RetryPolicy,
    Submission,
    Transport,
    generate_key,
)
from tests.long_run import times
from tests.unit.client.fake_hub import FakeHub, Response, json_response

WRONG: tuple[Any, ...] = (
    None,
    7,
    1.5,
    True,
    b"bytes",
    "text",
    [],
    [7],
    [{}],
    ["text"],
    {},
    {"a": object()},
    object(),
)
METHODS = sorted(
    name
    for name, _ in inspect.getmembers(Kopuro, inspect.isfunction)
    if not name.startswith("_") and name not in ("close",)
)
FUNCTIONS = ("check_case", "generate_key", "open_sealed", "public_key", "seal", "thumbprint", "Submission")


@pytest.fixture
def client(hub: FakeHub) -> Iterator[Kopuro]:
    hub.otherwise = json_response({"items": [], "next": None})
    transport = Transport(retry=RetryPolicy(attempts=1))
    with Kopuro.discover(hub.url, "a", "b", sealing_key=generate_key(), transport=transport) as connected:
        yield connected


def call(function: Any, **arguments: Any) -> None:
    result = function(**arguments)
    if inspect.isgenerator(result):
        next(result, None)


@pytest.mark.parametrize("name", METHODS)
def test_method_with_wrong_type_raises_only_client_error(client: Kopuro, name: str) -> None:
    _sweep(getattr(client, name), {"wait": 0, "give_up_after": 1} if name == "watch" else {})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_with_wrong_type_raises_only_client_error(name: str) -> None:
    _sweep(getattr(kopuro_client, name), {})


def _sweep(function: Any, fixed: dict[str, Any]) -> None:
    parameters = inspect.signature(function).parameters
    right = {name: "x" for name, one in parameters.items() if one.default is inspect.Parameter.empty} | fixed
    # A third of the values for each parameter, and all of them in a long run.
    step = times(3, 1)
    for number, name in enumerate(parameters, len(function.__name__)):
        for value in WRONG[number % step :: step]:
            try:
                call(function, **{**right, name: value})
            except ClientError:
                pass
            except Exception as error:
                raise AssertionError(f"{function.__name__}({name}={value!r}) raised {error!r}") from error


def test_batch_accepts_mappings_in_the_format_of_submission_files(client: Kopuro, hub: FakeHub) -> None:
    lines = b'{"line":1,"status":202,"id":"r1"}\n{"line":2,"status":202,"id":"r2"}\n'
    hub.script("POST", "/intake/v1/referrals:batch", Response(status=200, body=lines))
    results = client.submit_batch(
        [
            {"needs": ["shelter"], "case": {"name": "A"}, "idempotency_key": "k1"},
            {"needs": ["shelter"], "case": "a.sealed.case.of.ours"},
        ]
    )
    assert [result["id"] for result in results] == ["r1", "r2"]
    (request,) = hub.requests_to("/intake/v1/referrals:batch")
    first, second = request.body.splitlines()
    assert b'"idempotency_key":"k1"' in first
    assert b'"name"' not in first
    assert b'"case":"a.sealed.case.of.ours"' in second
    assert b'"idempotency_key":"' in second


@pytest.mark.parametrize("wrong", [{}, {"needs": []}, {"case": 7}, 7, None, "text", [("case", "x")]])
def test_batch_with_invalid_submission_names_its_position_and_sends_nothing(
    client: Kopuro, hub: FakeHub, wrong: Any
) -> None:
    with pytest.raises(InvalidArgumentError, match="submission 2"):
        client.submit_batch([Submission(facts={}, sealed="x"), wrong])
    assert hub.requests_to("/intake/v1/referrals:batch") == []


def test_batch_with_invalid_case_raises_pointer_into_the_batch(client: Kopuro) -> None:
    with pytest.raises(kopuro_client.CaseError) as caught:
        client.submit_batch([{"case": {"name": "A"}}, {"case": {"name": "A", "phones": ["1"]}}])
    assert [error.pointer for error in caught.value.errors] == ["/1/case/phones/0"]


@pytest.mark.parametrize("ids", ["one-id", b"x", {"a": 1}.get])
def test_single_string_is_not_accepted_as_list(client: Kopuro, hub: FakeHub, ids: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        client.acknowledge_all(ids)
    with pytest.raises(InvalidArgumentError):
        client.statistics(ids)
    assert hub.requests_to("/delivery/v1/mailbox:acknowledge") == []
