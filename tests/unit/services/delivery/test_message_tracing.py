"""Where a message is, for its owner, for staff and for others, on a real database."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from contracts.errors import Refused
from runtime.access.reads import Read
from runtime.access.tokens import Principal
from runtime.identifiers import new_id
from runtime.web.request import Request
from services.delivery import api
from services.delivery.adapters.traced_messages import SqlTracedMessages
from services.delivery.message_tracing import MessageTracing
from services.delivery.webhooks.adapters.sql_endpoints import SqlEndpoints
from services.delivery.webhooks.adapters.sql_notices import SqlNotices
from services.delivery.webhooks.domain.endpoint import Endpoint
from services.delivery.webhooks.domain.endpoint_url import EndpointUrl
from services.delivery.webhooks.domain.notice import Notice
from services.delivery.webhooks.domain.retries import Haste
from tests.unit.services.delivery.workbench import (
    ACCEPTOR,
    NOW,
    OFFER,
    REFERRAL,
    SENDER,
    STRANGER,
    Workbench,
    opened,
    released_case,
    unplaced,
)

Json = dict[str, Any]


@pytest.fixture
def tracing(bench: Workbench) -> MessageTracing:
    return MessageTracing(database=bench.database, messages=SqlTracedMessages())


def trace(
    tracing: MessageTracing, who: str, id_: str = REFERRAL, role: str = "partner"
) -> tuple[list[Json], Any]:
    principal = Principal(id=who, roles=frozenset({role}))
    response = api.trace(tracing, Request(method="GET", route="", path_params={"id": id_}, caller=principal))
    return json.loads(response.body)["items"], response.read


def test_owner_sees_each_state_of_its_message_and_tracing_changes_none(
    bench: Workbench, tracing: MessageTracing
) -> None:
    message = opened()
    bench.receive(message)
    (queued,), _ = trace(tracing, ACCEPTOR)
    assert (queued["message_id"], queued["type"], queued["offer_id"]) == (
        message.id,
        "kopuro.offer.opened.v1",
        OFFER,
    )
    assert (queued["state"], queued["own"], queued["webhooks"]) == ("queued", True, [])
    bench.clock.time = NOW + dt.timedelta(minutes=1)
    bench.mailbox(ACCEPTOR)
    bench.partner.acknowledge(ACCEPTOR, message.id)
    (acknowledged,), _ = trace(tracing, ACCEPTOR, message.id)
    assert acknowledged["state"] == "acknowledged"
    assert [acknowledged[name] for name in ("queued_at", "delivered_at", "acknowledged_at")] == [
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:01:00Z",
        "2026-03-01T12:01:00Z",
    ]


def test_party_sees_its_own_mailbox_and_staff_all_with_their_read_stated(
    bench: Workbench, tracing: MessageTracing
) -> None:
    message = opened()
    bench.receive(message, unplaced(), released_case())
    assert {one["organization"] for one in trace(tracing, SENDER)[0]} == {SENDER}
    for who, id_ in ((STRANGER, REFERRAL), (STRANGER, message.id), (SENDER, message.id)):
        with pytest.raises(Refused, match="No mailbox that you can read"):
            trace(tracing, who, id_)
    items, read = trace(tracing, "ann", role="auditor")
    # The coordinators' shared mailbox belongs to no organisation.
    assert {one["organization"] for one in items} == {ACCEPTOR, SENDER, None}
    assert not any(one["own"] for one in items)
    assert read == Read.of_list([REFERRAL], {})


def test_unknown_id_is_not_found(tracing: MessageTracing) -> None:
    with pytest.raises(Refused) as refused:
        trace(tracing, "ann", new_id(), role="auditor")
    assert refused.value.slug == "not-found"


def test_webhook_of_the_owner_is_shown_with_its_next_attempt(
    bench: Workbench, tracing: MessageTracing
) -> None:
    message = opened()
    bench.receive(message)
    due, until = NOW + dt.timedelta(seconds=30), NOW + dt.timedelta(hours=4)
    with bench.database.write() as transaction:
        for number, owner in enumerate((ACCEPTOR, STRANGER)):
            endpoint = Endpoint(
                id=f"endpoint-{number}",
                organization=owner,
                url=EndpointUrl.of("https://example.org/hook"),
                types=frozenset(),
                created_at=NOW,
                challenge="c",
            )
            SqlEndpoints().add(transaction, endpoint)
            notice = Notice(
                endpoint_id=endpoint.id,
                message_id=message.id,
                type=message.data.type,
                referral_id=REFERRAL,
                sequence=1,
                queued_at=NOW,
                haste=Haste.other,
                until=until,
                due_at=due,
                attempts=2,
            )
            SqlNotices().add(transaction, [notice])
    (found,), _ = trace(tracing, ACCEPTOR)
    assert found["webhooks"] == [
        {
            "endpoint_id": "endpoint-0",
            "state": "waiting",
            "attempts": 2,
            "next_attempt_at": "2026-03-01T12:00:30Z",
            "until": "2026-03-01T16:00:00Z",
        }
    ]
