"""The audit service as a process on a real broker: every acknowledged event is logged exactly once."""

from __future__ import annotations

import contextlib
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import update

from contracts.facts import CaseErased
from contracts.topology import hub_topology
from kopuro_client.tlog import verify_consistency, verify_inclusion
from runtime.identifiers import new_id
from runtime.messaging.dead_letters.dead_letter_queue import DeadLetters
from runtime.messaging.outbox.outbox import outgoing
from runtime.messaging.rabbit.browser import RabbitBrowsers
from services.audit.adapters.tables import ENTRIES, NODES
from services.audit.log.adapters.sql_checks import SqlCheckRecord
from services.audit.log.domain.checkpoint import Checkpoint
from services.audit.log.domain.merkle import Frontier, leaf_hash
from services.audit.log.domain.prefix import Prefix
from services.audit.log.ports import VerifiedPrefix
from tests.services.audited_hub import MOSCOW, OSH, REFERRAL, AuditedHub, accepted, event_of
from tests.support.hub_keys import signed, signed_event

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


@pytest.fixture
def hub(hub_vhost: str, database_url: str, tmp_path: Path) -> Iterator[AuditedHub]:
    made = AuditedHub(hub_vhost, database_url, tmp_path)
    yield made
    made.close()


def test_log_after_kills_has_no_gap_duplicate_or_fork(hub: AuditedHub) -> None:
    events = [accepted() for _ in range(500)]
    seen: list[Checkpoint] = []
    for at in range(0, 500, 125):
        with hub.service:
            before = hub.checkpoint().size
            hub.publish(events[at : at + 125])
            hub.until(lambda before=before: hub.checkpoint().size > before)  # type: ignore[misc]
            seen.append(hub.checkpoint())
            hub.service.process.kill()
    with hub.service:
        hub.until_logged(events)
        hub.answer_as_the_directory()
        hub.service.until_ready()
        hub.until(lambda: hub.checkpoint().size >= len(events))  # the log publishes a little later
        last = hub.checkpoint()
        for earlier in seen:
            proof = hub.get(f"/v1/consistency?from={earlier.size}&to={last.size}").json()
            hashes = [b64decode(text) for text in proof["hashes"]]
            verify_consistency(earlier.size, last.size, hashes, earlier.root, last.root)
    logged = hub.logged()
    assert [index for index, _ in logged] == list(range(len(logged)))
    ids = [message_id for _, message_id in logged]
    assert len(set(ids)) == len(ids)
    # The log also contains the requests for a copy of the directory, one for each start.
    ours = {event.id for event in events}
    assert len([i for i in ids if i in ours]) == 500
    with hub.database.read() as transaction:
        leaves = [row.leaf for row in transaction.execute(ENTRIES.select().order_by(ENTRIES.c.leaf_index))]
    assert last.size >= 500
    assert Frontier().extend(map(leaf_hash, leaves[: last.size])).root() == last.root


def test_auditor_reads_are_verified_and_recorded(hub: AuditedHub) -> None:
    erased = event_of(CaseErased(referral_id=REFERRAL, reason="completed"))
    story = [
        accepted(),
        event_of(CaseErased(referral_id=(other := new_id()), reason="failed"), other),
        erased,
    ]
    hub.answer_as_the_directory()
    hub.publish(story)
    with hub.service:
        hub.service.until_ready()
        hub.until_logged(story)

        page = hub.get(f"/v1/history/{REFERRAL}").json()
        assert [item["message_id"] for item in page["items"]] == [story[0].id, erased.id]
        assert page["next"] is None
        item = page["items"][0]
        assert (item["organization"], item["hub"], item["actor"]) == (MOSCOW, "kg", "/kg/routing")
        for party in (OSH, MOSCOW):
            items = hub.get("/v1/history", organization=party, type=story[0].type).json()["items"]
            assert [i["message_id"] for i in items] == [story[0].id]
        assert hub.get("/v1/history?from=2099-01-01T00:00:00Z").json()["items"] == []
        first = hub.get("/v1/history", limit=1).json()
        second = hub.get("/v1/history", limit=1, after=first["next"]).json()
        assert (first["items"][0]["index"], second["items"][0]["index"]) == (0, 1)

        # An entry is under a published checkpoint within a second, not at once.
        hub.until(lambda: hub.checkpoint().size > item["index"])
        checkpoint = hub.checkpoint()
        assert checkpoint.origin == "kopuro/kg" == page["checkpoint"]["origin"]
        shown = hub.get(f"/v1/entries/{item['index']}").json()
        said = {name: value for name, value in shown["head"]["value"].items() if name != "referral_key"}
        assert said | {"index": item["index"], "commitment": orjson.loads(shown["leaf"])["data"]} == item
        leaf = leaf_hash(shown["leaf"].encode())
        assert b64decode(shown["leaf_hash"]) == leaf
        proof = hub.get("/v1/proof", index=item["index"], size=checkpoint.size).json()
        hashes = [b64decode(text) for text in proof["hashes"]]
        verify_inclusion(leaf, item["index"], checkpoint.size, hashes, checkpoint.root)

        hub.until(lambda: len(timeline_reads(hub)) >= 1)
        assert (
            hub.get("/v1/history", type="kopuro.history.read.v1").json()["items"][0]["actor"] == "/kg/audit"
        )


def timeline_reads(hub: AuditedHub) -> list[dict[str, Any]]:
    items = hub.get(f"/v1/history/{REFERRAL}").json()["items"]
    return [item for item in items if item["type"] == "kopuro.history.read.v1"]


def test_invalid_audit_requests_are_refused(hub: AuditedHub) -> None:
    hub.answer_as_the_directory()
    with hub.service:
        hub.service.until_ready()
        for role in ("auditor", "coordinator", "operator"):
            assert hub.get("/v1/history", role=role).status_code == 200
        assert hub.get("/v1/history", role="partner").status_code == 403
        assert httpx.get(hub.service.url + "/v1/history").status_code == 401
        for path in (
            "/v1/history?referal=x",
            "/v1/history?referral=Азамат",
            "/v1/history?organization=Osh",
            "/v1/history?type=a b",
            "/v1/history?from=yesterday",
            "/v1/history?from=2026-03-01T12:00:00",
            "/v1/history?after=x",
            "/v1/history?limit=0",
            f"/v1/history/{REFERRAL}?referral={REFERRAL}",
            "/v1/proof",
            "/v1/proof?index=0&size=999999",
            "/v1/proof?index=999999",
            "/v1/consistency?from=2&to=1",
        ):
            answer = hub.get(path)
            assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) in (
                (400, "invalid-parameter"),
                (400, "invalid-cursor"),
            ), path
        for path in ("/v1/entries/999999", "/v1/entries/-1", "/v1/entries/01", "/v1/history/not-an-id"):
            answer = hub.get(path)
            assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (404, "not-found"), path


def test_service_with_tampered_log_does_not_start(hub: AuditedHub) -> None:
    events = [accepted() for _ in range(3)]
    hub.publish(events)
    with hub.service:
        hub.until_logged(events)
    with hub.database.write() as transaction:
        row = transaction.execute(ENTRIES.select().where(ENTRIES.c.message_id == events[1].id)).one()
        # The minute, which is in no search column.
        changed = row.leaf[:-7] + (b"1" if row.leaf[-7:-6] != b"1" else b"2") + row.leaf[-6:]
        transaction.execute(
            update(ENTRIES).where(ENTRIES.c.leaf_index == row.leaf_index).values(leaf=changed)
        )
    with pytest.raises(RuntimeError, match="do not match the signed checkpoint"), hub.service:
        pass
    assert hub.service.process.exit_code() == 1


def test_message_that_cannot_be_logged_is_reported_until_discarded(hub: AuditedHub, hub_vhost: str) -> None:
    whole = signed_event(good := accepted())
    # An earlier version admitted numbers without canonical JSON.
    document = {
        **orjson.loads(outgoing(bad := accepted()).body),
        "data": {"referral_id": REFERRAL, "n": 2**60},
    }

    def ready() -> Any:
        return httpx.get(hub.service.operations_url + "/readyz").json()

    hub.answer_as_the_directory()
    with hub.service:
        hub.service.until_ready()
        assert ready()["warnings"]["parked"] == "ok"
        with contextlib.closing(hub.broker.publisher()) as publisher:
            publisher.publish([signed(replace(outgoing(bad), body=orjson.dumps(document))), whole])
        hub.until_logged([good])
        hub.until(lambda: ready()["warnings"]["parked"] != "ok")
        assert ready()["warnings"]["parked"].startswith("1 dead letter of audit.log")
        assert ready()["ready"] is True
        figures = httpx.get(hub.service.operations_url + "/metrics").text
        assert 'kopuro_messages_parked{consumer="audit.log"} 1.0' in figures
        with contextlib.closing(hub.broker.publisher()) as publisher:
            letters = DeadLetters(
                browse=RabbitBrowsers(hub_vhost), publisher=publisher, topology=hub_topology()
            )
            letters.discard("audit.log", bad.id)
        hub.until(lambda: ready()["warnings"]["parked"] == "ok")


def test_damage_unseen_at_start_is_reported_while_the_service_runs(hub: AuditedHub) -> None:
    events = [accepted() for _ in range(20)]
    hub.publish(events)
    with hub.service:
        hub.until_logged(events)
        hub.until(lambda: hub.checkpoint().size >= 20)
        ready = httpx.get(hub.service.operations_url + "/readyz").json()
        assert ready["warnings"]["log"] == "ok"
    with hub.database.write() as transaction:
        row = transaction.execute(NODES.select().where(NODES.c.level == 0, NODES.c.first == 0)).one()
        changed = bytes(32) + row.hashes[32:]
        where = (NODES.c.level == 0, NODES.c.first == 0)
        transaction.execute(update(NODES).where(*where).values(hashes=changed))
        # The next start continues an interrupted round at once.
        begun = VerifiedPrefix(prefix=Prefix(), time=datetime.now(UTC))
        SqlCheckRecord().keep_round(transaction, begun)

    def figures() -> str:
        return httpx.get(hub.service.operations_url + "/metrics").text

    with hub.service:
        hub.until(lambda: "kopuro_log_damaged 1.0" in figures())
        ready = httpx.get(hub.service.operations_url + "/readyz").json()
        assert "Entry 0 differs from the logged entry" in ready["warnings"]["log"]
        assert any(line["message"] == "the log is damaged" for line in hub.service.log_lines())
        # The service continues.
        more = [accepted()]
        hub.publish(more)
        hub.until_logged(more)
