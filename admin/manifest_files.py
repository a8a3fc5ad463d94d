"""The manifest of a hub and the root key that signs it, as files in one directory.

hub.json            the root key (private; only these functions read it)
hub.public.json     its public half, for every service (KOPURO_HUB_KEY)
manifest.jws        the signed manifest, for every service (KOPURO_MANIFEST)
manifest-<n>.jws    its version n, kept when it was replaced: it verifies evidence of its time
service-<name>.json the private signing keys of the services
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from admin.keys import public_half, signing_key
from admin.private_files import write_public
from contracts.broker_rights import user_name
from contracts.manifest import MOST_KEYS, Manifest, ServiceIdentity, read_manifest
from contracts.records import Malformed
from contracts.signatures import UnusableSigningKey, VerificationKey
from contracts.topology import OWNERS
from kopuro_client.commands.new_file import write_new
from kopuro_client.errors import InvalidArgumentError

SERVICES: Final = tuple(sorted({service for owners in OWNERS.values() for service in owners}))
ROOT: Final = "hub"  # the name of the root key's file, without .json
HUB_KEY: Final = "hub.public.json"
MANIFEST: Final = "manifest.jws"


def service_key_name(service: str) -> str:
    """Return the name of the file with a service's first signing key, without .json."""
    return f"service-{service}"


def write_first_manifest(directory: Path, hub: str, *, version: int = 1) -> Manifest:
    """Write hub.public.json and manifest.jws from the private keys in the directory; return the manifest."""
    services = {
        name: ServiceIdentity(
            keys=(VerificationKey(public_half(_jwk(directory / f"{service_key_name(name)}.json"))),),
            user=user_name(hub, name),
        )
        for name in SERVICES
    }
    manifest = Manifest(hub=hub, version=version, services=services)
    root = _jwk(directory / f"{ROOT}.json")
    write_public(directory / HUB_KEY, json.dumps(public_half(root)) + "\n")
    _write(directory, manifest)
    return manifest


def manifest_in(directory: Path) -> Manifest:
    """Return the verified manifest in the directory. Raises InvalidArgumentError."""
    return manifest_of(directory / HUB_KEY, directory / MANIFEST)


def manifest_of(hub_key: Path, manifest: Path) -> Manifest:
    """Return the manifest in a file, verified with the hub's key in another. Raises InvalidArgumentError."""
    try:
        root = VerificationKey(_jwk(hub_key))
        return read_manifest(manifest.read_text(encoding="utf-8"), root)
    except FileNotFoundError as error:
        raise InvalidArgumentError(
            f"there is no {error.filename}: name the directory that `kopuro admin init` has filled; of a hub "
            "that `kopuro up` started it is `keys` in its data directory"
        ) from None
    except (OSError, ValueError, UnusableSigningKey, Malformed) as error:
        reason = error if isinstance(error, Malformed) else type(error).__name__
        raise InvalidArgumentError(f"{manifest} cannot be used: {reason}") from None


def current_key_file(directory: Path, service: str) -> Path:
    """Return the file with the key that the service signs with: the first that the manifest lists for it.

    Without that file, the next listed key whose file is here counts. Raises InvalidArgumentError.
    """
    name = service_key_name(service)
    files = [directory / f"{name}.json", *sorted(directory.glob(f"{name}-*.json"))]
    kids = {kid: file for file in files if (kid := _kid_in(file)) is not None}
    for key in _identity(manifest_in(directory), service).keys:
        if key.kid in kids:
            return kids[key.kid]
    raise InvalidArgumentError(f"{directory} has no file with a key that the manifest lists for {service}")


def add_key(directory: Path, service: str) -> tuple[Manifest, Path]:
    """Make another signing key for the service and list it first; return the new manifest and the key's file.

    Raises InvalidArgumentError.
    """
    manifest = manifest_in(directory)
    identity = _identity(manifest, service)
    # Before the key's file is written: it would be in the way of the next attempt.
    if len(identity.keys) >= MOST_KEYS:
        raise InvalidArgumentError(f"{service} has {MOST_KEYS} keys already: remove one that is out of use")
    path = directory / f"{service_key_name(service)}-{manifest.version + 1}.json"
    # The file exists after an attempt that was interrupted before the manifest was written.
    if not path.exists():
        write_new(path, (json.dumps(signing_key()) + "\n").encode())
    key = VerificationKey(public_half(_jwk(path)))
    changed = replace(identity, keys=(key, *identity.keys))
    return _next(directory, manifest, {service: changed}), path


def list_key(directory: Path, service: str, file: Path) -> Manifest:
    """List the key in a file last, after those that are in use; return the new manifest.

    Messages that a key signed which was removed too early are accepted again once it is listed. Raises
    InvalidArgumentError.
    """
    manifest = manifest_in(directory)
    identity = _identity(manifest, service)
    if _kid_in(file) is None or "d" not in _jwk(file):
        raise InvalidArgumentError(f"{file} does not contain the private signing key of a service")
    key = VerificationKey(public_half(_jwk(file)))
    # The hub's other signing keys are of the same type: with the log's key, audit could sign as this service.
    for other in sorted(directory.glob("*.json")):
        if not other.name.startswith(service_key_name("")) and _kid_in(other) == key.kid:
            raise InvalidArgumentError(
                f"{file} contains the key of {other}, which is not a service's signing key"
            )
    kids = {one.kid: name for name, held in manifest.services.items() for one in held.keys}
    holder = kids.get(key.kid)
    if holder is not None:
        raise InvalidArgumentError(f"the manifest lists the key {key.kid} already, for {holder}")
    if len(identity.keys) >= MOST_KEYS:
        raise InvalidArgumentError(f"{service} has {MOST_KEYS} keys already: remove one that is out of use")
    return _next(directory, manifest, {service: replace(identity, keys=(*identity.keys, key))})


def remove_key(directory: Path, service: str, kid: str) -> Manifest:
    """Remove a key from the manifest; return the new one. Raises InvalidArgumentError."""
    manifest = manifest_in(directory)
    identity = _identity(manifest, service)
    left = tuple(key for key in identity.keys if key.kid != kid)
    if len(left) == len(identity.keys):
        listed = ", ".join(key.kid for key in identity.keys)
        raise InvalidArgumentError(f"the manifest lists no key {kid} for {service}; its keys are {listed}")
    if not left:
        raise InvalidArgumentError(f"{kid} is the only key of {service}: add another one first")
    return _next(directory, manifest, {service: replace(identity, keys=left)})


def set_users(directory: Path, users: Mapping[str, str]) -> Manifest:
    """Set the broker users of services; return the manifest, the old one if it fits.

    Raises InvalidArgumentError.
    """
    manifest = manifest_in(directory)
    changed = {
        name: replace(_identity(manifest, name), user=user)
        for name, user in users.items()
        if _identity(manifest, name).user != user
    }
    return _next(directory, manifest, changed) if changed else manifest


def _next(directory: Path, manifest: Manifest, changed: Mapping[str, ServiceIdentity]) -> Manifest:
    newer = replace(manifest, version=manifest.version + 1, services={**manifest.services, **changed})
    # A removed key is in no later version, and what it signed is evidence.
    kept = directory / f"{Path(MANIFEST).stem}-{manifest.version}.jws"
    write_public(kept, (directory / MANIFEST).read_text(encoding="utf-8"))
    _write(directory, newer)
    return newer


def _write(directory: Path, manifest: Manifest) -> None:
    try:
        signed = manifest.signed(_jwk(directory / f"{ROOT}.json"))
        # The root key may belong to another hub: a service would refuse the manifest.
        read_manifest(signed, VerificationKey(_jwk(directory / HUB_KEY)))
    except (OSError, ValueError, UnusableSigningKey, Malformed):
        raise InvalidArgumentError(
            f"{directory / ROOT}.json is missing or is not the private half of {HUB_KEY}"
        ) from None
    write_public(directory / MANIFEST, signed + "\n")


def _identity(manifest: Manifest, service: str) -> ServiceIdentity:
    if service not in manifest.services:
        raise InvalidArgumentError(
            f"there is no service {service!r}; the services are {', '.join(sorted(manifest.services))}"
        )
    return manifest.services[service]


def _jwk(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _kid_in(file: Path) -> str | None:
    try:
        return VerificationKey(public_half(_jwk(file))).kid
    except (OSError, ValueError, LookupError, TypeError, UnusableSigningKey):
        return None
