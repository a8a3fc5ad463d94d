from __future__ import annotations

import pytest

from kopuro_client import open_sealed
from kopuro_client.client import Kopuro
from kopuro_client.custody_key import MOST_SECONDS, CustodyKey
from kopuro_client.errors import RefusedError, TransportError
from kopuro_client.records import Jwk
from kopuro_client.sealing import generate_key, public_key
from tests.unit.client.fake_hub import FakeHub, json_response, problem

FIRST, SECOND = public_key(generate_key()), public_key(generate_key())
CASE = {"name": "Нурлан Б."}
REFERRALS = "/intake/v1/referrals"
REQUESTED = json_response({"id": "r1", "status": "requested"}, status=202)
NOT_SEALED = problem(422, "case-not-sealed", "Seal the text again")


def test_key_is_looked_up_again_after_an_hour() -> None:
    now, announced = [0.0], [FIRST]
    key = CustodyKey(FIRST, lambda: announced[0], clock=lambda: now[0])
    announced[0] = SECOND
    now[0] = MOST_SECONDS - 1
    assert key.present() == FIRST
    now[0] = MOST_SECONDS
    assert key.present() == SECOND


def test_hub_that_cannot_be_asked_leaves_the_known_key_in_use() -> None:
    def fails() -> Jwk:
        raise TransportError("the connection failed")

    now = [0.0]
    key = CustodyKey(FIRST, fails, clock=lambda: now[0])
    now[0] = MOST_SECONDS
    assert key.present() == FIRST
    assert not key.renew()


def test_submission_refused_for_an_earlier_key_is_sealed_again(hub: FakeHub, client: Kopuro) -> None:
    assert client.discovery.custody_key == public_key(hub.custody_key)
    after = generate_key()
    hub.discovery["custody_key"] = public_key(after)
    hub.script("POST", REFERRALS, NOT_SEALED, REQUESTED)
    assert client.submit({"needs": []}, case=CASE) == {"id": "r1", "status": "requested"}
    first, second = hub.requests_to(REFERRALS)
    assert open_sealed(second.json()["case"], after) == CASE
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_refusal_for_the_announced_key_is_not_repeated(hub: FakeHub, client: Kopuro) -> None:
    hub.script("POST", REFERRALS, NOT_SEALED)
    with pytest.raises(RefusedError):
        client.submit({"needs": []}, case=CASE)
    assert len(hub.requests_to(REFERRALS)) == 1
