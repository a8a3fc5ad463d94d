"""The identity that the command acts as, from a credentials file or the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from kopuro_client.arguments import encodable
from kopuro_client.commands.input_file import read_json
from kopuro_client.errors import InvalidArgumentError, SealingError
from kopuro_client.records import Jwk
from kopuro_client.sealing import public_key

STAFF: Final = ("coordinator", "auditor", "operator", "second-operator")


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Credentials and sealing key. organization: its id, if the credentials file named one."""

    client_id: str
    client_secret: str = field(repr=False)
    sealing_key: Jwk | None = field(default=None, repr=False)
    organization: str | None = None


ANYBODY: Final = Identity(client_id="", client_secret="")


def from_file(path: Path, name: str, sealing_key: Path | None = None) -> Identity:
    """Return one entry of a credentials file that `kopuro up` wrote.

    The file: {"organizations": {id: {"client_id", "client_secret", "sealing_key": private JWK}},
    "coordinator": {"client_id", "client_secret"}, "auditor": ..., "operator": ...}. name: an
    organisation's id, or one of STAFF. sealing_key: a file with the key to use instead of the entry's.
    Raises InvalidArgumentError if a file has no valid entry or key.
    """
    document = read_json(path)
    organizations = document.get("organizations", {})
    if not isinstance(organizations, dict):
        raise InvalidArgumentError(f'"organizations" in {path} is not a JSON object')
    entry = document.get(name) if name in STAFF else organizations.get(name)
    if not isinstance(entry, dict):
        raise InvalidArgumentError(f"{path} has no credentials for {name}")
    key: Jwk | None = None
    if sealing_key is not None:
        key = read_sealing_key(sealing_key)
    elif entry.get("sealing_key") is not None:
        key = _private_key(entry["sealing_key"], source=f"{path}, {name}")
    return _identity(entry, key, organization=None if name in STAFF else name, source=f"{path}, {name}")


def from_environment(environment: Mapping[str, str], sealing_key: Path | None) -> Identity | None:
    """Return the identity of KOPURO_CLIENT_ID and KOPURO_CLIENT_SECRET; None if neither is set.

    Raises InvalidArgumentError if only one is set, or if one is not valid UTF-8.
    """
    entry = {
        "client_id": environment.get("KOPURO_CLIENT_ID"),
        "client_secret": environment.get("KOPURO_CLIENT_SECRET"),
    }
    if not entry["client_id"] and not entry["client_secret"]:
        return None
    key = None if sealing_key is None else read_sealing_key(sealing_key)
    return _identity(entry, key, organization=None, source="the environment")


def read_sealing_key(file: Path) -> Jwk:
    """Return the private sealing key in a JWK file. Raises InvalidArgumentError, which names the file."""
    return _private_key(read_json(file), source=str(file))


def _private_key(document: object, *, source: str) -> Jwk:
    """Return the key. Checked here, so that a bad file is reported as such and not as a hub's or a case's."""
    try:
        public_key(cast("Jwk", document))
    except SealingError as error:
        raise InvalidArgumentError(f"{source}: {error}") from error
    if "d" not in cast("Jwk", document):
        raise InvalidArgumentError(f"{source}: the sealing key is a public key; the private key is needed")
    return cast("Jwk", document)


def _identity(
    entry: Mapping[str, Any], key: Jwk | None, *, organization: str | None, source: str
) -> Identity:
    client_id, client_secret = entry.get("client_id"), entry.get("client_secret")
    if not isinstance(client_id, str) or not isinstance(client_secret, str):
        raise InvalidArgumentError(f"{source} lacks a client id or a client secret")
    return Identity(
        client_id=encodable(client_id, f"the client id in {source}"),
        client_secret=encodable(client_secret, f"the client secret in {source}"),
        sealing_key=key,
        organization=organization,
    )
