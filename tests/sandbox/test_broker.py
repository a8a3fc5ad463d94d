"""The private broker as a real process."""

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import amqp
import pytest

from sandbox.broker import BrokerError, BrokerInUse, PrivateBroker, server_script
from sandbox.broker_configuration import MARKER, environment
from sandbox.process import processes_with
from sandbox.rabbit_installation import LIBRARIES, RabbitInstallation
from sandbox.supervisor import RestartPolicy, Supervisor
from tests.long_run import combinations
from tests.servers import python_process

QUEUE = "kept"
QUORUM = {"x-queue-type": "quorum"}


@contextlib.contextmanager
def channel_of(uri: str) -> Iterator[amqp.Channel]:
    parts = urlsplit(uri)
    with amqp.Connection(
        host=f"{parts.hostname}:{parts.port}",
        userid=parts.username,
        password=parts.password,
        virtual_host=parts.path[1:],
        confirm_publish=True,
    ) as connection:
        yield connection.channel()


def publish(uri: str, body: str) -> None:
    with channel_of(uri) as channel:
        channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments=QUORUM)
        channel.basic_publish_confirm(amqp.Message(body, delivery_mode=2), routing_key=QUEUE, timeout=10)


def take(uri: str) -> str | None:
    """Take one message; a quorum queue elects its leader a moment after the node answers."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(amqp.AMQPError), channel_of(uri) as channel:
            message = channel.basic_get(QUEUE, no_ack=True)
            if message is not None:
                return str(message.body)
        time.sleep(0.1)
    return None


def answers(uri: str) -> bool:
    with contextlib.suppress(OSError, amqp.AMQPError), channel_of(uri):
        return True
    return False


def own_processes(broker: PrivateBroker) -> list[int]:
    return processes_with(MARKER, str(broker.files.root))


def listening_addresses(pids: list[int]) -> set[str]:
    """The addresses, as /proc/net writes them, on which these processes listen."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                inodes.add(os.readlink(link).removeprefix("socket:[").removesuffix("]"))
    found = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError):
            for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in inodes:
                    found.add(fields[1].partition(":")[0])
    return found


def test_broker_listens_on_loopback_only(broker: PrivateBroker) -> None:
    assert listening_addresses(own_processes(broker)) == {"0100007F"}


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGABRT], ids=["crash dump", "core file"])
def test_broker_that_crashes_leaves_no_memory_in_a_file(tmp_path: Path, number: signal.Signals) -> None:
    """Its memory holds messages and passwords. SIGUSR1 makes Erlang end as after an error of its own."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    soft, _ = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        broker = PrivateBroker(tmp_path / "broker")
        broker.start()
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    try:
        publish(broker.uri, "in memory")
        assert broker.pid is not None
        os.kill(broker.pid, number)
        assert broker.wait(20)
    finally:
        broker.stop()
    names = [path.name for path in broker.files.root.rglob("*") if path.is_file()]
    assert [name for name in names if "dump" in name or name.startswith("core")] == []


def test_broker_does_not_start_epmd(broker: PrivateBroker) -> None:
    # RabbitMQ looks once a minute: too rarely for the test above to see what it would start.
    assert broker.evaluate("is_pid(whereis(rabbit_sup))") == "true"
    deadline = time.monotonic() + 10
    while broker.evaluate("whereis(rabbit_epmd_monitor)") != "undefined":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_broker_loads_no_library_module_that_it_does_not_call(broker: PrivateBroker) -> None:
    """RabbitMQ 4 starts as usual."""
    names = "[" + ", ".join(LIBRARIES) + "]"
    listed = broker.evaluate(f"lists:usort([application:get_key(App, modules) || App <- {names}])")
    installation = RabbitInstallation.found(server_script(), path=os.environ["PATH"])
    assert (listed == "[{ok, []}]") == (installation is not None), listed
    if installation is None:
        return
    assert broker.evaluate("code:is_loaded(xmerl_xsd)") == "false"
    assert broker.evaluate("element(1, xmerl_scan:string([$<, $a, $/, $>]))").startswith("{xmlElement")


def test_no_library_has_boot_steps_or_feature_flags(broker: PrivateBroker) -> None:
    names = "[" + ", ".join(LIBRARIES) + "]"
    found = broker.evaluate(
        f"[File || Directory <- code:get_path(), App <- {names},"
        ' lists:prefix(atom_to_list(App) ++ "-", filename:basename(filename:dirname(Directory))),'
        ' File <- filelib:wildcard(filename:join(Directory, "*.beam")),'
        " {ok, {_, [{attributes, Attributes}]}} <- [beam_lib:chunks(File, [attributes])],"
        " {Name, _} <- Attributes, lists:member(Name, [rabbit_boot_step, rabbit_feature_flag])]"
    )
    assert found == "[]"


def test_broker_has_no_guest_user(broker: PrivateBroker) -> None:
    with (
        pytest.raises(amqp.AccessRefused),
        amqp.Connection(
            host=f"127.0.0.1:{broker.identity.amqp_port}",
            userid="guest",
            password="guest",
            virtual_host="kopuro",
        ),
    ):
        pass


def test_virtual_hosts_are_separate(broker: PrivateBroker, vhost: str) -> None:
    publish(vhost, "here")
    with channel_of(broker.uri) as channel, pytest.raises(amqp.NotFound):
        channel.queue_declare(QUEUE, passive=True)


def test_virtual_host_added_again_keeps_its_contents(broker: PrivateBroker, vhost: str) -> None:
    publish(vhost, "still here")
    assert broker.add_vhost(vhost.rpartition("/")[2]) == vhost
    assert take(vhost) == "still here"


def test_failing_evaluation_raises(broker: PrivateBroker) -> None:
    assert broker.evaluate("1 + 1") == "2"
    with pytest.raises(BrokerError, match="badarith"):
        broker.evaluate("1 div 0")


def test_concurrent_evaluations_do_not_block_each_other(broker: PrivateBroker) -> None:
    with ThreadPoolExecutor(6) as callers:
        assert list(callers.map(broker.evaluate, ["begin timer:sleep(20), 2 end"] * 30)) == ["2"] * 30


@pytest.mark.parametrize("name", ["", "a b", 'x">>, halt()', "a/b"])
def test_invalid_virtual_host_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="virtual host"):
        PrivateBroker(Path("unused")).add_vhost(name)


def test_secrets_are_readable_by_their_owner_only(broker: PrivateBroker) -> None:
    for path in (broker.files.identity, broker.files.configuration, broker.files.cookie):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(broker.files.root.stat().st_mode) & 0o077 == 0


def test_second_broker_in_same_directory_is_refused(broker: PrivateBroker) -> None:
    with pytest.raises(BrokerInUse):
        PrivateBroker(broker.files.root).start()
    assert broker.running()


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstStart:
    """A broker that has started once. plugins: those it could enable. searched: directories of modules."""

    broker: PrivateBroker
    plugins: str
    searched: list[str]


@pytest.fixture(scope="module")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> FirstStart:
    broker = PrivateBroker(tmp_path_factory.mktemp("stopped") / "broker")
    with broker:
        plugins = "rabbit_plugins:list(rabbit_plugins:plugins_dir())"
        return FirstStart(
            broker=broker,
            plugins=broker.evaluate(f"[element(2, Plugin) || Plugin <- {plugins}]"),
            searched=json.loads(broker.evaluate("code:get_path()")),
        )


@pytest.fixture
def stopped(first_start: FirstStart) -> PrivateBroker:
    """A broker that has stopped in order. Start copies of it."""
    return first_start.broker


def test_node_sees_no_plugin_and_searches_the_servers_modules_first(first_start: FirstStart) -> None:
    """A start that looks through all plugins takes twice the CPU time. RabbitMQ 4 starts as usual."""
    installation = RabbitInstallation.found(server_script(), path=os.environ["PATH"])

    assert (first_start.plugins == "[]") == (installation is not None), first_start.plugins
    if installation is not None:
        own = first_start.broker.files.root / "plugins" / installation.rabbit.name / "ebin"
        wanted = [str(directory) for directory in (own, *installation.modules)]
        assert first_start.searched[: len(wanted)] == wanted


@pytest.fixture
def data(stopped: PrivateBroker, tmp_path: Path) -> Path:
    """A copy of its directory: the start of a node takes 3 s of CPU time."""
    shutil.copytree(stopped.files.root, tmp_path / "broker")
    return tmp_path / "broker"


def test_broker_uses_another_port_when_its_own_is_taken(data: Path, stopped: PrivateBroker) -> None:
    first = stopped.identity
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", first.amqp_port))
        squatter.listen()
        with PrivateBroker(data) as broker:
            assert broker.identity.amqp_port != first.amqp_port
            assert broker.identity.node == first.node


ABANDONING = """
import json, subprocess, sys
child = subprocess.Popen([sys.argv[1]], env=json.loads(sys.argv[2]), start_new_session=True,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(child.pid)
"""


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="reads /proc")
def test_node_of_a_login_with_few_files_may_open_as_many_as_the_hard_limit_permits(data: Path) -> None:
    # A login's usual limit suffices for seven hubs in a node, or for one whose partners have 260 queues.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        with PrivateBroker(data) as running:
            node = running.evaluate("os:getpid()").strip('"')
            limits = Path(f"/proc/{node}/limits").read_text(encoding="ascii")
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1024, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    line = next(line for line in limits.splitlines() if line.startswith("Max open files"))
    assert int(line.split()[3]) == min(65_536, hard)


def test_orphaned_broker_is_ended_and_its_data_reused(tmp_path: Path) -> None:
    broker = PrivateBroker(tmp_path / "broker")
    with broker:
        publish(broker.uri, "from before")
    # A node that the kernel did not end with its owner: we start it untied, and its owner goes.
    settings = environment(broker.files, broker.identity, path=os.environ["PATH"], schedulers=2)
    owner = python_process(
        "owner", ABANDONING, str(server_script()), json.dumps(settings), directory=tmp_path
    )
    owner.spawn()
    assert owner.wait(10)
    orphan = int(owner.log.read_text(encoding="utf-8").split()[0])
    deadline = time.monotonic() + 30
    while not answers(broker.uri):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    publish(broker.uri, "to the orphan")
    broker.flush_declarations()
    with PrivateBroker(tmp_path / "broker") as successor:
        assert orphan not in own_processes(successor)
        assert [take(successor.uri), take(successor.uri)] == ["from before", "to the orphan"]


OWNER = """
import sys, time
from pathlib import Path
from sandbox.broker import PrivateBroker
from sandbox.ending_signals import ending_signals_raise
with ending_signals_raise():
    print("starting")
    with PrivateBroker(Path(sys.argv[1])):
        print("ready")
        time.sleep(600)
"""


@pytest.mark.parametrize(
    ("moment", "number"),
    combinations(("ready", "starting"), (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)),
)
def test_broker_ends_after_any_signal_to_its_owner(number: int, moment: str, tmp_path: Path) -> None:
    broker = PrivateBroker(tmp_path / "broker")
    owner = python_process("owner", OWNER, str(broker.files.root), directory=tmp_path)
    owner.spawn()
    deadline = time.monotonic() + 30
    while moment not in owner.log.read_text(encoding="utf-8") or not own_processes(broker):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert owner.pid is not None
    os.kill(owner.pid, number)
    assert owner.wait(15)
    deadline = time.monotonic() + 5
    while own_processes(broker):
        assert time.monotonic() < deadline, "the broker outlives its owner"
        time.sleep(0.02)


def test_node_killed_while_it_declares_its_first_queues_has_all_of_them_at_the_next_start(
    tmp_path: Path,
) -> None:
    broker = PrivateBroker(tmp_path / "broker", hub="kg")
    broker.spawn()
    deadline = time.monotonic() + 60
    while not list(broker.files.mnesia.glob("*/quorum/*/*/config")):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    broker.kill()
    broker.start()
    try:
        queues = (
            "[Queue || Queue <- rabbit_amqqueue:list(), amqqueue:get_type(Queue) =:= rabbit_quorum_queue]"
        )
        led = f"[ok || Queue <- {queues}, {{ok, _, _}} <- [catch ra:members(amqqueue:get_pid(Queue))]]"
        found, with_leader = (int(broker.evaluate(f"length({each})")) for each in (queues, led))
        assert found == with_leader > 20
    finally:
        broker.stop()


def test_confirmed_messages_survive_a_crash_and_a_supervised_restart_and_nothing_is_left_running(
    tmp_path: Path,
) -> None:
    broker = PrivateBroker(tmp_path / "broker")
    broker.start()
    with Supervisor([[broker]], policy=RestartPolicy(first_delay=0.01)) as supervisor:
        before = broker.identity
        publish(broker.uri, "durable")
        broker.flush_declarations()
        publish(broker.uri, "just before the crash")
        broker.kill()
        deadline = time.monotonic() + 30
        while supervisor.status()[0].restarts == 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        broker.wait_until_ready()
        assert broker.identity == before
        assert [take(broker.uri), take(broker.uri)] == ["durable", "just before the crash"]
        assert f"'{before.node}'" == broker.evaluate("node()")
    assert own_processes(broker) == []


@pytest.mark.parametrize(
    "end", [PrivateBroker.kill, pytest.param(PrivateBroker.stop, marks=pytest.mark.long_run)]
)
def test_program_started_by_the_node_ends_with_it(data: Path, end: Callable[[PrivateBroker], None]) -> None:
    broker = PrivateBroker(data)
    broker.start()
    broker.evaluate('spawn(fun() -> os:cmd("sleep 60") end)')
    while not any("sleep" in command_of(pid) for pid in own_processes(broker)):
        time.sleep(0.01)
    end(broker)
    assert own_processes(broker) == []
    broker.stop()


def command_of(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    return ""


def test_broker_that_cannot_start_reports_why(data: Path, stopped: PrivateBroker) -> None:
    broker = PrivateBroker(data)
    (broker.files.mnesia / f"{stopped.identity.node}-feature_flags").write_text("damaged", encoding="ascii")
    with pytest.raises(BrokerError, match="feature_flags_file_read_error"):
        broker.start()
    assert own_processes(broker) == []
