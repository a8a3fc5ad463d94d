"""An attacker who can write to delivery's database hides an offer from its candidate, and it is named."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from admin.read_only_engine import open_read_only
from admin.reconciliation.reconcile import Compared, reconcile
from admin.reconciliation.service_states import SERVICES, ServiceStates
from sandbox.demo.participants import Participant
from services.delivery.adapters.tables import MESSAGES
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until

KEY = "wage-claim-osh-moscow"


def differences(hub: RunningHub, referral_id: str) -> list[str]:
    """Return what a reconciliation says of the messages about a referral."""
    engines = {service: open_read_only(hub.databases[service]) for service in SERVICES}
    try:
        found = list(reconcile(ServiceStates(engines), dt.datetime.now(dt.UTC), Compared()))
    finally:
        for engine in engines.values():
            engine.dispose()
    return [one.what for one in found if (one.referral_id, one.where) == (referral_id, "delivery")]


@contextmanager
def rewritten(hub: RunningHub, referral_id: str, type: str, **columns: Any) -> Iterator[None]:
    """Change the message about the referral in delivery's database; afterwards it is as before."""
    engine = sa.create_engine(hub.databases["delivery"])
    row = MESSAGES.c.referral_id == referral_id, MESSAGES.c.type == type
    try:
        with engine.begin() as connection:
            before = connection.execute(sa.select(MESSAGES).where(*row)).mappings().one()
            connection.execute(sa.update(MESSAGES).where(*row).values(columns))
        yield
        with engine.begin() as connection:
            connection.execute(
                sa.update(MESSAGES).where(*row).values({name: before[name] for name in columns})
            )
    finally:
        engine.dispose()


NOW = dt.datetime.now(dt.UTC)
ACKNOWLEDGED = {"state": "acknowledged", "acknowledged_at": NOW}
OFFER, CASE = "kopuro.offer.opened.v1", "kopuro.case.released.v1"


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        (ACKNOWLEDGED, "as acknowledged, which the log does not have"),
        ({"content": "expired", "closed_at": NOW, "body": b""}, "closed as expired, which is not in the log"),
        # Such a message would not be erased at its end either.
        ({"content": "expired"}, "as expired, but its time of closing contradicts that"),
    ],
    ids=["acknowledged", "closed", "never erased"],
)
def test_offer_that_is_hidden_from_its_candidate_is_named(
    hub: RunningHub, columns: dict[str, Any], what: str
) -> None:
    sender, referral_id = hub.submit(KEY)
    candidate = hub.demo.offers(sender, referral_id)[0]
    until(lambda: is_delivered(hub, referral_id, OFFER), "the offer in the mailbox")
    until(lambda: differences(hub, referral_id) == [], "the agreement of the mailboxes and the log")
    with rewritten(hub, referral_id, OFFER, **columns):
        assert differences(hub, referral_id) == [f"the mailbox of {candidate.id} has offer.opened {what}"]
    offer_id = candidate.await_message("offer.opened", referral_id)["offer_id"]
    candidate.hub.accept(offer_id)
    end(hub, sender, candidate, referral_id)


def test_case_that_is_hidden_from_its_acceptor_or_sent_again_is_named(hub: RunningHub) -> None:
    sender, referral_id = hub.submit(KEY)
    acceptor, offer_id = hub.next_offer(sender, referral_id)
    acceptor.hub.accept(offer_id)
    until(lambda: is_delivered(hub, referral_id, CASE), "the case in the mailbox")
    until(lambda: differences(hub, referral_id) == [], "the agreement of the mailboxes and the log")
    whose = f"the mailbox of {acceptor.id} has"
    with rewritten(hub, referral_id, CASE, **ACKNOWLEDGED):
        hidden = f"{whose} case.released as acknowledged, which the log does not have"
        assert differences(hub, referral_id) == [hidden]
    with rewritten(hub, referral_id, OFFER, state="queued", acknowledged_at=None):
        again = f"{whose} offer.opened as queued, which the log has as acknowledged"
        assert differences(hub, referral_id) == [again]
    end(hub, sender, acceptor, referral_id)


def end(hub: RunningHub, sender: Participant, acceptor: Participant, referral_id: str) -> None:
    """Complete the referral, after which the log agrees with its closed messages too."""
    acceptor.await_message("case.released", referral_id)
    acceptor.hub.complete(referral_id, "resolved")
    sender.await_message("referral.completed", referral_id)
    until(lambda: differences(hub, referral_id) == [], "the agreement of the mailboxes and the log")


def is_delivered(hub: RunningHub, referral_id: str, type: str) -> bool:
    engine = sa.create_engine(hub.databases["delivery"])
    try:
        with engine.connect() as connection:
            found = sa.select(MESSAGES.c.sequence).where(
                MESSAGES.c.referral_id == referral_id, MESSAGES.c.type == type
            )
            return connection.execute(found).first() is not None
    finally:
        engine.dispose()
