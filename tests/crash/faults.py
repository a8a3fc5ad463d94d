"""The crash points of a service process, and the parts that crash or fail there.

`altered` replaces the database, the broker and the publication of a service with ones that are real but for
their crash points. A test plans one point in a file that it shares with the process.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum, StrEnum, auto
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, event

from runtime import service_platform
from runtime.messaging.ports import Consumer, Delivery, Outgoing, Publisher
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.storage.database import Database, DatabaseUnavailable
from runtime.tls import TlsFiles
from services.audit.log.adapters.directory_publication import DirectoryPublication
from services.audit.log.handlers.published_log import CHECKPOINT
from services.audit.log.ports import PublicationUnavailable

# The variable that names the plan's file. While the file does not exist, nothing happens.
PLAN = "KOPURO_TEST_PLAN"
_FORGETTING = "test_forgetting"


class Moment(StrEnum):
    """Steps in the processing of a message, a request or a publication. A crash point lies between two."""

    delivered = "the consumer has taken a batch"
    before_commit = "a durable transaction is complete but not committed"
    committed = "a durable transaction is committed"
    before_acknowledgement = "the batch is processed, and not acknowledged"
    acknowledged = "the batch is acknowledged"
    before_publishing = "the relay has a wave in hand"
    confirmed = "the wave is confirmed"
    forgotten = "the rows of the wave are deleted"
    commit_reported_failed = "a durable transaction is committed, and reported failed"
    forgetting_reported_failed = "the rows of the wave are deleted, and that is reported failed"
    # The crash points of a publication, as `handlers.publisher` names them, and three within them.
    appended = "appended, not yet published"
    half_of_the_tiles = "half of the tiles written"
    tiles_written = "tiles written, checkpoint not yet swapped"
    swapped = "swapped, not yet noted"
    swap_failed = "swap failed"
    swap_failed_but_persisted = "swap failed but persisted"


class Effect(Enum):
    """The action at a planned moment."""

    kill = auto()  # SIGKILL: nothing is flushed, closed or sent
    halt = auto()  # this thread waits permanently, the rest of the process continues
    fail_once = auto()  # the part reports a failure
    fail_always = auto()


EFFECTS: Mapping[Moment, Effect] = {
    Moment.delivered: Effect.kill,
    Moment.before_commit: Effect.kill,
    Moment.committed: Effect.kill,
    Moment.before_acknowledgement: Effect.kill,
    Moment.acknowledged: Effect.kill,
    Moment.before_publishing: Effect.kill,
    Moment.confirmed: Effect.kill,
    Moment.forgotten: Effect.kill,
    Moment.commit_reported_failed: Effect.fail_once,
    Moment.forgetting_reported_failed: Effect.fail_once,
    Moment.appended: Effect.halt,
    Moment.half_of_the_tiles: Effect.halt,
    Moment.tiles_written: Effect.halt,
    Moment.swapped: Effect.halt,
    Moment.swap_failed: Effect.fail_always,
    Moment.swap_failed_but_persisted: Effect.fail_always,
}
_ORDER = tuple(Moment)
PUBLICATION_MOMENTS = _ORDER[_ORDER.index(Moment.appended) :]


def named(value: object) -> str | None:
    """Return a moment as a test id; None for other values, for which pytest makes the id."""
    return value.name if isinstance(value, Moment) else None


class Plan:
    """The moment at which a process crashes or fails, in a file shared with that process."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._reached = file.with_suffix(".reached")

    def set(self, moment: Moment) -> None:
        """Plan the effect for the first time that the process comes to the moment."""
        self._reached.unlink(missing_ok=True)
        draft = self._file.with_suffix(".draft")
        draft.write_text(moment)
        draft.rename(self._file)

    def clear(self) -> None:
        self._file.unlink(missing_ok=True)

    def reached(self) -> bool:
        """Return whether the process has come to the planned moment."""
        return self._reached.exists()

    def is_set(self, moment: Moment) -> bool:
        try:
            return self._file.read_text() == moment
        except FileNotFoundError:
            return False

    def come_to(self, moment: Moment) -> bool:
        """Carry out the moment's effect if it is planned; return whether the part must report a failure."""
        if not self.is_set(moment):
            return False
        effect = EFFECTS[moment]
        if effect is not Effect.fail_always:
            self.clear()
        self._reached.touch()
        if effect is Effect.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if effect is Effect.halt:
            threading.Event().wait()
        return True


@contextmanager
def altered(package: str) -> Iterator[None]:
    """Give the service in `package` the parts below."""
    with patch.multiple(service_platform, Database=FaultyDatabase, RabbitBroker=FaultyBroker):
        if package != "services.audit":
            yield
            return
        with patch(f"{package}.bootstrap.DirectoryPublication", FaultyPublication):
            yield


def _is_planned(moment: Moment) -> bool:
    return Plan(Path(os.environ[PLAN])).is_set(moment)


def _come_to(moment: Moment) -> bool:
    return Plan(Path(os.environ[PLAN])).come_to(moment)


class FaultyDatabase(Database):
    """A service's database. The relay's deletions are the only non-durable transactions with moments."""

    @classmethod
    def open(cls, url: str, *, pool_size: int = 10, tls: TlsFiles | None = None) -> Database:
        database = super().open(url, pool_size=pool_size, tls=tls)
        event.listen(database.engine, "before_cursor_execute", _note_forgetting)
        return database

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        with super().write(durable=durable) as transaction:
            transaction.info.pop(_FORGETTING, None)
            yield transaction
            forgetting = _FORGETTING in transaction.info
            # Decided before the commit: a test that sees the rows gone plans for the next wave.
            is_planned = _is_planned(Moment.forgotten) or _is_planned(Moment.forgetting_reported_failed)
            if durable:
                _come_to(Moment.before_commit)
        if durable:
            _come_to(Moment.committed)
            _report_failed(Moment.commit_reported_failed)
        elif forgetting and is_planned:
            _come_to(Moment.forgotten)
            _report_failed(Moment.forgetting_reported_failed)


def _note_forgetting(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
) -> None:
    if statement.startswith("DELETE FROM outbox"):
        connection.info[_FORGETTING] = True


def _report_failed(moment: Moment) -> None:
    if _come_to(moment):
        raise DatabaseUnavailable("The connection broke during the commit.")


class FaultyBroker(RabbitBroker):
    """The broker. Requests and replies are not durable and therefore no moments."""

    def publisher(self) -> Publisher:  # type: ignore[override]
        return _FaultyPublisher(super().publisher())

    def consumer(self, queues: Sequence[str], prefetch: int) -> Consumer:  # type: ignore[override]
        inner = super().consumer(queues, prefetch)
        # A service is ready once its copy of the directory is committed, and acknowledges it a moment later.
        # A fault that a test plans then must not hit that acknowledgement. So must the receipts that audit
        # sends to itself.
        if all(queue.endswith(".directory") or queue == "audit.receipts" for queue in queues):
            return inner
        return _FaultyConsumer(inner)


class _FaultyPublisher:
    def __init__(self, inner: Publisher) -> None:
        self._inner = inner

    def publish(self, messages: Sequence[Outgoing]) -> None:
        lasting = any(not message.transient for message in messages)
        if lasting:
            _come_to(Moment.before_publishing)
        self._inner.publish(messages)
        if lasting:
            _come_to(Moment.confirmed)

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
            _come_to(Moment.delivered)
        return deliveries

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        _come_to(Moment.before_acknowledgement)
        self._inner.acknowledge(deliveries)
        _come_to(Moment.acknowledged)

    def end_waiting(self) -> None:
        self._inner.end_waiting()

    def close(self) -> None:
        self._inner.close()


class FaultyPublication(DirectoryPublication):
    """The directory of the published log. A halted publication leaves the rest of the service at work."""

    def put(self, contents: Sequence[tuple[str, bytes]]) -> None:
        _come_to(Moment.appended)
        if _is_planned(Moment.half_of_the_tiles):
            super().put(contents[: len(contents) // 2])
            _come_to(Moment.half_of_the_tiles)
        super().put(contents)

    def swap(self, path: str, content: bytes) -> None:
        # No entry can be lost with the checkpoint of the empty log.
        if path != CHECKPOINT or content.split(b"\n")[1] == b"0":
            super().swap(path, content)
            return
        _come_to(Moment.tiles_written)
        if _come_to(Moment.swap_failed):
            raise PublicationUnavailable("not swapped")
        super().swap(path, content)
        _come_to(Moment.swapped)
        if _come_to(Moment.swap_failed_but_persisted):
            raise PublicationUnavailable("reported failed after the swap")
