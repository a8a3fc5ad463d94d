"""PostgreSQL's log repeats nothing that the hub stores, with the settings of every deployment.

Drivers write values into the statements that they send. PostgreSQL's own settings log the whole statement of
each error, and values in its details.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from typing import Any

import psycopg2
import pytest
import yaml

from tests.deploy.settings_names import DEPLOY
from tests.journey.waiting import until
from tests.servers import PostgresServer

CANARY = "Zhyldyz-Asanova-71"
_LOGGED = re.compile(r"^(?:log_\w+|track_activities)$")


def _settings_of_deployments() -> dict[str, dict[str, str]]:
    """Return the settings of the log by deployment."""
    guide = (DEPLOY / "README.md").read_text(encoding="utf-8")
    compose = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8"))
    cluster = next(yaml.safe_load_all((DEPLOY / "kubernetes" / "base" / "database.yaml").read_bytes()))
    command = compose["services"]["database"]["command"]
    every: dict[str, Mapping[str, Any]] = {
        "processes": dict(re.findall(r"^(\w+) = '(.*)'$", guide, re.MULTILINE)),
        "compose": dict(word.split("=", 1) for word in command if "=" in word),
        "kubernetes": cluster["spec"]["postgresql"]["parameters"],
    }
    return {
        name: {key: str(value) for key, value in settings.items() if _LOGGED.match(key)}
        for name, settings in every.items()
    }


SETTINGS = _settings_of_deployments()["processes"]


@pytest.fixture(scope="module", params=["own settings", "of the deployments"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[PostgresServer, bool]]:
    is_deployed = request.param == "of the deployments"
    with PostgresServer(settings=SETTINGS if is_deployed else {}) as running:
        yield running, is_deployed


def test_every_deployment_has_the_settings() -> None:
    assert SETTINGS
    assert _settings_of_deployments() == dict.fromkeys(("processes", "compose", "kubernetes"), SETTINGS)


def test_log_repeats_no_value_of_a_failed_statement(server: tuple[PostgresServer, bool]) -> None:
    running, is_deployed = server
    url = running.create_database()
    with closing(_connected(url)) as first, closing(_connected(url)) as other:
        _execute(first, "CREATE TABLE outbox (id INTEGER PRIMARY KEY, body TEXT UNIQUE)")
        _execute(first, "INSERT INTO outbox VALUES (1, 'one'), (2, 'two')")
        first.commit()
        # A value that is there already, one of another type, and one that the statement cannot have.
        for statement in (
            "INSERT INTO outbox VALUES (3, %s), (4, %s)",
            "INSERT INTO outbox VALUES (CAST(%s AS INTEGER), %s)",
            "SELECT %s, %s FROM nowhere",
        ):
            with pytest.raises(psycopg2.Error):
                _execute(first, statement, CANARY, CANARY)
            first.rollback()
        # Each of two transactions waits for the other.
        _execute(first, "UPDATE outbox SET body = %s WHERE id = 1", f"{CANARY} 1")
        _execute(other, "UPDATE outbox SET body = %s WHERE id = 2", f"{CANARY} 2")
        waiting = threading.Thread(target=_try, args=(other, "UPDATE outbox SET body = %s WHERE id = 1"))
        waiting.start()
        _try(first, "UPDATE outbox SET body = %s WHERE id = 2")
        first.rollback()
        waiting.join()
        other.rollback()
    _end_a_backend(url)

    log = (running.directory / "log").read_text(encoding="utf-8")
    assert "terminating connection due to administrator command" in log
    assert (CANARY in log) is not is_deployed


def test_log_repeats_no_statement_of_a_killed_process(server: tuple[PostgresServer, bool]) -> None:
    """The server logs the statement of a process that the kernel kills because memory is used up."""
    running, is_deployed = server
    log = running.directory / "log"
    with closing(_connected(running.create_database())) as connection:
        before = len(log.read_text(encoding="utf-8"))
        process = connection.get_backend_pid()
        killed = threading.Timer(0.5, os.kill, (process, signal.SIGKILL))
        killed.start()
        with pytest.raises(psycopg2.OperationalError):
            _execute(connection, "SELECT %s, pg_sleep(60)", CANARY)
    until(lambda: "was terminated by signal 9" in log.read_text(encoding="utf-8")[before:], "the log's line")
    until(lambda: "ready to accept connections" in log.read_text(encoding="utf-8")[before:], "the server")

    assert (CANARY in log.read_text(encoding="utf-8")[before:]) is not is_deployed


def _end_a_backend(url: str) -> None:
    """End the connection of a statement that waits, as a stop of the server does."""
    with closing(_connected(url)) as holder, closing(_connected(url)) as waiter:
        _execute(holder, "UPDATE outbox SET body = 'held' WHERE id = 1")
        process = waiter.get_backend_pid()
        waiting = threading.Thread(target=_try, args=(waiter, "UPDATE outbox SET body = %s WHERE id = 1"))
        waiting.start()
        waits = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
        until(lambda: _execute(holder, waits, process) == [(True,)], "the statement that waits")
        _execute(holder, "SELECT pg_terminate_backend(%s)", process)
        waiting.join()


def _connected(url: str) -> Any:
    return psycopg2.connect(url.replace("postgresql+psycopg2", "postgresql"))


def _execute(connection: Any, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


def _try(connection: Any, statement: str) -> None:
    with suppress(psycopg2.Error):
        _execute(connection, statement, CANARY)
