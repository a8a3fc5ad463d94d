"""`kopuro` for tests with many commands: forks of one process that has imported it, started by `Kopuro`.

The imports take most of the time of a command. A fork runs the same `main` with the arguments, the
environment, the directory and the standard streams of its caller. A signal for the caller does not reach the
fork: tests of Ctrl-C, and of the installed command itself, start that command.
"""

from __future__ import annotations

import marshal
import os
import signal
import socket
import subprocess
import sys
import traceback
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, Self

from tests.journey.waiting import until
from tests.support.node import REPOSITORY

# The script that bash finds as `kopuro`. Python starts without site-packages, in some 20 ms.
_CALLER: Final = """#!{python} -ISE
import marshal, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({socket!r})
order = marshal.dumps((sys.argv[1:], dict(os.environ), os.getcwd()))
socket.send_fds(server, [order], [0, 1, 2])
status = server.recv(1)
sys.exit(status[0] if status else 1)
"""


class Kopuro:
    """The process and the program that calls it, within the block.

    path: the directory with the program, for a shell. program: its file.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "bin"
        self.program = str(self.path / "kopuro")
        self._socket = directory / "kopuro.socket"

    def __enter__(self) -> Self:
        self.path.mkdir()
        program = Path(self.program)
        program.write_text(_CALLER.format(python=sys.executable, socket=str(self._socket)), encoding="utf-8")
        program.chmod(0o755)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.kopuro_forks", str(self._socket)], cwd=REPOSITORY
        )
        until(self._socket.exists, "the process that forks", within=60)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def serve(path: str) -> None:
    """Fork for each order that comes over the socket."""
    from kopuro_client.commands import main
    from kopuro_client.commands.plugins import GROUP

    # Every command loads them before it looks at its arguments.
    for plugin in entry_points(group=GROUP):
        plugin.load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    while True:
        caller, _ = server.accept()
        if os.fork() == 0:
            server.close()
            _run(main, caller)
        caller.close()


def _run(main: Any, caller: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    order, streams, _, _ = socket.recv_fds(caller, 1 << 20, 3)
    arguments, environment, directory = marshal.loads(order)  # noqa: S302 - from the test's own shell
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    # New objects: those of this process know whether its own streams could seek.
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 - for the whole fork
        for number, mode in enumerate(("r", "w", "w"))
    )
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    status = 1
    try:
        status = int(main(arguments))
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        caller.send(bytes([status]))
        os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])
