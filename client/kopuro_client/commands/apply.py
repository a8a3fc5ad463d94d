"""`kopuro organization apply`, for an organisation that wants to join."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from kopuro_client.commands.confirmation import ask
from kopuro_client.commands.input_file import read_json, read_text
from kopuro_client.commands.new_file import write_new
from kopuro_client.commands.printable import moment
from kopuro_client.commands.session import Session
from kopuro_client.errors import (
    DefectError,
    InvalidArgumentError,
    RefusedError,
    TransportError,
    UnavailableError,
)
from kopuro_client.records import ApplicationStatus
from kopuro_client.resources.applications import new_application_reference

_REFERENCE: Final = re.compile(r"[A-Za-z0-9_-]{43,100}")


def apply(
    session: Session,
    file: Annotated[
        Path | None, typer.Argument(help="JSON file of the application; options replace its members.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The organisation's name.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="The kind of organisation, such as ngo, union or state_body.")
    ] = None,
    country: Annotated[str | None, typer.Option(help="The organisation's country, such as KG.")] = None,
    languages: Annotated[
        list[str] | None,
        typer.Option("--language", help="A language in which the organisation helps. May be repeated."),
    ] = None,
    description: Annotated[str | None, typer.Option(help="What the organisation does.")] = None,
    contact: Annotated[str | None, typer.Option(help="The name of a contact person.")] = None,
    email: Annotated[str | None, typer.Option(help="The contact's e-mail address.")] = None,
    telephone: Annotated[
        str | None, typer.Option(help="The contact's telephone, such as +996 312 000000.")
    ] = None,
    website: Annotated[str | None, typer.Option(help="The organisation's website.")] = None,
    parent: Annotated[
        str | None, typer.Option(help="The id of the member to which the organisation belongs.")
    ] = None,
    wanted_id: Annotated[
        str | None, typer.Option("--id", help="The id that the organisation proposes.")
    ] = None,
    status: Annotated[
        str | None, typer.Option(metavar="ID", help="Show the state of an application instead.")
    ] = None,
    withdraw: Annotated[
        str | None, typer.Option(metavar="ID", help="Withdraw an application instead.")
    ] = None,
    reference_file: Annotated[
        Path | None,
        typer.Option(
            help="The file with the application's reference, its secret. The command creates it before it "
            "sends the application; if no answer comes, run it again with the same file. --status and "
            "--withdraw read it."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --withdraw: do not ask.")] = False,
) -> None:
    """Apply to join the network. Needs no credentials.

    Prints the id. Without --reference-file it prints the reference too, first on stderr before it sends.
    """
    if status is not None or withdraw is not None:
        if reference_file is None or (status is not None and withdraw is not None):
            raise InvalidArgumentError("give --reference-file with one of --status and --withdraw")
        reference = read_text(reference_file).strip()
        if status is not None:
            _show_status(session, session.hub.application_status(status, reference))
        else:
            effects = [f"{withdraw}: permanently withdrawn, and its content is erased; you may apply again"]
            ask(session.out, lambda: effects, "withdraw the application?", yes=yes)
            _show_status(session, session.hub.withdraw_application(withdraw or "", reference))
        return
    document: dict[str, Any] = {} if file is None else read_json(file)
    given: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "country": country,
        "languages": languages,
        "description": description,
        "website": website,
        "parent": parent,
        "proposed_id": wanted_id,
    }
    person = {"name": contact, "email": email, "telephone": telephone}
    document |= {member: value for member, value in given.items() if value is not None}
    if any(value is not None for value in person.values()):
        before = document.get("contact")
        known = before if isinstance(before, dict) else {}
        document["contact"] = {**known, **{k: v for k, v in person.items() if v is not None}}
    if not document:
        raise InvalidArgumentError("nothing to send: give FILE, or --name and the other options")
    with _kept_reference(session, reference_file) as reference:
        made = session.hub.apply(document, reference=reference)
    if session.out.as_json:
        shown = {k: v for k, v in made.items() if k != "reference" or reference_file is None}
        session.out.document(shown)
        return
    session.out.text(made["id"])
    if reference_file is None:
        session.out.text(reference)
        session.out.note("the second line is the reference: keep it secret, it is not shown again")
    session.out.note(f"sent; a coordinator decides about it; it expires on {moment(made['expires_at'])}")


@contextmanager
def _kept_reference(session: Session, file: Path | None) -> Iterator[str]:
    """Yield the reference of an application that is sent in the block: it is in the file or printed before.

    The hub may have an application whose answer is lost; only the same reference reads, repeats or withdraws
    it. A file of an earlier run is used again. A new one is removed if the hub refused the application.
    """
    is_new = file is not None and not file.exists()
    if file is None or is_new:
        reference = new_application_reference()
    else:
        reference = read_text(file).strip()
        if not _REFERENCE.fullmatch(reference):
            raise InvalidArgumentError(f"{file} exists and has no reference; name a new file")
    if file is None:
        # On stderr, because a command that fails has no data.
        session.out.note(f"the reference, which you need if no answer comes: {reference}")
    elif is_new:
        write_new(file, f"{reference}\n".encode())
    try:
        yield reference
    except (RefusedError, InvalidArgumentError):
        if file is not None and is_new:
            file.unlink(missing_ok=True)
        raise
    except (DefectError, TransportError, UnavailableError):
        again = "a file with the reference" if file is None else str(file)
        session.out.note(
            f"the hub may have the application: run the command again with --reference-file and {again}; "
            "it is stored once"
        )
        raise


def _show_status(session: Session, found: ApplicationStatus) -> None:
    if session.out.as_json:
        session.out.document(found)
        return
    session.out.text(found["state"] if found["organization"] is None else found["organization"])
    for told in (found["reason"], found["note"], found["next"]):
        if told is not None:
            session.out.note(told)
