"""The names and rights of an organisation at the partners' broker."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from services.gateway.adapters.partners_topology import (
    DEAD_LETTER_ARGUMENTS,
    MAILBOX_ARGUMENTS,
    SUBMISSIONS_ARGUMENTS,
)
from services.gateway.domain.partner import (
    client_of,
    exchange_of,
    hashed,
    is_hash,
    is_ours,
    queue_of,
    rights_of,
)

OSH = "kg.osh-legal-aid"
# Names that differ from its own by what a regular expression might overlook.
SIMILAR = (
    OSH + "x",
    "x" + OSH,
    OSH.replace(".", "x"),
    OSH.upper(),
    OSH + "\n",
    "",
    f"{OSH}|.*",
    f"{OSH}.{OSH}",
)


def matches(pattern: str, name: str) -> bool:
    # RabbitMQ matches anywhere in the name; Erlang's \z is Python's \Z.
    return re.search(pattern.replace(r"\z", r"\Z"), name) is not None


def test_rights_fit_exactly_the_own_names() -> None:
    rights = rights_of(OSH)
    assert matches(rights.read, queue_of(OSH))
    assert matches(rights.write, exchange_of(OSH))
    for name in SIMILAR:
        assert not matches(rights.write, exchange_of(name)), name
        assert not matches(rights.read, queue_of(name)), name
    for name in (*filter(None, SIMILAR), exchange_of(OSH), queue_of(OSH), "amq.topic", "\n"):
        assert not matches(rights.configure, name), name
    for name in (OSH, queue_of(OSH), "submit", "amq.topic", ""):
        assert not matches(rights.write, name), name


def test_client_of_an_organization_is_not_an_organization() -> None:
    assert client_of(OSH) == f"{OSH}.amqp"


def test_password_is_stored_as_rabbitmq_does() -> None:
    stored = base64.b64decode(hashed("test12", bytes.fromhex("908DC60A")))
    # The example of RabbitMQ's page "Password Hashing", with SHA-256.
    assert stored[:4].hex().upper() == "908DC60A"
    assert stored[4:] == hashlib.sha256(bytes.fromhex("908DC60A") + b"test12").digest()


@pytest.mark.parametrize("text", ["", "x", "a" * 48, base64.b64encode(b"x" * 35).decode(), "кг"])
def test_other_text_is_not_a_password_hash(text: str) -> None:
    accepted = text == "a" * 48  # base64 of 36 bytes: nothing distinguishes it
    assert is_hash(text) == accepted


def test_only_users_with_exactly_the_tag_are_the_gateways() -> None:
    assert is_ours({"tags": ["partner"]})
    assert is_ours({"tags": "partner"})  # RabbitMQ 3.8 writes a string
    for tags in ([], "", ["administrator"], ["partner", "administrator"], "partner,administrator", None):
        assert not is_ours({"tags": tags})
    assert not is_ours({})


def test_requeue_loop_of_a_week_reaches_no_delivery_limit() -> None:
    week = 7 * 24 * 3600
    for arguments in (MAILBOX_ARGUMENTS, SUBMISSIONS_ARGUMENTS, DEAD_LETTER_ARGUMENTS):
        assert arguments["x-delivery-limit"] > 3_000 * week
