"""`python -m tests.support.service_forks`: a process that has imported the runtime, and forks into services.

The imports take 0.7 s of CPU time, most of a service's start, and the runs start hundreds of services. A fork
continues where `runtime.__main__` is after its own imports: eventlet's patches are applied, `runtime.process`
and what every service imports of the runtime are imported, and neither a hub nor a thread exists.

Its package is imported by a fork that stays and forks again for each order of the same package (another 0.03
to 0.15 s for each service). So one service never has the modules of another. For a service with replaced
parts such a fork has also imported the module that replaces them (0.3 s); each service replaces them itself.

Orders come on stdin (a socket), each with the log's file descriptor. `tests.fork_server` sends them.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import warnings
from typing import Any


def main() -> int:
    """Fork for each order until the client closes its end; return an exit status, a service's in a fork."""
    gc.disable()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
        import eventlet

    eventlet.monkey_patch()
    # Modules that libraries import at their first use, in every service's start.
    for module in ("encodings.idna", "kombu.transport.pyamqp", "cryptography.hazmat.backends.openssl"):
        importlib.import_module(module)
    # Modules that every service imports before its own package.
    import runtime.entrypoints.batches
    import runtime.entrypoints.operations
    import runtime.entrypoints.resource
    import runtime.entrypoints.service
    import runtime.process
    import runtime.service_platform  # noqa: F401
    from contracts.topology import hub_topology

    hub_topology()  # every service asks for it; it is computed once in a process
    # The patching makes a hub, whose epoll descriptor all forks would share.
    eventlet.hubs.use_hub()
    gc.collect()  # closes it
    gc.freeze()  # so that collections in the forks do not copy these pages
    order = _next_order()
    return 0 if order is None else _run(order)


def _next_order() -> dict[str, Any] | None:
    """Return the order that this fork must carry out; None in a server, at its end."""
    import eventlet

    # The patched functions would make a hub, in order to wait in it.
    os, socket = (eventlet.patcher.original(name) for name in ("os", "socket"))
    server = socket.socket(fileno=os.dup(0))
    # Keyed by the modules: the sockets to the forks that have imported them.
    imported: dict[tuple[str, ...], Any] = {}
    modules: tuple[str, ...] = ()
    while True:
        message, descriptors, _, _ = socket.recv_fds(server, 1 << 20, 1)
        if not message:
            return None
        order: dict[str, Any] = json.loads(message)
        wanted = tuple(order["imported"])
        if wanted == modules:
            if _forked(server, os):
                server.close()
                _leave(order, descriptors[0])
                return order
            os.close(descriptors[0])
            server.send(b"forked")
            continue
        if wanted not in imported:
            imported[wanted], theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            if os.fork() == 0:
                for other in (server, *imported.values()):
                    other.close()
                os.close(descriptors[0])
                server, imported, modules = theirs, {}, wanted
                for module in modules:
                    importlib.import_module(module)
                gc.freeze()
                continue
            theirs.close()
        socket.send_fds(imported[wanted], [message], descriptors)
        os.close(descriptors[0])
        for _ in ("pid", "forked"):
            server.send(imported[wanted].recv(64))


def _forked(server: Any, os: Any) -> bool:
    """Fork twice, and send the pid of the last one, where True is returned."""
    between = os.fork()
    if between == 0:
        service = os.fork()
        if service == 0:
            return True
        server.send(str(service).encode())
        # The service becomes a child of the client, which has asked for orphans.
        os._exit(0)
    os.waitpid(between, 0)
    return False


def _leave(order: dict[str, Any], log: int) -> None:
    """Make this fork what `sandbox.process.ServiceProcess` makes of a child."""
    import ctypes

    import eventlet

    os, time = (eventlet.patcher.original(name) for name in ("os", "time"))
    os.setsid()
    while (parent := os.getppid()) != order["client"]:
        if parent == 1:
            os._exit(126)
        time.sleep(0.0005)
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
    if os.getppid() != order["client"]:
        os._exit(126)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(log)
    os.umask(order["umask"])
    os.chdir(order["directory"])
    os.environ.clear()
    os.environ.update(order["environment"])


def _run(order: dict[str, Any]) -> int:
    sys.argv = order["arguments"]
    if sys.argv[0] == "services.directory.load":
        from services.directory.load import main as load

        return load()
    *altered_by, package = order["arguments"][1:]
    if altered_by:
        from tests.support.altered_service import run_altered

        return run_altered(altered_by[0], package)
    from runtime.process import run

    return run(package)


if __name__ == "__main__":
    sys.exit(main())
