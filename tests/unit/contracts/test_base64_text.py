from __future__ import annotations

import ast
from pathlib import Path

import pytest

from contracts import base64_text

ROOT = Path(__file__).parents[3]
# The two modules that define the project's encodings, and HTTP Basic, which clients may pad differently.
ALLOWED = {"contracts/base64_text.py", "contracts/jose.py", "services/directory/client_authentication.py"}


@pytest.mark.parametrize("size", range(9))
def test_base64_round_trip_keeps_the_bytes(size: int) -> None:
    data = bytes(range(255, 255 - size, -1))
    assert base64_text.decoded(base64_text.encoded(data)) == data


@pytest.mark.parametrize("text", ["YQ", "YQ=", "YR==", "YQ==\n", " YQ==", "Y-Q=", "YQ==YQ==", "é"])
def test_noncanonical_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not (canonical )?base64$"):
        base64_text.decoded(text)


def test_server_has_one_base64_implementation() -> None:
    importing = set()
    for package in ("contracts", "runtime", "services", "admin"):
        for path in (ROOT / package).rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            if "base64" not in source and "binascii" not in source:
                continue
            for node in ast.walk(ast.parse(source)):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                if {"base64", "binascii"} & set(names):
                    importing.add(str(path.relative_to(ROOT)))
    assert importing == ALLOWED
