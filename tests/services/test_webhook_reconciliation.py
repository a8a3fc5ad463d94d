"""Reconciliation of webhooks: delivery's own use cases write the rows, and its outbox the log.

Every change leaves rows that agree with its facts, and reconciliation names each row that is rewritten.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import delete, insert, select, update

from admin.reconciliation.reconcile import Compared, engines, reconcile
from admin.reconciliation.service_states import SERVICES, ServiceStates
from contracts.envelope import Envelope
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.outbox.unreceipted import Unreceipted
from services.delivery.adapters.tables import MESSAGING, WEBHOOK_ENDPOINTS, WEBHOOK_SECRETS
from services.delivery.webhooks.ports import NotSent
from tests.servers import PostgresServer
from tests.support.hub_on_disk import HubOnDisk
from tests.support.webhook_receiver import repeating_challenge
from tests.unit.services.delivery.webhooks.hub import URL, WebhookHub
from tests.unit.services.delivery.webhooks.test_webhooks import overdue
from tests.unit.services.delivery.workbench import ACCEPTOR, STRANGER, Workbench

CLIENT: Final = "client-1"
# What facts of earlier builds do not say.
NEW_MEMBERS: Final = ("state", "commitment", "previous", "secret")
OTHER_ID: Final = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a57"


class WebhooksWithLog:
    """Delivery's webhooks beside a log. earlier: facts and rows are made as by an earlier build."""

    def __init__(self, hub: HubOnDisk, directory: Path) -> None:
        self.hub = hub
        self.bench = Workbench(hub.template.format(service="delivery"))
        self.webhooks = WebhookHub(self.bench, directory)
        self.owners, self.sender = self.webhooks.owners, self.webhooks.sender
        self.earlier = False
        self._logged = 0

    def close(self) -> None:
        self.bench.notifier.stop()
        self.bench.database.close()

    def registered(self) -> str:
        """Register an endpoint, which answers its challenge; return its id."""
        new = self.webhooks.verified()
        self.log()
        return new.endpoint.id

    def log(self) -> None:
        """Log what the outbox has more than before."""
        table = MESSAGING.outbox
        wanted = select(table.c.number, table.c.body).where(table.c.number > self._logged)
        with self.bench.database.read() as transaction:
            rows = transaction.execute(wanted.order_by(table.c.number)).all()
        self._logged = max((row.number for row in rows), default=self._logged)
        events = [Envelope.decode(event) for row in rows for event in decode_batch(bytes(row.body))]
        if self.earlier:
            events = [_of_an_earlier_build(event) for event in events]
            self.rewrite(salt=None)
        if events:
            self.hub.log.append(events)

    def rewrite(self, **columns: Any) -> None:
        """Change the only endpoint in delivery's database."""
        with self.bench.database.write() as transaction:
            transaction.execute(update(WEBHOOK_ENDPOINTS).values(columns))

    def confirm(self) -> None:
        """Delete the outbox with a copy of each message, as the relay does once the broker has them."""
        outbox = Outbox(MESSAGING.outbox)
        with self.bench.database.write() as transaction:
            waiting = outbox.oldest(transaction, 1_000)
            outbox.forget(transaction, [number for number, _ in waiting])
            Unreceipted().add(transaction, [message for _, message in waiting], self.bench.clock.time)

    def differences(self, settled: dt.datetime | None = None) -> list[str]:
        """Return what a reconciliation says of webhooks. settled: now if it is None."""
        settled = settled or dt.datetime.now(dt.UTC)
        opened = engines({service: self.hub.template.format(service=service) for service in SERVICES})
        try:
            found = list(reconcile(ServiceStates(opened), settled, Compared()))
        finally:
            for engine in opened.values():
                engine.dispose()
        about = [one for one in found if (one.record or "").startswith("webhook ")]
        assert {one.where for one in about} <= {"delivery"}
        return [one.what.removeprefix("the webhook ") for one in about]


def _of_an_earlier_build(event: Envelope) -> Envelope:
    data = {name: value for name, value in event.data.items() if name not in NEW_MEMBERS}
    return replace(event, data=data)


@pytest.fixture(params=["sqlite", "postgresql"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WebhooksWithLog]:
    """A hub on each kind of database in turn."""
    with ExitStack() as cleaning:
        template = f"sqlite:///{tmp_path}/{{service}}.sqlite"
        if request.param == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgres")
            template = cleaning.enter_context(server.lent_databases(SERVICES))
        hub = HubOnDisk(template)
        cleaning.callback(hub.close)
        webhooks = WebhooksWithLog(hub, tmp_path)
        cleaning.callback(webhooks.close)
        yield webhooks


def _types(made: WebhooksWithLog, id: str) -> None:
    made.owners.change(ACCEPTOR, CLIENT, id, types=["offer.opened", "case.released"])


def _all_types(made: WebhooksWithLog, id: str) -> None:
    made.owners.change(ACCEPTOR, CLIENT, id, types=[])


def _moved(made: WebhooksWithLog, id: str) -> None:
    made.owners.change(ACCEPTOR, CLIENT, id, url="https://other.example.org/hook?token=t2")


def _disabled(made: WebhooksWithLog, id: str) -> None:
    made.owners.change(ACCEPTOR, CLIENT, id, is_enabled=False)


def _moved_and_disabled(made: WebhooksWithLog, id: str) -> None:
    made.owners.change(ACCEPTOR, CLIENT, id, url=URL, is_enabled=False)


def _enabled(made: WebhooksWithLog, id: str) -> None:
    made.owners.change(ACCEPTOR, CLIENT, id, is_enabled=True)


def _verified(made: WebhooksWithLog, id: str) -> None:
    made.sender.answer = repeating_challenge
    made.webhooks.later(seconds=60)


def _rotated(made: WebhooksWithLog, id: str) -> None:
    made.owners.rotate(ACCEPTOR, CLIENT, id)


def _refused(made: WebhooksWithLog, id: str) -> None:
    """The endpoint refuses one message and takes others."""
    refused = overdue(OTHER_ID)
    made.sender.answer = lambda request: (500 if request.id == refused.id else 204, b"")
    made.bench.receive(refused)
    for number in range(4):
        made.bench.receive(overdue(f"01930f6e-5d2a-7c11-8a4f-0b6d2f9c1b0{number}"))
        made.webhooks.later(seconds=300)
    assert "message_refused" in made.webhooks.facts()


def _gone(made: WebhooksWithLog, id: str) -> None:
    made.sender.answer = lambda _: (410, b"")
    made.owners.test(ACCEPTOR, id)
    made.webhooks.settle()


def _failing(made: WebhooksWithLog, id: str) -> None:
    made.sender.answer = lambda _: NotSent("no-connection")
    for number in range(14):
        made.bench.receive(overdue(f"01930f6e-5d2a-7c11-8a4f-0b6d2f9c1c{number:02}"))
        made.webhooks.later(hours=10)


def _deleted(made: WebhooksWithLog, id: str) -> None:
    made.owners.delete(ACCEPTOR, CLIENT, id)


CHANGES: Final[tuple[tuple[Callable[[WebhooksWithLog, str], None], str], ...]] = (
    (_types, "active"),
    (_all_types, "active"),
    (_moved, "unverified"),
    (_verified, "active"),
    (_rotated, "active"),
    (_rotated, "active"),
    (_refused, "active"),
    (_disabled, "disabled"),
    (_enabled, "unverified"),
    (_moved_and_disabled, "disabled"),
    (_enabled, "unverified"),
    (_verified, "active"),
    (_gone, "disabled"),
    (_enabled, "unverified"),
    (_verified, "active"),
    (_failing, "disabled"),
)


@pytest.mark.parametrize("earlier", [False, True], ids=["this build", "an earlier build"])
def test_rows_agree_with_the_log_after_each_change(made: WebhooksWithLog, earlier: bool) -> None:
    made.earlier = earlier
    id = made.registered()
    for change, state in CHANGES:
        change(made, id)
        assert made.owners.show(ACCEPTOR, id).state == state, change
        made.log()
        assert made.differences() == [], change
    _deleted(made, id)
    made.log()
    assert made.differences() == []


def _without_secrets(made: WebhooksWithLog, _: str) -> None:
    with made.bench.database.write() as transaction:
        transaction.execute(delete(WEBHOOK_SECRETS))


def _with_another_secret(made: WebhooksWithLog, id: str) -> None:
    _, sealed = made.webhooks.seal.make(id)
    with made.bench.database.write() as transaction:
        transaction.execute(update(WEBHOOK_SECRETS).values(sealed=sealed))


def _with_a_further_secret(made: WebhooksWithLog, id: str) -> None:
    _, sealed = made.webhooks.seal.make(id)
    with made.bench.database.write() as transaction:
        row = {"endpoint_id": id, "sealed": sealed, "created_at": made.bench.clock.time}
        transaction.execute(insert(WEBHOOK_SECRETS).values(row))


def _with_the_previous_secret_for_ever(made: WebhooksWithLog, id: str) -> None:
    made.owners.rotate(ACCEPTOR, CLIENT, id)
    made.log()
    assert made.differences() == []
    with made.bench.database.write() as transaction:
        transaction.execute(update(WEBHOOK_SECRETS).values(expires_at=None))


def _removed(made: WebhooksWithLog, id: str) -> None:
    with made.bench.database.write() as transaction:
        made.webhooks.endpoints.delete(transaction, id)


def _added(made: WebhooksWithLog, _: str) -> None:
    with made.bench.database.write() as transaction:
        row = dict(transaction.execute(select(WEBHOOK_ENDPOINTS)).mappings().one())
        added = {**row, "id": OTHER_ID, "url": "https://thief.example/"}
        transaction.execute(insert(WEBHOOK_ENDPOINTS).values(added))


def _put_back(made: WebhooksWithLog, id: str) -> None:
    """An endpoint that its owner deleted."""
    with made.bench.database.read() as transaction:
        row = dict(transaction.execute(select(WEBHOOK_ENDPOINTS)).mappings().one())
    made.owners.delete(ACCEPTOR, CLIENT, id)
    made.log()
    with made.bench.database.write() as transaction:
        transaction.execute(insert(WEBHOOK_ENDPOINTS).values(row))


def _rewritten(**columns: Any) -> Callable[[WebhooksWithLog, str], None]:
    return lambda made, _: made.rewrite(**columns)


ATTACKS: Final[dict[str, tuple[Callable[[WebhooksWithLog, str], None], str]]] = {
    "another host": (
        _rewritten(url="https://thief.example/hook"),
        "differs from the log in URL or types, host",
    ),
    "another path": (
        _rewritten(url="https://cases.example.org/thief"),
        "differs from the log in URL or types",
    ),
    "no URL": (_rewritten(url="thief"), "differs from the log in URL or types, host"),
    "fewer types": (_rewritten(types=["note.delivered"]), "differs from the log in URL or types"),
    "no salt": (
        _rewritten(salt=None, url="https://cases.example.org/thief"),
        "differs from the log in URL or types",
    ),
    "another owner": (_rewritten(organization=STRANGER), "differs from the log in organization"),
    "disabled": (_rewritten(state="disabled", reason="owner"), "differs from the log in state"),
    "another time": (
        _rewritten(created_at=dt.datetime(2026, 2, 1, tzinfo=dt.UTC)),
        "differs from the log in created_at",
    ),
    "no secret": (_without_secrets, "differs from the log in secrets"),
    "another secret": (_with_another_secret, "differs from the log in secrets"),
    "a further secret": (_with_a_further_secret, "differs from the log in secrets"),
    "an old secret": (_with_the_previous_secret_for_ever, "differs from the log in secrets"),
    "removed": (_removed, "is missing"),
    "added": (_added, "has no entry in the log"),
    "put back": (_put_back, "differs from the log in state"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_rewritten_webhook_is_named(made: WebhooksWithLog, attack: str) -> None:
    rewrite, what = ATTACKS[attack]
    id = made.registered()
    assert made.differences() == []
    rewrite(made, id)
    assert made.differences() == [what]


@pytest.mark.parametrize("then", [_types, _rotated, _gone, _deleted], ids=lambda change: change.__name__)
def test_rewritten_url_stays_named_after_a_genuine_change(
    made: WebhooksWithLog, then: Callable[[WebhooksWithLog, str], None]
) -> None:
    id = made.registered()
    made.rewrite(url="https://cases.example.org/thief")
    then(made, id)
    made.log()
    assert "had other URLs or types than the log when this entry was made" in made.differences()


@pytest.mark.parametrize(
    "change", [_types, _moved, _rotated, _disabled, _gone, _deleted], ids=lambda change: change.__name__
)
def test_change_that_the_log_does_not_have_yet_is_no_difference_until_it_is_settled(
    made: WebhooksWithLog, change: Callable[[WebhooksWithLog, str], None]
) -> None:
    id = made.registered()
    made.webhooks.later(minutes=5)
    change(made, id)
    minute_ago = made.bench.clock.time - dt.timedelta(minutes=1)
    assert made.differences(minute_ago) == []
    assert made.differences() != []
    made.confirm()
    assert made.differences(minute_ago) == []
    assert made.differences() != []


def test_rewritten_owner_stays_named_after_the_other_owner_has_changed_the_webhook(
    made: WebhooksWithLog,
) -> None:
    id = made.registered()
    made.rewrite(organization=STRANGER)
    made.owners.rotate(STRANGER, CLIENT, id)
    made.log()
    assert made.differences() == [
        "had another owner than the log when this entry was made",
        "differs from the log in organization",
    ]


def test_webhook_that_was_put_back_stays_named_after_its_next_entry(made: WebhooksWithLog) -> None:
    id = made.registered()
    with made.bench.database.read() as transaction:
        tables = (WEBHOOK_ENDPOINTS, WEBHOOK_SECRETS)
        rows = [(table, dict(transaction.execute(select(table)).mappings().one())) for table in tables]
    _deleted(made, id)
    with made.bench.database.write() as transaction:
        for table, row in rows:
            transaction.execute(insert(table).values(row))
    _gone(made, id)
    made.log()
    assert made.differences() == ["has an entry after its deletion", "differs from the log in state"]


def test_rewritten_host_of_an_earlier_build_stays_named_after_a_change_of_the_hub(
    made: WebhooksWithLog,
) -> None:
    made.earlier = True
    id = made.registered()
    made.earlier = False
    made.rewrite(url="https://thief.example/hook")
    _gone(made, id)
    made.log()
    assert made.differences() == ["had other URLs or types than the log when this entry was made"]


def test_webhook_that_was_planted_stays_named_after_its_entry(made: WebhooksWithLog) -> None:
    id = made.registered()
    _added(made, id)
    made.owners.delete(ACCEPTOR, CLIENT, OTHER_ID)
    made.log()
    assert made.differences() == ["has an entry, but the log has no registration of it"]


def test_webhook_of_an_earlier_build_is_compared_by_its_host_until_its_owner_changes_it(
    made: WebhooksWithLog,
) -> None:
    made.earlier = True
    id = made.registered()
    made.earlier = False
    made.rewrite(url="https://thief.example/hook")
    assert made.differences() == ["differs from the log in host"]
    made.rewrite(url=URL, state="disabled")
    assert made.differences() == ["differs from the log in state"]
    # The log has no more of it.
    made.rewrite(url="https://cases.example.org/other", state="active")
    assert made.differences() == []
    made.rewrite(url=URL)
    _rotated(made, id)
    made.log()
    assert made.differences() == []
    _with_another_secret(made, id)
    made.rewrite(url="https://cases.example.org/thief")
    assert made.differences() == ["differs from the log in URL or types, secrets"]
