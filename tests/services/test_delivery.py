"""Delivery as a process on a real broker: mailboxes over HTTP, and a case from vault to acceptor."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.codes import Urgency
from contracts.facts import (
    DeliveryAcknowledged,
    DeliveryDelivered,
    ReferralUnplaced,
    ReferralWithdrawn,
)
from kopuro_client.sealing import open_sealed
from runtime.identifiers import new_id
from runtime.web.paging import encode_cursor
from services.delivery.handlers import mailbox_cursors
from tests.processes import RunningService
from tests.services.made_cursors import made_cursors
from tests.services.neighbours import (
    ACCEPTOR,
    NAME,
    SENDER,
    STRANGER,
    Neighbours,
    accepted,
    kinds,
    revoked,
    until,
)

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

LONG_WAIT = 30


@pytest.fixture(scope="module")
def quiet_hub(module_vhost: str, tmp_path_factory: pytest.TempPathFactory) -> Neighbours:
    return Neighbours(module_vhost, tmp_path_factory.mktemp("quiet"))


@pytest.fixture(scope="module")
def quiet_delivery(
    quiet_hub: Neighbours, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    """One delivery with empty mailboxes, for requests that change nothing."""
    with quiet_hub.delivery(f"sqlite:///{tmp_path_factory.mktemp('quiet') / 'test.sqlite'}") as running:
        running.until_ready()
        yield running


@pytest.fixture
def hub(hub_vhost: str, tmp_path: Path) -> Neighbours:
    return Neighbours(hub_vhost, tmp_path)


@pytest.fixture
def delivery(hub: Neighbours, sqlite_database: str) -> Iterator[RunningService]:
    with hub.delivery(sqlite_database) as running:
        running.until_ready()
        yield running


def test_sealed_case_reaches_its_acceptor(hub: Neighbours, database_url: str, tmp_path: Path) -> None:
    referral = new_id()
    vault = hub.vault(f"sqlite:///{tmp_path / 'vault.sqlite'}")
    with hub.delivery(database_url) as delivery, vault:
        delivery.until_ready()
        vault.until_ready()
        acceptor, stranger = hub.partner(ACCEPTOR, delivery), hub.partner(STRANGER, delivery)
        hub.publish(hub.sealed_case(referral))
        vault.process.kill()
        hub.publish(accepted(referral))
        vault.process.spawn()
        (confirmation,) = acceptor.mailbox(wait=LONG_WAIT)["items"]
        assert confirmation["type"] == "kopuro.offer.accepted.v1"
        assert acceptor.acknowledge(confirmation["id"]) == 204
        (notice,) = acceptor.mailbox(wait=LONG_WAIT)["items"]
        assert notice["type"] == "kopuro.case.released.v1"
        assert notice["data"]["referral_id"] == referral

        answer = acceptor.case(referral).raise_for_status().json()
        assert answer["referral_id"] == referral
        assert open_sealed(answer["case"], hub.keys[ACCEPTOR])["name"] == NAME
        assert stranger.case(referral).status_code == 404
        assert stranger.mailbox()["items"] == []
        assert stranger.acknowledge(notice["id"]) == 404
        assert [acceptor.acknowledge(notice["id"]) for _ in range(2)] == [204, 204]
        assert acceptor.mailbox() == {"items": [], "next": None, "resume": None}

        facts = hub.hear("audit.log", lambda events: bool(kinds(events, DeliveryAcknowledged)))
        for kind in (DeliveryDelivered, DeliveryAcknowledged):
            (fact,) = kinds(facts, kind)
            assert (fact.message_id, fact.organization) == (notice["id"], ACCEPTOR)

        hub.publish(
            ReferralWithdrawn(
                referral_id=referral, sender=SENDER, organization=ACCEPTOR, reason="consent_revoked"
            )
        )
        assert acceptor.mailbox(wait=LONG_WAIT)["items"][0]["type"] == "kopuro.referral.withdrawn.v1"
        assert acceptor.case(referral).status_code == 404
        for process in (vault, delivery):
            assert NAME not in process.log.read_text()


def test_mailbox_pages_join_without_gap(hub: Neighbours, delivery: RunningService) -> None:
    partner = hub.partner(ACCEPTOR, delivery)
    facts = [revoked() for _ in range(25)]
    hub.publish_all(list(facts))
    until(lambda: True if len(partner.mailbox()["items"]) == 25 else None, "25 messages")
    seen: list[str] = []
    pages = [page := partner.mailbox(limit=10)]
    while page["next"] is not None:
        assert page["next"] == page["resume"]
        pages.append(page := partner.mailbox(limit=10, after=page["next"]))
    assert [len(page["items"]) for page in pages] == [10, 10, 5]
    seen = [item["data"]["offer_id"] for page in pages for item in page["items"]]
    assert seen == [fact.offer_id for fact in facts]


def test_poll_continues_from_the_resume_cursor_of_the_last_page(
    hub: Neighbours, delivery: RunningService
) -> None:
    partner = hub.partner(ACCEPTOR, delivery)
    hub.publish(revoked())
    last = partner.mailbox(wait=LONG_WAIT)
    assert last["next"] is None
    empty = partner.mailbox(after=last["resume"])
    assert empty == {"items": [], "next": None, "resume": last["resume"]}
    hub.publish(new := revoked())
    (item,) = partner.mailbox(after=empty["resume"], wait=LONG_WAIT)["items"]
    assert item["data"]["offer_id"] == new.offer_id


def test_coordinators_read_and_acknowledge_one_mailbox_over_http(
    hub: Neighbours, delivery: RunningService
) -> None:
    unplaced = ReferralUnplaced(
        referral_id=new_id(),
        sender=SENDER,
        decision_id=new_id(),
        urgency=Urgency.emergency,
        region="RU-MOW",
        needs=("legal.wage_claim",),
        reason="no_candidate",
    )
    hub.publish(unplaced)
    one, other = (hub.partner(name, delivery, role="coordinator") for name in ("kg.first", "kg.second"))
    (message,) = one.mailbox(wait=LONG_WAIT)["items"]
    assert message["type"] == "kopuro.referral.unplaced.v1"
    assert message["data"]["referral_id"] == unplaced.referral_id
    assert other.mailbox()["items"] == [message]
    assert other.acknowledge(message["id"]) == 204
    assert one.mailbox()["items"] == []
    assert [m["id"] for m in hub.partner(SENDER, delivery).mailbox()["items"]] == [message["id"]]


def test_long_poll_returns_when_message_arrives(hub: Neighbours, delivery: RunningService) -> None:
    partner = hub.partner(ACCEPTOR, delivery)
    with ThreadPoolExecutor(1) as pool:
        started = time.monotonic()
        poll = pool.submit(partner.mailbox, wait=LONG_WAIT)
        until(lambda: in_flight(delivery), "a poll under way")
        hub.publish(revoked())
        assert len(poll.result()["items"]) == 1
        # Not a benchmark: the poll returned before its timeout.
        assert time.monotonic() - started < LONG_WAIT / 2


def test_stopping_service_answers_long_polls_at_once(hub: Neighbours, delivery: RunningService) -> None:
    partner = hub.partner(ACCEPTOR, delivery)
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(partner.mailbox, wait=LONG_WAIT)
        until(lambda: in_flight(delivery), "a poll under way")
        delivery.process.stop(timeout=10)
        assert poll.result() == {"items": [], "next": None, "resume": None}
    assert delivery.process.exit_code() == 0
    assert not [line for line in delivery.log_lines() if line["message"] == "stopping with unfinished work"]


def test_killed_delivery_loses_and_repeats_no_message(hub: Neighbours, database_url: str) -> None:
    facts = [revoked() for _ in range(500)]
    delivery = hub.delivery(database_url)
    with delivery:
        delivery.until_ready()
        hub.publish_all(list(facts))
        hub.partner(ACCEPTOR, delivery).mailbox(wait=LONG_WAIT)
        delivery.process.kill()
    hub.publish_all([revoked()])
    with delivery:
        delivery.until_ready()
        partner = hub.partner(ACCEPTOR, delivery)
        found: list[str] = []
        after: dict[str, str] = {}
        while len(found) < 501:
            page = partner.mailbox(limit=200, wait=LONG_WAIT, **after)
            assert page["items"], f"only {len(found)} messages"
            found += [item["data"]["offer_id"] for item in page["items"]]
            after = {"after": page["resume"]}
        assert partner.mailbox(**after)["items"] == []
    assert found[:500] == [fact.offer_id for fact in facts]
    assert len(set(found)) == 501


def test_cursor_of_another_organization_is_refused(
    quiet_hub: Neighbours, quiet_delivery: RunningService
) -> None:
    theirs = encode_cursor(mailbox_cursors(SENDER), [1])
    partner = quiet_hub.partner(ACCEPTOR, quiet_delivery)
    answer = partner.ask("GET", "delivery", "/v1/mailbox", params={"after": theirs})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:kopuro:problem:invalid-cursor")
    own = encode_cursor(mailbox_cursors(ACCEPTOR), [1])
    assert partner.ask("GET", "delivery", "/v1/mailbox", params={"after": own}).status_code == 200


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"after": "nonsense"}, "invalid-cursor"),
        ({"limt": 1}, "invalid-parameter"),
        ({"wait": 31}, "invalid-parameter"),
        ({"wait": "soon"}, "invalid-parameter"),
        ({"limit": 0}, "invalid-parameter"),
        ({"limit": 201}, "invalid-parameter"),
        ({"from": "yesterday"}, "invalid-parameter"),
        ({"from": "2026-03-01T12:00:00"}, "invalid-parameter"),
        ({"from": ""}, "invalid-parameter"),
        ({"type": "offers"}, "invalid-parameter"),
        ({"type": "offer.opened,"}, "invalid-parameter"),
        ({"consumer": "Not a slug"}, "invalid-parameter"),
        ({"consumer": "archive", "from": "2026-03-01T12:00:00Z"}, "invalid-parameter"),
    ],
)
def test_invalid_poll_parameter_is_refused(
    quiet_hub: Neighbours, quiet_delivery: RunningService, query: dict[str, Any], problem: str
) -> None:
    answer = quiet_hub.partner(ACCEPTOR, quiet_delivery).ask("GET", "delivery", "/v1/mailbox", params=query)
    assert (answer.status_code, answer.json()["type"]) == (400, f"urn:kopuro:problem:{problem}")


def test_acknowledgement_with_a_body_or_a_form_for_json_is_refused(
    quiet_hub: Neighbours, quiet_delivery: RunningService
) -> None:
    partner = quiet_hub.partner(ACCEPTOR, quiet_delivery)
    acknowledge = f"/v1/mailbox/{new_id()}/acknowledge"
    answer = partner.ask("POST", "delivery", acknowledge, json={"consumer": "nightly"})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:kopuro:problem:invalid-parameter")
    form = {"Content-Type": "text/plain"}
    answer = partner.ask("POST", "delivery", "/v1/mailbox:acknowledge", content=b"{}", headers=form)
    assert (answer.status_code, answer.json()["type"]) == (415, "urn:kopuro:problem:unsupported-media-type")


def test_forged_cursors_are_refused(quiet_hub: Neighbours, quiet_delivery: RunningService) -> None:
    partner = quiet_hub.partner(ACCEPTOR, quiet_delivery)
    for cursor in made_cursors(mailbox_cursors(ACCEPTOR)):
        answer = partner.ask("GET", "delivery", "/v1/mailbox", params={"after": cursor})
        assert answer.status_code == 400, cursor


def test_mailboxes_and_cases_are_limited_to_their_roles(
    quiet_hub: Neighbours, quiet_delivery: RunningService
) -> None:
    mailbox, case = "/v1/mailbox", f"/v1/case/{new_id()}"
    expected = {
        (mailbox, "coordinator"): 200,
        (mailbox, "auditor"): 403,
        # Coordinators share a mailbox and have no consumers of their own.
        (f"{mailbox}?consumer=archive", "coordinator"): 403,
        (f"{mailbox}/consumers", "coordinator"): 403,
        (f"{mailbox}/consumers", "auditor"): 403,
        (case, "coordinator"): 403,
        (case, "auditor"): 403,
    }
    for (path, role), status in expected.items():
        assert httpx.get(quiet_delivery.url + path).status_code == 401
        answer = quiet_hub.partner(f"kg.{role}", quiet_delivery, role=role).ask("GET", "delivery", path)
        assert answer.status_code == status, (path, role)


def in_flight(delivery: RunningService) -> bool | None:
    """Return True while a request is in flight, else None."""
    figures = httpx.get(delivery.operations_url + "/metrics").text
    return True if "kopuro_http_requests_in_flight 1.0" in figures else None
