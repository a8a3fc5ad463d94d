"""What the server adds to the `kopuro` command: `up`, `demo`, `dead-letters`.

Loaded at every start of the command, so the work is imported only when it is asked for.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    pass

DataDir = Annotated[Path, typer.Option("--data-dir", help="Where the hub keeps everything.", file_okay=False)]
Json = Annotated[bool, typer.Option("--json", help="One JSON line on stdout when all is ready.")]


def up(
    data_dir: DataDir,
    as_json: Json = False,
    empty: Annotated[bool, typer.Option("--empty", help="Without the sample network.")] = False,
    policy: Annotated[
        Path | None, typer.Option(help="Routing's policy, a JSON file.", exists=True, dir_okay=False)
    ] = None,
) -> None:
    """Start a whole hub on this machine, and run it until Ctrl-C or SIGTERM."""
    from sandbox.broker import BrokerError
    from sandbox.hub import Hub, HubError
    from sandbox.supervisor import sigterm_raises

    def say(text: str) -> None:
        print(f"kopuro: {text}", file=sys.stderr, flush=True)  # noqa: T201 - progress is for stderr

    hub = Hub(data_dir, empty=empty, policy=policy, progress=say)
    try:
        with sigterm_raises():
            hub.start()
            ready = {"discovery": hub.files.discovery_address(), "data_dir": str(hub.files.directory)}
            if as_json:
                print(json.dumps(ready), flush=True)  # noqa: T201 - the command's output
            else:
                say(f"ready: {ready['discovery']}")
                say(f"credentials: {hub.files.credentials}")
            # Inside too: who is told that all is ready may stop us before `run` listens for it.
            hub.run()
    except (HubError, BrokerError, OSError) as error:
        _complain(str(error), as_json=as_json)
        raise typer.Exit(1) from None
    finally:
        hub.stop()


def demo(
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="Keep the hub's data here; else it is thrown away.", file_okay=False),
    ] = None,
) -> None:
    """Watch five referrals travel through a hub of their own, and come back closed."""
    from sandbox.demo.run import play

    raise typer.Exit(play(data_dir))


def _complain(detail: str, *, as_json: bool) -> None:
    from kopuro_client.commands.exit_codes import ExitCode
    from kopuro_client.commands.report import failure

    print(failure(ExitCode.FAULT, detail, as_json=as_json), file=sys.stderr, flush=True)  # noqa: T201
