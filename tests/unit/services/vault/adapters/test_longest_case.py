"""The longest case that is admitted passes every hop: intake, vault, delivery, the acceptor's client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import OKPKey

from contracts.envelope import decode
from contracts.errors import Refused
from contracts.facts import SealedCaseReleased, SealedCaseSubmitted
from contracts.jose import CONTENT_ENCRYPTION, KEY_MANAGEMENT, LONGEST_RESEALED, LONGEST_SEALED, RESEALING
from contracts.organization import SealingKey
from contracts.records import load, plain, read
from contracts.referral import ReferralSubmission
from kopuro_client.sealing import MAX_OPENED, MAX_SEALED, generate_key, open_sealed, public_key
from runtime.messaging.outbox.outbox import outgoing
from services.vault.adapters.custody_key import CustodyKeyInMemory
from services.vault.domain.sealed import SealedCase
from tests.support.events import message_of
from tests.unit.contracts.test_referral import BODY

REFERRAL = "018f0000-0000-7000-8000-000000000001"
CUSTODY, ACCEPTOR = generate_key(), generate_key()
RECIPIENT = read(SealingKey, dict(public_key(ACCEPTOR)))
VAULT = CustodyKeyInMemory(dict(CUSTODY))


class _Unlimited(jwe.JWERegistry):
    max_ciphertext_length = 2 * LONGEST_SEALED


def sealed_by_sender(content: bytes, members: dict[str, str]) -> str:
    """Seal as any JOSE library may: with or without the optional members of the header."""
    key = OKPKey.import_key({name: CUSTODY[name] for name in ("kty", "crv", "x")})
    header = {"alg": KEY_MANAGEMENT, "enc": CONTENT_ENCRYPTION, "kid": key.thumbprint(), **members}
    registry = _Unlimited(algorithms=[KEY_MANAGEMENT, CONTENT_ENCRYPTION])
    return jwe.encrypt_compact(header, content, key, registry=registry)


def case_of(length: int, members: dict[str, str]) -> tuple[bytes, str]:
    """Return a case whose sealed form has `length` characters or just fewer."""
    overhead = len(sealed_by_sender(b"x", members))
    size = (length - overhead) * 3 // 4 - 20
    while True:
        content = json.dumps({"name": "A" * size}).encode()
        sealed = sealed_by_sender(content, members)
        if length - 2 <= len(sealed) <= length:
            return content, sealed
        size += max(1, (length - len(sealed)) * 3 // 4) if len(sealed) < length else -1


@settings(max_examples=12, deadline=None)
@given(
    below=st.integers(0, 8),
    members=st.fixed_dictionaries(
        {}, optional={"cty": st.just("application/json"), "typ": st.just("JOSE"), "apu": st.just("QWxpY2U")}
    ),
)
def test_longest_case_is_opened_by_the_acceptor(below: int, members: dict[str, str]) -> None:
    content, sealed = case_of(LONGEST_SEALED - below, members)
    admitted = load(ReferralSubmission, {**BODY, "case": sealed}).case
    submitted = SealedCaseSubmitted(referral_id=REFERRAL, sender="kg.one", to=None, case=admitted)
    at_vault: Any = decode(outgoing(message_of(submitted, REFERRAL)).body).data
    resealed = VAULT.reseal(SealedCase.split(at_vault.case), RECIPIENT)
    assert len(resealed) <= len(sealed) + RESEALING
    released = SealedCaseReleased(
        referral_id=REFERRAL, organization="ru.two", kid=RECIPIENT.kid, case=resealed
    )
    assert load(SealedCaseReleased, plain(released)) == released
    at_delivery: Any = decode(outgoing(message_of(released, REFERRAL)).body).data
    assert open_sealed(at_delivery.case, ACCEPTOR) == json.loads(content)


def test_limits_of_hub_and_client_agree() -> None:
    assert (MAX_SEALED, MAX_OPENED) == (LONGEST_SEALED, LONGEST_RESEALED)


def test_resealing_lengthens_the_shortest_header_by_less_than_the_headroom() -> None:
    sealed = sealed_by_sender(b"{}", {})
    grown = len(VAULT.reseal(SealedCase.split(sealed), RECIPIENT)) - len(sealed)
    assert 0 < grown <= RESEALING


def test_case_one_character_too_long_is_refused_by_intake() -> None:
    _, sealed = case_of(LONGEST_SEALED + 4, {})
    with pytest.raises(Refused):
        load(ReferralSubmission, {**BODY, "case": sealed})
