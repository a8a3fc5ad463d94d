"""The audit benchmark measures a real log and reports its results."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from itertools import islice
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import pytest

from benchmarks.audit_events import batches, events
from benchmarks.audit_log import OURS, PYMERKLE, LogPlan, table
from benchmarks.child import run
from benchmarks.proving import prove_some
from benchmarks.stopwatch import Stopwatch
from services.audit.log.domain.entry import entry_of
from services.audit.log.domain.facets import facets_of

Measured = tuple[dict[str, Any], dict[str, Any]]
EFFORT = LogPlan(size=800, sample=200, batch=100, proofs=20, warm_up=0.0)


def test_events_are_loops_of_ten_facts_in_their_order() -> None:
    loops: dict[str, list[str]] = {}
    for message in islice(events(), 3_000):
        loops.setdefault(message.partition_key, []).append(message.type)
    assert Counter(map(len, loops.values())) == {10: 300}
    (facts,) = {tuple(types) for types in loops.values()}
    assert (facts[0], facts[-1]) == ("kopuro.referral.submitted.v1", "kopuro.referral.completed.v1")


def test_generated_entries_have_the_search_keys_of_real_ones() -> None:
    first = next(events())
    entry = entry_of(
        message_id=first.id,
        type=first.type,
        time=first.time,
        source=first.source,
        partition_key=first.partition_key,
        data=first.data,
    )
    assert entry.referral_id == first.partition_key
    assert ("corridor", "KG-RU") in facets_of(first.type, first.source, first.data)


def test_batches_have_their_size_and_are_consecutive() -> None:
    first, second = batches(7, 2)
    assert (len(first), len(second)) == (7, 7)
    assert len({message.id for message in (*first, *second)}) == 14


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """A log in a directory, with the figures of growing, publishing, proving and verifying it."""
    told: dict[str, Any] = {
        "directory": str(tmp_path_factory.mktemp("measured")),
        "size": EFFORT.size,
        "sample": EFFORT.sample,
        "batch": EFFORT.batch,
        "proving": {"proofs": EFFORT.proofs, "warm_up": EFFORT.warm_up, "seed": 7},
    }
    tasks = ("grow", "publish", "prove", "verify")
    return told, {task: run("benchmarks.audit_kopuro", task, told) for task in tasks}


def test_benchmark_grows_publishes_proves_and_verifies_a_log(measured: Measured) -> None:
    told, found = measured
    assert found["grow"].keys() == {"empty", "full", "overall", "empty_cpu_us", "full_cpu_us", "mib"}
    assert all(figure > 0 for figures in found.values() for figure in figures.values())
    assert found["verify"]["entries"] == 1_000
    with sqlite3.connect(Path(told["directory"]) / "audit.sqlite") as database:
        assert database.execute("SELECT count(*) FROM entries").fetchone() == (1_000,)


def test_log_that_fails_verification_gives_no_figure(measured: Measured, tmp_path: Path) -> None:
    told = {**measured[0], "directory": str(tmp_path / "damaged")}
    damaged = shutil.copytree(measured[0]["directory"], told["directory"])
    entries = Path(damaged) / "published" / "tile" / "entries" / "000"
    content = entries.read_bytes()
    entries.chmod(0o600)
    entries.write_bytes(content.replace(b'"format":3', b'"format":4', 1))
    with pytest.raises(CalledProcessError):
        run("benchmarks.audit_kopuro", "verify", told)


def test_proofs_are_drawn_from_the_whole_log_the_same_each_time() -> None:
    drawn: list[list[int]] = []
    for _ in range(2):
        indices: list[int] = []
        found = prove_some(indices.append, size=10, proofs=200, warm_up=0.0, seed=1)
        assert found["rate"] > 0
        drawn.append(indices)
    assert drawn[0] == drawn[1]
    assert set(drawn[0]) == set(range(10))


def test_table_compares_within_rounds_and_converts_seconds_to_rates() -> None:
    def ours(scale: float) -> dict[str, float]:
        return {
            "append_empty": 10_000 * scale,
            "append_full": 9_000 * scale,
            "slowdown": 10 / 9,
            "published": 20_000.0,
            "cpu_slowdown": 1.0,
            "cpu_append": 50.0,
            "proofs": 6_000 * scale,
            "cpu_proof": 100.0,
            "cpu_verify": 8.0,
            "verify": 8 / scale,
            "restart": 1 / scale,
            "restart_whole": 12.0,
            "mib_append": 90.0,
            "mib_publish": 91.0,
            "mib_prove": 92.0,
            "mib_verify": 93.0,
            "mib_restart": 94.0,
        }

    def theirs(scale: float) -> dict[str, float]:
        found = ours(scale)
        del found["published"], found["restart_whole"], found["mib_publish"]
        return found | {
            "append_empty": 5_000 * scale,
            "verify": 16 / scale,
            "cpu_proof": 150.0,
            "mib_append": 900.0,
        }

    # The second round is slower for both alike: ratios stay.
    measured = [{OURS: ours(scale), PYMERKLE: theirs(scale)} for scale in (1.0, 0.5)]
    lines = {line[:27].strip(): line.split() for line in table(measured, EFFORT).splitlines()}
    assert lines["durable appends, empty log"][-1] == "2.00"
    assert lines["verification of all entries"][-1] == "2.00"
    assert lines["inclusion proofs"][-1] == "1.00"
    assert lines["CPU a proof"][-1] == "1.50"
    assert "900" in lines["memory: appending"]
    assert lines["publication into files"][-1] == "20,000"


def test_stopwatch_adds_up_only_its_blocks() -> None:
    watch = Stopwatch()
    with watch:
        pass
    first = watch.seconds
    sum(range(200_000))
    with watch:
        sum(range(200_000))
    assert 0 <= first < watch.seconds
    assert watch.cpu > 0
