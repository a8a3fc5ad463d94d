"""Forged cursors: valid check digits, with positions that no page returned."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import blake2b

_NUMBERS = ("-1", str(2**53), str(2**63 - 1), str(2**63), str(2**64 - 1), str(10**30), "1e400", "1.5")
_TEXTS = ('""', '"\\u0000"', '"kg.a\\u0000"', '"\\\\"', '"\' OR 1=1"', '"' + "x" * 2000 + '"', '"\\ud800"')
_OTHERS = ("null", "true", "[]", "{}", "NaN")
_GOOD = ("0", '"01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a01"', '"kg.osh"')


def made_cursors(scope: str) -> list[str]:
    """Return forged cursors of a list: one to three parts, at least one of them hostile."""
    hostile = (*_NUMBERS, *_TEXTS, *_OTHERS)
    payloads = [f"[{value}]" for value in hostile]
    for value in hostile:
        payloads.append(f"[{value},{value}]")
        payloads.append(f"[{value},{value},{value}]")
        payloads += [f"[{good},{value}]" for good in _GOOD]
        payloads += [f"[{value},{good}]" for good in _GOOD]
    return [_cursor(scope, payload.encode()) for payload in (*payloads, "[]", "5", "{}", "", "[" * 5000)]


def _cursor(scope: str, payload: bytes) -> str:
    name = scope.encode()
    person = name if len(name) <= 16 else blake2b(name, digest_size=16).digest()
    check = blake2b(payload, digest_size=6, person=person).digest()
    return urlsafe_b64encode(check + payload).rstrip(b"=").decode()
