"""`kopuro key`: the organisation's sealing key. The private half is written once, to one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kopuro_client.commands.input_file import read_json
from kopuro_client.commands.new_file import write_new
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import json_text
from kopuro_client.commands.session import Session, connected
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
    write_new(file, (json_text(key) + "\n").encode())
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
