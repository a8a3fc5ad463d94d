"""Clients: secrets are stored and checked as digests."""

from __future__ import annotations

import datetime as dt
from base64 import b64encode
from dataclasses import asdict, replace
from hashlib import sha256

import pytest

from kopuro_client.amqp_password import generate_amqp_password
from services.directory.domain.client import (
    EPOCH_STEPS,
    MINIMUM_SECRET,
    MOST_ENDED_KEYS,
    NOBODY,
    OVERLAP,
    EndedKey,
    Role,
    client,
    digest,
    is_known_password,
    is_known_secret,
)
from services.directory.domain.client_key import ClientKey, KeyAlgorithm

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
SECRET, NEW = "x" * 43, "y" * 43


def test_client_stores_no_secret() -> None:
    kept = client(client_id="a", principal="kg.a", roles=(Role.partner,), secret=SECRET)
    assert SECRET not in str(asdict(kept))


def test_client_recognises_only_its_secret() -> None:
    kept = client(client_id="a", principal="kg.a", roles=(Role.partner,), secret=SECRET)
    assert kept.secret_known(SECRET, NOON) == kept.secret_sha256
    for other in (SECRET + "x", "", kept.secret_sha256):
        assert kept.secret_known(other, NOON) is None
    assert replace(kept, live=False).secret_known(SECRET, NOON) is None


def test_placeholder_client_and_client_with_keys_only_have_no_valid_secret() -> None:
    for nobody in (NOBODY, replace(NOBODY, secret_sha256="")):
        assert nobody.secret_known("", NOON) is None
        assert nobody.secret_known(nobody.secret_sha256, NOON) is None


def test_both_secrets_are_accepted_for_a_day_after_a_rotation() -> None:
    kept = client(client_id="a", principal="kg.a", roles=(Role.partner,), secret=SECRET)
    rotated = kept.rotated(digest(NEW), NOON, expires_at=None)
    last = NOON + OVERLAP - dt.timedelta(microseconds=1)
    assert rotated.secret_known(SECRET, last) == digest(SECRET)
    assert rotated.secret_known(NEW, last) == digest(NEW)
    assert rotated.secret_known(SECRET, NOON + OVERLAP) is None
    assert rotated.secrets(last) == (digest(NEW), digest(SECRET))
    assert rotated.secrets(NOON + OVERLAP) == (digest(NEW),)


def test_second_rotation_ends_the_secret_between_and_leaves_the_first() -> None:
    kept = client(client_id="a", principal="kg.a", roles=(Role.partner,), secret=SECRET)
    twice = kept.rotated(digest(NEW), NOON, expires_at=None).rotated(digest("z" * 43), NOON, expires_at=None)
    assert [twice.secret_known(secret, NOON) is not None for secret in (SECRET, NEW, "z" * 43)] == [
        True,
        False,
        True,
    ]
    later = twice.rotated(digest("y" * 43), NOON + OVERLAP, expires_at=None)
    accepted = [later.secret_known(secret, NOON + OVERLAP) for secret in (SECRET, "z" * 43, "y" * 43)]
    assert [one is not None for one in accepted] == [False, True, True]


def test_repeated_rotation_changes_nothing() -> None:
    kept = client(client_id="a", principal="kg.a", roles=(Role.partner,), secret=SECRET)
    rotated = kept.rotated(digest(NEW), NOON, expires_at=None)
    assert rotated.rotated(digest(NEW), NOON + OVERLAP, expires_at=None) == rotated


def test_rotation_does_not_lengthen_the_life_of_a_secret_that_expires() -> None:
    soon = NOON + dt.timedelta(hours=1)
    kept = replace(
        client(client_id="a", principal="kg.a", roles=(Role.partner,), secret=SECRET), secret_expires_at=soon
    )
    assert kept.secret_known(SECRET, soon) is None
    rotated = kept.rotated(digest(NEW), NOON, expires_at=None)
    assert rotated.secret_known(SECRET, soon) is None
    assert rotated.secret_known(NEW, soon) is not None


@pytest.mark.parametrize(("microsecond", "seconds"), [(0, 0), (1, 1), (999_999, 1)])
def test_tokens_are_revoked_up_to_the_next_whole_second(microsecond: int, seconds: int) -> None:
    moment = NOON.replace(microsecond=microsecond)
    assert NOBODY.without_tokens(moment).not_before == NOON + dt.timedelta(seconds=seconds)


def test_clock_that_was_set_back_sets_no_revocation_back() -> None:
    later = NOBODY.without_tokens(NOON + dt.timedelta(hours=1))
    again = later.without_tokens(NOON)
    assert again.not_before == later.not_before
    assert again.token_epoch > later.token_epoch


def test_epoch_after_a_revocation_cannot_be_guessed() -> None:
    epochs = {NOBODY.without_tokens(NOON).token_epoch for _ in range(1000)}
    # Two of 1,000 numbers below 2^32 are equal in one run of 8,600.
    assert len(epochs) > 990
    assert min(epochs) > 0
    assert max(epochs) <= EPOCH_STEPS


def test_client_roles_are_sorted_and_unique() -> None:
    kept = client(
        client_id="a", principal="kg.a", roles=(Role.partner, Role.auditor, Role.partner), secret=SECRET
    )
    assert kept.roles == (Role.auditor, Role.partner)


def test_secret_digest_is_sha_256() -> None:
    # FIPS 180-2, appendix B.1
    assert digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_secret_shorter_than_the_minimum_is_never_accepted() -> None:
    for length in (0, 1, MINIMUM_SECRET - 1, MINIMUM_SECRET):
        kept = client(client_id="a", principal="kg.a", roles=(Role.partner,), secret="x" * length)
        retired = kept.rotated(digest(NEW), NOON, expires_at=None)
        accepted = [one.secret_known("x" * length, NOON) is not None for one in (kept, retired)]
        assert accepted == [length >= MINIMUM_SECRET] * 2


@pytest.mark.parametrize("text", ["", "\n", "\r\n", "desk", "desk\n", "kg.a", "kg.a\r\n"])
def test_empty_text_and_names_of_the_client_are_known(text: str) -> None:
    assert is_known_secret(digest(text), "desk", "kg.a")
    assert is_known_password(salted(text), "desk", "kg.a")


def test_random_secret_and_password_are_unknown() -> None:
    assert not is_known_secret(digest(SECRET), "desk", "kg.a")
    assert not is_known_password(generate_amqp_password()[1], "desk", "kg.a")


def salted(password: str) -> str:
    salt = b"\x00\x01\x02\x03"
    return b64encode(salt + sha256(salt + password.encode()).digest()).decode()


LIFETIME = dt.timedelta(minutes=16)


def key(number: int, *, expires_at: dt.datetime | None = None) -> ClientKey:
    x = f"{number:043}"
    return ClientKey(kid=f"k-{number}", alg=KeyAlgorithm.EdDSA, x=x, expires_at=expires_at)


def test_another_end_or_id_of_a_key_ends_no_token() -> None:
    kept = replace(NOBODY, keys=(key(1),))
    for same in (replace(key(1), kid="renamed"), key(1, expires_at=NOON + OVERLAP)):
        changed = kept.with_keys((same,), NOON, lifetime=LIFETIME)
        assert (changed.ended_keys, changed.token_epoch) == ((), 0)
    assert kept.with_keys((key(1),), NOON, lifetime=LIFETIME) is kept


def test_removed_key_is_remembered_while_its_tokens_live() -> None:
    kept = replace(NOBODY, keys=(key(1),)).with_keys((key(2),), NOON, lifetime=LIFETIME)
    assert kept.ended_keys == (EndedKey(key=key(1).thumbprint, until=NOON + LIFETIME),)
    back = kept.with_keys((key(1),), NOON + LIFETIME, lifetime=LIFETIME)
    assert (back.token_epoch, [each.key for each in back.ended_keys]) == (0, [key(2).thumbprint])


def test_more_removed_keys_than_are_remembered_end_all_tokens() -> None:
    kept = replace(NOBODY, keys=(key(0),))
    for number in range(1, MOST_ENDED_KEYS + 1):
        kept = kept.with_keys((key(number),), NOON, lifetime=LIFETIME)
    assert (kept.token_epoch, len(kept.ended_keys)) == (0, MOST_ENDED_KEYS)
    kept = kept.with_keys((key(99),), NOON, lifetime=LIFETIME)
    assert (kept.token_epoch > 0, kept.ended_keys) == (True, ())
