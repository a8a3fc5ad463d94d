"""The key files of a new hub: the hub's root key, each service's keys, and the signed manifest."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from admin.keys import public_half, sealing_key, signing_key
from admin.manifest_files import (
    HUB_KEY,
    MANIFEST,
    ROOT,
    SERVICES,
    service_key_name,
    write_first_manifest,
)
from admin.private_files import make_private
from kopuro_client.commands.new_file import write_new
from kopuro_client.errors import InvalidArgumentError
from runtime.private_keys import private_keys

# Other users may traverse the directory (0711) to reach the public files; each private file has mode 0600.
_OTHERS_LIST_OR_WRITE: Final = 0o066


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyFile:
    """One private JWK file. variable: the environment variable that names it to `service`.

    The root key has no variable, because no service may read it.
    """

    service: str
    variable: str | None
    path: Path
    public: Mapping[str, Any]

    @property
    def is_custody(self) -> bool:
        return self.variable == "KOPURO_CUSTODY_KEY"


_KEYS: Final[tuple[tuple[str, str, str | None, Callable[[], dict[str, Any]]], ...]] = (
    (ROOT, "hub", None, signing_key),
    ("custody", "vault", "KOPURO_CUSTODY_KEY", sealing_key),
    ("token", "directory", "KOPURO_TOKEN_SIGNING_KEY", signing_key),
    ("log", "audit", "KOPURO_LOG_SIGNING_KEY", signing_key),
    *((service_key_name(name), name, "KOPURO_SERVICE_KEY", signing_key) for name in SERVICES),
)


def key_files_in(directory: Path) -> tuple[KeyFile, ...]:
    """Return the key files of a hub's services in its directory: the first key of each kind.

    The root key may be elsewhere. Raises InvalidArgumentError if a file is missing or is not a private JWK.
    """
    found = []
    for name, service, variable, _ in _KEYS:
        if name == ROOT:
            continue
        path = directory / f"{name}.json"
        try:
            public = public_half(private_keys(path)[0])
        except (OSError, ValueError):
            raise InvalidArgumentError(f"{path} is missing or is not a private JWK") from None
        found.append(KeyFile(service=service, variable=variable, path=path, public=public))
    return tuple(found)


def keys_in(directory: Path) -> bool:
    """Return whether the directory has every service's keys and the manifest. The root key does not count."""
    names = [*(f"{name}.json" for name, *_ in _KEYS if name != ROOT), HUB_KEY, MANIFEST]
    return all((directory / name).is_file() for name in names)


def write_key_files(directory: Path, hub: str, *, manifest_version: int = 1) -> tuple[KeyFile, ...]:
    """Write the keys of a new hub and its first manifest into `directory` (created with mode 0700).

    hub.json is the root key; custody.json, token.json, log.json and service-<name>.json are the services'
    keys (all 0600); hub.public.json and manifest.jws are for every service (0644). manifest_version: services
    that have used a manifest refuse one with a lower version, also after the root key was replaced.

    Raises InvalidArgumentError, and leaves no new file, if one of them exists, if other users can list or
    change the directory or if a file cannot be written; OSError if the directory cannot be created.
    """
    directory = directory.resolve()
    make_private(directory)
    if stat.S_IMODE(directory.stat().st_mode) & _OTHERS_LIST_OR_WRITE:
        raise InvalidArgumentError(
            f"other users can list or change {directory}: run `chmod 700` on it first, or `chmod 711` if "
            "each service has an account of its own"
        )
    names = [*(f"{name}.json" for name, *_ in _KEYS), HUB_KEY, MANIFEST]
    existing = [name for name in names if os.path.lexists(directory / name)]
    if existing:
        files = ", ".join(existing)
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
        write_first_manifest(directory, hub, version=manifest_version)
    except BaseException:
        for name in (HUB_KEY, MANIFEST):
            (directory / name).unlink(missing_ok=True)
        for key_file in written:
            key_file.path.unlink()
        raise
    return tuple(written)
