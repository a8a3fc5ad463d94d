"""What the server adds to the `kopuro` command: `up`, `demo`, `dead-letters`.

Loaded at every start of the command, so the work is imported only when it is asked for.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sandbox.dead_letters import DeadLetterCommands

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


dead_letters = typer.Typer(
    no_args_is_help=True,
    help="Messages that a service could not process: look at them, put them back.",
    epilog="The broker is that of --data-dir, else the one in KOPURO_AMQP_URI. "
    "One person at a time looks at a queue; a second one waits some seconds.",
)

Consumer = Annotated[str, typer.Argument(help="Whose: its parking queue's name without `.parked`.")]
Number = Annotated[
    int | None, typer.Option(min=1, help="Its number in the list, where different messages share an id.")
]
HubDir = Annotated[
    Path | None, typer.Option("--data-dir", help="An embedded hub's directory.", file_okay=False)
]
Documents = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@dead_letters.command("list")
def list_dead_letters(
    consumer: Annotated[str | None, typer.Option(help="Only this consumer's.")] = None,
    data_dir: HubDir = None,
    as_json: Documents = False,
) -> None:
    """Every parked message: whose, what, why, since when. Never its content."""
    _desk(data_dir, as_json=as_json).list(consumer)


@dead_letters.command("show")
def show_dead_letter(
    consumer: Consumer,
    message_id: str,
    number: Number = None,
    with_data: Annotated[bool, typer.Option("--data", help="Its data too; never what is sealed.")] = False,
    data_dir: HubDir = None,
    as_json: Documents = False,
) -> None:
    """One parked message: its envelope, why it was parked, where it came from."""
    _desk(data_dir, as_json=as_json).show(consumer, message_id, number=number, with_data=with_data)


@dead_letters.command("replay")
def replay_dead_letters(
    consumer: Consumer,
    message_id: Annotated[str | None, typer.Argument()] = None,
    every: Annotated[bool, typer.Option("--all", help="Every message parked now, in order.")] = False,
    reason_contains: Annotated[str, typer.Option(help="With --all: only with this in the reason.")] = "",
    number: Number = None,
    data_dir: HubDir = None,
    as_json: Documents = False,
) -> None:
    """Put messages back to the queues they came from, once their cause is mended.

    Interrupted at any moment, it loses none; one that is put back twice takes effect once.
    """
    if every == (message_id is not None):
        raise typer.BadParameter("either a MESSAGE_ID or --all")
    desk = _desk(data_dir, as_json=as_json)
    if message_id is None:
        if number is not None:
            raise typer.BadParameter("--number goes with a MESSAGE_ID")
        desk.replay_all(consumer, reason_contains=reason_contains)
    else:
        if reason_contains:
            raise typer.BadParameter("--reason-contains goes with --all")
        desk.replay(consumer, message_id, number=number)


@dead_letters.command("discard")
def discard_dead_letter(
    consumer: Consumer,
    message_id: str,
    number: Number = None,
    sure: Annotated[bool, typer.Option("--yes", help="Without asking.")] = False,
    data_dir: HubDir = None,
    as_json: Documents = False,
) -> None:
    """Throw a message away for good."""
    _desk(data_dir, as_json=as_json).discard(consumer, message_id, number=number, sure=sure)


def _complain(detail: str, *, as_json: bool) -> None:
    from kopuro_client.commands.exit_codes import ExitCode
    from kopuro_client.commands.report import failure

    print(failure(ExitCode.FAULT, detail, as_json=as_json), file=sys.stderr, flush=True)  # noqa: T201


def _desk(data_dir: Path | None, *, as_json: bool) -> DeadLetterCommands:
    from kopuro_client.commands.output import Output
    from sandbox.dead_letters import DeadLetterCommands

    return DeadLetterCommands(Output(as_json=as_json), data_dir, os.environ)
