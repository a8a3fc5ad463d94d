"""The vault as a process on a real broker: killed, started again, and read through for plaintext."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from contracts.facts import CaseErased, CaseReleased, Fact, ReferralWithdrawn, SealedCaseReleased
from kopuro_client.sealing import open_sealed
from runtime.identifiers import new_id
from tests.services.neighbours import ACCEPTOR, NAME, SENDER, STRANGER, Neighbours, accepted, kinds

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


@pytest.fixture
def hub(vhost: str, tmp_path: Path) -> Neighbours:
    return Neighbours(vhost, tmp_path)


def test_a_sealed_case_leaves_for_its_acceptor_and_its_erasure_is_on_record(
    hub: Neighbours, database_url: str
) -> None:
    referral = new_id()
    with hub.vault(database_url) as vault:
        vault.until_ready()
        hub.publish(hub.sealed_case(referral))
        hub.publish(accepted(referral))
        (letter,) = kinds(hub.hear("delivery.sealed", lambda heard: len(heard) == 1), SealedCaseReleased)
        assert (letter.referral_id, letter.organization) == (referral, ACCEPTOR)
        assert open_sealed(letter.case, hub.keys[ACCEPTOR])["name"] == NAME
        hub.publish(
            ReferralWithdrawn(
                referral_id=referral, sender=SENDER, organization=ACCEPTOR, reason="consent_revoked"
            )
        )
        facts = hub.hear("audit.log", lambda heard: bool(kinds(heard, CaseErased)))
        assert len(kinds(facts, CaseReleased)) == 1
        vault.process.stop()
        assert vault.process.exit_code() == 0
        assert NAME not in vault.log.read_text()


def test_in_the_files_of_the_vault_there_is_no_plaintext(hub: Neighbours, sqlite_database: str) -> None:
    referral = new_id()
    with hub.vault(sqlite_database) as vault:
        hub.publish(hub.sealed_case(referral))
        hub.publish(accepted(referral))
        hub.hear("delivery.sealed", lambda heard: len(heard) == 1)
        files = list(Path(urlsplit(sqlite_database).path).parent.glob("test.sqlite*"))
        assert files
        for file in files:
            assert NAME.encode() not in file.read_bytes(), file
        assert vault.process.running()


def test_an_acceptor_that_publishes_its_key_later_gets_the_case_then(
    hub: Neighbours, sqlite_database: str
) -> None:
    first, second = new_id(), new_id()
    with hub.vault(sqlite_database):
        hub.publish_all([hub.sealed_case(first), hub.sealed_case(second)])
        hub.publish_all([accepted(first, STRANGER), accepted(second, ACCEPTOR)])
        (letter,) = kinds(hub.hear("delivery.sealed", lambda heard: len(heard) == 1), SealedCaseReleased)
        assert letter.referral_id == second
        hub.publish_key(STRANGER)
        (letter,) = kinds(hub.hear("delivery.sealed", lambda heard: len(heard) == 1), SealedCaseReleased)
        assert (letter.referral_id, letter.organization) == (first, STRANGER)
        assert open_sealed(letter.case, hub.keys[STRANGER])["name"] == NAME


def test_killed_in_the_middle_the_vault_loses_nothing_and_releases_nothing_twice(
    hub: Neighbours, database_url: str
) -> None:
    referrals = [new_id() for _ in range(300)]
    cases: list[Fact] = [hub.sealed_case(referral, narrative=referral) for referral in referrals]
    acceptances: list[Fact] = [accepted(referral) for referral in referrals]
    vault = hub.vault(database_url)
    with vault:
        # Half of the acceptances come first, and wait for their cases.
        hub.publish_all(acceptances[:150])
        hub.publish_all(cases)
        hub.publish_all(acceptances[150:])
        heard = hub.hear("delivery.sealed", lambda heard: len(heard) >= 1)
        vault.process.kill()
    with vault:
        heard += hub.hear(
            "delivery.sealed",
            lambda more: {e.partition_key for e in heard + more} == set(referrals),
        )
        vault.until_ready()
    # Published again is the same message, which an inbox knows; a second release would be another.
    assert len({event.id for event in heard}) == len(referrals)
    for letter in kinds(heard, SealedCaseReleased):
        assert open_sealed(letter.case, hub.keys[ACCEPTOR])["narrative"] == letter.referral_id


def test_without_a_custody_key_there_is_no_vault(hub: Neighbours, sqlite_database: str) -> None:
    vault = hub.vault(sqlite_database)
    del hub.custody_key["d"]
    hub.write_custody_key()
    with pytest.raises(RuntimeError, match="could not start"), vault:
        pass
    assert vault.process.exit_code() == 1
    assert hub.custody_key["x"] not in vault.log.read_text()
