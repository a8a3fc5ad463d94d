"""The `kopuro` command with a fork server of its own, for tests that start a hub a second time.

It is a process like that of `kopuro`, with the same signals. Only the services start in another way: as forks
of a process that has imported them (`tests.fork_server`), which are children of this process too.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from kopuro_client.commands import main
    from tests.fork_server import ForkServer

    with ForkServer() as server, server.starting_services():
        code = main(sys.argv[1:])
    sys.exit(code)
