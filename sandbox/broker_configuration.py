"""Configuration files and environment of a private RabbitMQ node. Nothing starts here.

Verified on RabbitMQ 3.10.8 with Erlang/OTP 25.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from admin.broker_definitions import definitions
from admin.embedded_broker import DEFAULT_VHOST, LOOPBACK, BrokerFiles, BrokerIdentity
from runtime.messaging.ports import MOST_MESSAGE_BYTES

MARKER = "KOPURO_PRIVATE_BROKER"
"""Environment variable of the node and its children. Its value is their data directory."""
START = "KOPURO_PRIVATE_BROKER_START"
"""Environment variable of the node and its children. Its value is unique to one start of the node."""

# No line here names a wildcard address. The limits suit a personal computer: quorum queues keep up to
# one write-ahead file in memory, so the limit of that file is an eighth of the default of 512 MB.
_CONFIGURATION = """\
# Written by the sandbox at every start; changes made here are lost.
listeners.tcp.1 = {address}:{port}
{users}cluster_name = {node}
vm_memory_high_watermark.absolute = 1GiB
disk_free_limit.absolute = 64MB
max_message_size = {largest}
raft.wal_max_size_bytes = 67108864
log.file = rabbit.log
log.connection.level = critical
log.channel.level = critical
log.default.level = error
log.file.rotation.size = 10485760
log.file.rotation.count = 2
"""

LARGEST_MESSAGE = MOST_MESSAGE_BYTES
"""Bytes of a message, as in deploy/: above what intake admits, and above every event and batch of events. The
broker closes the channel of a larger one and says why. Its own default is 128 MiB."""

# Once a minute RabbitMQ checks that epmd runs and, if not, starts that daemon on all addresses. The
# private node needs no epmd, but no setting disables the check. Erlang evaluates this file at its start; it
# stops the checking process as soon as that exists.
_NO_EPMD_WATCH = """\
spawn(fun Look() ->
    case whereis(rabbit_epmd_monitor_sup) of
        undefined -> timer:sleep(100), Look();
        _ -> supervisor:terminate_child(rabbit_sup, rabbit_epmd_monitor_sup)
    end
end).
"""

# RabbitMQ loads every module that a loaded application lists, in search of its own boot steps. A library that
# is loaded here, without its list, is not loaded again by RabbitMQ. Erlang still loads each of its modules at
# the first call.
_NO_SEARCH_IN_LIBRARIES = """\
lists:foreach(fun(Library) ->
    case file:path_consult(code:get_path(), atom_to_list(Library) ++ ".app") of
        {{ok, [{{application, Library, Keys}}], _}} ->
            application:load({{application, Library, lists:keystore(modules, 1, Keys, {{modules, []}})}});
        _ -> missing
    end
end, [{}]).
"""
# The directory in which the process that looks runs: the broker's, for the node and its programs. Linux only.
WORKING_DIRECTORY: Final = Path("/proc/self/cwd")
# Erlang reports a crashed process with all that it keeps and its last message: what a stranger sent before
# login, or a message that cannot be decoded. RabbitMQ's own events have its domain; only these are logged.
# There is no space after `fun`, because the server's script splits its arguments at each.
ONLY_RABBITMQ_EVENTS: Final = (
    "-kernel logger [{filters,stop,[{rabbitmq,{fun'logger_filters':domain/2,{log,sub,[rabbitmq]}}}]}]"
)


# Without definitions the node has one user and an empty virtual host.
_ONE_USER = """\
default_user = {user}
default_pass = {password}
default_vhost = {vhost}
"""


# The management API for the gateway, on loopback. Its counts are a second old at most, not five, so that an
# acknowledgement over AMQP counts over HTTP soon.
_MANAGEMENT = """\
management.tcp.ip = {address}
management.tcp.port = {port}
collect_statistics_interval = 1000
"""
_MANAGEMENT_ADVANCED = "[{rabbit, [{quorum_tick_interval, 1000}]}].\n"


def contents(
    files: BrokerFiles,
    identity: BrokerIdentity,
    *,
    hub: str | None = None,
    libraries: Sequence[str] = (),
) -> dict[Path, str]:
    """Return the text of every file the node reads. Some contain secrets: write all with mode 0600.

    hub: the hub whose definitions the node imports, if any. libraries: the applications in whose modules
    RabbitMQ does not search for boot steps.
    """
    imported = {}
    with_partners = identity.management_port is not None
    if hub is None:
        users = _ONE_USER.format(user=identity.user, password=identity.password, vhost=DEFAULT_VHOST)
    else:
        # Relative to the node's working directory: a path may contain characters that end a value here.
        users = f"load_definitions = {files.definitions.name}\n"
        document = definitions(
            vhost=DEFAULT_VHOST,
            hub=hub,
            passwords=identity.passwords,
            administrators={identity.user: identity.password},
            partners=with_partners,
        )
        imported[files.definitions] = json.dumps(document)
    configuration = _CONFIGURATION.format(
        address=LOOPBACK,
        port=identity.amqp_port,
        users=users,
        node=identity.node,
        largest=LARGEST_MESSAGE,
    )
    if with_partners:
        configuration += _MANAGEMENT.format(address=LOOPBACK, port=identity.management_port)
    return {
        **imported,
        files.identity: identity.to_json(),
        files.configuration: configuration,
        files.plugins: "[rabbitmq_management].\n" if with_partners else "[].\n",
        # Present but empty, so that the node does not read the files of the system's broker instead.
        files.advanced: _MANAGEMENT_ADVANCED if with_partners else "[].\n",
        files.script_settings: "",
        files.cookie: identity.cookie,
        files.at_start: _no_search_in(libraries) + _NO_EPMD_WATCH,
    }


def environment(
    files: BrokerFiles,
    identity: BrokerIdentity,
    *,
    path: str,
    schedulers: int,
    plugins: Path | None = None,
    modules: Sequence[Path] = (),
) -> dict[str, str]:
    """Return the complete environment of the server script.

    path: PATH, to find `erl`. schedulers: Erlang's threads, at most the number of processors.
    plugins: the directory of RabbitMQ's plugins; None: the installation's. modules: the directories that
    Erlang searches first for a module, in this order.
    The caller's environment is not inherited, since its RABBITMQ_… variables would change the node.
    """
    node = _named_in_ascii(files)
    if plugins is not None:
        plugins = node.root / plugins.relative_to(files.root)
    return {
        **({} if plugins is None else {"RABBITMQ_PLUGINS_DIR": str(plugins)}),
        "PATH": path,
        "LANG": "C.UTF-8",
        "HOME": str(node.home),
        MARKER: str(files.root),
        "RABBITMQ_NODENAME": identity.node,
        "RABBITMQ_CONFIG_FILE": str(node.configuration),
        "RABBITMQ_CONFIG_FILES": str(node.root / "conf.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(node.advanced),
        "RABBITMQ_CONF_ENV_FILE": str(node.script_settings),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(node.plugins),
        "RABBITMQ_MNESIA_BASE": str(node.mnesia),
        "RABBITMQ_LOG_BASE": str(node.logs),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(node.root / "generated"),
        "RABBITMQ_SCHEMA_DIR": str(node.root / "schema"),
        "RABBITMQ_PID_FILE": str(node.root / "pid"),
        # No crash dump: it would have the messages and passwords that the node has in memory.
        "ERL_CRASH_DUMP_SECONDS": "0",
        # Makes the script replace itself with Erlang, so that the child's pid is the node's and SIGTERM
        # stops Erlang in order. (-noinput disables the interactive shell.)
        "RABBITMQ_ALLOW_INPUT": "1",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(
            [
                "-noinput",
                ONLY_RABBITMQ_EVENTS,
                f"+S {schedulers}:{schedulers}",
                # Schedulers without work sleep at once. Erlang would keep the processor busy for a while, in
                # case that work comes: a node that nobody uses would do so after each of its timers.
                "+sbwt none +sbwtdcpu none +sbwtdio none",
                # Erlang itself starts distribution. RabbitMQ would first start epmd, a daemon on all
                # addresses that outlives the node, and would need two seconds more.
                f"-sname {identity.node}",
                "-start_epmd false",
                f"-erl_epmd_port {identity.distribution_port}",
                "-kernel inet_dist_use_interface " + _erlang_address(LOOPBACK),
                # Each puts its directory in front of those before it.
                *(f"-pa {directory}" for directory in reversed(modules)),
            ]
        ),
    }


def _named_in_ascii(files: BrokerFiles) -> BrokerFiles:
    """Return the files under names that the node can use: those of its working directory, if necessary.

    In a directory whose name Latin-1 cannot write, RabbitMQ 3.10.8 does not find its queues when it starts
    again, although the first start succeeds.
    """
    if str(files.root).isascii() or not WORKING_DIRECTORY.exists():
        return files
    return BrokerFiles(root=WORKING_DIRECTORY)


def control_environment(files: BrokerFiles, *, path: str) -> Mapping[str, str]:
    """Return the environment of `erl_call`, which finds the cookie in the home directory."""
    return {"PATH": path, "HOME": str(files.home), "LANG": "C.UTF-8"}


def _no_search_in(libraries: Sequence[str]) -> str:
    return _NO_SEARCH_IN_LIBRARIES.format(", ".join(libraries)) if libraries else ""


def _erlang_address(address: str) -> str:
    return "{" + address.replace(".", ",") + "}"
