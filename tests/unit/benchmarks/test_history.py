"""A hub starts with a generated history, serves it and continues from it, on both databases."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from admin.reconciliation import reconcile
from benchmarks.growth import places
from benchmarks.history import SyntheticHistory, write_history
from benchmarks.journey import close_loops
from benchmarks.kopuro_hub import KopuroHub
from benchmarks.quiescence import wait_until_quiescent
from benchmarks.reads import measure_reads
from benchmarks.recording import Recording, record_loops
from kopuro_client.tlog.tiles import split_entries
from sandbox.broker import PrivateBroker
from sandbox.hub_files import HUB, SERVICES
from services.audit.log.adapters.directory_publication import DirectoryPublication
from services.audit.log.adapters.signing_key import load_log_key
from services.audit.log.domain.merkle import leaf_hash, root_at
from services.audit.log.domain.tiles import ENTRIES, Tile
from services.audit.log.handlers.published_log import PublishedLog
from tests.journey.waiting import until
from tests.long_run import times
from tests.servers import PostgresServer

REFERRALS = times(60, 200)
SENDER = "kg.osh-legal-aid"


@pytest.fixture(scope="module")
def recording(broker: PrivateBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    hub = KopuroHub(tmp_path_factory.mktemp("recorded") / "hub", broker.add_vhost("history-recorded"))
    hub.start()
    try:
        yield record_loops(hub, 1)
    finally:
        hub.stop()
        broker.remove_vhost("history-recorded")


# Two starts of a whole hub each.
@pytest.mark.timeout(300)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_hub_continues_from_generated_history(
    database: str, recording: Recording, vhost: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    template = None
    if database == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        urls = {service: server.create_database(f"history_{service}") for service in SERVICES}
        template = urls["intake"].replace("history_intake", "history_{service}")
    hub = KopuroHub(tmp_path / "hub", vhost, database_template=template)
    history = SyntheticHistory(referrals=REFERRALS, now=time.time_ns() // 1000)
    try:
        hub.start()
        hub.stop()
        write_history(history, recording, places(hub), lambda text: None)

        # Audit computes its whole log again before it is ready.
        hub.start()
        old = history.referral_ids(recording, 20)
        assert len(set(old)) == 20
        for referral in (old[0], old[-1]):
            shown = _get(hub, "intake", SENDER, f"/v1/referrals/{referral}")
            assert (shown["status"], shown["sender"]) == ("completed", SENDER)
            told = _get(hub, "audit", "auditor", f"/v1/history/{referral}")
            assert "kopuro.referral.completed.v1" in [item["type"] for item in told["items"]]
        # Nothing of the history waits in a mailbox, and every read that is measured is answered. The hub
        # itself may have issued the statement of a month.
        waiting = {one["type"] for one in _get(hub, "delivery", SENDER, "/v1/mailbox")["items"]}
        assert waiting <= {"kopuro.statement.issued.v1"}
        assert all(taken >= 0 for taken in measure_reads(hub, old, 1).values())

        assert close_loops(hub, 3) == 3
        # Nothing is left over that a second driver would mistake for its own.
        assert close_loops(hub, 3) == 3
        wait_until_quiescent(hub.published)
        # Routing may issue a month's statements at any moment: they agree once their messages have arrived.
        urls = {service: hub.database_url(service) for service in SERVICES}
        until(
            lambda: reconcile.run(urls, settled_seconds=0, as_json=False) == 0,
            "agreement of all databases with the log",
            within=60,
        )
    finally:
        hub.stop()

    _check_published(hub)
    if database == "postgresql":
        for url in urls.values():
            server.drop_database(url)


def _check_published(hub: KopuroHub) -> None:
    """The files alone give the root that was signed, and each entry is the leaf of its hash."""
    published = PublishedLog(
        DirectoryPublication(hub.files.published_log), load_log_key(hub.files.key("log"), HUB)
    )
    published.refresh()
    assert published.current is not None
    size = published.size
    assert size > 14 * REFERRALS
    assert root_at(size, published.node) == published.current.checkpoint.root
    content = published.file(Tile(level=ENTRIES, index=1))
    assert content is not None
    leaves = split_entries(content, "entries")
    assert [leaf_hash(leaf) for leaf in leaves] == [published.node(0, n) for n in range(256, 512)]


def test_referrals_are_spread_evenly_over_the_days() -> None:
    now = int(dt.datetime(2026, 6, 1, tzinfo=dt.UTC).timestamp() * 1_000_000)
    history = SyntheticHistory(referrals=1_000, now=now, days=300)

    moments = [instance.moment for _, instance in history.instances(kinds=1, longest=0)]

    assert moments == sorted(moments)
    assert moments[0] == history.begin
    assert moments[-1] < now
    assert sum(moment >= history.forgotten_before for moment in moments) == pytest.approx(100, abs=1)


def _get(hub: KopuroHub, service: str, reader: str, path: str) -> Any:
    door = hub.door(service)
    connection = http.client.HTTPConnection(door.host, door.port, timeout=30)
    connection.request("GET", path, headers={"Authorization": f"Bearer {hub.token(reader)}"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, body
    return json.loads(body)
