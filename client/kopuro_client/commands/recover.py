"""`kopuro recover`: read the mailbox again after a loss of data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from kopuro_client.commands.input_file import read_text
from kopuro_client.commands.mailbox import TYPES, show_message
from kopuro_client.commands.session import Session
from kopuro_client.errors import PROBLEM, InvalidArgumentError, RefusedError
from kopuro_client.records import Message


def recover(
    session: Session,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="The time of your backup (RFC 3339), or a mailbox cursor.")
    ],
    known: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Leave out the messages whose ids are in this file, one id on each line."
        ),
    ] = None,
    types: TYPES = None,
) -> None:
    """Print all messages of your mailbox since a time, including acknowledged ones.

    For a system that was restored from a backup. The messages have the ids and the content that they had, in
    the same order, one per line (--json: one CloudEvent per line). Some from the ten minutes before TIME come
    first, because clocks differ: skip the ids that you know. A message whose content was erased because its
    offer or referral ended is a message.closed with the same id. Nothing is acknowledged.
    """
    skipped = frozenset() if known is None else frozenset(read_text(known).split())
    printed = 0
    for message in _messages(session, since, types or ()):
        if message["id"] in skipped:
            continue
        printed += 1
        if session.out.as_json:
            session.out.json_line(message)
        else:
            show_message(session, message)
    session.out.note(f"{printed} messages since {since}")


def _messages(session: Session, since: str, types: Sequence[str]) -> Iterator[Message]:
    """Raises InvalidArgumentError for a `--since` that the hub refuses: it names a parameter of its own."""
    try:
        yield from session.hub.recover(since, types=types)
    except RefusedError as error:
        if error.type != f"{PROBLEM}invalid-parameter" or not str(error.detail or "").startswith("`from`"):
            raise
        raise InvalidArgumentError(
            "--since must be a time, such as 2026-11-26T18:00:00Z, or a cursor of your mailbox"
        ) from None
