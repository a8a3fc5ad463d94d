"""Clients: secrets are stored and checked as digests."""

from __future__ import annotations

from dataclasses import asdict

from services.directory.domain.client import NOBODY, Role, client, digest

SECRET = "x" * 43


def test_client_stores_no_secret() -> None:
    kept = client(client_id="a", principal="kg.a", roles=(Role.partner,), secret=SECRET)
    assert SECRET not in str(asdict(kept))


def test_client_recognises_only_its_secret() -> None:
    kept = client(client_id="a", principal="kg.a", roles=(Role.partner,), secret=SECRET)
    assert kept.knows(SECRET)
    assert not kept.knows(SECRET + "x")
    assert not kept.knows("")
    assert not kept.knows(kept.secret_sha256)


def test_placeholder_client_has_no_valid_secret() -> None:
    assert not NOBODY.knows("")
    assert not NOBODY.knows(NOBODY.secret_sha256)


def test_client_roles_are_sorted_and_unique() -> None:
    kept = client(
        client_id="a", principal="kg.a", roles=(Role.partner, Role.auditor, Role.partner), secret=SECRET
    )
    assert kept.roles == (Role.auditor, Role.partner)


def test_secret_digest_is_sha_256() -> None:
    # FIPS 180-2, appendix B.1
    assert digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
