"""The machine's certificates: hidden from the tests, and shown to the programs with which tests download."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from tests.support.certificates import PrivateCa

_VARIABLES: Final = ("SSL_CERT_DIR", "SSL_CERT_FILE")
# Inherited by the workers of a run: the variables' values before, as a JSON object.
_BEFORE: Final = "TESTS_CERTIFICATES_BEFORE"


def hide(directory: Path) -> None:
    """Trust one authority that signs nothing, in this process and those that it starts."""
    if _BEFORE in os.environ:
        return
    before = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    authority = PrivateCa(directory).file
    os.environ |= {
        _BEFORE: json.dumps(before),
        "SSL_CERT_DIR": str(directory / "none"),
        "SSL_CERT_FILE": str(authority),
    }


def environment() -> dict[str, str]:
    """Return the environment of this process with the machine's certificates, for pip, npm and apt-get."""
    own = {name: value for name, value in os.environ.items() if name not in (*_VARIABLES, _BEFORE)}
    before: dict[str, str] = json.loads(os.environ.get(_BEFORE, "{}"))
    return {**own, **before}
