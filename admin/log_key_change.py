"""The replacement of a log's key: a statement that both keys sign, and a check of the published log.

The statement is a signed note (https://c2sp.org/signed-note):

    kopuro/kg
    log key change
    kopuro/kg+5c1f0b4d+AbC...          the new verifier key

It proves to everyone who trusts the earlier key that the new one is the log's too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey

from kopuro_client.errors import InvalidArgumentError
from services.audit.log.domain import note
from services.audit.log.domain.head import origin_of
from services.audit.log.domain.note import Ed25519Signer, NoteError
from services.audit.log.handlers.published_log import CHECKPOINT, COSIGNED


def signed_change(hub: str, *, earlier: dict[str, Any], new: dict[str, Any]) -> bytes:
    """Return the statement. earlier, new: private Ed25519 JWKs."""
    signers = [_signer(hub, key) for key in (earlier, new)]
    text = f"{origin_of(hub)}\nlog key change\n{signers[1].verifier.format()}\n"
    return note.sign(text, *signers)


def signs_published_log(hub: str, key: dict[str, Any], published_log: Path) -> bool:
    """Return whether the key signed the published checkpoints, those with cosignatures too."""
    verifier = _signer(hub, key).verifier
    for name in (CHECKPOINT, COSIGNED):
        try:
            note.open_note((published_log / name).read_bytes(), [verifier])
        except FileNotFoundError:
            continue
        except (OSError, NoteError):
            return False
    return (published_log / CHECKPOINT).exists()


def _signer(hub: str, key: dict[str, Any]) -> Ed25519Signer:
    private = OKPKey.import_key(key).private_key
    if not isinstance(private, Ed25519PrivateKey):
        raise InvalidArgumentError("the log's key file holds a key that is not Ed25519")
    return Ed25519Signer(name=origin_of(hub), private_key=private)
