"""An attacker who can write to a service's database gives itself an approval or a role in its replica."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import sqlalchemy as sa

from contracts.facts import ClientChanged, OrganizationChanged
from sandbox.demo.participants import Participant
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.threats.test_unapproved_service import (
    ATTACKER,
    TRAFFICKING,
    attacker,
    observed,
    until_routing_has_the_service,
    verdict,
)

__all__ = ["attacker", "observed"]  # fixtures

SELECT = sa.text("SELECT data FROM replica WHERE type = :type AND key = :key")
REWRITE = sa.text(
    "UPDATE replica SET data = :data, change = (SELECT max(change) + 1 FROM replica)"
    " WHERE type = :type AND key = :key"
)


def rewrite(hub: RunningHub, service: str, type: str, key: str, change: dict[str, Any]) -> None:
    """Change members of a record in a service's replica so that the running process reads it."""
    engine = sa.create_engine(hub.databases[service])
    try:
        with engine.begin() as connection:
            data = orjson.loads(connection.execute(SELECT, {"type": type, "key": key}).scalar_one())
            data.get("organization", data).update(change)
            connection.execute(REWRITE, {"type": type, "key": key, "data": orjson.dumps(data).decode()})
    finally:
        engine.dispose()


def warned(hub: RunningHub, service: str) -> str | None:
    """Return the warning about the service's replica; None if there is none."""
    warning = str(hub.operations(service, "/readyz").json()["warnings"]["replica"])
    return None if warning == "ok" else warning


def test_approval_written_into_routings_replica_opens_no_offer(
    hub: RunningHub, attacker: Participant, observed: str
) -> None:
    until_routing_has_the_service(hub, observed)
    by = {"by": "kg.coordinator", "at": "2026-01-01T00:00:00Z"}
    approval = {"service": "rescue", "needs": [TRAFFICKING], **by}
    rewrite(hub, "routing", OrganizationChanged.type, ATTACKER, {"approved_services": [approval]})
    warning = until(lambda: warned(hub, "routing"), "the warning about the replica")
    assert f"organization {ATTACKER}" in warning
    asked, failed = verdict(hub, "girl-taken-to-the-city")
    assert ATTACKER not in asked
    assert failed == {"service_not_approved": {"service": "rescue", "needs": [TRAFFICKING]}}
    until(lambda: _stored(hub).get("approved_services", []) == [], "the directory's record in the replica")


def _stored(hub: RunningHub) -> dict[str, Any]:
    engine = sa.create_engine(hub.databases["routing"])
    try:
        with engine.connect() as connection:
            row = connection.execute(SELECT, {"type": OrganizationChanged.type, "key": ATTACKER}).scalar_one()
    finally:
        engine.dispose()
    return dict(orjson.loads(row)["organization"])


def test_role_written_into_audits_replica_opens_nothing(hub: RunningHub) -> None:
    client = hub.people["organizations"][ATTACKER]["client_id"]
    rewrite(hub, "audit", ClientChanged.type, client, {"roles": ["auditor"]})
    warning = until(lambda: warned(hub, "audit"), "the warning about the replica")
    assert f"client {client}" in warning
    answer = httpx.get(
        f"{hub.address('audit')}/v1/export",
        headers={"Authorization": f"Bearer {hub.token(ATTACKER)}"},
    )
    assert answer.status_code == 403
