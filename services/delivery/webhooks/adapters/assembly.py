"""Composition of the webhooks; the delivery process calls it from its bootstrap."""

from __future__ import annotations

import datetime as dt
import random
import secrets
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from contracts.commitment import SALT_BYTES
from runtime.access.standing import IsExcluded
from runtime.access.token_buckets import TokenBuckets
from runtime.identifiers import new_id
from runtime.periodic import Periodic
from runtime.service_platform import Platform
from runtime.settings import SettingsError
from runtime.storage.group_commit import GroupCommit
from runtime.storage.pruning import prune
from services.delivery.webhooks.adapters.http_sender import HttpSender
from services.delivery.webhooks.adapters.hub_addresses import HubAddresses
from services.delivery.webhooks.adapters.key_file_seal import InvalidKeyFileError, KeyFileSeal
from services.delivery.webhooks.adapters.sql_endpoints import SqlEndpoints
from services.delivery.webhooks.adapters.sql_notices import SqlNotices
from services.delivery.webhooks.dispatcher import Dispatcher
from services.delivery.webhooks.metrics import WebhookMetrics
from services.delivery.webhooks.outcomes import AttemptResult, Outcomes
from services.delivery.webhooks.owners import CHANGES, EndpointOwners
from services.delivery.webhooks.webhook_facts import WebhookFacts

# Ended notices and attempts are kept as long as acknowledged messages.
KEPT: Final = dt.timedelta(days=30)
_SECONDS_BETWEEN_CLEANINGS: Final = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhooks:
    """The parts that the delivery process needs."""

    owners: EndpointOwners
    dispatcher: Dispatcher
    cleaning: Periodic


def build_webhooks(platform: Platform, *, is_excluded: IsExcluded) -> Webhooks | None:
    """Build the webhooks; None if KOPURO_WEBHOOK_KEY is not set.

    Raises SettingsError for a file that cannot be used.
    """
    settings, database, messenger = platform.settings, platform.database, platform.messenger
    if settings.webhook_key is None:
        return None
    try:
        seal = KeyFileSeal.from_file(settings.webhook_key)
    except InvalidKeyFileError as fault:
        raise SettingsError([f"KOPURO_WEBHOOK_KEY {fault}"]) from None
    endpoints, notices, places = SqlEndpoints(), SqlNotices(), HubAddresses(settings)
    facts = WebhookFacts(platform.source, new_id)
    outcomes = Outcomes(
        endpoints=endpoints, notices=notices, facts=facts, outbox=messenger.outbox, chance=random.random
    )
    sender = HttpSender(permitted=settings.webhook_networks, own_places=places)
    dispatcher = Dispatcher(
        database=database,
        endpoints=endpoints,
        notices=notices,
        outcomes=GroupCommit[AttemptResult, None](database, outcomes.write, after_commit=messenger.wake),
        sender=sender,
        seal=seal,
        clock=platform.clock,
        is_excluded=is_excluded,
        mailbox_url=places.mailbox_url,
        metrics=WebhookMetrics(platform.registry),
    )

    def after_commit() -> None:
        messenger.wake()
        dispatcher.wake()

    owners = EndpointOwners(
        database=database,
        endpoints=endpoints,
        notices=notices,
        seal=seal,
        facts=facts,
        outbox=messenger.outbox,
        clock=platform.clock,
        new_id=new_id,
        new_challenge=lambda: secrets.token_urlsafe(32),
        new_salt=lambda: secrets.token_bytes(SALT_BYTES),
        is_local=bool(settings.webhook_networks),
        sender=sender,
        after_commit=after_commit,
        changes=TokenBuckets(CHANGES),
    )

    def forget() -> bool:
        before = platform.clock.now() - KEPT

        def ended(transaction: Connection, limit: int) -> int:
            return notices.forget(transaction, before, limit)

        return prune(database, ended)

    cleaning = Periodic("webhook cleaning", forget, seconds=_SECONDS_BETWEEN_CLEANINGS)
    return Webhooks(owners=owners, dispatcher=dispatcher, cleaning=cleaning)
