"""Vectors for thumbprints and sealing, made by hand from the RFCs, without a JOSE library.

Source: RFC 7638 (thumbprints), RFC 7748 §6.1 (a key), RFC 7516 §5.1, RFC 7518 §4.6, RFC 3394, RFC 8037 §3.2.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

# A made key, and Bob's private key of RFC 7748 §6.1.
ALICE = hashlib.sha256(b"kopuro test vectors").digest()
BOB = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
EPHEMERAL = bytes(range(32))
CONTENT_KEY, IV = bytes(range(32, 64)), bytes(range(64, 76))
CASE = {
    "name": "Азамат Токтосунов",
    "phones": ["+996700123456"],
    "narrative": 'The employer keeps the passport. Ö €\n\t"quoted" \\ 🙂',
}


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def thumbprint(jwk: Mapping[str, str]) -> str:
    """RFC 7638 §3: the required members, in lexicographic order, without white space."""
    required = {name: jwk[name] for name in ("crv", "kty", "x")}
    return b64url(
        hashlib.sha256(json.dumps(required, sort_keys=True, separators=(",", ":")).encode()).digest()
    )


def key_of(seed: bytes) -> dict[str, str]:
    """Return a private key as a JWK with its kid."""
    public = X25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    jwk = {"kty": "OKP", "crv": "X25519", "x": b64url(public), "d": b64url(seed)}
    return {**jwk, "kid": thumbprint(jwk)}


def sealed(plaintext: bytes, key: Mapping[str, str], **changed: Any) -> str:
    """Return a compact JWE. changed: members of the header, None removes one."""
    ephemeral = X25519PrivateKey.from_private_bytes(EPHEMERAL)
    epk = {"kty": "OKP", "crv": "X25519", "x": b64url(ephemeral.public_key().public_bytes_raw())}
    header = {
        "alg": "ECDH-ES+A256KW",
        "enc": "A256GCM",
        "kid": key["kid"],
        "cty": "application/json",
        "epk": epk,
        **changed,
    }
    protected = b64url(compact({name: value for name, value in header.items() if value is not None}))
    raw = base64.urlsafe_b64decode(key["x"] + "=")
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(raw))
    wrapped = aes_key_wrap(_derived(shared, b"ECDH-ES+A256KW"), CONTENT_KEY)
    both = AESGCM(CONTENT_KEY).encrypt(IV, plaintext, protected.encode())
    return ".".join([protected, *map(b64url, (wrapped, IV, both[:-16], both[-16:]))])


def _derived(shared: bytes, algorithm: bytes) -> bytes:
    """RFC 7518 §4.6.2: one round of the Concat KDF, without apu and apv."""

    def counted(data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + data

    info = counted(algorithm) + counted(b"") + counted(b"") + (256).to_bytes(4, "big")
    return hashlib.sha256((1).to_bytes(4, "big") + shared + info).digest()


def thumbprints() -> dict[str, Any]:
    """Return the file `thumbprints.json`."""
    rfc = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    alice, bob = key_of(ALICE), key_of(BOB)
    public = [{name: key[name] for name in ("kty", "crv", "x")} for key in (alice, bob)]
    return {
        "about": "RFC 7638 thumbprints (SHA-256, base64url without padding). A key's kid is its thumbprint.",
        "vectors": [
            {
                "name": "RFC 8037 appendix A.3",
                "jwk": rfc,
                "thumbprint": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            },
            {"name": "an X25519 key", "jwk": public[0], "thumbprint": alice["kid"]},
            {
                "name": "other members and their order do not matter",
                "jwk": {
                    "use": "enc",
                    "x": public[1]["x"],
                    "kty": "OKP",
                    "alg": "ECDH-ES+A256KW",
                    "crv": "X25519",
                },
                "thumbprint": bob["kid"],
            },
        ],
    }


def sealing() -> dict[str, Any]:
    """Return the file `sealing.json`."""
    alice, bob = key_of(ALICE), key_of(BOB)
    content = compact(CASE)
    good = sealed(content, alice)
    parts = good.split(".")

    def altered(place: int) -> str:
        raw = bytearray(base64.urlsafe_b64decode(parts[place] + "=" * (-len(parts[place]) % 4)))
        raw[0] ^= 1
        return ".".join([*parts[:place], b64url(bytes(raw)), *parts[place + 1 :]])

    deflated = zlib.compress(content)[2:-4]
    refused: list[tuple[str, str, str]] = [
        ("the wrapped key was altered", altered(1), "cannot_decrypt"),
        ("the IV was altered", altered(2), "cannot_decrypt"),
        ("the ciphertext was altered", altered(3), "cannot_decrypt"),
        ("the tag was altered", altered(4), "cannot_decrypt"),
        ("a part is missing", ".".join(parts[:4]), "cannot_decrypt"),
        ("compressed content (zip)", sealed(deflated, alice, zip="DEF"), "cannot_decrypt"),
        (
            "a password algorithm",
            sealed(content, alice, alg="PBES2-HS512+A256KW", p2c=1, p2s="AAAA"),
            "cannot_decrypt",
        ),
        ("another key management", sealed(content, alice, alg="ECDH-ES"), "cannot_decrypt"),
        ("another content encryption", sealed(content, alice, enc="A128GCM"), "cannot_decrypt"),
        ("sealed to another key", sealed(content, bob), "wrong_key"),
        ("no kid", sealed(content, alice, kid=None), "wrong_key"),
        ("the kid of this key, sealed to another", sealed(content, bob, kid=alice["kid"]), "cannot_decrypt"),
        ("content that is no JSON", sealed(b"hello", alice), "not_understood"),
        ("content that is no object", sealed(b"[1]", alice), "not_understood"),
    ]
    return {
        "about": (
            "Compact JWE (RFC 7516), ECDH-ES+A256KW over X25519, A256GCM, no zip. `private_key` opens each "
            "vector of `opened` to `content`. Those of `refused` must not be opened; `reason` is what a "
            "receiver reports (cannot_decrypt, not_understood), or wrong_key: use the key that the header "
            "names. Your own JWE differs each time: open it with another implementation, and compare the "
            "members of the header."
        ),
        "private_key": alice,
        "ephemeral_private_key": b64url(EPHEMERAL),
        "content_encryption_key": b64url(CONTENT_KEY),
        "opened": [
            {"name": "a case", "sealed": good, "content": CASE},
            {
                "name": "a note",
                "sealed": sealed(compact({"text": "Алло"}), alice),
                "content": {"text": "Алло"},
            },
            {"name": "without cty", "sealed": sealed(b"{}", alice, cty=None), "content": {}},
        ],
        "refused": [{"name": name, "sealed": text, "reason": reason} for name, text, reason in refused],
    }
