"""The observations of transactions that are still open, and the searches at the start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.codes import Vetting
from contracts.facts import OrganizationChanged
from contracts.organization import Organization
from contracts.records import plain
from runtime.access.access_records import AccessRecords
from runtime.messaging.replica import ReplicaRecord
from runtime.storage.database import Database, sqlite_url
from runtime.turn import Turn
from services.routing.bootstrap import absorbing
from services.routing.domain.directory import Directory, every_search
from services.routing.domain.observation import Observation
from services.routing.domain.shortlist import Shortlist
from services.routing.live_directory import LiveDirectory
from tests.support.turns import count_turns
from tests.unit.services.routing.samples import organization

ASKED_ONCE = {"kg.legal": Observation(answered=1)}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(sqlite_url(tmp_path / "routing.sqlite"))
    yield database
    database.close()


def settled(network: LiveDirectory) -> set[str]:
    with network.settling() as touched:
        return set(touched)


def test_changes_count_until_their_transaction_has_ended(database: Database) -> None:
    network = LiveDirectory()
    with database.write() as transaction:
        network.observe(transaction, ASKED_ONCE)
        assert network.observed("kg.legal").answered == 1
        assert settled(network) == set()
        assert network.observed("kg.legal").answered == 1
    # The next transaction uses the same connection.
    with database.write():
        assert settled(network) == {"kg.legal"}
        assert network.observed("kg.legal").answered == 0
        assert settled(network) == set()


def test_changes_of_a_rolled_back_transaction_are_settled(database: Database) -> None:
    network = LiveDirectory()
    with pytest.raises(ZeroDivisionError), database.write() as transaction:
        network.observe(transaction, ASKED_ONCE)
        raise ZeroDivisionError
    assert settled(network) == {"kg.legal"}
    assert network.observed("kg.legal").answered == 0


class SearchedDirectory(Directory):
    """Notes each search."""

    def __init__(self) -> None:
        super().__init__()
        self.searches: list[tuple[str, str]] = []

    def shortlist_for(self, need: str, region: str) -> Shortlist:
        self.searches.append((need, region))
        return super().shortlist_for(need, region)


def test_start_makes_every_search() -> None:
    network = LiveDirectory()
    network.directory = searched = SearchedDirectory()
    network.start(lambda prepare: prepare())
    assert searched.searches == list(every_search())
    assert ("legal.wage_claim", "RU-MOW") in searched.searches


def test_stop_ends_the_searches() -> None:
    network = LiveDirectory()
    network.directory = searched = SearchedDirectory()
    network.stop()
    network.start(lambda prepare: prepare())
    assert searched.searches == []


def test_observations_of_a_moment_leave_later_changes_out(database: Database) -> None:
    network = LiveDirectory()
    so_far = dict(ASKED_ONCE)
    with database.write() as transaction:
        network.observe(transaction, ASKED_ONCE)
        then = network.observations(so_far)
        so_far["kg.legal"] = Observation(answered=5)
    with network.settling() as touched:
        network.recall(dict.fromkeys(touched, Observation(answered=9)))
    assert then("kg.legal").answered == 2
    assert network.observed("kg.legal").answered == 9


def test_start_makes_the_records_of_all_observations() -> None:
    network = LiveDirectory()
    seen = Observation(answered=1)
    network.recall({"kg.legal": seen})
    network.start(lambda prepare: prepare())
    assert seen.record is not None


def record(one: Organization, change: int) -> ReplicaRecord:
    data = {"revision": 1, "organization": plain(one)}
    return ReplicaRecord(type=OrganizationChanged.type, key=one.id, change=change, data=data)


def test_other_work_runs_between_absorbed_records_only_after_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the start, requests would find a part of the directory."""
    records = [record(organization(f"kg.{number}"), number) for number in (1, 2, 3, 4)]
    counted = count_turns(monkeypatch)
    network = LiveDirectory()
    network.absorb(records[:2])
    assert counted["absorb"] == 0
    network.stop()
    network.start(lambda prepare: prepare())
    network.absorb(records[2:])
    assert counted["absorb"] == 2
    assert network.directory.version == len(records)


def test_suspended_organization_is_refused_from_the_first_turn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    access, network = AccessRecords(), LiveDirectory()
    network.stop()
    network.start(lambda prepare: prepare())
    excluded: list[bool] = []
    monkeypatch.setattr(Turn, "end_if_over", lambda _turn: excluded.append(access.is_excluded("kg.2")))
    suspended = organization("kg.2", vetting=Vetting.suspended)
    absorbing(access, network)([record(organization("kg.1"), 1), record(suspended, 2)])
    assert len(excluded) >= 2
    assert all(excluded)
