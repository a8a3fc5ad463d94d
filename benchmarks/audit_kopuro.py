"""Benchmark tasks for our log, each in its own process. `audit_log` describes the comparison."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from joserfc.jwk import OKPKey

from benchmarks.audit_events import batches
from benchmarks.child import serve
from benchmarks.proving import prove_some
from benchmarks.stopwatch import Stopwatch
from contracts.envelope import Envelope
from kopuro_client.commands import main as kopuro
from runtime.clock import SystemClock
from runtime.garbage_collection import freeze_gc
from runtime.messaging.outbox.outbox import Outbox
from runtime.storage.database import Database
from runtime.storage.exclusive_lock import ExclusiveLock
from runtime.storage.migrate import upgrade
from runtime.web.request import Request
from services.audit.adapters.tables import MESSAGING
from services.audit.log import api
from services.audit.log.adapters.directory_publication import DirectoryPublication
from services.audit.log.adapters.signing_key import load_log_key
from services.audit.log.adapters.sql_due_receipts import SqlDueReceipts
from services.audit.log.adapters.sql_log import SqlLog
from services.audit.log.adapters.sql_publication import SqlPublicationRecord
from services.audit.log.adapters.sql_retention import SqlClosures
from services.audit.log.domain.head import LogKey
from services.audit.log.handlers.proofs import Proofs
from services.audit.log.handlers.published_log import PublishedLog
from services.audit.log.handlers.publisher import LogPublisher
from services.audit.log.handlers.self_check import SelfCheck
from services.audit.log.handlers.sequencer import Sequencer

HUB: Final = "kg"


def key_file(directory: Path) -> Path:
    """Return the file with the log's private key; create it if it is missing."""
    file = directory / "log_key.json"
    if not file.exists():
        file.write_text(json.dumps(OKPKey.generate_key("Ed25519", private=True).as_dict(private=True)))
    return file


def database_url(directory: Path) -> str:
    return f"sqlite:///{directory / 'audit.sqlite'}"


def publication(directory: Path) -> Path:
    return directory / "published"


def grow(options: Mapping[str, Any]) -> Mapping[str, float]:
    """Append `size` entries through the sequencer, then `sample` more; return entries a second.

    A batch is one transaction, as in the consumer of `audit.log`, and durable at its end. The first and the
    last `sample` entries are timed, without the creation of the events.
    """
    with _log(Path(options["directory"])) as (database, log, key):
        upgrade("services.audit", database)
        SelfCheck(database, log, key, SystemClock()).run()
        sequencer = Sequencer(log, key, os.urandom, SqlClosures(), SqlDueReceipts())
        freeze_gc()  # the service calls it after its start: without it, collections would add to the time
        size, sample, batch = options["size"], options["sample"], options["batch"]

        def append(entries: int) -> Stopwatch:
            return _appended(database, sequencer, batches(batch, entries // batch))

        first, between, last = append(sample), append(size - sample), append(sample)
    return {
        "empty": sample / first.seconds,
        "full": sample / last.seconds,
        "overall": size / (first.seconds + between.seconds),
        "empty_cpu_us": 1e6 * first.cpu / sample,
        "full_cpu_us": 1e6 * last.cpu / sample,
    }


def publish(options: Mapping[str, Any]) -> Mapping[str, float]:
    """Publish the log into files; return entries a second."""
    directory = Path(options["directory"])
    with _log(directory) as (database, log, key):
        files = DirectoryPublication(publication(directory))
        published = PublishedLog(files, key)
        publisher = LogPublisher(
            database=database,
            log=log,
            record=SqlPublicationRecord(),
            publication=files,
            published=published,
            lease=ExclusiveLock(database, 0),
            outbox=Outbox(MESSAGING.outbox),
            after_publish=lambda *_: (),
            after_commit=lambda: None,
        )
        with database.read() as transaction:
            head = log.head(transaction)
        assert head is not None
        publisher.begin(head)
        watch = Stopwatch()
        with watch:
            publisher.turn()
        return {"rate": published.size / watch.seconds}


def prove(options: Mapping[str, Any]) -> Mapping[str, float]:
    """Make inclusion proofs of random entries as `GET /v1/proof` does; return proofs a second."""
    directory = Path(options["directory"])
    with _log(directory) as (database, log, key):
        published = PublishedLog(DirectoryPublication(publication(directory)), key)
        published.refresh()
        handlers: Any = SimpleNamespace(proofs=Proofs(database, log, published))

        def one(index: int) -> None:
            api.proof(handlers, Request(method="GET", route="/v1/proof", query_params={"index": str(index)}))

        return prove_some(one, size=published.size, **options["proving"])


def verify(options: Mapping[str, Any]) -> Mapping[str, float]:
    """Verify the published folder with `kopuro verify log` (all entries, tiles, the root); return seconds."""
    directory = Path(options["directory"])
    verifier_key = load_log_key(key_file(directory), HUB).verifier_key
    asked = ["verify", "log", str(publication(directory)), "--log-key", verifier_key, "--whole", "--json"]
    output = io.StringIO()
    watch = Stopwatch()
    with watch, contextlib.redirect_stdout(output):
        code = kopuro([*asked, "--state", str(directory / "verified")])
    if code:
        raise RuntimeError(f"the log does not hold: {output.getvalue()}")
    return {"seconds": watch.seconds, "cpu": watch.cpu, "entries": json.loads(output.getvalue())["size"]}


def _appended(database: Database, sequencer: Sequencer, coming: Iterable[list[Envelope]]) -> Stopwatch:
    watch = Stopwatch()
    for messages in coming:
        with watch, database.write() as transaction:
            sequencer.append(transaction, messages, dt.datetime.now(dt.UTC))
    return watch


@contextlib.contextmanager
def _log(directory: Path) -> Iterator[tuple[Database, SqlLog, LogKey]]:
    database = Database.open(database_url(directory))
    try:
        yield database, SqlLog(), load_log_key(key_file(directory), HUB)
    finally:
        database.close()


if __name__ == "__main__":
    serve({"grow": grow, "publish": publish, "prove": prove, "verify": verify}, sys.argv[1:])
