"""The identity that the command acts as, from a credentials file or the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from kopuro_client.commands.input_file import read_json
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.records import Jwk

STAFF: Final = ("coordinator", "auditor", "operator", "second-operator")


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Credentials and sealing key. organization: its id, if the credentials file named one."""

    client_id: str
    client_secret: str = field(repr=False)
    sealing_key: Jwk | None = field(default=None, repr=False)
    organization: str | None = None


ANYBODY: Final = Identity(client_id="", client_secret="")


def from_file(path: Path, name: str) -> Identity:
    """Return one entry of a credentials file that `kopuro up` wrote.

    The file: {"organizations": {id: {"client_id", "client_secret", "sealing_key": private JWK}},
    "coordinator": {"client_id", "client_secret"}, "auditor": ..., "operator": ...}. name: an
    organisation's id, or one of STAFF. Raises InvalidArgumentError if the file has no valid entry of that
    name.
    """
    document = read_json(path)
    organizations = document.get("organizations", {})
    if not isinstance(organizations, dict):
        raise InvalidArgumentError(f'"organizations" in {path} is not a JSON object')
    entry = document.get(name) if name in STAFF else organizations.get(name)
    if not isinstance(entry, dict):
        raise InvalidArgumentError(f"{path} has no credentials for {name}")
    return _identity(entry, organization=None if name in STAFF else name, source=str(path))


def from_environment(environment: Mapping[str, str], sealing_key: Path | None) -> Identity | None:
    """Return the identity of KOPURO_CLIENT_ID and KOPURO_CLIENT_SECRET; None if neither is set.

    Raises InvalidArgumentError if only one is set.
    """
    entry = {
        "client_id": environment.get("KOPURO_CLIENT_ID"),
        "client_secret": environment.get("KOPURO_CLIENT_SECRET"),
        "sealing_key": None if sealing_key is None else read_json(sealing_key),
    }
    if not entry["client_id"] and not entry["client_secret"]:
        return None
    return _identity(entry, organization=None, source="the environment")


def _identity(entry: Mapping[str, Any], *, organization: str | None, source: str) -> Identity:
    client_id, client_secret = entry.get("client_id"), entry.get("client_secret")
    if not isinstance(client_id, str) or not isinstance(client_secret, str):
        raise InvalidArgumentError(f"{source} lacks a client id or a client secret")
    return Identity(
        client_id=client_id,
        client_secret=client_secret,
        sealing_key=cast("Jwk | None", entry.get("sealing_key")),
        organization=organization,
    )
