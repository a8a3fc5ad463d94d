"""A private RabbitMQ node with its own directory, ports and credentials."""

import contextlib
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Collection
from pathlib import Path
from typing import Self

import amqp

from admin.embedded_broker import DEFAULT_VHOST, LOOPBACK, BrokerFiles, BrokerIdentity
from admin.private_files import OwnerLock, delete_durably, make_private, write_private
from contracts.broker_rights import GATEWAY, USERS
from sandbox.broker_configuration import MARKER, START, contents, control_environment, environment
from sandbox.broker_log import cause_of_failure
from sandbox.ending_signals import signals_held
from sandbox.ports import settled_ports
from sandbox.process import ServiceProcess, end_processes, processes_with
from sandbox.rabbit_installation import RabbitInstallation, erl_call

_ERLANG_SCHEDULERS = 4
# A login usually permits 1,024 open files. RabbitMQ 3.10 reserves three for each quorum queue, 131 for a
# hub, and drops connections when none is free. Debian's unit permits as many as here; more take memory.
_OPEN_FILES = 65_536
_VHOST_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_DEBIAN_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class BrokerError(RuntimeError):
    """The private broker cannot start, or a request to it failed."""


class BrokerInUse(BrokerError):
    """Another running process uses this data directory for its broker."""


class PrivateBroker:
    """One RabbitMQ node on the loopback interface that ends with this process.

    Durable queues and persistent messages stay in `data_dir`. The next start restores them under the
    same node name, port (unless another process took it) and credentials.

    On Linux the node dies when the process that runs it is killed. If a node still runs from this
    directory, the next start ends it first. A lock on the directory protects the broker of a *running*
    process from this.

    It can be one of a Supervisor's processes. `start` = `spawn` + `wait_until_ready`.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        name: str = "broker",
        hub: str | None = None,
        reserved_ports: Collection[int] = (),
        partners: bool = False,
    ) -> None:
        """hub: the hub whose exchanges, queues and users every start imports; None: an empty node.

        partners: also the partners' virtual host, the gateway's user, and the management API that it needs.

        reserved_ports: of servers that start later. The node listens on others.
        """
        self.name = name
        self._reserved_ports = frozenset(reserved_ports)
        self._hub = hub
        self._partners = partners
        self.files = BrokerFiles(root=data_dir.resolve())
        self._identity: BrokerIdentity | None = None
        self._process: ServiceProcess | None = None
        self._start = ""
        self._owner = OwnerLock(self.files.lock)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def identity(self) -> BrokerIdentity:
        """Names, ports and credentials. Raises BrokerError before the first spawn."""
        if self._identity is None:
            raise BrokerError("the broker has not been started: it has no address yet")
        return self._identity

    @property
    def uri(self) -> str:
        """The administrator's AMQP URI of the virtual host `kopuro`, credentials included."""
        return self.identity.uri()

    def uri_of(self, user: str) -> str:
        """Return the same URI for a service's user or the operators'. Raises KeyError without a hub."""
        return self.identity.uri_of(str(self._hub), user)

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self, timeout: float = 60.0) -> None:
        """Spawn the node and wait until it answers AMQP.

        Raises BrokerError with the end of the node's log when it ends or does not answer in time,
        BrokerInUse when another process runs it, OSError when the directory cannot be written.
        An interruption leaves nothing running.
        """
        try:
            self.spawn()
            self.wait_until_ready(timeout)
        except BaseException:
            self.kill()
            self._owner.release()
            raise

    def spawn(self) -> None:
        """Start the node without waiting for it; do nothing if it runs. Raises the errors of `start`."""
        if self.running():
            return
        server = server_script()
        if any(quote in str(self.files.root) for quote in "'\""):
            # RabbitMQ puts the directory name into a shell command, between quotation marks.
            raise BrokerError(
                f"RabbitMQ cannot run in {self.files.root}: "
                "choose a directory without quotation marks in its name"
            )
        make_private(self.files.root)
        if not self._owner.take():
            raise BrokerInUse(f"another process runs a broker from {self.files.root}")
        # This process owns the directory now, so the process that spawned these is dead.
        try:
            end_processes(processes_with(MARKER, str(self.files.root)))
        except TimeoutError as error:
            raise BrokerError(f"an earlier broker of {self.files.root} does not stop: {error}") from error
        self._identity = self._settle_identity()
        if self._hub is not None:
            users = (*USERS, GATEWAY) if self._partners else USERS
            self._identity = self._identity.with_passwords(users)
        self._begin_again_if_unused()
        for directory in (self.files.home, self.files.mnesia, self.files.logs):
            make_private(directory)
        search_path = os.environ.get("PATH", os.defpath)
        has_management = self._identity.management_port is not None
        installation = RabbitInstallation.found(server, path=search_path, management=has_management)
        plugins = (
            None if installation is None else self._only_plugins((installation.rabbit, *installation.plugins))
        )
        libraries = () if installation is None else installation.libraries
        for path, text in contents(self.files, self._identity, hub=self._hub, libraries=libraries).items():
            write_private(path, text)
        self._start = secrets.token_hex(8)
        self._process = ServiceProcess(
            self.name,
            [str(server)],
            environment=environment(
                self.files,
                self._identity,
                path=search_path,
                schedulers=min(_ERLANG_SCHEDULERS, os.cpu_count() or 1),
                plugins=plugins,
                modules=() if plugins is None or installation is None else installation.modules,
            )
            | {START: self._start},
            log=self.files.output,
            directory=self.files.root,
            open_files=_OPEN_FILES,
        )
        self._process.spawn()

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Wait for a complete AMQP handshake with the node's credentials. Raises BrokerError.

        timeout: seconds without a new line in the node's log, which shows that a start on a busy machine
        continues; five times that in all. The password is random, so no other broker can complete the
        handshake.
        """
        latest = time.monotonic() + 5 * timeout
        written, deadline = -1, latest
        while True:
            if (size := self._log_size()) != written:
                written, deadline = size, min(time.monotonic() + timeout, latest)
            if self.exit_code() is not None:
                raise BrokerError(
                    f"the broker ended with status {self.exit_code()} at start\n{self._log_tail()}"
                )
            try:
                # py-amqp would swallow an exception that SIGTERM raises during its clean-up.
                with signals_held():
                    self._shake_hands()
            except (OSError, amqp.AMQPError) as error:
                if time.monotonic() > deadline:
                    raise BrokerError(
                        f"the broker does not respond, and its start has not progressed for {timeout:g} s "
                        f"({error})\n{self._log_tail()}"
                    ) from error
                time.sleep(0.05)
            else:
                break
        if self._hub is not None:
            self.flush_declarations()
        if self.files.unused.exists():
            delete_durably(self.files.unused)

    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.exit_code()

    def running(self) -> bool:
        return self._process is not None and self._process.running()

    def ask_to_stop(self) -> None:
        """Request an orderly stop and return at once. Call `stop` afterwards to release the directory."""
        if self._process is not None:
            self._process.ask_to_stop()

    def wait(self, timeout: float) -> bool:
        return self._process is None or self._process.wait(timeout)

    def stop(self, timeout: float = 10.0) -> None:
        """Stop in order, kill after `timeout` seconds, and release the directory."""
        if self._process is not None:
            self._process.stop(timeout)
            self._end_programs(self._start)
        self._owner.release()

    def kill(self) -> None:
        """SIGKILL the node, like a crash. Confirmed messages survive, and the directory stays locked."""
        start = self._start
        if self._process is not None:
            self._process.kill()
            self._end_programs(start)

    def _begin_again_if_unused(self) -> None:
        """Delete what a first start has left that was killed, and mark the first start.

        A node killed within a second of declaring its queues never has them again (`flush_declarations`).
        """
        if not self.files.mnesia.exists():
            write_private(self.files.unused, "")
        elif self.files.unused.exists():
            shutil.rmtree(self.files.mnesia)

    def _end_programs(self, start: str) -> None:
        """SIGKILL what is left of a start of the node. Raises TimeoutError when a process survives it.

        The programs that a node starts have process groups of their own, and end a moment after the node.
        """
        while remaining := processes_with(START, start):
            end_processes(remaining)

    def restart(self, timeout: float = 60.0) -> None:
        """Stop (if it runs) and start again from the same data, on the same port."""
        self.stop()
        self.start(timeout)

    def add_vhost(self, name: str) -> str:
        """Add an empty virtual host with full permissions for the node's user; return its URI.

        name: 1 to 100 of A-Z a-z 0-9 . _ - (ValueError). An existing virtual host stays as it is.
        It takes about 20 ms. Raises BrokerError as `evaluate`.
        """
        vhost, user = _erlang_binary(_checked_vhost(name)), _erlang_binary(self.identity.user)
        anything = _erlang_binary(".*")
        self.evaluate(
            f"case rabbit_vhost:exists({vhost}) of"
            f" true -> ok; false -> ok = rabbit_vhost:add({vhost}, {user}) end,"
            f" ok = rabbit_auth_backend_internal:set_permissions("
            f"{user}, {vhost}, {anything}, {anything}, {anything}, {user})"
        )
        return self.identity.uri(name)

    def remove_vhost(self, name: str) -> None:
        """Delete a virtual host with its content. Raises BrokerError if it does not exist, ValueError."""
        if name == DEFAULT_VHOST:
            raise ValueError(f"{DEFAULT_VHOST} is the broker's own virtual host")
        vhost = _erlang_binary(_checked_vhost(name))
        self.evaluate(f"ok = rabbit_vhost:delete({vhost}, {_erlang_binary(self.identity.user)})")

    def flush_declarations(self) -> None:
        """Make quorum queues declared until now survive a crash. It takes about 10 ms.

        RabbitMQ 3.10.8 writes the list of its quorum queues about one second late. A node killed
        within that second restarts with the queue empty, its confirmed messages lost, and permanently
        without a leader. Messages in older queues are safe.
        """
        self.evaluate("[ok = dets:sync(Table) || Table <- dets:all()]")

    def evaluate(self, expression: str, *, timeout: float = 15.0) -> str:
        """Evaluate Erlang on the node and return the printed result.

        expression: Erlang expressions without the full stop; never build one from untrusted input.
        rabbitmqctl cannot reach a node without epmd, so this method replaces it.
        Raises BrokerError when the node does not respond or the evaluation fails.
        """
        search_path = os.environ.get("PATH", os.defpath)
        program = erl_call(search_path)
        if program is None:
            raise BrokerError("erl_call, a part of Erlang, is neither on PATH nor beside `erl`")
        address = f"{LOOPBACK}:{self.identity.distribution_port}"
        try:
            completed = subprocess.run(
                # A unique name: the node refuses a caller whose name is still connected.
                [program, "-h", f"call-{secrets.token_hex(6)}", "-address", address, "-e"],
                input=expression + ".\n",
                env=control_environment(self.files, path=search_path),
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BrokerError(f"the broker's node does not respond within {timeout:g} s") from None
        # erl_call exits with 0 even when the expression fails; only the printed tuple shows it.
        result = re.fullmatch(r"\{ok, (.*)\}", completed.stdout.strip(), re.DOTALL)
        if result is None:
            raise BrokerError(
                f"the broker's node failed to evaluate: {completed.stdout.strip()}{completed.stderr.strip()}"
            )
        return result.group(1)

    def _shake_hands(self) -> None:
        connection = amqp.Connection(
            host=f"{LOOPBACK}:{self.identity.amqp_port}",
            userid=self.identity.user,
            password=self.identity.password,
            virtual_host=DEFAULT_VHOST,
            connect_timeout=2,
            read_timeout=5,
        )
        with contextlib.closing(connection):
            connection.connect()

    def _settle_identity(self) -> BrokerIdentity:
        """Return the stored identity, or a new one; replace ports that another process has taken."""
        try:
            known = BrokerIdentity.from_json(self.files.identity.read_text(encoding="utf-8"))
        except FileNotFoundError:
            new = settled_ports([None] * (3 if self._partners else 2), reserved=self._reserved_ports)
            return BrokerIdentity.invented(amqp_port=new[0], distribution_port=new[1]).on_ports(*new)
        except ValueError as error:
            raise BrokerError(f"{self.files.identity}: {error}") from None
        ports: list[int | None] = [known.amqp_port, known.distribution_port]
        if self._partners:
            ports.append(known.management_port)
        return known.on_ports(*settled_ports(ports, reserved=self._reserved_ports))

    def _only_plugins(self, wanted: Collection[Path]) -> Path | None:
        """Make the node's plugins directory, with these directories as its only entries.

        Return None where its name would be read as a list of directories.
        """
        directory = self.files.root / "plugins"
        if ":" in str(directory):
            return None
        shutil.rmtree(directory, ignore_errors=True)  # the plugins of another version
        make_private(directory)
        for plugin in wanted:
            (directory / plugin.name).symlink_to(plugin)
        return directory

    def _log_size(self) -> int:
        return sum(path.stat().st_size for path in (self.files.output, self.files.log) if path.exists())

    def _log_tail(self) -> str:
        lines: list[str] = []
        for path in (self.files.output, self.files.log):
            with contextlib.suppress(FileNotFoundError):
                lines += cause_of_failure(path.read_text(encoding="utf-8", errors="replace"))
        return "\n".join(lines)


def server_script() -> Path:
    """Return the script that starts a RabbitMQ node. Raises BrokerError when none is installed."""
    # Debian's rabbitmq-server on PATH is a wrapper that changes to another user; this is the real one.
    if _DEBIAN_SERVER.exists():
        return _DEBIAN_SERVER
    found = shutil.which("rabbitmq-server")
    if found is None:
        raise BrokerError("rabbitmq-server is not installed: run `make setup`, or set KOPURO_AMQP_URI")
    return Path(found)


def _checked_vhost(name: str) -> str:
    if _VHOST_NAME.fullmatch(name) is None:
        raise ValueError(f"invalid virtual host name: {name!r}")
    return name


def _erlang_binary(text: str) -> str:
    return f'<<"{text}">>'
