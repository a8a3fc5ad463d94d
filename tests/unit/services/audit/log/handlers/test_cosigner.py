"""Cosignatures from witnesses over real HTTP: collection, storage, publication and alarms."""

from __future__ import annotations

import datetime as dt
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace

import pytest
from sqlalchemy import make_url

from runtime.storage.database import DatabaseUnavailable
from services.audit.adapters.tables import WITNESSES
from services.audit.log.adapters.http_witnesses import HttpWitnesses
from services.audit.log.adapters.sql_publication import SqlPublicationRecord
from services.audit.log.domain.merkle import EMPTY_ROOT
from services.audit.log.domain.note import open_note
from services.audit.log.domain.witness_policy import Witness, WitnessPolicy
from services.audit.log.handlers import cosigner
from services.audit.log.handlers.cosigner import ROUND_SECONDS, Cosigner
from services.audit.log.handlers.published_log import CHECKPOINT, COSIGNED
from tests.endless_servers import DrippingServer
from tests.unit.services.audit.fake_witness import FakeWitness
from tests.unit.services.audit.logs import NOON, LogOnDatabase, events

HOUR = dt.timedelta(hours=1)


class Hands:
    """A clock that a test sets. set_by: how far the time of day was set, which no waiting must notice."""

    def __init__(self) -> None:
        self.time = NOON
        self.set_by = dt.timedelta()

    def now(self) -> dt.datetime:
        return self.time + self.set_by

    def monotonic(self) -> float:
        return self.time.timestamp()


class Shown:
    """The figures as they were last shown: size, age, stale; and whether the witness disputes the log."""

    def __init__(self) -> None:
        self.last: dict[str, tuple[int, dt.timedelta | None, bool]] = {}
        self.disputes: dict[str, bool] = {}

    def show(self, witness: str, *, size: int, age: dt.timedelta | None, stale: bool, disputes: bool) -> None:
        self.last[witness] = (size, age, stale)
        self.disputes[witness] = disputes


class Witnessed:
    """A log, three witnesses, and the hub's side of them."""

    def __init__(self, audit: LogOnDatabase, witnesses: list[FakeWitness], threshold: int) -> None:
        self.audit = audit
        self.clock = Hands()
        self.figures = Shown()
        self.policy = WitnessPolicy(
            witnesses=tuple(
                Witness(name=made.name, verifier=made.verifier, url=made.url) for made in witnesses
            ),
            threshold=threshold,
        )
        self.cosigner = self.restarted()

    def restarted(self) -> Cosigner:
        return Cosigner(
            policy=self.policy,
            witnesses=HttpWitnesses(),
            database=self.audit.database,
            record=SqlPublicationRecord(),
            published=self.audit.published,
            publishes=lambda: True,
            figures=self.figures,
            clock=self.clock,
            monotonic=self.clock.monotonic,
        )

    def signers(self, path: str) -> set[str]:
        """Return the witnesses with valid cosignatures on a published note."""
        note = self.audit.publication.read(path)
        assert note is not None
        known = [witness.verifier for witness in self.policy.witnesses]
        opened = open_note(note, [self.audit.key.signer.verifier, *known])
        return {line.name for line in opened.verified} - {self.audit.key.origin}

    def size(self, path: str) -> int:
        note = self.audit.publication.read(path)
        return 0 if note is None else self.audit.key.read(note).size


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    return sqlite_database


@pytest.fixture
def witnesses(audit: LogOnDatabase) -> Iterator[list[FakeWitness]]:
    with ExitStack() as running:
        yield [
            running.enter_context(
                FakeWitness(name=name, log=audit.key.signer.verifier, now=int(NOON.timestamp()))
            )
            for name in ("w1", "w2", "w3")
        ]


@pytest.fixture
def hub(audit: LogOnDatabase, witnesses: list[FakeWitness]) -> Witnessed:
    return Witnessed(audit, witnesses, threshold=2)


def test_every_checkpoint_of_a_growing_log_is_cosigned_by_all(
    hub: Witnessed, witnesses: list[FakeWitness]
) -> None:
    total = 0
    for count in (1, 4, 300, 7):
        total += count
        hub.audit.publish(events(count))
        hub.cosigner.turn()
        assert hub.signers(CHECKPOINT) == {"w1", "w2", "w3"}
        assert hub.signers(COSIGNED) == {"w1", "w2", "w3"}
        assert (hub.size(COSIGNED), witnesses[0].size) == (total, total)
    assert witnesses[0].asked == [200] * 4
    assert hub.figures.last["w1"] == (total, dt.timedelta(), False)


def test_empty_log_or_non_publishing_process_requests_no_cosignature(
    hub: Witnessed, witnesses: list[FakeWitness]
) -> None:
    hub.audit.publisher.turn()
    hub.cosigner.turn()
    assert witnesses[0].asked == []


def test_witness_at_another_size_gets_the_proof_from_that_size(
    hub: Witnessed, witnesses: list[FakeWitness]
) -> None:
    hub.audit.publish(events(10))
    hub.cosigner.turn()
    # The witness was set up again with the same key.
    witnesses[0].size, witnesses[0].root = 0, EMPTY_ROOT
    hub.audit.publish(events(5))
    hub.cosigner.turn()
    assert witnesses[0].asked == [200, 409, 200]
    assert hub.signers(CHECKPOINT) == {"w1", "w2", "w3"}


def test_process_without_records_learns_the_witness_size(
    hub: Witnessed, witnesses: list[FakeWitness]
) -> None:
    hub.audit.publish(events(10))
    hub.cosigner.turn()
    with hub.audit.database.write() as transaction:
        transaction.execute(WITNESSES.delete())
    hub.audit.publish(events(1))
    hub.restarted().turn()
    assert witnesses[1].asked == [200, 409, 200]


def test_cosignatures_are_kept_over_a_restart(hub: Witnessed, witnesses: list[FakeWitness]) -> None:
    hub.audit.publish(events(10))
    hub.cosigner.turn()
    again = hub.restarted()
    again.turn()
    assert witnesses[0].asked == [200]
    hub.audit.publish(events(10))
    again.turn()
    assert witnesses[0].asked == [200, 200]


def test_cosigned_checkpoint_requires_k_of_n(hub: Witnessed, witnesses: list[FakeWitness]) -> None:
    for silent in witnesses[1:]:
        silent.reply = lambda body: (503, b"")
    hub.audit.publish(events(3))
    hub.cosigner.turn()
    assert hub.signers(CHECKPOINT) == {"w1"}
    assert hub.audit.published.cosigned is None
    witnesses[1].reply = None
    hub.clock.time += dt.timedelta(seconds=2)
    hub.cosigner.turn()
    assert hub.signers(COSIGNED) == {"w1", "w2"}
    # The log grows; the newest sufficiently cosigned checkpoint stays until enough have signed again.
    witnesses[1].reply = witnesses[2].reply
    hub.audit.publish(events(3))
    hub.clock.time += dt.timedelta(minutes=2)
    hub.cosigner.turn()
    assert (hub.size(CHECKPOINT), hub.signers(CHECKPOINT)) == (6, {"w1"})
    assert (hub.size(COSIGNED), hub.signers(COSIGNED)) == (3, {"w1", "w2"})


def test_overtaken_checkpoint_is_published_as_cosigned(hub: Witnessed, witnesses: list[FakeWitness]) -> None:
    hub.audit.publish(events(3))
    honest = witnesses[0]

    def meanwhile(body: bytes) -> tuple[int, bytes]:
        honest.reply = None
        hub.audit.publish(events(2))
        return honest._decide("/prefix/add-checkpoint", body)

    honest.reply = meanwhile
    hub.cosigner.turn()
    assert (hub.size(CHECKPOINT), hub.signers(CHECKPOINT)) == (5, set())
    assert (hub.size(COSIGNED), hub.signers(COSIGNED)) == (3, {"w1", "w2", "w3"})


def test_only_a_valid_cosignature_of_the_configured_key_is_published(
    hub: Witnessed, witnesses: list[FakeWitness]
) -> None:
    first, second, third = witnesses
    text = b"kopuro/kg\n9\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    first.reply = lambda body: (200, first.line(text))  # over another checkpoint
    second.reply = lambda body: (200, third.line(body.partition(b"\n\n")[2].rpartition(b"\n\n")[0] + b"\n"))
    third.reply = lambda body: (200, b"no note \xff")
    hub.audit.publish(events(3))
    hub.cosigner.turn()
    assert hub.signers(CHECKPOINT) == set()
    assert hub.audit.published.cosigned is None


@pytest.mark.parametrize(
    "reply", [(409, b"0\n"), (409, b"99\n"), (409, b"x\n"), (409, b""), (422, b""), (302, b""), (200, b"")]
)
def test_refusing_witness_is_retried_after_a_pause(
    hub: Witnessed, witnesses: list[FakeWitness], reply: tuple[int, bytes]
) -> None:
    witnesses[0].reply = lambda body: reply
    hub.audit.publish(events(3))
    hub.cosigner.turn()
    asked = len(witnesses[0].asked)
    assert asked <= 2
    hub.cosigner.turn()
    assert len(witnesses[0].asked) == asked
    assert hub.signers(CHECKPOINT) == {"w2", "w3"}
    hub.clock.time += dt.timedelta(seconds=2)
    hub.cosigner.turn()
    assert len(witnesses[0].asked) > asked


DISPUTES: dict[str, Callable[[bytes], tuple[int, bytes]]] = {
    "fork": lambda body: (422, b""),
    "other tree of this size": lambda body: (409, body.partition(b"\n")[0].removeprefix(b"old ") + b"\n"),
    "lost entries": lambda body: (409, b"99\n"),
}


@pytest.mark.parametrize("reply", DISPUTES.values(), ids=DISPUTES.keys())
def test_two_witnesses_of_another_history_raise_an_alarm_at_once(
    hub: Witnessed,
    witnesses: list[FakeWitness],
    reply: Callable[[bytes], tuple[int, bytes]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    witnesses[0].reply = reply
    hub.audit.publish(events(3))
    hub.cosigner.turn()
    # A single one of several may have lost its own record.
    assert "another history" not in (hub.cosigner.alarm() or "")
    assert hub.figures.disputes == {"w1": True, "w2": False, "w3": False}
    witnesses[1].reply = witnesses[0].reply
    hub.audit.publish(events(3))
    hub.cosigner.turn()
    alarm = hub.cosigner.alarm() or ""
    assert alarm.startswith("2 of 3 witnesses (w1, w2) cosigned another history than the published log")
    assert hub.figures.disputes == {"w1": True, "w2": True, "w3": False}
    hub.cosigner.turn()
    assert [r.levelname for r in caplog.records if "contradict the published log" in r.message] == ["ERROR"]
    # Silence does not end the alarm; cosignatures do.
    witnesses[0].reply = lambda body: (503, b"")
    hub.clock.time += dt.timedelta(minutes=2)
    hub.cosigner.turn()
    assert "another history" in (hub.cosigner.alarm() or "")
    for witness in witnesses:
        witness.reply, witness.now = None, witness.now + 120
    hub.clock.time += dt.timedelta(minutes=2)
    hub.cosigner.turn()
    assert "another history" not in (hub.cosigner.alarm() or "")


def test_only_witness_of_another_history_raises_the_alarm(
    audit: LogOnDatabase, witnesses: list[FakeWitness]
) -> None:
    hub = Witnessed(audit, witnesses[:1], threshold=1)
    witnesses[0].reply = lambda body: (422, b"")
    hub.audit.publish(events(3))
    hub.cosigner.turn()
    assert (hub.cosigner.alarm() or "").startswith("1 of 1 witnesses (w1) cosigned another history")


def test_absent_witness_does_not_delay_others(hub: Witnessed, witnesses: list[FakeWitness]) -> None:
    witnesses[2].__exit__()
    hub.audit.publish(events(3))
    hub.cosigner.turn()
    assert hub.signers(COSIGNED) == {"w1", "w2"}
    witnesses[2].__enter__()  # on another port: for the fixture to close


def test_cosignatures_that_could_not_be_stored_are_published_by_the_next_turn(
    hub: Witnessed, witnesses: list[FakeWitness], database_url: str
) -> None:
    hub.audit.publish(events(3))
    file = make_url(database_url).database
    assert file is not None
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable):
            hub.cosigner.turn()
        assert hub.size(COSIGNED) == 0
        other.execute("ROLLBACK")
    hub.cosigner.turn()
    assert hub.signers(COSIGNED) == {"w1", "w2", "w3"}
    assert witnesses[0].asked == [200]


def test_cosignatures_of_a_log_that_grew_before_they_could_be_stored_are_replaced_by_the_newest(
    hub: Witnessed, database_url: str
) -> None:
    hub.audit.publish(events(3))
    file = make_url(database_url).database
    assert file is not None
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable):
            hub.cosigner.turn()
        other.execute("ROLLBACK")
    hub.audit.publish(events(2))
    # Every witness cosigns again, because there is a newer checkpoint.
    hub.cosigner.turn()
    assert (hub.size(COSIGNED), hub.signers(COSIGNED)) == (5, {"w1", "w2", "w3"})


def test_idle_log_is_cosigned_again(hub: Witnessed, witnesses: list[FakeWitness]) -> None:
    hub.audit.publish(events(3))
    hub.cosigner.turn()
    before = hub.audit.publication.read(CHECKPOINT)
    hub.clock.time += dt.timedelta(minutes=11)
    for witness in witnesses:
        witness.now += 11 * 60
    hub.cosigner.turn()
    assert hub.audit.publication.read(CHECKPOINT) != before
    assert hub.signers(CHECKPOINT) == {"w1", "w2", "w3"}
    assert hub.figures.last["w2"] == (3, dt.timedelta(), False)


def test_witness_silent_for_an_hour_raises_an_alarm(hub: Witnessed, witnesses: list[FakeWitness]) -> None:
    hub.audit.publish(events(3))
    hub.cosigner.turn()
    witnesses[1].reply = lambda body: (500, b"")
    assert hub.cosigner.alarm() is None
    hub.clock.time += HOUR + dt.timedelta(seconds=1)
    for witness in witnesses:
        witness.now += 3601
    hub.cosigner.turn()
    assert hub.cosigner.stale() == ["w2"]
    assert hub.cosigner.alarm() == "no cosignature for more than an hour from w2"
    assert hub.figures.last["w2"][2]
    assert not hub.figures.last["w1"][2]
    # A witness that has never signed counts as missing too.
    hub.clock.time += HOUR
    witnesses[1].reply = None
    for witness in witnesses:
        witness.now += 3600
    hub.cosigner.turn()
    assert hub.cosigner.alarm() is None


def test_witness_that_never_responded_is_stale_after_an_hour(
    hub: Witnessed, witnesses: list[FakeWitness]
) -> None:
    witnesses[0].reply = lambda body: (404, b"")
    hub.audit.publish(events(3))
    hub.cosigner.turn()
    assert hub.figures.last["w1"] == (0, None, False)
    hub.clock.time += HOUR + dt.timedelta(seconds=1)
    assert "w1" in hub.cosigner.stale()


def test_dripping_witness_does_not_delay_others(hub: Witnessed, witnesses: list[FakeWitness]) -> None:
    with DrippingServer(b"HTTP/1.1 200 OK\r\nX-Drip: ") as dripping:
        _replace(hub, "w3", url=f"http://127.0.0.1:{dripping.port}")
        started = time.monotonic()
        for _ in range(3):
            hub.audit.publish(events(3))
            hub.cosigner.turn()
            assert hub.signers(COSIGNED) == {"w1", "w2"}
            assert hub.size(COSIGNED) == hub.size(CHECKPOINT)
        assert time.monotonic() - started < 3 * ROUND_SECONDS
        alarm = hub.cosigner.alarm()
        assert alarm is not None
        assert alarm.startswith("no cosignature from w3 at the last request: ")


def test_late_cosignature_is_collected_by_the_next_round(
    hub: Witnessed, witnesses: list[FakeWitness], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cosigner, "ROUND_SECONDS", 0.1)
    late = witnesses[2]
    may_answer = threading.Event()

    def slowly(body: bytes) -> tuple[int, bytes]:
        assert may_answer.wait(2)
        late.reply = None
        return late._decide("/prefix/add-checkpoint", body)

    late.reply = slowly
    hub.audit.publish(events(3))
    hub.cosigner.turn()
    assert "w3" not in hub.signers(CHECKPOINT)
    assert hub.cosigner.alarm() == "no cosignature from w3 at the last request: it has not answered yet"
    may_answer.set()
    deadline = time.monotonic() + 5
    while "w3" not in hub.signers(CHECKPOINT):
        assert time.monotonic() < deadline
        hub.cosigner.turn()
    assert late.asked == [200]
    assert hub.cosigner.alarm() is None


@pytest.mark.parametrize(("seconds", "where"), [(3600, "ahead of"), (-11, "behind")])
def test_witness_whose_clock_differs_is_reported(
    hub: Witnessed, witnesses: list[FakeWitness], seconds: int, where: str
) -> None:
    witnesses[1].now += seconds
    hub.audit.publish(events(3))
    hub.cosigner.turn()
    assert hub.cosigner.alarm() == f"the clock of w2 is {abs(seconds)} s {where} ours"
    witnesses[1].now -= seconds
    hub.audit.publish(events(3))
    hub.cosigner.turn()
    assert hub.cosigner.alarm() is None


def test_witness_with_clock_ahead_is_asked_again_in_time(
    hub: Witnessed, witnesses: list[FakeWitness]
) -> None:
    witnesses[1].now += 3600
    hub.audit.publish(events(3))
    hub.cosigner.turn()
    hub.clock.time += dt.timedelta(minutes=11)
    hub.cosigner.turn()
    assert witnesses[1].asked == [200, 200]
    hub.clock.time += HOUR + dt.timedelta(seconds=1)
    assert hub.cosigner.stale() == ["w1", "w2", "w3"]


def test_clock_set_back_does_not_prolong_a_pause(hub: Witnessed, witnesses: list[FakeWitness]) -> None:
    witnesses[1].reply = lambda body: (500, b"")
    hub.audit.publish(events(3))
    hub.cosigner.turn()
    hub.clock.set_by = -HOUR
    hub.clock.time += dt.timedelta(seconds=2)
    hub.cosigner.turn()
    assert witnesses[1].asked == [500, 500]


def _replace(hub: Witnessed, name: str, *, url: str) -> None:
    hub.policy = replace(
        hub.policy,
        witnesses=tuple(replace(w, url=url) if w.name == name else w for w in hub.policy.witnesses),
    )
    hub.cosigner = hub.restarted()
