"""`kopuro key`: the organisation's sealing key. The private half is written once, to one file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from kopuro_client.commands.credentials import read_json
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import json_text
from kopuro_client.commands.session import Session, connected
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.sealing import generate_key, public_key


def group() -> typer.Typer:
    """The commands under `kopuro key`."""
    commands = typer.Typer(no_args_is_help=True, help="Make and publish your sealing key.")
    commands.command("generate")(generate)
    commands.command("publish")(connected(publish))
    return commands


def generate(
    file: Annotated[Path, typer.Argument(help="Where to write the private key; nothing is overwritten.")],
) -> None:
    """Make a sealing key: the private half to FILE, the public half to stdout."""
    key = generate_key()
    try:
        # Nobody else may read it, not even for the moment between making the file and closing it to them.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidArgumentError(f"{file} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(json_text(key) + "\n")
    Output(as_json=True).document(public_key(key))


def publish(
    session: Session,
    file: Annotated[Path, typer.Argument(help="The sealing key; only its public half is sent.")],
) -> None:
    """Publish your sealing key in the directory: cases are sealed to it from now on."""
    key = session.hub.publish_key(read_json(file))
    if session.out.as_json:
        session.out.document(key)
    else:
        session.out.text(key["kid"])
        session.out.note("published; keep the one before for the cases that were sealed to it")
