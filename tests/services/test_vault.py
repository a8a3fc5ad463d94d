"""The vault as a process on a real broker: releases, erasure, restarts, no plaintext in files."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from contracts.facts import CaseErased, CaseReleased, Fact, ReferralWithdrawn, SealedCaseReleased
from kopuro_client.sealing import open_sealed
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import outgoing
from runtime.messaging.ports import Outgoing
from runtime.messaging.rabbit.broker import RabbitBroker
from tests.services.neighbours import (
    ACCEPTOR,
    NAME,
    SENDER,
    STRANGER,
    Neighbours,
    accepted,
    event_of,
    kinds,
)
from tests.support.hub_keys import manifest, private_key, public_key, signed_body

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


@pytest.fixture
def hub(hub_vhost: str, tmp_path: Path) -> Neighbours:
    return Neighbours(hub_vhost, tmp_path)


def test_case_is_released_to_acceptor_and_erasure_recorded(hub: Neighbours, database_url: str) -> None:
    referral = new_id()
    with hub.vault(database_url) as vault:
        vault.until_ready()
        hub.publish(hub.sealed_case(referral))
        hub.publish(accepted(referral))
        (case,) = kinds(hub.hear("delivery.sealed", lambda events: len(events) == 1), SealedCaseReleased)
        assert (case.referral_id, case.organization) == (referral, ACCEPTOR)
        assert open_sealed(case.case, hub.keys[ACCEPTOR])["name"] == NAME
        hub.publish(
            ReferralWithdrawn(
                referral_id=referral, sender=SENDER, organization=ACCEPTOR, reason="consent_revoked"
            )
        )
        facts = hub.hear("audit.log", lambda events: bool(kinds(events, CaseErased)))
        assert len(kinds(facts, CaseReleased)) == 1
        vault.process.stop()
        assert vault.process.exit_code() == 0
        assert NAME not in vault.log.read_text()


def test_vault_files_contain_no_plaintext(hub: Neighbours, sqlite_database: str) -> None:
    referral = new_id()
    with hub.vault(sqlite_database) as vault:
        hub.publish(hub.sealed_case(referral))
        hub.publish(accepted(referral))
        hub.hear("delivery.sealed", lambda events: len(events) == 1)
        files = list(Path(urlsplit(sqlite_database).path).parent.glob("test.sqlite*"))
        assert files
        for file in files:
            assert NAME.encode() not in file.read_bytes(), file
        assert vault.process.running()


def test_case_is_released_when_acceptor_publishes_key_later(hub: Neighbours, sqlite_database: str) -> None:
    first, second = new_id(), new_id()
    with hub.vault(sqlite_database):
        hub.publish_all([hub.sealed_case(first), hub.sealed_case(second)])
        hub.publish_all([accepted(first, STRANGER), accepted(second, ACCEPTOR)])
        (case,) = kinds(hub.hear("delivery.sealed", lambda events: len(events) == 1), SealedCaseReleased)
        assert case.referral_id == second
        hub.publish_key(STRANGER)
        (case,) = kinds(hub.hear("delivery.sealed", lambda events: len(events) == 1), SealedCaseReleased)
        assert (case.referral_id, case.organization) == (first, STRANGER)
        assert open_sealed(case.case, hub.keys[STRANGER])["name"] == NAME


def test_killed_vault_loses_no_case_and_releases_none_twice(hub: Neighbours, database_url: str) -> None:
    referrals = [new_id() for _ in range(300)]
    cases: list[Fact] = [hub.sealed_case(referral, narrative=referral) for referral in referrals]
    acceptances: list[Fact] = [accepted(referral) for referral in referrals]
    vault = hub.vault(database_url)
    with vault:
        # Half of the acceptances arrive before their cases.
        hub.publish_all(acceptances[:150])
        hub.publish_all(cases)
        hub.publish_all(acceptances[150:])
        events = hub.hear("delivery.sealed", lambda events: len(events) >= 1)
        vault.process.kill()
    with vault:
        events += hub.hear(
            "delivery.sealed",
            lambda more: {e.partition_key for e in events + more} == set(referrals),
        )
        vault.until_ready()
    # A republished message keeps its id, so the inbox drops it; a second release would have a new id.
    assert len({event.id for event in events}) == len(referrals)
    for case in kinds(events, SealedCaseReleased):
        assert open_sealed(case.case, hub.keys[ACCEPTOR])["narrative"] == case.referral_id


def test_vault_without_custody_key_does_not_start(hub: Neighbours, sqlite_database: str) -> None:
    vault = hub.vault(sqlite_database)
    del hub.custody_key["d"]
    hub.write_custody_key()
    with pytest.raises(RuntimeError, match="KOPURO_CUSTODY_KEY does not name"), vault:
        pass
    assert vault.process.exit_code() == 2
    assert hub.custody_key["x"] not in vault.log.read_text()


def write_manifest(
    hub: Neighbours, directory: Path, version: int, *, root: str = "root", **keys: list[str]
) -> None:
    """Replace the manifest. keys: the names of a service's keys; by default one, named as the service."""
    listed = manifest(user=RabbitBroker(hub.amqp_uri).user)
    services = {
        name: replace(one, keys=tuple(public_key(key) for key in keys.get(name, [name])))
        for name, one in listed.services.items()
    }
    signed = replace(listed, version=version, services=services).signed(private_key(root))
    (directory / "services.vault" / "manifest.jws").write_text(signed)


def test_vault_starts_only_with_a_manifest_of_its_hub_that_is_not_older(
    hub: Neighbours, sqlite_database: str, tmp_path: Path
) -> None:
    vault = hub.vault(sqlite_database)
    write_manifest(hub, tmp_path, 1, root="thief")
    with pytest.raises(RuntimeError, match="not signed by the hub's root key"), vault:
        pass
    assert vault.process.exit_code() == 2
    write_manifest(hub, tmp_path, 2)
    with vault:
        vault.until_ready()
        vault.process.stop()
    write_manifest(hub, tmp_path, 1)
    with pytest.raises(RuntimeError, match="has version 1, and vault has used version 2"), vault:
        pass
    assert vault.process.exit_code() == 2


def test_key_of_a_service_is_changed_without_loss(
    hub: Neighbours, sqlite_database: str, tmp_path: Path
) -> None:
    first, second, third = new_id(), new_id(), new_id()
    vault = hub.vault(sqlite_database)

    def released(number: int) -> set[str]:
        events = hub.hear("delivery.sealed", lambda events: len(events) == number)
        return {case.referral_id for case in kinds(events, SealedCaseReleased)}

    def acceptance(referral: str, key: str) -> Outgoing:
        """Return routing's acceptance, signed with the named key."""
        message = outgoing(event_of(accepted(referral)))
        return replace(message, headers=signed_body(message.body, key))

    write_manifest(hub, tmp_path, 2, routing=["routing-2", "routing"])
    with closing(RabbitBroker(hub.amqp_uri).publisher()) as publisher:
        hub.publish_all([hub.sealed_case(one) for one in (first, second, third)])
        # The older key's message waits while the manifest changes.
        publisher.publish([acceptance(first, "routing"), acceptance(second, "routing-2")])
        with vault:
            assert released(2) == {first, second}
            vault.process.stop()
        write_manifest(hub, tmp_path, 3, routing=["routing-2"])
        publisher.publish([acceptance(third, "routing")])
        with vault:
            (letter,) = hub.hear("vault.events.parked", lambda events: len(events) == 1)
            assert letter.partition_key == third
