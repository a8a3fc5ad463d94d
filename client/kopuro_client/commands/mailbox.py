"""`kopuro mailbox`: what the hub has to say to you."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kopuro_client.client import Kopuro
from kopuro_client.commands.lists import AFTER, LIMIT, show_items
from kopuro_client.commands.printable import moment
from kopuro_client.commands.session import Session, connected
from kopuro_client.errors import RefusedError, SealingError, UnreadableError
from kopuro_client.records import Message

# What of a message's data is worth a column; the rest is in --json.
_TELLING = (
    "urgency",
    "needs",
    "region",
    "organization",
    "sender",
    "author",
    "reader",
    "coordinator",
    "status",
    "outcome",
    "result",
    "reason",
    "deadline",
    "due_at",
    "replace_by",
    "offer_id",
)


def group() -> typer.Typer:
    """The commands under `kopuro mailbox`."""
    commands = typer.Typer(no_args_is_help=True, help="Read, watch and acknowledge messages.")
    commands.command("list")(connected(list_))
    commands.command("watch")(connected(watch, lasting=True))
    commands.command("ack")(connected(ack))
    return commands


def list_(session: Session, after: AFTER = None, limit: LIMIT = None) -> None:
    """List the messages not yet acknowledged, oldest first. Coordinators share one mailbox."""
    page = session.hub.mailbox(after=after, limit=limit)
    show_items(session.out, page, lambda messages: _show_all(session, messages), more="later ones")


def watch(
    session: Session,
    after: AFTER = None,
    ack: Annotated[
        bool,
        typer.Option(
            "--ack",
            help="Acknowledge each message once it is printed. A note that cannot be read is reported.",
        ),
    ] = False,
    quiet_for: Annotated[
        float | None,
        typer.Option("--for", min=1, help="Stop when no message has come for so many seconds."),
    ] = None,
) -> None:
    """Print messages as they come, one a line (--json: one CloudEvent a line), until Ctrl-C.

    An outage of the hub does not end it, unless it outlasts --for: stderr says when the hub is away and
    when it is back.
    """
    session.out.note("watching the mailbox; Ctrl-C stops")
    for message in session.hub.watch(after=after, give_up_after=quiet_for):
        if session.out.as_json:
            session.out.json_line(message)
        else:
            show_message(session, message)
        if ack:
            _settle(session, message)


def ack(
    session: Session,
    messages: Annotated[list[str], typer.Argument(metavar="MESSAGE...", help="Ids of messages.")],
) -> None:
    """Acknowledge messages: they do not come again. For a shared mailbox that counts for all readers."""
    for message_id in messages:
        session.hub.acknowledge(message_id)
        session.out.note(f"acknowledged {message_id}")


def _settle(session: Session, message: Message) -> None:
    """Acknowledge a message. One refusal does not end the watch; it is said on stderr."""
    data = message["data"]
    try:
        if fact_of(message) == "note.delivered":
            try:
                session.hub.open_note(data["note"])
            except UnreadableError as error:
                session.hub.report_unreadable(data["referral_id"], error.reason, note_from=data["author"])
                session.out.note(f"{error}; reported to {data['author']}")
            except SealingError as error:
                session.out.note(f"{error}; not acknowledged")
                return
        session.hub.acknowledge(message["id"])
    except RefusedError as error:
        session.out.note(f"{message['id']}: {error}")


def _show_all(session: Session, messages: list[Message]) -> None:
    for message in messages:
        show_message(session, message)


def show_message(session: Session, message: Message) -> None:
    """One line: when, what, about which referral, what it says, and the id to acknowledge it by."""
    session.out.entry(
        moment(message["time"]),
        fact_of(message),
        referral_of(message),
        telling(message, session.hub),
        f"message={message['id']}",
    )


def fact_of(message: Message) -> str:
    """`offer.opened` of `kopuro.offer.opened.v1`."""
    return message["type"].removeprefix("kopuro.").rsplit(".v", 1)[0]


def referral_of(message: Message) -> str:
    """Its id; nothing for what concerns several, or none."""
    return str(message["data"].get("referral_id") or "")


def telling(message: Message, hub: Kopuro) -> dict[str, Any]:
    """What a person needs to decide what to do next."""
    data = message["data"]
    said = {name: data[name] for name in _TELLING if data.get(name) is not None}
    if fact_of(message) == "offer.opened":
        said.pop("organization", None)  # it is the reader
    for name in said.keys() & {"deadline", "due_at", "replace_by"}:
        said[name] = moment(said[name])
    if isinstance(data.get("note"), str):
        said["note"] = _note_text(data["note"], hub)
    if isinstance(data.get("problem"), dict):
        said["refused"] = data["problem"].get("detail") or data["problem"].get("title")
    if isinstance(data.get("facts"), dict):
        said |= {
            name: data["facts"][name] for name in ("urgency", "needs", "region") if name in data["facts"]
        }
    return said


def _note_text(note: str, hub: Kopuro) -> str:
    """A decline's note is open text; one between the parties is sealed, and opened here."""
    if note.count(".") != 4 or " " in note:
        return note
    try:
        return hub.open_note(note)
    except UnreadableError:
        return "(cannot be read)"
    except SealingError:
        return "(sealed to a key that is not here)"
