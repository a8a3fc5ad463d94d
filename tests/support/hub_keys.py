"""The keys and the manifest of a test hub, and messages signed as its services sign them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admin.manifest_files import SERVICES as SERVICES
from contracts.broker_rights import user_name
from contracts.envelope import Envelope, Event
from contracts.facts import Fact
from contracts.jose import encoded, thumbprint
from contracts.manifest import Manifest, ServiceIdentity
from contracts.signatures import SigningKey, VerificationKey
from contracts.topology import owners_of
from runtime.messaging.authors import authors_in
from runtime.messaging.headers import SIGNED
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.outbox.outbox import outgoing
from runtime.messaging.outbox.wave_signer import WaveSigner
from runtime.messaging.ports import Delivery, Outgoing
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.signatures.identity import HubIdentity
from runtime.messaging.signatures.requests import Peers
from runtime.messaging.signatures.statement import STATEMENT_TYPE
from runtime.messaging.signatures.verifier import FactVerifier

HUB = "kg"


@cache
def private_key(name: str) -> dict[str, Any]:
    """Return the private Ed25519 JWK of that name: the same in every process."""
    key = Ed25519PrivateKey.from_private_bytes(sha256(f"test key of {name}".encode()).digest())
    x = encoded(key.public_key().public_bytes_raw())
    d = encoded(key.private_bytes_raw())
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "d": d, "kid": thumbprint(x, "Ed25519")}


def public_key(name: str) -> VerificationKey:
    """Return the public half of the private key of that name."""
    return VerificationKey({member: value for member, value in private_key(name).items() if member != "d"})


@cache
def manifest(hub: str = HUB, services: tuple[str, ...] = SERVICES, user: str | None = None) -> Manifest:
    """Return a manifest that lists one key for each service. user: shared by all; None: one for each."""
    return Manifest(
        hub=hub,
        version=1,
        services={
            name: ServiceIdentity(keys=(public_key(name),), user=user or user_name(hub, name))
            for name in services
        },
    )


def signer(service: str) -> WaveSigner:
    """Return the signer of a service's relay."""
    return WaveSigner(SigningKey(private_key(service), STATEMENT_TYPE))


def verifier() -> FactVerifier:
    """Return the verifier of every consumer."""
    return FactVerifier(manifest())


def identity(
    service: str, *, hub: str = HUB, owners: Callable[[str], Collection[str]] = owners_of
) -> HubIdentity:
    """Return the identity of a service, for its messenger; also of one that no hub has, with its owners."""
    services = tuple(sorted({*SERVICES, service}))
    key = SigningKey(private_key(service), STATEMENT_TYPE)
    return HubIdentity(service=service, key=key, manifest=manifest(hub, services), owners=owners)


def peers(service: str, *believed: str, user: str | None = None) -> Peers:
    """Return how a service proves its requests or replies, and whose it accepts.

    user: the broker user that all services share; None: each has its own.
    """
    listed = manifest(HUB, tuple(sorted({*SERVICES, service, *believed})), user)
    return Peers(
        sign=signer(service).sign,
        author_of=FactVerifier(listed).author_of,
        services=believed,
        users=authors_in(listed).users_of(believed),
    )


def source_of(fact: type[Fact] | Fact, hub: str = HUB) -> str:
    """Return the CloudEvents source of a fact: one of its owners."""
    return f"/{hub}/{min(owners_of(fact.routing_key))}"


def signed(message: Outgoing, by: str | None = None) -> Outgoing:
    """Return the message signed by a service, as its relay sends it. by: None for the one in its source."""
    author = by or Envelope.decode(decode_batch(message.body)[0]).source.rpartition("/")[2]
    (proven,) = signer(author).sign([message])
    return proven


def signed_event(event: Event[Fact]) -> Outgoing:
    """Return the signed message of an event."""
    return signed(outgoing(event))


def all_signed(messages: Iterable[Outgoing]) -> list[Outgoing]:
    """Return the messages, each with a statement of its own."""
    return [signed(message) for message in messages]


def proof_of(event: Event[Fact]) -> dict[str, str]:
    """Return the headers that prove who wrote the event."""
    return signed_body(event.encode(), event.source.rpartition("/")[2])


def signed_body(body: bytes, author: str) -> dict[str, str]:
    """Return the headers of a message with this body that the author signed."""
    message = Outgoing(exchange="", routing_key="", message_id="", partition_key="", body=body)
    (proven,) = signer(author).sign([message])
    return {SIGNED: proven.headers[SIGNED]}


def signed_deliveries(deliveries: Sequence[Delivery], author: str) -> list[Delivery]:
    """Return the deliveries as received from the author."""
    return [replace(one, headers={**one.headers, **signed_body(one.body, author)}) for one in deliveries]


def service_environment(
    directory: Path, service: str, *, hub: str = HUB, amqp_uri: str | None = None
) -> dict[str, str]:
    """Write a service's key, the manifest and the hub's key into the directory; return the variables.

    amqp_uri: the services share its user; None: each has its own.
    """
    user = None if amqp_uri is None else RabbitBroker(amqp_uri).user
    files = {
        "KOPURO_SERVICE_KEY": (f"service-{service}.json", json.dumps(private_key(service))),
        "KOPURO_MANIFEST": ("manifest.jws", manifest(hub, user=user).signed(private_key("root"))),
        "KOPURO_HUB_KEY": ("hub.public.json", json.dumps(public_key("root").jwk())),
    }
    for name, text in files.values():
        (directory / name).write_text(text, encoding="ascii")
    return {variable: str(directory / name) for variable, (name, _) in files.items()}
