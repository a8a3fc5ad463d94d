"""The embedded hub: all services on this machine's loopback interface, in one data directory.

It consists of a private broker, one process per service on SQLite, and the sample network. After SIGTERM or
Ctrl-C it starts again from the same directory without loss. Environment variables select an existing broker
(KOPURO_AMQP_URI) and existing databases (KOPURO_DATABASE_TEMPLATE, which contains `{service}`) instead.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from admin.embedded_broker import LOOPBACK
from admin.manifest_files import set_users
from admin.private_files import OwnerLock
from contracts.broker_rights import USERS, user_name
from contracts.organization import Organization
from contracts.topology import hub_topology
from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.settings import ONE_PERSON, TWO_PERSON, Settings
from runtime.storage.database import Database, DatabaseUnavailable
from runtime.storage.database_url import UnusableDatabaseUrl, parsed_database_url
from runtime.storage.migrate import upgrade
from runtime.tls import BROKER, DATABASE
from sandbox import network
from sandbox.broker import PrivateBroker
from sandbox.ending_signals import raise_lost_signal, signals_held
from sandbox.hub_files import GATEWAY, HUB, SECOND_OPERATOR, SERVICES, HubFiles
from sandbox.hub_processes import HubError, HubProcesses
from sandbox.partners.organizations import organizations as fixed_organizations
from sandbox.process import ServiceProcess
from sandbox.supervisor import Supervised, Supervisor

READY_WITHIN_SECONDS = 60.0
STOP_WITHIN_SECONDS = 14.0
# A service that has ended this often before it was ready will not become ready.
HOPELESS_AFTER_RESTARTS = 3

# Deadlines of seconds, and no chance in the order of candidates.
FAST_POLICY = Path(__file__).parent / "fast_policy.json"


class Hub:
    """One hub in one data directory. `progress` receives a short text for each step of the start."""

    def __init__(
        self,
        directory: Path,
        *,
        empty: bool = False,
        members: Sequence[Organization] | None = None,
        partners: bool = False,
        policy: Path | None = None,
        approvals: str = ONE_PERSON,
        environment: Mapping[str, str] | None = None,
        ready_within: float = READY_WITHIN_SECONDS,
        amqp: bool = False,
        progress: Callable[[str], None] = lambda text: None,
    ) -> None:
        """empty: start without the sample network. members: organisations that replace the sample network.

        partners: add the organisations with fixed behaviour, and play them (`sandbox/partners`).
        policy: routing's policy file; None: the default policy. approvals: `one-person` or `two-person`.
        ready_within: seconds; audit recomputes its whole log before it is ready, which takes some seconds for
        a million entries. amqp: also start the gateway, with a virtual host for partners; only with a private
        broker.
        """
        self.files = HubFiles(directory)
        self._empty = empty
        self._members = members
        self._partners = partners
        self._approvals = approvals
        self._environment = dict(os.environ if environment is None else environment)
        self.processes = HubProcesses(self.files, self._environment, policy=policy, approvals=approvals)
        self._ready_within = ready_within
        self._amqp = amqp
        self._progress = progress
        self._owner: OwnerLock | None = None
        self._broker: PrivateBroker | None = None
        self.supervisor: Supervisor | None = None

    def start(self) -> None:
        """Start the hub; return when every service is ready. On an error, stop it and raise HubError."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop every process, services first. A broker that no service has used yet is killed."""
        if self.supervisor is not None:
            self.supervisor.stop(within=STOP_WITHIN_SECONDS)
            self.supervisor = None
        elif self._broker is not None:
            # A node that is starting ignores the request to stop until it is up, and has nothing to save.
            self._broker.kill()
        if self._broker is not None:
            self._broker.stop()
            self._broker = None
        if self._owner is not None:
            self._owner.release()
            self._owner = None

    @property
    def broker(self) -> PrivateBroker | None:
        """The private broker; None before the start, and with another broker."""
        return self._broker

    def run(self) -> None:
        """Run until SIGTERM or SIGINT, then stop."""
        assert self.supervisor is not None
        raise_lost_signal()
        self.supervisor.run_until_signalled(within=STOP_WITHIN_SECONDS)

    def _start(self) -> None:
        if problems := Settings.problems_of(self.processes.passed_on()):
            raise HubError("\n".join(problems))
        directory = self.files.directory
        try:
            str(directory).encode()
        except UnicodeEncodeError:
            raise HubError(
                "the name of the data directory is not valid UTF-8: choose another directory"
            ) from None
        try:
            parsed_database_url(self.processes.database_url("directory"))
        except UnusableDatabaseUrl as error:  # a data directory gives a URL that is usable
            raise HubError(f"KOPURO_DATABASE_TEMPLATE {error}") from None
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = OwnerLock(directory / "owner.lock")
        if not owner.take():
            raise HubError(
                f"{directory} is in use by another hub: stop that one, or choose another directory"
            )
        self._owner = owner
        members = [*(network.load().organizations if self._members is None else self._members)]
        if self._partners:
            members += fixed_organizations()
        self._step("creating keys and credentials")
        self.files.settle(() if self._empty else members)
        if self._approvals == TWO_PERSON and SECOND_OPERATOR not in self.files.people():
            raise HubError(
                f"{directory} was made with one operator, so nobody could approve: choose another directory"
            )
        stages: list[list[Supervised]] = []
        amqp_uri = self._environment.get("KOPURO_AMQP_URI", "")
        if amqp_uri and self._amqp:
            raise HubError(
                "--amqp needs the private broker: unset KOPURO_AMQP_URI, or start a gateway yourself"
            )
        if not amqp_uri:
            self._step("starting a private RabbitMQ")
            self._broker = PrivateBroker(
                directory / "broker",
                hub=HUB,
                reserved_ports=self.files.reserved_ports(),
                partners=self._amqp,
            )
            self._broker.spawn()
            stages.append([self._broker])
        self._step("migrating the databases")
        for service in SERVICES:
            with signals_held():
                self._migrate(service)
        if not self.files.loaded.exists():
            self._step("loading the directory")
            self._load()
        if self._broker is not None:
            set_users(self.files.manifest.parent, {user: user_name(HUB, user) for user in USERS})
            self._broker.wait_until_ready()
        else:
            self._step("declaring the queues")
            self._declare(amqp_uri)
        self._step("starting the services")
        stages.append(
            [
                self._process(service, self._broker.uri_of(service) if self._broker else amqp_uri)
                for service in SERVICES
            ]
        )
        if self._amqp:
            assert self._broker is not None
            stages.append([self.processes.gateway(self._broker.identity)])
        else:  # the file of an earlier start
            (self.files.environments / f"{GATEWAY}.env").unlink(missing_ok=True)
        if self._partners:
            stages.append([self.processes.partners()])
        self.supervisor = Supervisor(stages)
        self.supervisor.start()
        self._wait_until_ready()

    def _step(self, text: str) -> None:
        raise_lost_signal()
        self._progress(text)

    def _migrate(self, service: str) -> None:
        database = Database.open(self.processes.database_url(service), tls=self.processes.tls(DATABASE))
        try:
            upgrade(f"services.{service}", database)
        except DatabaseUnavailable as error:
            raise HubError(
                f"the database of {service} cannot be brought up to date: {error.reason()}"
            ) from error
        finally:
            database.close()

    def _load(self) -> None:
        files = ["--credentials", str(self.files.clients)]
        if not self._empty:
            agreements = Path(network.__file__).parent / "agreements.json"
            files += ["--organizations", str(self.files.organizations), "--agreements", str(agreements)]
        database_url = self.processes.database_url("directory")
        done = subprocess.run(
            [sys.executable, "-m", "services.directory.load", *files],
            env={**self.processes.inherited(), "KOPURO_DATABASE_URL": database_url},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise HubError(f"could not load the directory:\n{done.stderr.strip() or _end(done.returncode)}")
        self.files.loaded.touch(mode=0o600)

    def _declare(self, amqp_uri: str) -> None:
        # The services share this user, which has every right, unlike at the private broker.
        broker = RabbitBroker(amqp_uri, tls=self.processes.tls(BROKER))
        set_users(self.files.manifest.parent, dict.fromkeys(USERS, broker.user))
        try:
            broker.declare(hub_topology())
        except BrokerUnavailable as error:
            raise HubError(f"the broker of KOPURO_AMQP_URI cannot be used: {error}") from error

    def _process(self, service: str, amqp_uri: str) -> ServiceProcess:
        return self.processes.service(service, amqp_uri, self._broker)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._ready_within
        processes = (*SERVICES, GATEWAY) if self._amqp else SERVICES
        for number, process in enumerate(processes):
            while self._unready(process) is not None:
                raise_lost_signal()
                self._give_up_on_crash_loops()
                if time.monotonic() > deadline:
                    states = {each: self._unready(each) for each in processes[number:]}
                    reasons = "; ".join(f"{each}: {reason}" for each, reason in states.items() if reason)
                    log = self.files.log(process)
                    raise HubError(f"not ready after {self._ready_within:.0f} s ({reasons}): see {log}")
                time.sleep(0.05)

    def _give_up_on_crash_loops(self) -> None:
        assert self.supervisor is not None
        for status in self.supervisor.status():
            if status.restarts >= HOPELESS_AFTER_RESTARTS and status.last_exit is not None:
                raise HubError(
                    f"{status.name} keeps failing at start (exit status {status.last_exit}): "
                    f"see {self.files.log(status.name)}"
                )

    def _unready(self, service: str) -> str | None:
        connection = http.client.HTTPConnection(LOOPBACK, self.files.ports(service).operations, timeout=3)
        try:
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        except OSError:
            return "does not respond"
        finally:
            connection.close()
        return None if response.status == 200 else text[:300]


def _end(status: int) -> str:
    """Return how a process without output ended. status: as `subprocess` gives it."""
    return (
        f"the process was killed by signal {-status}"
        if status < 0
        else f"the process ended with status {status}"
    )
