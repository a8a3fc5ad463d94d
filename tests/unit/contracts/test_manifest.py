"""The signed manifest of a hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from contracts.manifest import MANIFEST_TYPE, read_manifest
from contracts.records import Malformed
from contracts.signatures import SigningKey
from tests.support.hub_keys import SERVICES, manifest, private_key, public_key

ROOT = public_key("root")


def signed(document: Any, *, by: str = "root", typ: str = MANIFEST_TYPE) -> str:
    return SigningKey(private_key(by), typ).sign(json.dumps(document).encode())


def document() -> Any:
    return json.loads(manifest().payload())


def test_manifest_is_read_as_it_was_signed() -> None:
    read = read_manifest(manifest().signed(private_key("root")) + "\n", ROOT)
    assert (read.hub, read.version) == ("kg", 1)
    assert {name: (one.user, one.keys[0].kid) for name, one in read.services.items()} == {
        name: (f"kg.{name}", public_key(name).kid) for name in SERVICES
    }
    assert read.payload() == manifest().payload()


def test_manifest_by_another_key_or_of_another_type_is_refused() -> None:
    for text in (
        signed(document(), by="intake"),
        signed(document(), typ="kopuro-statement+jws"),
        "",
        "a.b.c",
    ):
        with pytest.raises(Malformed, match="not signed by the hub's root key"):
            read_manifest(text, ROOT)


def _change(path: str, value: Any) -> Callable[[Any], None]:
    def change(made: Any) -> None:
        *parents, last = path.split("/")
        for parent in parents:
            made = made[int(parent) if isinstance(made, list) else parent]
        made[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _change("hub", "KG"),
        _change("hub", None),
        _change("version", 0),
        _change("version", True),
        _change("version", "1"),
        _change("services", []),
        _change("services/intake/keys", []),
        _change("services/intake/keys", [public_key(f"intake {n}").jwk() for n in range(5)]),
        _change("services/intake/keys", [public_key("vault").jwk()]),
        _change("services/intake/keys", [private_key("intake")]),
        _change("services/intake/user", ""),
        _change("services/intake", {"user": "intake"}),
        _change("services", {"intake": document()["services"]["intake"]}),
    ],
)
def test_signed_manifest_of_another_shape_is_refused(change: Callable[[Any], None]) -> None:
    made = document()
    change(made)
    with pytest.raises(Malformed, match="does not have the expected form"):
        read_manifest(signed(made), ROOT)
