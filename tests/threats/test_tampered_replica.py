"""An attacker who can write to routing's database rewrites, plants, renumbers and deletes replica rows.

Offers still follow the directory's signed records, while routing runs and after a restart.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import orjson
import pytest
import sqlalchemy as sa

from contracts.facts import OrganizationChanged
from kopuro_client import RefusedError
from runtime.messaging.replica_comparison import COMPARED
from sandbox.demo.participants import Participant
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.threats.operator import changed_record

REFERRAL = "wage-claim-osh-moscow"
PLANTED = "kg.planted"
# A comparison begins a second after the end of the last one, which may take this long on a loaded machine.
COMPARISON_SECONDS = 0.2
# Beside the turn over all rows: for the snapshot, on a loaded machine.
REPAIR_SECONDS = 5.0
SUSPENSION_SECONDS = 5.0
# The timer begins two seconds after its start. This leaves it time for many turns.
TURNS_SECONDS = 5.0
MANY = 2**62 - 1
SELECT = "SELECT data FROM replica WHERE type = :type AND key = :key"
CHANGE = "SELECT change FROM replica WHERE type = :type AND key = :key AND code <> :code"
REWRITE = "UPDATE replica SET data = :data WHERE type = :type AND key = :key"
RENUMBER = "UPDATE replica SET change = :change, code = :code WHERE type = :type AND key = :key"
DELETE = "DELETE FROM replica WHERE type = :type AND key = :key"
PLANT = (
    "INSERT INTO replica (type, key, revision, change, data, code)"
    " SELECT :type, :key, 1, max(change) + 1, :data, :code FROM replica"
)


@contextmanager
def routings_database(hub: RunningHub) -> Iterator[sa.Connection]:
    engine = sa.create_engine(hub.databases["routing"])
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def act(hub: RunningHub, statement: str, key: str, **values: object) -> None:
    """Write to the row of an organisation in routing's replica."""
    with routings_database(hub) as connection:
        named = {"type": OrganizationChanged.type, "key": key, **values}
        assert connection.execute(sa.text(statement), named).rowcount == 1


def stored(hub: RunningHub, key: str) -> Mapping[str, Any] | None:
    """Return the organisation of a row in routing's replica; None if there is no row."""
    with routings_database(hub) as connection:
        named = {"type": OrganizationChanged.type, "key": key}
        data = connection.execute(sa.text(SELECT), named).scalar()
    return None if data is None else dict(orjson.loads(data)["organization"])


def turn_seconds(hub: RunningHub) -> float:
    """Return how long routing takes at most until it compares a row that it has just compared."""
    with routings_database(hub) as connection:
        rows = int(connection.execute(sa.text("SELECT count(*) FROM replica")).scalar_one())
    return (math.ceil(rows / COMPARED) + 1) * (1 + COMPARISON_SECONDS)


def tampered(hub: RunningHub) -> float:
    (value,) = [
        float(line.rpartition(" ")[2])
        for line in hub.operations("routing", "/metrics").text.splitlines()
        if line.startswith("kopuro_replica_rows_tampered")
    ]
    return value


def readiness(hub: RunningHub) -> httpx.Response | None:
    try:
        return hub.operations("routing", "/readyz")
    except httpx.TransportError:
        return None


def is_ready(hub: RunningHub) -> bool:
    found = readiness(hub)
    return found is not None and found.status_code == 200


def kill_routing(hub: RunningHub) -> None:
    """Kill routing, and return when its next process answers."""
    restarts = hub.restarts("routing")
    os.kill(hub.pid("routing"), signal.SIGKILL)
    until(lambda: hub.restarts("routing") == restarts + 1, "the second start of routing")
    until(lambda: readiness(hub) is not None, "the second process of routing")


@pytest.fixture(autouse=True)
def new_process(hub: RunningHub) -> Iterator[None]:
    """Leave a process of routing that has seen no attack: a warning stays until the process ends."""
    yield
    kill_routing(hub)
    until(lambda: is_ready(hub), "routing")


def decided(hub: RunningHub) -> tuple[Participant, str, Mapping[str, bool]]:
    """Submit a referral; return its sender, its id, and which candidates passed every rule."""
    sender, referral_id = hub.submit(REFERRAL, urgency="urgent")

    def decision() -> Mapping[str, Any] | None:
        try:
            decisions = sender.hub.decision(referral_id)["decisions"]
        except RefusedError as refusal:
            if refusal.type != "urn:kopuro:problem:not-found":
                raise
            return None  # routing has not read the referral yet
        return decisions[0] if decisions else None

    candidates = until(decision, "the decision")["candidates"]
    return (
        sender,
        referral_id,
        {one["organization"]: all(rule["passed"] for rule in one["rules"]) for one in candidates},
    )


def verdicts(hub: RunningHub) -> Mapping[str, bool]:
    sender, referral_id, found = decided(hub)
    sender.hub.withdraw(referral_id, "placed_elsewhere")
    return found


def forged(organization: Mapping[str, Any]) -> str:
    """Return the data of a row that says the organisation."""
    return orjson.dumps({"organization": organization, "revision": 1}).decode()


def test_offers_do_not_follow_rows_that_were_rewritten_planted_or_deleted(hub: RunningHub) -> None:
    before = verdicts(hub)
    rewritten, deleted, *_ = sorted(one for one, passed in before.items() if passed)
    records = {one: stored(hub, one) for one in (rewritten, deleted)}
    record = records[rewritten] or {}

    def noticed_and_repaired(statement: str, key: str, **values: object) -> None:
        # One after the other: the records that are sent again for one of the rows repair them all.
        already = tampered(hub)
        end = time.monotonic() + turn_seconds(hub) + REPAIR_SECONDS
        act(hub, statement, key, **values)
        assert verdicts(hub) == before
        until(lambda: tampered(hub) > already, "the row in the metric", within=end - time.monotonic())
        until(
            lambda: stored(hub, key) == records.get(key),
            "the directory's record",
            within=end - time.monotonic(),
        )

    suspended = forged({**record, "vetting": "suspended"})
    noticed_and_repaired(REWRITE, rewritten, data=suspended)
    noticed_and_repaired(DELETE, deleted)
    noticed_and_repaired(PLANT, PLANTED, data=forged({**record, "id": PLANTED}), code=bytes(32))
    assert verdicts(hub) == before
    kill_routing(hub)
    until(lambda: is_ready(hub), "routing")
    assert verdicts(hub) == before


def test_suspension_after_a_forged_change_number_reaches_routing(hub: RunningHub) -> None:
    sender, referral_id, found = decided(hub)
    asked, _ = hub.next_offer(sender, referral_id)
    renumbered = next(one for one, passed in sorted(found.items()) if passed and one != asked.id)
    already = tampered(hub)
    act(
        hub,
        RENUMBER,
        renumbered,
        change=MANY,
        code=bytes(32),
    )
    until(lambda: tampered(hub) > already, "the row that counts as tampered", within=REPAIR_SECONDS)
    until(lambda: change_of(hub, renumbered) > MANY, "the directory's record", within=REPAIR_SECONDS)
    with changed_record(hub, asked.id, vetting="suspended"):
        until(
            lambda: any(
                one["state"] == "open" and one["organization"] != asked.id
                for one in sender.hub.referral(referral_id)["offers"]
            ),
            "the offer to the next",
            within=SUSPENSION_SECONDS,
        )
        kill_routing(hub)
        until(lambda: is_ready(hub), "routing")
        assert verdicts(hub)[asked.id] is False
    # Each look at the verdicts withdraws an offer, and ten such offers exclude a candidate.
    until(
        lambda: (stored(hub, asked.id) or {}).get("vetting") == "vetted",
        "the readmission in routing's database",
        within=SUSPENSION_SECONDS,
    )
    until(lambda: verdicts(hub)[asked.id], "the readmission after the restart", within=SUSPENSION_SECONDS)
    sender.hub.withdraw(referral_id, "placed_elsewhere")


def change_of(hub: RunningHub, key: str) -> int:
    """Return the change number of a row whose code is not the forged one, else 0."""
    with routings_database(hub) as connection:
        named = {"type": OrganizationChanged.type, "key": key, "code": bytes(32)}
        return int(connection.execute(sa.text(CHANGE), named).scalar() or 0)


def test_deadline_that_passes_while_the_replica_is_unusable_leaves_the_candidates(hub: RunningHub) -> None:
    sender, referral_id, _ = decided(hub)
    _, offer_id = hub.next_offer(sender, referral_id)
    directory = hub.pid("directory")
    os.kill(directory, signal.SIGSTOP)
    try:
        # After an upgrade from a version without codes no row has one.
        with routings_database(hub) as connection:
            assert connection.execute(sa.text("UPDATE replica SET code = NULL")).rowcount > 0
            passed = sa.text("UPDATE offers SET deadline = opened_at, acts_at = opened_at WHERE id = :id")
            assert connection.execute(passed, {"id": offer_id}).rowcount == 1
        kill_routing(hub)
        end = time.monotonic() + TURNS_SECONDS
        while time.monotonic() < end:
            assert not is_ready(hub)
            with routings_database(hub) as connection:
                state = sa.text("SELECT state FROM offers WHERE id = :id")
                assert connection.execute(state, {"id": offer_id}).scalar_one() == "open"
            time.sleep(0.2)
    finally:
        os.kill(directory, signal.SIGCONT)
    until(
        lambda: [one["state"] for one in sender.hub.referral(referral_id)["offers"]].count("expired") == 1,
        "the end of the offer",
    )
    assert sender.hub.referral(referral_id)["status"] == "offered"
    types = {entry["type"] for entry in hub.history(referral_id, last="offer.expired")}
    assert "kopuro.referral.unplaced.v1" not in types
    sender.hub.withdraw(referral_id, "placed_elsewhere")
