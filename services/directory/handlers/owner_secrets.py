"""Checks of the secrets and passwords that owners make themselves. The hub sees only their digests."""

from __future__ import annotations

from contracts.errors import PointerError, Refused
from services.directory.domain.client import is_known_password, is_known_secret


def check_secret(secret_sha256: str, *names: str) -> None:
    """Raises Refused `invalid-submission` for the digest of an empty text or of one of the client's names."""
    if is_known_secret(secret_sha256, *names):
        raise _known("/secret_sha256", "kopuro credential secret")


def check_password(password_hash: str, *names: str) -> None:
    """Raises the same for a password at the partners' broker."""
    if is_known_password(password_hash, *names):
        raise _known("/password_hash", "kopuro credential amqp-password")


def _known(pointer: str, command: str) -> Refused:
    detail = "The digest is that of an empty string or of the client's own name."
    return Refused(
        "invalid-submission",
        f"Make a random one (`{command}`) and check that the program has it where it makes the digest.",
        errors=[PointerError(pointer=pointer, detail=detail)],
    )
