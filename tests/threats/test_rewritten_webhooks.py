"""An attacker who can write to delivery's database points a webhook at itself, and it is named."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from admin.read_only_engine import open_read_only
from admin.reconciliation.reconcile import Compared, reconcile
from admin.reconciliation.service_states import SERVICES, ServiceStates
from services.delivery.adapters.tables import WEBHOOK_ENDPOINTS, WEBHOOK_NOTICES
from tests.journey.running_hub import STRANGER, RunningHub
from tests.journey.waiting import until
from tests.support.webhook_receiver import WebhookReceiver


def differences(hub: RunningHub) -> list[str]:
    """Return what a reconciliation says of webhooks."""
    engines = {service: open_read_only(hub.databases[service]) for service in SERVICES}
    try:
        found = list(reconcile(ServiceStates(engines), dt.datetime.now(dt.UTC), Compared()))
    finally:
        for engine in engines.values():
            engine.dispose()
    return [one.what for one in found if (one.record or "").startswith("webhook ")]


def execute(hub: RunningHub, statement: Any) -> None:
    engine = sa.create_engine(hub.databases["delivery"])
    try:
        with engine.begin() as connection:
            assert connection.execute(statement).rowcount > 0
    finally:
        engine.dispose()


def test_webhook_that_is_pointed_at_a_thief_is_named(hub: RunningHub) -> None:
    webhooks = hub.organization(STRANGER).hub.webhooks
    with WebhookReceiver() as owner, WebhookReceiver() as thief:
        endpoint = webhooks.register(owner.url)["endpoint"]["id"]
        webhooks.test(endpoint)
        until(lambda: webhooks.endpoint(endpoint)["state"] == "active", "the endpoint is verified")
        until(lambda: differences(hub) == [], "the agreement of the webhooks and the log")
        row = sa.update(WEBHOOK_ENDPOINTS).where(WEBHOOK_ENDPOINTS.c.id == endpoint)
        execute(hub, row.values(url=thief.url))
        webhooks.test(endpoint)
        # The thief gets the request. The log has the host alone, which is the same.
        thief.until(lambda all_: bool(all_))
        assert differences(hub) == ["the webhook differs from the log in URL or types"]
        execute(hub, row.values(url=owner.url))
        assert differences(hub) == []
        webhooks.delete(endpoint)
    until(lambda: differences(hub) == [], "the agreement of the webhooks and the log")


def test_planted_webhook_gets_nothing_and_is_named(hub: RunningHub) -> None:
    """Its secret must be sealed with a key that is not in the database."""
    webhooks = hub.organization(STRANGER).hub.webhooks
    with WebhookReceiver() as owner, WebhookReceiver() as thief:
        endpoint = webhooks.register(owner.url)["endpoint"]["id"]
        webhooks.test(endpoint)
        until(lambda: webhooks.endpoint(endpoint)["state"] == "active", "the endpoint is verified")
        until(lambda: differences(hub) == [], "the agreement of the webhooks and the log")
        planted = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a57"
        columns = [column.name for column in WEBHOOK_ENDPOINTS.columns]
        values = {"id": sa.literal(planted), "url": sa.literal(thief.url)}
        taken = [values.get(name, WEBHOOK_ENDPOINTS.c[name]) for name in columns]
        copy = sa.select(*taken).where(WEBHOOK_ENDPOINTS.c.id == endpoint)
        execute(hub, sa.insert(WEBHOOK_ENDPOINTS).from_select(columns, copy))
        assert differences(hub) == ["the webhook has no entry in the log"]
        webhooks.rotate_secret(endpoint)  # the mailbox gets a message
        owner.until(lambda all_: any(each.type == "kopuro.webhook.changed.v1" for each in all_))
        until(lambda: "The webhook has no secret." in hub.logs(), "the log line")
        assert thief.received == []
        execute(hub, sa.delete(WEBHOOK_ENDPOINTS).where(WEBHOOK_ENDPOINTS.c.id == planted))
        execute(hub, sa.delete(WEBHOOK_NOTICES).where(WEBHOOK_NOTICES.c.endpoint_id == planted))
        webhooks.delete(endpoint)
    until(lambda: differences(hub) == [], "the agreement of the webhooks and the log")
