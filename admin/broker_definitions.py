"""The definitions of a hub's broker: exchanges, queues, bindings, and a user with rights for each service.

Source: RabbitMQ, "Schema Definition Export and Import"; "Password Hashing" (salted SHA-256).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from admin.private_files import make_private, write_private
from contracts import base64_text
from contracts.broker_rights import GATEWAY, PARTNERS_VHOST, USERS, WATCH, Rights, rights_of, user_name
from contracts.topology import hub_topology
from kopuro_client.errors import InvalidArgumentError

EVERYTHING = Rights(configure=".*", write=".*", read=".*")
_SALT_BYTES = 4
_DEFINITIONS = "definitions.json"


def new_password() -> str:
    """Return a random password of 192 bits."""
    return secrets.token_urlsafe(24)


def definitions(
    *,
    vhost: str,
    hub: str,
    passwords: Mapping[str, str],
    administrators: Mapping[str, str] | None = None,
    partners: bool = False,
) -> dict[str, Any]:
    """Return the definitions of a hub's broker, to be written as JSON. They contain password hashes.

    passwords: of each of `broker_rights.USERS`, of GATEWAY with partners, and of WATCH where the broker has
    that user. administrators: further users with every right, with their passwords. partners: whether the
    partners' virtual host is on this broker, with the gateway's user, which makes the partners' users and
    therefore is an administrator.
    """
    rights = {user_name(hub, user): rights_of(user) for user in USERS}
    secrets_of = {user_name(hub, user): passwords[user] for user in USERS}
    tags = dict.fromkeys(rights, "")
    if WATCH in passwords:
        watch = user_name(hub, WATCH)
        rights[watch], secrets_of[watch], tags[watch] = Rights(), passwords[WATCH], "management"
    for name, password in (administrators or {}).items():
        rights[name], secrets_of[name], tags[name] = EVERYTHING, password, "administrator"
    permissions = [(name, vhost, granted) for name, granted in rights.items()]
    if partners:
        gateway = user_name(hub, GATEWAY)
        secrets_of[gateway], tags[gateway] = passwords[GATEWAY], "administrator"
        permissions.append((gateway, PARTNERS_VHOST, EVERYTHING))
    topology = hub_topology()
    return {
        "vhosts": [{"name": name} for name in (vhost, *([PARTNERS_VHOST] if partners else []))],
        "users": [
            {
                "name": name,
                "password_hash": password_hash(password),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": tags[name],
            }
            for name, password in secrets_of.items()
        ],
        "permissions": [
            {
                "user": name,
                "vhost": place,
                "configure": granted.configure,
                "write": granted.write,
                "read": granted.read,
            }
            for name, place, granted in permissions
        ],
        "exchanges": [
            {
                "name": exchange.name,
                "vhost": vhost,
                "type": exchange.kind,
                "durable": True,
                "auto_delete": False,
                "internal": False,
                "arguments": dict(exchange.arguments),
            }
            for exchange in topology.exchanges
        ],
        "queues": [
            {
                "name": queue.name,
                "vhost": vhost,
                "durable": True,
                "auto_delete": False,
                "arguments": dict(queue.arguments),
            }
            for queue in topology.queues
        ],
        "bindings": [
            {
                "source": binding.source,
                "vhost": vhost,
                "destination": binding.destination,
                "destination_type": "exchange" if binding.to_exchange else "queue",
                "routing_key": binding.key,
                "arguments": dict(binding.arguments),
            }
            for binding in topology.bindings
        ],
    }


def write_definitions(directory: Path, *, hub: str, vhost: str, partners: bool = False) -> dict[str, Path]:
    """Write definitions.json and one password file for each user (mode 0600); return the password files.

    The directory is created with mode 0700. Existing passwords stay, so that the command can be repeated
    after an upgrade. partners: see `definitions`. Raises InvalidArgumentError if other users
    can access the directory, OSError.
    """
    directory = directory.resolve()
    make_private(directory)
    if stat.S_IMODE(directory.stat().st_mode) & 0o077:
        raise InvalidArgumentError(f"other users can access {directory}: run `chmod 700` on it first")
    users = (*USERS, WATCH, GATEWAY) if partners else (*USERS, WATCH)
    files = {user: directory / f"{user_name(hub, user)}.password" for user in users}
    for path in files.values():
        if not os.path.lexists(path):
            write_private(path, new_password())
    passwords = {user: path.read_text(encoding="utf-8").strip() for user, path in files.items()}
    document = definitions(vhost=vhost, hub=hub, passwords=passwords, partners=partners)
    write_private(directory / _DEFINITIONS, json.dumps(document, indent=1) + "\n")
    return files


def password_hash(password: str) -> str:
    """Return a password as RabbitMQ stores it, with a random salt."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return base64_text.encoded(salt + hashlib.sha256(salt + password.encode()).digest())
