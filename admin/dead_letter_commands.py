"""The commands `kopuro admin dead-letters`.

Every start of `kopuro` loads this module, so each command imports its implementation only when it runs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from admin.command_options import Documents, HubDir

if TYPE_CHECKING:
    from admin.dead_letters import DeadLetterCommands

dead_letters = typer.Typer(
    no_args_is_help=True,
    help="Operators: inspect, replay or discard messages that a service could not process.",
    epilog="The commands use the broker of --data-dir, or else the one that KOPURO_AMQP_URI names "
    "(with KOPURO_BROKER_CA for a private CA). "
    "A queue is open to one operator at a time; a second operator waits for a few seconds.",
)

Consumer = Annotated[str, typer.Argument(help="Consumer: its dead-letter queue's name without `.parked`.")]
MessageId = Annotated[str, typer.Argument(help="The message's id, from the list.")]
Number = Annotated[
    int | None, typer.Option(min=1, help="Number in the list; needed where different messages share an id.")
]


def register(admin: typer.Typer) -> None:
    """Add the commands to `kopuro admin`."""
    admin.add_typer(dead_letters, name="dead-letters")


@dead_letters.command("list")
def list_dead_letters(
    consumer: Annotated[str | None, typer.Option(help="Show only this consumer's dead letters.")] = None,
    data_dir: HubDir = None,
    as_json: Documents = False,
) -> None:
    """List dead letters: consumer, type, reason and time first seen, never their content."""
    _dead_letter_commands(data_dir, as_json=as_json).list(consumer)


@dead_letters.command("show")
def show_dead_letter(
    consumer: Consumer,
    message_id: MessageId,
    number: Number = None,
    with_data: Annotated[
        bool, typer.Option("--data", help="Include the payload (never sealed content); the log records it.")
    ] = False,
    data_dir: HubDir = None,
    as_json: Documents = False,
) -> None:
    """Show one dead letter: its envelope, its reason and the queue it came from."""
    _dead_letter_commands(data_dir, as_json=as_json).show(
        consumer, message_id, number=number, with_data=with_data
    )


@dead_letters.command("replay")
def replay_dead_letters(
    consumer: Consumer,
    message_id: Annotated[
        str | None, typer.Argument(help="The message's id; without it, give --all.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Replay every dead letter of the consumer, in order.")
    ] = False,
    reason_contains: Annotated[
        str, typer.Option(help="With --all: replay only messages whose reason contains this text.")
    ] = "",
    number: Number = None,
    data_dir: HubDir = None,
    as_json: Documents = False,
) -> None:
    """Return messages to the queues they came from, once their cause is fixed.

    An interruption loses no message. A message that is replayed twice takes effect once.
    """
    if every == (message_id is not None):
        raise typer.BadParameter("Give either a MESSAGE_ID or --all.")
    commands = _dead_letter_commands(data_dir, as_json=as_json)
    if message_id is None:
        if number is not None:
            raise typer.BadParameter("--number needs a MESSAGE_ID.")
        commands.replay_all(consumer, reason_contains=reason_contains)
    else:
        if reason_contains:
            raise typer.BadParameter("--reason-contains needs --all.")
        commands.replay(consumer, message_id, number=number)


@dead_letters.command("discard")
def discard_dead_letter(
    consumer: Consumer,
    message_id: MessageId,
    number: Number = None,
    sure: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    data_dir: HubDir = None,
    as_json: Documents = False,
) -> None:
    """Delete a dead letter permanently."""
    _dead_letter_commands(data_dir, as_json=as_json).discard(consumer, message_id, number=number, sure=sure)


def _dead_letter_commands(data_dir: Path | None, *, as_json: bool) -> DeadLetterCommands:
    from admin.dead_letters import DeadLetterCommands
    from kopuro_client.commands.output import Output

    return DeadLetterCommands(Output(as_json=as_json), data_dir, os.environ)
