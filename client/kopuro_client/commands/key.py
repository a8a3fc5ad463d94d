"""`kopuro key`: generate and publish the organisation's sealing key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from kopuro_client.commands.input_file import read_json
from kopuro_client.commands.known_organization import require_known
from kopuro_client.commands.lists import show_page
from kopuro_client.commands.new_file import write_secret
from kopuro_client.commands.printable import json_text, moment
from kopuro_client.commands.session import Session, connected
from kopuro_client.errors import InvalidArgumentError, SealingError
from kopuro_client.records import KeptKey, Page
from kopuro_client.sealing import generate_key, public_key


def group() -> typer.Typer:
    """Return the commands under `kopuro key`."""
    commands = typer.Typer(no_args_is_help=True, help="Generate and publish your sealing key.")
    commands.command("generate")(generate)
    commands.command("publish")(connected(publish))
    commands.command("replace")(connected(replace))
    commands.command("history")(connected(history))
    return commands


def generate(
    file: Annotated[
        Path, typer.Argument(help="New file for the private key; existing files are not overwritten.")
    ],
) -> None:
    """Generate a sealing key. Writes the private key to FILE and the public key to stdout."""
    key = generate_key()
    public = json_text(public_key(key), indent=2)
    write_secret(file, (json_text(key) + "\n").encode(), public=public)


def publish(
    session: Session,
    file: Annotated[Path, typer.Argument(help="The sealing key's file; only the public key is sent.")],
) -> None:
    """Publish your first sealing key in the directory. From then on, cases are sealed to it."""
    _published(session, session.hub.publish_key(_key_in(file)))


def replace(
    session: Session,
    new: Annotated[Path, typer.Option(help="The new sealing key's file; only the public key is sent.")],
    old: Annotated[
        Path | None, typer.Option(help="The old sealing key's file, which proves that the key is yours.")
    ] = None,
    lost: Annotated[
        bool, typer.Option("--lost", help="The old key is lost: request the operators' approval.")
    ] = False,
) -> None:
    """Replace your sealing key: at once with the old key, or else after two operators have approved it.

    After an approval the hub pauses the release of cases to the new key and refuses notes to it, so that you
    can object.
    """
    if (old is None) != lost:
        raise typer.BadParameter("Give either --old FILE or --lost.")
    key = session.hub.publish_key(
        _key_in(new),
        old_key=None if old is None else _key_in(old),
        approval=lost,
    )
    _published(session, key)


def history(
    session: Session,
    organization: Annotated[
        str | None, typer.Argument(help="The organisation, for operators; by default your own.")
    ] = None,
) -> None:
    """List your sealing keys, the present one first, and how each got into the directory."""
    kept = session.hub.administration.key_history(organization)
    if not kept:
        require_known(session, organization)
    if session.out.as_json:
        session.out.document(kept)
        return
    page: Page[KeptKey] = {"items": kept, "next": None}
    show_page(
        session.out,
        page,
        columns=("kid", "from", "until", "manner", "by", "approved by"),
        row=lambda item: (
            item["key"]["kid"],
            moment(item["from"]),
            moment(item["until"]) if item["until"] else "",
            item["manner"],
            item["by"],
            item["approved_by"] or "",
        ),
    )


def _key_in(file: Path) -> dict[str, Any]:
    document = read_json(file)
    try:
        public_key(document)
    except SealingError as error:
        raise InvalidArgumentError(f"{file}: {error}") from error
    return document


def _published(session: Session, answer: Mapping[str, Any]) -> None:
    if session.out.as_json:
        session.out.document(answer)
    elif "state" in answer:
        session.out.text(answer["id"])
        session.out.note("requested; the key takes effect once the operators approve the request")
    else:
        session.out.text(answer["kid"])
        session.out.note("published; keep any earlier key to open the cases sealed to it")
