"""A month on a real hub: five referrals, a statement, its proof without the hub, and rewritten tables."""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.facts import StatementIssued
from runtime.storage.database import sqlite_url
from sandbox.broker import PrivateBroker
from sandbox.hub_files import SERVICES
from services.routing.domain.calendar_month import CalendarMonth
from services.routing.domain.calendar_week import CalendarWeek
from tests.journey.moved_clock import HubWithMovedClock
from tests.journey.published_contract import check_message
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.support.kopuro_forks import Kopuro

REFERRAL = "wage-claim-osh-moscow"
# A month that has not begun, so that the hub is there for all of it.
MONTH = CalendarMonth.of(CalendarWeek.of(dt.datetime.now(dt.UTC))).after
NOT_VERIFIED = 9


@pytest.fixture
def hub(tmp_path: Path, broker: PrivateBroker) -> Iterator[RunningHub]:
    data, vhost = tmp_path / "data", f"journey-{secrets.token_hex(6)}"
    uri = broker.add_vhost(vhost)
    environment = {**os.environ, "KOPURO_AMQP_URI": uri, "KOPURO_SANDBOX": "true"}
    running = HubWithMovedClock(data, environment=environment)
    try:
        running.move_to(MONTH.weeks[0].start - dt.timedelta(hours=1))
        running.start()
        databases = {name: sqlite_url(data / f"data/{name}.sqlite") for name in SERVICES}
        yield RunningHub(running, databases=databases, broker=uri)
    finally:
        running.stop()
        broker.remove_vhost(vhost)


@pytest.mark.timeout(300)  # starts a hub and plays a month
def test_statement_of_a_month_is_verified_without_the_hub(
    hub: RunningHub, kopuro: Kopuro, tmp_path: Path
) -> None:
    assert isinstance(hub.hub, HubWithMovedClock)
    asked: dict[str, list[str]] = {}
    for number in range(5):
        hub.hub.move_to(MONTH.weeks[0].start + dt.timedelta(days=1, hours=number))
        sender, referral_id = hub.submit(REFERRAL)
        acceptor, offer_id = hub.next_offer(sender, referral_id)
        asked.setdefault(acceptor.id, []).append(referral_id)
        acceptor.hub.accept(offer_id)
        acceptor.await_message("case.released", referral_id)
    organization, referrals = max(asked.items(), key=lambda one: len(one[1]))
    assert len(referrals) >= 2

    hub.hub.move_to(MONTH.weeks[-1].end + dt.timedelta(hours=2))
    participant = hub.organization(organization)

    def announced() -> list[Any] | None:
        return list(participant.hub.mailbox(types=["statement.issued"])["items"]) or None

    (message,) = until(announced, "the statement of the month", within=60)
    check_message(message)
    assert (message["data"]["organization"], message["data"]["month"]) == (organization, str(MONTH))

    key, file = tmp_path / "log-key.txt", tmp_path / "statement.json"
    key.write_text(_run(hub, kopuro, "auditor", "log-key"))
    shown = _run(hub, kopuro, organization, "organization", "statement", "--month", str(MONTH))
    assert str(len(referrals)) in shown
    issued = ("history", "--type", StatementIssued.type, "--organization", organization, "--json")
    (listed,) = until(
        lambda: json.loads(_run(hub, kopuro, "auditor", *issued))["items"] or None, "the statement in the log"
    )
    assert listed["message_id"] == message["id"]
    _run(hub, kopuro, organization, "organization", "statement", "--month", str(MONTH), "--output", str(file))
    verdict = _verify(kopuro, file, key, tmp_path)
    assert verdict["holds"], verdict
    assert verdict["referrals"] == referrals
    assert (verdict["proved"], verdict["unlisted"], verdict["issued"]) == (len(referrals), 0, True)

    # An auditor counts it again.
    data = str(hub.files.directory)
    for check in (
        ("routing", "statements", str(MONTH), "--data-dir", data),
        ("routing", "recompute", "--data-dir", data),
    ):
        done = _command(hub, kopuro, *check)
        assert done.returncode == 0, done.stdout + done.stderr

    # The hub moves an outcome to another organisation in its tables.
    with sqlite3.connect(hub.files.directory / "data/routing.sqlite") as routing:
        changed = routing.execute(
            "UPDATE decisions SET asked = ? WHERE referral_id = ?", (json.dumps(["ru.nobody"]), referrals[0])
        )
        assert changed.rowcount
    routing.close()
    file.unlink()
    _run(hub, kopuro, organization, "organization", "statement", "--month", str(MONTH), "--output", str(file))
    verdict = _verify(kopuro, file, key, tmp_path)
    assert not verdict["holds"]
    assert "did not ask the organisation" in verdict["sentence"]
    assert _command(hub, kopuro, "routing", "statements", str(MONTH), "--data-dir", data).returncode == 1


def _verify(kopuro: Kopuro, file: Path, key: Path, folder: Path) -> dict[str, Any]:
    """Verify without the hub's address and credentials."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("KOPURO_")}
    bare["XDG_STATE_HOME"] = str(folder / "state")
    done = subprocess.run(
        [kopuro.program, "verify", "statement", str(file), "--log-key", str(key), "--json"],
        env=bare,
        capture_output=True,
        text=True,
        check=False,
    )
    verdict: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if verdict["holds"] else NOT_VERIFIED), done.stderr
    return verdict


def _run(hub: RunningHub, kopuro: Kopuro, who: str, *arguments: str) -> str:
    done = _command(hub, kopuro, *arguments, "--as", who)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _command(hub: RunningHub, kopuro: Kopuro, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KOPURO_")}
    environment |= {
        "KOPURO_DISCOVERY_URL": hub.files.discovery_address(),
        "KOPURO_CREDENTIALS": str(hub.files.credentials),
    }
    return subprocess.run(
        [kopuro.program, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
