"""`kopuro key`: generate and publish the organisation's sealing key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kopuro_client.commands.input_file import read_json
from kopuro_client.commands.new_file import write_new
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import json_text
from kopuro_client.commands.session import Session, connected
from kopuro_client.errors import InvalidArgumentError, SealingError
from kopuro_client.sealing import generate_key, public_key


def group() -> typer.Typer:
    """Return the commands under `kopuro key`."""
    commands = typer.Typer(no_args_is_help=True, help="Generate and publish your sealing key.")
    commands.command("generate")(generate)
    commands.command("publish")(connected(publish))
    return commands


def generate(
    file: Annotated[
        Path, typer.Argument(help="New file for the private key; existing files are not overwritten.")
    ],
) -> None:
    """Generate a sealing key. Writes the private key to FILE and the public key to stdout."""
    key = generate_key()
    write_new(file, (json_text(key) + "\n").encode())
    Output(as_json=True).document(public_key(key))


def publish(
    session: Session,
    file: Annotated[Path, typer.Argument(help="The sealing key's file; only the public key is sent.")],
) -> None:
    """Publish your sealing key in the directory. From then on, cases are sealed to it."""
    document = read_json(file)
    try:
        public_key(document)
    except SealingError as error:
        raise InvalidArgumentError(f"{file}: {error}") from error
    key = session.hub.publish_key(document)
    if session.out.as_json:
        session.out.document(key)
    else:
        session.out.text(key["kid"])
        session.out.note("published; keep the previous key to open the cases sealed to it")
