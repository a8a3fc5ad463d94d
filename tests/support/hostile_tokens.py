"""Tokens, JWEs and key sets that are made to cost time or memory."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

from admin.keys import public_half, sealing_key, signing_key
from contracts.jose import LONGEST_SEALED, encoded

# The keys of the hub that is attacked.
CUSTODY, SIGNING = sealing_key(), signing_key()
_FILL: Final = 700_000  # bytes that are a megabyte in base64


def _compact(header: Mapping[str, Any] | bytes, *parts: bytes) -> str:
    encoded_header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return ".".join(map(encoded, (encoded_header, *parts)))


def _jwe(ciphertext: bytes = b"c" * 64, **header: Any) -> str:
    full = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": CUSTODY["kid"], **header}
    return _compact(full, b"w" * 40, b"i" * 12, ciphertext, b"t" * 16)


def _epk(x: bytes) -> dict[str, str]:
    return {"kty": "OKP", "crv": "X25519", "x": encoded(x)}


def _deep(opening: bytes, closing: bytes, levels: int = 100_000) -> bytes:
    return b'{"alg":"EdDSA","x":' + opening * levels + b"1" + closing * levels + b"}"


HEADERS: Final[Mapping[str, bytes]] = {
    "nested lists": _deep(b"[", b"]"),
    "nested objects": _deep(b'{"a":', b"}"),
    "lists that do not end": b"[" * 500_000,
    "a number of many digits": b'{"alg":' + b"9" * 500_000 + b"}",
    "a number of a large exponent": b'{"exp":1e999999999}',
    "many members": b"{" + b",".join(b'"m%d":1' % n for n in range(50_000)) + b"}",
    "one member many times": b"{" + b",".join([b'"alg":1'] * 80_000) + b"}",
    "many values": b'{"alg":[' + b",".join([b"0"] * 300_000) + b"]}",
    "escapes": b'{"alg":"' + b"\\u0000" * 100_000 + b'"}',
}
JWES: Final[Mapping[str, str]] = {
    "compressed": _jwe(zlib.compress(b"0" * 50_000_000, 9), zip="DEF"),
    "PBES2": _jwe(alg="PBES2-HS512+A256KW", p2c=2**31 - 1, p2s=encoded(b"salt" * 4)),
    "RSA": _jwe(alg="RSA-OAEP-256"),
    "direct": _jwe(alg="dir"),
    "critical": _jwe(crit=["exp"], exp=1),
    "another content encryption": _jwe(enc="A128CBC-HS256"),
    "a key in the header": _jwe(jwk={"kty": "oct", "k": encoded(b"k" * 32)}),
    "a key elsewhere": _jwe(jku="http://127.0.0.1:1/keys"),
    "no ephemeral key": _jwe(),
    "a point of small order": _jwe(epk=_epk(b"\0" * 32)),
    "an ephemeral key of a megabyte": _jwe(epk=_epk(b"x" * _FILL)),
    "a party of a megabyte": _jwe(epk=_epk(b"x" * 32), apu=encoded(b"a" * _FILL)),
    "a ciphertext of a megabyte": _jwe(b"c" * _FILL, epk=_epk(b"x" * 32)),
    "no parts": "A" * LONGEST_SEALED,
    "many parts": "." * LONGEST_SEALED,
    "padding": "=" * LONGEST_SEALED,
    "no base64": "\N{CYRILLIC SMALL LETTER A}" * (LONGEST_SEALED // 2),
    **{name: _compact(header, b"w" * 40, b"i" * 12, b"c", b"t" * 16) for name, header in HEADERS.items()},
}
TOKENS: Final[Mapping[str, str]] = {
    **JWES,
    **{f"{name}, signed": _compact(header, b"{}", b"s" * 64) for name, header in HEADERS.items()},
    **{
        f"{name}, in the payload": _compact({"alg": "EdDSA", "kid": "k"}, header, b"s" * 64)
        for name, header in HEADERS.items()
    },
    "unsigned": _compact({"alg": "none"}, b'{"sub":"a"}', b""),
    "signed with the public key": _compact({"alg": "HS256", "kid": "k"}, b'{"sub":"a"}', b"s" * 32),
    "short and nested": _compact(b"[" * 2_900, b"{}", b"s" * 64),
    "a nested payload that is short": _compact({"alg": "EdDSA", "kid": "k"}, b"[" * 2_800, b"s" * 64),
    "short, with a number of many digits": _compact(b'{"kid":' + b"9" * 2_800 + b"}", b"{}", b"s" * 64),
}
KEYS: Final[Mapping[str, Any]] = {
    "RSA": {"kty": "RSA", "n": encoded(b"\xff" * _FILL), "e": encoded(b"\xff" * 4096), "kid": "a"},
    "symmetric": {"kty": "oct", "k": encoded(b"k" * 32), "kid": "a"},
    "a coordinate of a megabyte": {**public_half(SIGNING), "x": encoded(b"x" * _FILL)},
    "a point of no curve": {"kty": "EC", "crv": "P-384", "x": "A" * 64, "y": "A" * 64, "kid": "a"},
    "a point of small order": {**public_half(SIGNING), "x": encoded(b"\x01" + bytes(31))},
    "a private key": SIGNING,
    "a chain of certificates": {**public_half(SIGNING), "x5c": [b64encode(b"c" * _FILL).decode()]},
    "nested": {**public_half(SIGNING), "alg": json.loads("[" * 500 + "]" * 500)},
    "a distant end": {**public_half(SIGNING), "exp": 10**400},
}
