"""The identity that the command acts as, from a credentials file or the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

from kopuro_client.arguments import encodable
from kopuro_client.client_key import ClientKey
from kopuro_client.commands.input_file import read_json
from kopuro_client.errors import InvalidArgumentError, SealingError
from kopuro_client.records import Jwk
from kopuro_client.sealing import public_key

STAFF: Final = ("coordinator", "auditor", "operator", "second-operator")


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Credentials and sealing keys. organization: its id, if the credentials file named one.

    previous_keys: earlier sealing keys, which open what was sealed to them.
    """

    client_id: str
    client_secret: str = field(repr=False)
    client_key: ClientKey | None = field(default=None, repr=False)
    sealing_key: Jwk | None = field(default=None, repr=False)
    previous_keys: tuple[Jwk, ...] = field(default=(), repr=False)
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
    keys: tuple[Jwk, ...] = ()
    if sealing_key is not None:
        keys = read_sealing_keys(sealing_key)
    elif entry.get("sealing_key") is not None:
        keys = _private_keys(entry["sealing_key"], source=f"{path}, {name}")
    return _identity(entry, keys, organization=None if name in STAFF else name, source=f"{path}, {name}")


def from_environment(environment: Mapping[str, str], sealing_key: Path | None) -> Identity | None:
    """Return the identity of KOPURO_CLIENT_ID and KOPURO_CLIENT_SECRET or KOPURO_CLIENT_KEY; None without.

    KOPURO_CLIENT_KEY: a file with the client's private key (JWK); it is used instead of the secret. Raises
    InvalidArgumentError if one of the two is missing, or is not valid UTF-8.
    """
    client_id, key_file = environment.get("KOPURO_CLIENT_ID"), environment.get("KOPURO_CLIENT_KEY")
    entry = {"client_id": client_id, "client_secret": environment.get("KOPURO_CLIENT_SECRET")}
    if key_file:
        entry["client_secret"] = ""
    if not client_id and not entry["client_secret"] and not key_file:
        return None
    keys = () if sealing_key is None else read_sealing_keys(sealing_key)
    identity = _identity(entry, keys, organization=None, source="the environment")
    return replace(identity, client_key=read_client_key(Path(key_file))) if key_file else identity


def read_client_key(file: Path) -> ClientKey:
    """Return the private key of a client in a JWK file. Raises InvalidArgumentError, which names the file."""
    try:
        return ClientKey.from_jwk(read_json(file))
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{file}: {error}") from None


def read_sealing_keys(file: Path) -> tuple[Jwk, ...]:
    """Return the private sealing keys in a file, a JWK or a JWK set.

    Raises InvalidArgumentError, which names the file.
    """
    return _private_keys(read_json(file), source=str(file))


def _private_keys(document: object, *, source: str) -> tuple[Jwk, ...]:
    if not isinstance(document, dict) or "keys" not in document:
        return (_private_key(document, source=source),)
    listed = document["keys"]
    if not isinstance(listed, list) or not listed:
        raise InvalidArgumentError(f'{source}: "keys" is not a list of keys')
    return tuple(_private_key(key, source=source) for key in listed)


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
    entry: Mapping[str, Any], keys: tuple[Jwk, ...], *, organization: str | None, source: str
) -> Identity:
    client_id, client_secret = entry.get("client_id"), entry.get("client_secret")
    if not isinstance(client_id, str) or not isinstance(client_secret, str):
        raise InvalidArgumentError(f"{source} lacks a client id or a client secret")
    return Identity(
        client_id=encodable(client_id, f"the client id in {source}"),
        client_secret=encodable(client_secret, f"the client secret in {source}"),
        sealing_key=keys[0] if keys else None,
        previous_keys=keys[1:],
        organization=organization,
    )
