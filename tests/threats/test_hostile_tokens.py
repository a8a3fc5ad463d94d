"""Tokens and JWEs made to cost time or memory: each is refused within 50 ms of CPU, and nothing stays.

A refusal's time is the process time of the function behind the interface, the least of several calls, so that
other work of the machine does not count.
"""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from prometheus_client import CollectorRegistry

from admin.keys import public_half
from contracts.errors import Refused
from contracts.facts import TransitSeal
from contracts.jose import LONGEST_SEALED
from contracts.manifest import read_manifest
from contracts.records import Malformed, load
from contracts.referral import ReferralSubmission
from contracts.signatures import SignatureFault, VerificationKey
from kopuro_client import ClientError, open_sealed
from kopuro_client.tlog.errors import TlogError
from kopuro_client.tlog.note import SignedNote
from runtime import transit_seal
from runtime.access.tokens import TokenVerifier
from runtime.web.paging import NUMBER, decode_cursor
from services.directory import admission
from services.directory.adapters.client_assertions import JwtAssertionReader
from services.directory.adapters.client_signatures import check_points
from services.directory.domain.client_key import ClientKey, KeyAlgorithm, KeySet, client_keys
from services.gateway.gateway_metrics import GatewayMetrics
from services.gateway.ports import Result, SubmissionAnswer
from services.gateway.submission_processor import Received, SubmissionProcessor, Verdict
from services.intake.domain.sealing import require_sealed
from services.vault.adapters.custody_key import CustodyKeyInMemory
from services.vault.domain.content import check_content
from services.vault.domain.sealed import SealedCase
from tests.support.hostile_tokens import CUSTODY, HEADERS, KEYS, SIGNING, TOKENS
from tests.unit.services.gateway.doubles import OSH, HubInMemory

SECONDS: Final = 0.05
_CALLS: Final = 5
# A decoder's own error may hold its input in four bytes for each character.
_COPIES: Final = 16
NOW: Final = datetime(2026, 3, 21, 12, tzinfo=UTC)
_KEY = ClientKey(kid="k", alg=KeyAlgorithm.EdDSA, x=SIGNING["x"])


def _verifier() -> TokenVerifier:
    class Clock:
        def now(self) -> datetime:
            return NOW

    keys = {"keys": [{**public_half(SIGNING), "use": "sig"}]}
    return TokenVerifier(lambda: keys, "kopuro:kg", Clock(), clients=lambda _: None)


VERIFIER, READER, CUSTODIAN = _verifier(), JwtAssertionReader(), CustodyKeyInMemory(CUSTODY)
ROOT = VerificationKey(public_half(SIGNING))


def _assertion(text: str) -> None:
    assert READER.client_id(text) in (None, "a")
    if READER.claims(text, [_KEY]) is None:
        raise Refused("invalid-client", "as the token endpoint")


def _admission(text: str) -> None:
    require_sealed(text, "/case")
    SealedCase.split(text)
    CUSTODIAN.open(SealedCase.split(text))


def _submission(text: str) -> None:
    load(ReferralSubmission, {"case": text}, slug="invalid-submission")


def _transit(text: str) -> None:
    transit_seal.open_sealed(TransitSeal(kid="k", key=text), "", b"s" * 32, "referral")


# For each interface: the function that decodes, and what it raises.
Door = tuple[Callable[[str], object], tuple[type[Exception], ...]]
DOORS: Final[Mapping[str, Door]] = {
    "access token": (VERIFIER.verify, (Refused,)),
    "client assertion": (_assertion, (Refused,)),
    "sealed case at intake and vault": (_admission, (Refused,)),
    "record of a referral": (_submission, (Refused,)),
    "sealed case at the vault": (lambda text: CUSTODIAN.open(SealedCase.split(text)), (Refused,)),
    "opened case": (lambda text: check_content(text.encode()), (Refused,)),
    "transit seal": (_transit, (transit_seal.TransitUnopened,)),
    "cursor": (lambda text: decode_cursor("scope", text, [NUMBER]), (Refused,)),
    "manifest": (lambda text: read_manifest(text, ROOT), (Malformed,)),
    "signature of a wave": (lambda text: ROOT.payload_of(text, "kopuro-wave"), (SignatureFault,)),
    "case at the client": (lambda text: open_sealed(text, CUSTODY), (ClientError,)),
    "signed note": (SignedNote.parse, (TlogError,)),
}


@pytest.mark.parametrize("door", DOORS)
def test_hostile_token_is_refused_within_50_ms_of_cpu_and_leaves_nothing(door: str) -> None:
    decode, refusals = DOORS[door]
    calls = [_refused(decode, token, refusals, name) for name, token in TOKENS.items()]
    assert [call.name for call in calls if call.least_cpu() >= SECONDS] == []
    _assert_memory_is_flat(calls, largest=max(map(len, TOKENS.values())))


def test_hostile_key_set_is_refused_within_50_ms_of_cpu_and_leaves_nothing() -> None:
    def read(keys: Any) -> None:
        check_points(client_keys(load(KeySet, {"keys": keys}, slug="invalid-submission"), NOW))

    calls = [_refused(read, [key], (Refused,), name) for name, key in KEYS.items()]
    calls.append(_refused(read, [public_half(SIGNING)] * 5_000, (Refused,), "thousands of keys"))
    assert [call.name for call in calls if call.least_cpu() >= SECONDS] == []
    _assert_memory_is_flat(calls, largest=LONGEST_SEALED)


def test_hostile_sealing_key_is_refused_within_50_ms_of_cpu_and_leaves_nothing() -> None:
    key = public_half(CUSTODY)
    named = {
        **KEYS,
        "a coordinate of a megabyte": {**key, "x": "A" * LONGEST_SEALED},
        "a point of small order": {**key, "x": "A" * 43},
        "an id of a megabyte": {**key, "kid": "A" * LONGEST_SEALED},
        "a private key": CUSTODY,
    }
    calls = [_refused(admission.key_request, key, (Refused,), name) for name, key in named.items()]
    assert [call.name for call in calls if call.least_cpu() >= SECONDS] == []
    _assert_memory_is_flat(calls, largest=LONGEST_SEALED)


def test_hostile_submission_over_amqp_costs_the_gateway_little_and_leaves_nothing() -> None:
    class Hub(HubInMemory):
        """Refuses what the gateway passes on, as intake does. Keeps nothing."""

        def submit(self, organization: str, lines: Sequence[bytes], *, referrals: bool) -> list[Result]:
            return [Result(problem=Refused("case-not-sealed", "Seal it.").problem()) for _ in lines]

        def answer(self, organization: str, answers: Sequence[SubmissionAnswer]) -> None:
            assert all(answer.problem for answer in answers)

    processor = SubmissionProcessor(Hub(), GatewayMetrics(CollectorRegistry()))

    def submitted(body: bytes) -> None:
        one = Received(organization=OSH, body=body, user_id=OSH, message_id="k")
        assert processor.process([one]) == [Verdict.answered]
        raise Refused("invalid-submission", "The hub's answer, which has the problem.")

    bodies = {
        **{f"{name}, as the body": body for name, body in HEADERS.items()},
        **{name: json.dumps({"submit": "referral", "case": text}).encode() for name, text in TOKENS.items()},
    }
    calls = [_refused(submitted, body, (Refused,), name) for name, body in bodies.items()]
    assert [call.name for call in calls if call.least_cpu() >= SECONDS] == []
    _assert_memory_is_flat(calls, largest=max(map(len, bodies.values())))


class _Call:
    """A call that must be refused."""

    def __init__(self, name: str, call: Callable[[], None]) -> None:
        self.name = name
        self.call = call

    def least_cpu(self) -> float:
        """Return seconds of CPU: the least of some calls, or the first one within the bound."""
        least = float("inf")
        for _ in range(_CALLS):
            started = time.process_time()
            self.call()
            least = min(least, time.process_time() - started)
            if least < SECONDS:
                break
        return least


def _refused(
    decode: Callable[[Any], object], value: Any, refusals: tuple[type[Exception], ...], name: str
) -> _Call:
    def call() -> None:
        try:
            decode(value)
        except refusals:
            return
        raise AssertionError(f"{name} was admitted")

    return _Call(name, call)


def _assert_memory_is_flat(calls: list[_Call], *, largest: int) -> None:
    """Assert that no call takes more than some copies of the largest input, and that none stays."""
    for call in calls:
        call.call()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        peaks = {}
        for call in calls:
            tracemalloc.reset_peak()
            call.call()
            peaks[call.name] = tracemalloc.get_traced_memory()[1] - before
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert {name: peak for name, peak in peaks.items() if peak > _COPIES * largest} == {}
    assert after - before < 100_000
