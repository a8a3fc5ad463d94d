"""Vectors for the signatures of webhooks, made without the server's code.

Source: the Standard Webhooks specification 1.0.0; RFC 2104 (HMAC), RFC 8032 (Ed25519).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NOW = 1774094400
TOLERANCE_SECONDS = 300
ID = "0199a0de-0000-7000-8000-0000000000f1"
BODY = (
    '{"type":"kopuro.offer.opened.v1","timestamp":"2026-03-21T12:00:00Z","data":{"id":"' + ID + '",'
    '"referral_id":"0199a0de-0000-7000-8000-000000000001",'
    '"mailbox":"https://hub.example/v1/mailbox?after=MQ&limit=1"}}'
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Secret:
    """A secret of an endpoint. shared: of the owner and the hub. seed: of the key that only the hub has."""

    name: str
    shared: bytes
    seed: bytes

    def v1(self, signed: bytes) -> str:
        """Return the signature by HMAC."""
        return "v1," + _text(hmac.new(self.shared, signed, hashlib.sha256).digest())

    def v1a(self, signed: bytes) -> str:
        """Return the signature by Ed25519."""
        return "v1a," + _text(Ed25519PrivateKey.from_private_bytes(self.seed).sign(signed))

    def given(self) -> dict[str, str]:
        """Return what its owner gets."""
        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()
        return {
            "name": self.name,
            "secret": "whsec_" + _text(self.shared),
            "public_key": "whpk_" + _text(public),
        }


PRESENT = Secret(name="present", shared=b"p" * 32, seed=b"P" * 32)
PREVIOUS = Secret(name="previous", shared=b"v" * 32, seed=b"V" * 32)
STRANGER = Secret(name="stranger", shared=b"s" * 32, seed=b"S" * 32)


def webhooks() -> dict[str, Any]:
    """Return the file `webhooks.json`."""
    v1, v1a = PRESENT.v1(_signed()), PRESENT.v1a(_signed())
    both = [PRESENT.name, PREVIOUS.name]
    overlap = [sign(_signed()) for one in (PRESENT, PREVIOUS) for sign in (one.v1, one.v1a)]
    cyrillic = BODY.replace("offer", "оффер")
    late, early = NOW - TOLERANCE_SECONDS - 1, NOW + TOLERANCE_SECONDS + 1
    return {
        "about": (
            "Requests to a webhook. With the time `now`, a receiver that has the secret and the public key of"
            " a name in `verified_by` accepts the request by either kind of signature that it has; every"
            " other receiver refuses it. The signed content is <webhook-id>.<webhook-timestamp>.<body>; one"
            " signature that holds is enough."
        ),
        "now": NOW,
        "tolerance_seconds": TOLERANCE_SECONDS,
        "secrets": [PRESENT.given(), PREVIOUS.given()],
        "requests": [
            _request("one secret", [v1, v1a], [PRESENT.name]),
            _request("the day after a rotation: both secrets sign, the newest first", overlap, both),
            _request("the previous secret alone", overlap[2:], [PREVIOUS.name]),
            _request(
                "letters of other scripts",
                [PRESENT.v1(_signed(body=cyrillic)), PRESENT.v1a(_signed(body=cyrillic))],
                [PRESENT.name],
                body=cyrillic,
            ),
            _request("a version that you do not know is ignored", ["v2,AAAA", v1, v1a], [PRESENT.name]),
            _request(
                "the oldest timestamp within the tolerance",
                _both(NOW - TOLERANCE_SECONDS),
                [PRESENT.name],
                timestamp=NOW - TOLERANCE_SECONDS,
            ),
            _request("a stale timestamp", _both(late), [], timestamp=late),
            _request("a timestamp in the future", _both(early), [], timestamp=early),
            _request("an altered body", [v1, v1a], [], body=BODY.replace("opened", "closed")),
            _request("a space after the body", [v1, v1a], [], body=BODY + " "),
            _request("another id", [v1, v1a], [], message_id=ID.replace("f1", "f2")),
            _request("another timestamp", [v1, v1a], [], timestamp=NOW - 1),
            _request("signatures of a stranger", [STRANGER.v1(_signed()), STRANGER.v1a(_signed())], []),
            _request("the signatures under each other's version", ["v1," + v1a[4:], "v1a," + v1[3:]], []),
            _request("signatures that are cut short", [v1[:-8], v1a[:-8]], []),
            _request("no signature", [], []),
        ],
    }


def _signed(*, message_id: str = ID, timestamp: int = NOW, body: str = BODY) -> bytes:
    return f"{message_id}.{timestamp}.{body}".encode()


def _both(timestamp: int) -> list[str]:
    signed = _signed(timestamp=timestamp)
    return [PRESENT.v1(signed), PRESENT.v1a(signed)]


def _request(
    name: str,
    signatures: list[str],
    verified_by: list[str],
    *,
    message_id: str = ID,
    timestamp: int = NOW,
    body: str = BODY,
) -> dict[str, Any]:
    return {
        "name": name,
        "headers": {
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": " ".join(signatures),
        },
        "body": body,
        "verified_by": verified_by,
    }


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
