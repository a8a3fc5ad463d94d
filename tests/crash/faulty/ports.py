"""The real database and broker with crash points around their operations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

from runtime.messaging.ports import Consumer, Delivery, Outgoing, Publisher
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.storage.database import Database, DatabaseUnavailable
from tests.crash.faulty.moments import Moment, comes_to, die_at

_FORGETTING = "test_forgetting"


class FaultyDatabase(Database):
    """A service's database. The relay's deletions are the only non-durable transactions with moments."""

    @classmethod
    def open(cls, url: str, *, pool_size: int = 10) -> Database:
        database = super().open(url, pool_size=pool_size)
        event.listen(database.engine, "before_cursor_execute", _note_forgetting)
        return database

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        with super().write(durable=durable) as transaction:
            transaction.info.pop(_FORGETTING, None)
            yield transaction
            forgetting = _FORGETTING in transaction.info
            if durable:
                die_at(Moment.before_commit)
        if durable:
            die_at(Moment.committed)
            _report_failed(Moment.commit_reported_failed)
        elif forgetting:
            die_at(Moment.forgotten)
            _report_failed(Moment.forgetting_reported_failed)


def _note_forgetting(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
) -> None:
    if statement.startswith("DELETE FROM outbox"):
        connection.info[_FORGETTING] = True


def _report_failed(moment: Moment) -> None:
    if comes_to(moment):
        raise DatabaseUnavailable("The connection broke during the commit.")


class FaultyBroker(RabbitBroker):
    """The broker. Requests and replies are not durable and therefore no moments."""

    def publisher(self) -> Publisher:  # type: ignore[override]
        return _FaultyPublisher(super().publisher())

    def consumer(self, queues: Sequence[str], prefetch: int) -> Consumer:  # type: ignore[override]
        inner = super().consumer(queues, prefetch)
        # A service is ready once its copy of the directory is committed, and acknowledges it a moment later:
        # what a test plans then must not be taken for that.
        if all(queue.endswith(".directory") for queue in queues):
            return inner
        return _FaultyConsumer(inner)


class _FaultyPublisher:
    def __init__(self, inner: Publisher) -> None:
        self._inner = inner

    def publish(self, messages: Sequence[Outgoing]) -> None:
        lasting = any(not message.transient for message in messages)
        if lasting:
            die_at(Moment.before_publishing)
        self._inner.publish(messages)
        if lasting:
            die_at(Moment.confirmed)

    def tend(self) -> None:
        self._inner.tend()

    def close(self) -> None:
        self._inner.close()


class _FaultyConsumer:
    def __init__(self, inner: Consumer) -> None:
        self._inner = inner

    def take(self, limit: int, timeout: float) -> list[Delivery]:
        deliveries = self._inner.take(limit, timeout)
        if deliveries:
            die_at(Moment.delivered)
        return deliveries

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        die_at(Moment.before_acknowledgement)
        self._inner.acknowledge(deliveries)
        die_at(Moment.acknowledged)

    def close(self) -> None:
        self._inner.close()
