"""Operators' commands: `kopuro dead-letters`, `kopuro audit`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from admin.dead_letters import DeadLetterCommands

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


def _desk(data_dir: Path | None, *, as_json: bool) -> DeadLetterCommands:
    from admin.dead_letters import DeadLetterCommands
    from kopuro_client.commands.output import Output

    return DeadLetterCommands(Output(as_json=as_json), data_dir, os.environ)
