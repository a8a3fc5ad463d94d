"""A password at the partners' broker, in the form in which RabbitMQ stores it.

Source: RabbitMQ, "Password Hashing", `rabbit_password_hashing_sha256`.
"""

from __future__ import annotations

import base64
import secrets
from hashlib import sha256
from typing import Final

_PASSWORD_BYTES: Final = 32
_SALT_BYTES: Final = 4


def generate_amqp_password() -> tuple[str, str]:
    """Return a new password of 256 random bits, and its hash for the hub."""
    password, salt = secrets.token_urlsafe(_PASSWORD_BYTES), secrets.token_bytes(_SALT_BYTES)
    return password, base64.b64encode(salt + sha256(salt + password.encode()).digest()).decode()
