"""The private key files of a new hub, one for each service that needs a key."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from admin.keys import public_half, sealing_key, signing_key
from admin.private_files import make_private
from kopuro_client.commands.new_file import write_new
from kopuro_client.errors import InvalidArgumentError


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyFile:
    """One private JWK file. variable: the environment variable that names it to `service`."""

    service: str
    variable: str
    path: Path
    public: Mapping[str, Any]


_KEYS: Final[tuple[tuple[str, str, str, Callable[[], dict[str, Any]]], ...]] = (
    ("custody", "vault", "KOPURO_CUSTODY_KEY", sealing_key),
    ("token", "directory", "KOPURO_TOKEN_SIGNING_KEY", signing_key),
    ("log", "audit", "KOPURO_LOG_SIGNING_KEY", signing_key),
)


def write_key_files(directory: Path) -> tuple[KeyFile, ...]:
    """Write custody.json, token.json and log.json (mode 0600) into `directory` (created with mode 0700).

    Raises InvalidArgumentError, and leaves no new file, if one of them exists, if other users can access the
    directory or if a file cannot be written; OSError if the directory cannot be created.
    """
    directory = directory.resolve()
    make_private(directory)
    if stat.S_IMODE(directory.stat().st_mode) & 0o077:
        raise InvalidArgumentError(f"other users can access {directory}: run `chmod 700` on it first")
    existing = [name for name, *_ in _KEYS if os.path.lexists(directory / f"{name}.json")]
    if existing:
        files = ", ".join(f"{name}.json" for name in existing)
        raise InvalidArgumentError(
            f"{directory} already contains {files}; existing keys are never overwritten"
        )
    written: list[KeyFile] = []
    try:
        for name, service, variable, generate in _KEYS:
            key = generate()
            path = directory / f"{name}.json"
            write_new(path, (json.dumps(key) + "\n").encode())
            written.append(KeyFile(service=service, variable=variable, path=path, public=public_half(key)))
    except BaseException:
        for key_file in written:
            key_file.path.unlink()
        raise
    return tuple(written)
