"""The roles and databases of a hub on PostgreSQL, as a script for `psql`.

The script contains SCRAM verifiers instead of passwords, so neither it nor the server's log shows one.
Source: RFC 5802 and RFC 7677; PostgreSQL, "pg_authid", the form of a verifier.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Final

from contracts import base64_text

_ITERATIONS: Final = 4096  # PostgreSQL's default; the passwords are random, so more would protect nothing
_SALT_BYTES: Final = 16


def scram_verifier(password: str) -> str:
    """Return the verifier of an ASCII password, to be used in `PASSWORD '...'`."""
    salt = secrets.token_bytes(_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored, server = map(base64_text.encoded, (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${_ITERATIONS}:{salt_text}${stored}:{server}"


def script(passwords: Mapping[str, str]) -> str:
    """Return statements that create a role and a database for each name, owned by that role.

    passwords: by name, which is both the role's and the database's. `CREATE` fails where one exists, and psql
    continues; a second run changes nothing except the passwords' verifiers.
    """
    lines = ['-- psql -f this file, as a superuser. "already exists" on a repeated run is harmless.\n']
    for name, password in passwords.items():
        quoted = '"' + name.replace('"', '""') + '"'
        lines += [
            f"CREATE ROLE {quoted} LOGIN;\n",
            f"ALTER ROLE {quoted} PASSWORD '{scram_verifier(password)}';\n",
            f"CREATE DATABASE {quoted} OWNER {quoted} ENCODING 'UTF8' TEMPLATE template0;\n",
            f"REVOKE ALL ON DATABASE {quoted} FROM PUBLIC;\n",
        ]
    return "".join(lines)
