"""The commands `kopuro up` and `kopuro demo`.

Every start of `kopuro` loads this module, so each command imports its implementation only when it runs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path, typer.Option("--data-dir", help="Directory for all of the hub's files.", file_okay=False)
]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON line to stdout when the hub is ready.")]


def up(
    data_dir: DataDir,
    as_json: Json = False,
    empty: Annotated[bool, typer.Option("--empty", help="Start without the sample network.")] = False,
    policy: Annotated[
        Path | None, typer.Option(help="Routing policy (JSON file).", exists=True, dir_okay=False)
    ] = None,
    fast: Annotated[
        bool,
        typer.Option("--fast", help="Set deadlines of seconds, to see expiries and reminders soon."),
    ] = False,
    two_person: Annotated[
        bool,
        typer.Option("--two-person", help="Let a second operator approve keys, clients, roles and vetting."),
    ] = False,
    amqp: Annotated[
        bool, typer.Option("--amqp", help="Also let organisations connect over AMQP (the gateway).")
    ] = False,
) -> None:
    """Start a complete hub on this machine and run it until Ctrl-C or SIGTERM.

    Its sample network includes organisations that answer in a fixed way, such as kg.sandbox-accepts.
    """
    if fast and policy is not None:
        raise typer.BadParameter("cannot be used with --policy", param_hint="--fast")
    from sandbox.ending_signals import ending_signals_raise

    # Around the imports too, which take longer than some steps of the start.
    with ending_signals_raise():
        from runtime.settings import ONE_PERSON, TWO_PERSON
        from sandbox.broker import BrokerError
        from sandbox.hub import FAST_POLICY, Hub
        from sandbox.hub_processes import HubError

        def report(text: str) -> None:
            print(f"kopuro: {text}", file=sys.stderr, flush=True)  # noqa: T201 - progress is for stderr

        hub = Hub(
            data_dir,
            empty=empty,
            partners=not empty,
            policy=FAST_POLICY if fast else policy,
            approvals=TWO_PERSON if two_person else ONE_PERSON,
            amqp=amqp,
            progress=report,
        )
        try:
            hub.start()
            ready = {"discovery": hub.files.discovery_address(), "data_dir": str(hub.files.directory)}
            if as_json:
                print(json.dumps(ready), flush=True)  # noqa: T201 - the command's output
            else:
                report(f"ready: {ready['discovery']}")
                report(f"credentials: {hub.files.credentials}")
            hub.run()
        except (HubError, BrokerError, OSError) as error:
            _report_failure(str(error), as_json=as_json)
            raise typer.Exit(1) from None
        finally:
            hub.stop()


def demo(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            help="Keep the hub's data in this directory; without it, the data is deleted.",
            file_okay=False,
        ),
    ] = None,
) -> None:
    """Run five sample referrals through a private hub, from submission to outcome."""
    from sandbox.demo.run import play

    raise typer.Exit(play(data_dir))


def _report_failure(detail: str, *, as_json: bool) -> None:
    from kopuro_client.commands.exit_codes import ExitCode
    from kopuro_client.commands.report import failure

    print(failure(ExitCode.FAULT, detail, as_json=as_json), file=sys.stderr, flush=True)  # noqa: T201
