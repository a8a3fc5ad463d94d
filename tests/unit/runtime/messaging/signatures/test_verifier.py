"""Verification of an event's signer, and of that service's right to publish it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from itertools import islice

import pytest

from contracts.envelope import Envelope, Event
from contracts.facts import Fact, OfferAccepted, ReplicaRequested, SubmissionRefused, TokenKeyChanged
from contracts.manifest import ServiceIdentity
from contracts.signatures import SigningKey
from contracts.topology import OWNERS
from runtime.messaging.dead_letters.dead_letter import REASON
from runtime.messaging.headers import SIGNED
from runtime.messaging.outbox.event_batch import decode_batch, encode_batch
from runtime.messaging.outbox.outbox import outgoing
from runtime.messaging.outbox.wave_signer import WaveSigner
from runtime.messaging.ports import Outgoing
from runtime.messaging.signatures.statement import LONGEST_PROOF, MOST_EVENTS, STATEMENT_TYPE
from runtime.messaging.signatures.verifier import FactVerifier, NotAuthentic
from tests.support.hub_keys import SERVICES, manifest, private_key, public_key, signer, source_of, verifier

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
ACCEPTED = OfferAccepted(referral_id="r", offer_id="o", organization="kg.a", sender="kg.b")


def event(fact: Fact = ACCEPTED, *, source: str | None = None, id_: str = "e") -> Event[Fact]:
    return Event(
        id=id_,
        source=source or source_of(fact),
        time=NOW,
        partition_key="p",
        correlation_id="c",
        causation_id=None,
        data=fact,
    )


def message(body: bytes) -> Outgoing:
    return Outgoing(exchange="", routing_key="q", message_id="m", partition_key="p", body=body)


def proof(body: bytes, author: str) -> str:
    return signer(author).sign([message(body)])[0].headers[SIGNED]


def check_of(body: bytes, proof: str | None) -> str | None:
    """Return the name of the check that fails, None for an authentic event."""
    checked = verifier()
    try:
        checked.check(checked.author_of(body, proof), Envelope.decode(body))
    except NotAuthentic as error:
        return error.check
    return None


def test_event_signed_by_its_owner_is_authentic() -> None:
    for fact in (ACCEPTED, ReplicaRequested(queue="vault.directory")):
        body = event(fact).encode()
        assert check_of(body, proof(body, source_of(fact).rpartition("/")[2])) is None


def test_fact_with_two_owners_is_authentic_from_both() -> None:
    fact = SubmissionRefused(referral_id="r", organization="kg.a", submission_id="s", problem={})
    for owner in ("routing", "vault"):
        body = event(fact, source=f"/kg/{owner}").encode()
        assert check_of(body, proof(body, owner)) is None


def test_each_forgery_fails_its_own_check() -> None:
    body = event().encode()
    genuine = proof(body, "routing")
    header, statement, signature = genuine.split(".")
    other = event(id_="other").encode()
    assert check_of(body, None) == "unsigned"
    assert check_of(body, "") == "unsigned"
    assert check_of(body, "nonsense") == "key"
    assert check_of(body, f"{header}.{statement}.{'A' * len(signature)}") == "signature"
    assert check_of(body, f"{header}.{statement}") == "signature"
    # A service's signature of another service's event: the statement is genuine, the source is not.
    assert check_of(body, proof(body, "intake")) == "source"
    assert check_of(other, genuine) == "digest"
    assert check_of(body + b" ", genuine) == "digest"
    foreign = event(source="/uz/routing").encode()
    assert check_of(foreign, proof(foreign, "routing")) == "source"
    thief = FactVerifier(manifest())
    stranger = WaveSigner(SigningKey(private_key("thief"), STATEMENT_TYPE)).sign([message(body)])
    with pytest.raises(NotAuthentic) as caught:
        thief.author_of(body, stranger[0].headers[SIGNED])
    assert caught.value.check == "key"


def test_service_cannot_sign_a_fact_that_another_owns() -> None:
    key = TokenKeyChanged(revision=1, key={"kty": "OKP"})
    for fact in (key, ACCEPTED):
        body = event(fact, source="/kg/intake").encode()
        assert check_of(body, proof(body, "intake")) == "owner"


def named(body: bytes, source: str, fact: str) -> bytes:
    """Return an event of another source and type."""
    renamed = body.replace(b"kopuro.offer.accepted.v1", f"kopuro.{fact}.v1".encode())
    return renamed.replace(source_of(ACCEPTED).encode(), source.encode())


@pytest.mark.parametrize("thief", SERVICES)
def test_key_of_a_service_signs_its_facts_and_no_others(thief: str) -> None:
    """Under the thief's own name and under the owner's."""
    for fact, owners in OWNERS.items():
        own = named(event().encode(), f"/kg/{thief}", fact)
        assert check_of(own, proof(own, thief)) == (None if thief in owners else "owner"), fact
        for owner in owners - {thief}:
            borrowed = named(event().encode(), f"/kg/{owner}", fact)
            assert check_of(borrowed, proof(borrowed, thief)) == "source", fact


@pytest.mark.parametrize("type_", ["kopuro.star.seen.v1", "offer.accepted", "kopuro.offer.accepted", "x"])
def test_type_without_owner_is_not_authentic(type_: str) -> None:
    body = event().encode().replace(b"kopuro.offer.accepted.v1", type_.encode())
    assert check_of(body, proof(body, "routing")) == "owner"


def test_later_version_of_an_owned_fact_is_authentic() -> None:
    body = event().encode().replace(b"offer.accepted.v1", b"offer.accepted.v2")
    assert check_of(body, proof(body, "routing")) is None


def test_statement_of_another_length_is_refused() -> None:
    body = event().encode()
    key = SigningKey(private_key("routing"), STATEMENT_TYPE)
    for statement in (b"", b"x" * 31, bytes(32) * (MOST_EVENTS + 1)):
        assert check_of(body, key.sign(statement)) == "signature"


def test_manifest_signature_is_not_a_statement() -> None:
    body = event().encode()
    assert check_of(body, manifest().signed(private_key("routing"))) == "key"


def test_wave_is_signed_in_statements_that_keep_messages_whole() -> None:
    bodies = [event(id_=f"e{n}").encode() for n in range(230)]
    source = iter(bodies)
    sizes = [50, 1, 20, 50, 50, 9, 50]
    messages = []
    for size in sizes:
        (one,) = encode_batch(message(body) for body in islice(source, size))
        messages.append(one)
    signed = signer("routing").sign(messages)
    assert [one.body for one in signed] == [one.body for one in messages]
    proofs = [one.headers[SIGNED] for one in signed]
    # 50+1, 20, 50, 50+9, 50
    assert [proofs.index(one) for one in proofs] == [0, 0, 2, 3, 4, 4, 6]
    assert max(map(len, proofs)) <= LONGEST_PROOF
    for one in signed:
        for body in decode_batch(one.body):
            assert check_of(body, one.headers[SIGNED]) is None


def test_longest_statement_fits_into_a_dead_letter() -> None:
    bodies = [event(id_=f"e{n}").encode() for n in range(MOST_EVENTS)]
    (first, *_) = signer("routing").sign([message(body) for body in bodies])
    assert len(first.headers[SIGNED]) <= LONGEST_PROOF
    assert check_of(bodies[-1], first.headers[SIGNED]) is None


def test_dead_letter_of_another_service_is_not_signed_again() -> None:
    forged = replace(outgoing(event(source="/kg/intake")), headers={REASON: "not authentic"})
    kept = replace(outgoing(event(id_="k")), headers={REASON: "Defect", SIGNED: "as it came"})
    own = outgoing(event(id_="o"))
    signed = signer("routing").sign([forged, kept, own])
    assert signed[:2] == [forged, kept]
    assert check_of(own.body, signed[2].headers[SIGNED]) is None


def test_every_listed_key_of_a_service_verifies() -> None:
    services = manifest().services
    changing = ServiceIdentity(keys=(public_key("routing"), public_key("older")), user="routing")
    checked = FactVerifier(replace(manifest(), services={**services, "routing": changing}))
    body = event().encode()
    older = WaveSigner(SigningKey(private_key("older"), STATEMENT_TYPE)).sign([message(body)])
    assert checked.author_of(body, older[0].headers[SIGNED]) == "routing"
    with pytest.raises(NotAuthentic, match="does not list"):
        verifier().author_of(body, older[0].headers[SIGNED])
