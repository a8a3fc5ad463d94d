"""A thief who may publish anything to the broker gains nothing: forged facts only raise an alarm.

Each attack is carried out twice: with the broker's password alone, and with the password and the signing key
of a service that does not own the forged fact.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import sqlalchemy as sa
from joserfc.jwk import OKPKey

from contracts.facts import OfferAccepted, OrganizationChanged, ReferralSplit, TokenKeyChanged
from contracts.organization import Organization
from contracts.part_id import part_id
from contracts.records import read
from contracts.signatures import SigningKey
from kopuro_client.sealing import generate_key, public_key
from runtime.access.signer import TokenSigner
from runtime.access.tokens import Principal, audience_of, issuer_of
from runtime.identifiers import new_id
from runtime.messaging.outbox.wave_signer import WaveSigner
from runtime.messaging.ports import Outgoing
from runtime.messaging.signatures.statement import STATEMENT_TYPE
from tests.journey.running_hub import STRANGER, RunningHub
from tests.journey.waiting import until
from tests.threats.thief import Thief, unsigned

REFERRAL = "wage-claim-osh-moscow"


@pytest.fixture(params=["password", "password and a signing key"])
def thief(hub: RunningHub, request: pytest.FixtureRequest) -> Thief:
    if request.param == "password":
        return Thief(hub, unsigned)
    key = json.loads(hub.files.key("service-intake").read_text(encoding="utf-8"))
    signer = WaveSigner(SigningKey(key, STATEMENT_TYPE))

    def sign(message: Outgoing) -> Outgoing:
        return signer.sign([message])[0]

    return Thief(hub, sign)


@contextmanager
def closing_engine(url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def await_alarm(hub: RunningHub, thief: Thief, consumer: str, message_id: str) -> None:
    """Return once the forgery is a dead letter and the consumer's service reports it."""

    def is_parked() -> bool:
        letters = {one.message_id: one.headers["kopuro-reason"] for one in thief.parked(consumer)}
        return letters.get(message_id, "").startswith("not authentic: ")

    until(is_parked, f"the dead letter of {consumer}")
    service = consumer.partition(".")[0]

    def is_reported() -> bool:
        warning = hub.operations(service, "/readyz").json()["warnings"]["parked"]
        return f"of {consumer}," in (warning or "")

    until(is_reported, f"the alarm of {service}")
    metrics = hub.operations(service, "/metrics").text
    assert 'kopuro_messages_not_authentic_total{check="' in metrics


def test_forged_organization_record_does_not_change_the_key_that_cases_are_sealed_to(
    hub: RunningHub, thief: Thief
) -> None:
    sender, referral_id = hub.submit(REFERRAL)
    acceptor, offer_id = hub.next_offer(sender, referral_id)
    address = f"{hub.address('directory')}/v1/organizations/{acceptor.id}"
    record = httpx.get(address, headers={"Authorization": f"Bearer {hub.token('operator')}"}).json()
    members = {name: value for name, value in record.items() if name not in ("revision", "warnings")}
    thiefs_key = generate_key()
    organization = read(Organization, {**members, "sealing_key": dict(public_key(thiefs_key))})
    forged = OrganizationChanged(revision=1_000_000, organization=organization)
    number = thief.forge(forged, source="/kg/directory", about=acceptor.id)
    for consumer in ("vault.directory", "routing.directory"):
        await_alarm(hub, thief, consumer, number)
    acceptor.hub.accept(offer_id)
    released = acceptor.await_message("case.released", referral_id)
    assert released["kid"] == record["sealing_key"]["kid"]
    assert released["kid"] != public_key(thiefs_key)["kid"]
    assert acceptor.hub.case(referral_id)["name"]


def test_forged_acceptance_releases_no_case(hub: RunningHub, thief: Thief) -> None:
    sender, referral_id = hub.submit(REFERRAL)
    acceptor, offer_id = hub.next_offer(sender, referral_id)
    forged = OfferAccepted(
        referral_id=referral_id, offer_id=offer_id, organization=STRANGER, sender=sender.id
    )
    number = thief.forge(forged, source="/kg/routing", about=referral_id)
    for consumer in ("vault.events", "delivery.events", "audit.log"):
        await_alarm(hub, thief, consumer, number)
    acceptor.hub.accept(offer_id)
    acceptor.await_message("case.released", referral_id)
    stranger = hub.organization(STRANGER)
    assert [m for m in stranger.hub.mailbox()["items"] if m["data"].get("referral_id") == referral_id] == []
    answer = httpx.get(
        f"{hub.address('delivery')}/v1/case/{referral_id}",
        headers={"Authorization": f"Bearer {hub.token(STRANGER)}"},
    )
    assert answer.status_code == 404


def test_forged_split_changes_nothing_in_the_vault(hub: RunningHub, thief: Thief) -> None:
    sender, referral_id = hub.submit(REFERRAL)
    acceptor, offer_id = hub.next_offer(sender, referral_id)
    parts = (part_id(referral_id, 1), part_id(referral_id, 2))
    split = ReferralSplit(referral_id=referral_id, sender=sender.id, parts=parts)
    number = thief.forge(split, source="/kg/routing", about=referral_id)
    for consumer in ("vault.events", "delivery.events", "audit.log"):
        await_alarm(hub, thief, consumer, number)
    with closing_engine(hub.databases["vault"]) as engine, engine.connect() as connection:
        custodies = connection.execute(
            sa.text("SELECT referral_id FROM custodies WHERE parts IS NOT NULL OR part_of IS NOT NULL")
        )
        assert {row.referral_id for row in custodies}.isdisjoint({referral_id, *parts})
    # The vault would release nothing to the acceptor of a referral that was split.
    acceptor.hub.accept(offer_id)
    acceptor.await_message("case.released", referral_id)
    assert acceptor.hub.case(referral_id)["name"]


def test_forged_token_key_makes_no_operator(hub: RunningHub, thief: Thief) -> None:
    key = OKPKey.generate_key("Ed25519", private=True).as_dict(private=True)
    signer = TokenSigner(key, issuer_of("kg", hub.address("directory")), audience_of("kg"))
    forged = TokenKeyChanged(revision=1_000_000, key=signer.public_jwk())
    number = thief.forge(forged, source="/kg/directory", about=signer.kid)
    for consumer in ("intake.directory", "delivery.directory", "audit.directory"):
        await_alarm(hub, thief, consumer, number)
    operator = Principal(id="kg.operator", roles=frozenset({"operator"}))
    token = signer.issue(operator, now=datetime.now(UTC) - timedelta(seconds=1))
    for service, path in (("audit", "/v1/history"), ("delivery", "/v1/mailbox"), ("intake", "/v1/referrals")):
        answer = httpx.get(hub.address(service) + path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, service


@pytest.mark.parametrize("type_", [None, "kopuro.offer.invented.v1"])
def test_forged_fact_never_enters_the_log(hub: RunningHub, thief: Thief, type_: str | None) -> None:
    forged = OfferAccepted(
        referral_id=(referral_id := new_id()), offer_id=new_id(), organization=STRANGER, sender=STRANGER
    )
    number = thief.forge(forged, source="/kg/routing", about=referral_id, type_=type_)
    await_alarm(hub, thief, "audit.log", number)
    # A later entry of the log proves that audit has read past the forgery.
    *_, later = hub.accepted(REFERRAL)
    hub.history(later, last="offer.accepted")
    assert hub.participants.staff("auditor").history(referral=referral_id)["items"] == []
