"""The memory of refused requests: their bodies go with their responses, without the garbage collector."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from contracts.errors import Refused
from runtime.access.tokens import Principal
from runtime.clock import SystemClock
from runtime.web import problems
from runtime.web.request import Request
from services.intake import api
from services.intake.ndjson import LONGEST_LINE
from tests.unit.services.intake.intake_fixture import IntakeBench
from tests.unit.services.intake.samples import OFFER, OSH


@pytest.fixture(autouse=True)
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def answer(bench: IntakeBench, path: str, body: bytes) -> int:
    """Answer a request with this body as the router does; return the status."""
    context = api.ApiContext(bench.handlers, "/kg/intake", SystemClock())
    request = Request(
        method="POST",
        route="",
        path_params={"id": OFFER},
        headers={"idempotency-key": "one"},
        body=body,
        caller=Principal(id=OSH, roles=frozenset({"partner"})),
    )
    try:
        match path:
            case "referrals:batch":
                response = api.submit_referral_batch(context, request)
            case "submissions:batch":
                response = api.submit_command_batch(context, request)
            case "referrals":
                response = api.submit_referral(context, request)
            case _:
                response = api.submit_command(context, request, path)
    except Refused as refused:
        response = problems.response_for(refused)
    return response.status


BODIES = {
    "malformed": b"[" * 100,
    "too deep": b"[" * 51 + b"]" * 51,
    "invalid": b'{"reason": 5}',
    "too long": b"[" * (LONGEST_LINE + 1),
}
PATHS = ("referrals", "referrals:batch", "accept", "decline", "submissions:batch")


def test_refused_body_is_freed_with_its_response(bench: IntakeBench) -> None:
    kept = {}
    for path in PATHS:
        for name, body in BODIES.items():
            before = sys.getrefcount(body)
            status = answer(bench, path, body)
            assert status == 200 if path.endswith(":batch") else status >= 400
            if (more := sys.getrefcount(body) - before) != 0:
                kept[path, name] = more
    assert kept == {}
