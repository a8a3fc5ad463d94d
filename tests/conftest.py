"""Fixtures with real servers. Each server starts at its first use, once in a run."""

import gc
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import Scheduling

from runtime.messaging.memory import MemoryBroker
from runtime.messaging.ports import Broker
from runtime.messaging.rabbit.broker import RabbitBroker
from sandbox.broker import PrivateBroker
from sandbox.temporary_directory import temporary_directory
from tests.bytecode import compile_ahead
from tests.distribution import Distribution, turn
from tests.faults.tcp_proxy import TcpProxy
from tests.fork_server import ForkServer
from tests.long_run import left_to_long_run, times
from tests.servers import PostgresServer
from tests.support import derandomized_examples, machine_certificates, migrated, temporary_files
from tests.support.kopuro_forks import Kopuro
from tests.support.lent_vhosts import LentVhosts
from tests.support.shared_dialects import SharedDialects
from tests.support.umask import UMASKS, umask

# Each SQLite file of a unit test takes less than 1 MB, and is deleted after the test.
_MEMORY_FOR_FILES = 1 << 30

# The time of an example depends on the machine, not on the code.
settings.register_profile(
    "kopuro", max_examples=times(25, 100), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("kopuro")


def pytest_configure(config: pytest.Config) -> None:
    """Trust one authority that signs nothing, and disable eventlet's resolver.

    Reading the machine's certificates takes 20 ms for each TLS context, also of a request without TLS, and
    loading the resolver 0.2 s for each process. Ctrl-C ends the processes even if the run was started in the
    background of a shell that ignores SIGINT.

    Keep bytecode even if the shell sets PYTHONDONTWRITEBYTECODE: each worker would compile and rewrite all
    test modules again (8 s), and each process of a hub its modules (1 s).
    """
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if config.getoption("numprocesses", None):
        compile_ahead(config)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    derandomized_examples.depend_on_their_test()
    machine_certificates.hide(temporary_files.of_run(config))
    os.environ["EVENTLET_NO_GREENDNS"] = "yes"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Start two workers more than processors (`-n auto`): some tests wait. Eight have enough tests each.

    Each further worker collects all tests (14 s of CPU time) and starts servers of its own.
    """
    return min(8, (os.cpu_count() or 1) + 2)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude the test modules and the thousands of tests from garbage collection: they live to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the repetitions to the long run, and start slow tests first."""
    left = left_to_long_run(items)
    config.hook.pytest_deselected(items=left)
    omitted = {item.nodeid for item in left}
    items[:] = [item for item in items if item.nodeid not in omitted]
    items.sort(key=lambda item: turn(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Distribute the groups to the workers in that order."""
    return Distribution(config, log)


@pytest.fixture(scope="session", autouse=True)
def fork_server() -> Iterator[ForkServer]:
    """Start the hubs' services as forks (0.6 s of CPU time less each), except those of `kopuro up`."""
    with ForkServer() as server, server.starting_services():
        yield server


@pytest.fixture(scope="session", autouse=True)
def migrated_hubs() -> Iterator[None]:
    """Migrate the databases of hubs by recorded statements (0.6 s of CPU time less each)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sandbox.hub.upgrade", migrated.upgrade)
        yield


@pytest.fixture(scope="session", autouse=True)
def shared_dialects() -> Iterator[None]:
    """Compile each statement once for the databases of all tests."""
    with SharedDialects().in_use():
        yield


@pytest.fixture(scope="session")
def kopuro(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kopuro]:
    """The `kopuro` command in forks (0.7 s of CPU time less each), for tests of what it says and does."""
    with Kopuro(tmp_path_factory.mktemp("kopuro")) as running:
        yield running


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """A private RabbitMQ node (some 4 s at first use). Tests share it: work in your own `vhost`."""
    with PrivateBroker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def vhost(broker: PrivateBroker) -> Iterator[str]:
    """The AMQP URI of a virtual host that this test has to itself (some 20 ms)."""
    with _lent_vhost(broker) as uri:
        yield uri


@pytest.fixture(scope="module")
def module_vhost(broker: PrivateBroker) -> Iterator[str]:
    """The AMQP URI of a virtual host for a module's tests that leave its contents as they are."""
    with _lent_vhost(broker) as uri:
        yield uri


@pytest.fixture(scope="session")
def hub_vhosts(broker: PrivateBroker) -> LentVhosts:
    return LentVhosts(broker)


@pytest.fixture
def hub_vhost(hub_vhosts: LentVhosts) -> Iterator[str]:
    """The AMQP URI of a virtual host with the hub's topology that this test has to itself (some 50 ms)."""
    with hub_vhosts.lent() as uri:
        yield uri


@contextmanager
def _lent_vhost(broker: PrivateBroker) -> Iterator[str]:
    name = f"test-{secrets.token_hex(6)}"
    yield broker.add_vhost(name)
    broker.remove_vhost(name)


@pytest.fixture(params=["memory", "rabbitmq"])
def any_broker(request: pytest.FixtureRequest) -> Broker:
    """The fake and RabbitMQ in turn, without a topology: the test runs twice."""
    return MemoryBroker() if request.param == "memory" else RabbitBroker(request.getfixturevalue("vhost"))


@pytest.fixture
def proxy(vhost: str) -> Iterator[TcpProxy]:
    """A proxy to the broker whose connections can be cut."""
    with TcpProxy(vhost) as running:
        yield running


@pytest.fixture
def proxied(proxy: TcpProxy) -> str:
    """The URI of `vhost` through the proxy."""
    return proxy.uri


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server. Tests share it: work in your own `postgres_database`."""
    # A schema is kept for the next test.
    # Statistics of another test's rows would change the plans of its queries.
    with PostgresServer(settings={"autovacuum": "off"}) as running:
        yield running


@pytest.fixture
def postgres_database(postgres: PostgresServer) -> Iterator[str]:
    """The SQLAlchemy URL of an empty PostgreSQL database that this test has to itself."""
    with postgres.lent_database() as url:
        yield url


@pytest.fixture(scope="session")
def memory_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory in memory, where a commit waits for no disk; on disk if the machine has no room for one."""
    shared = Path("/dev/shm")  # noqa: S108 - for a private directory in it
    if not os.access(shared, os.W_OK) or shutil.disk_usage(shared).free < _MEMORY_FOR_FILES:
        yield tmp_path_factory.mktemp("memory")
        return
    with temporary_directory("memory", parent=shared) as directory:
        yield directory


@pytest.fixture(params=UMASKS, ids="umask-{:03o}".format)
def any_umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give the process each usual umask in turn until the test ends: the test runs once for each."""
    with umask(request.param):
        yield


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Let every account access what is written without a mode of its own, until the test ends."""
    with umask(0):
        yield


@pytest.fixture
def sqlite_database(tmp_path: Path) -> str:
    """The SQLAlchemy URL of an SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'test.sqlite'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind in turn: the test runs twice."""
    fixture = {"sqlite": "sqlite_database", "postgresql": "postgres_database"}[request.param]
    url: str = request.getfixturevalue(fixture)
    return url
