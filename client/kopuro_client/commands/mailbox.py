"""`kopuro mailbox`: read, watch and acknowledge your mailbox's messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from kopuro_client.client import Kopuro
from kopuro_client.commands.language import LANGUAGE
from kopuro_client.commands.lists import AFTER, LIMIT, show_items, show_page
from kopuro_client.commands.message_words import message_words
from kopuro_client.commands.printable import moment
from kopuro_client.commands.queue_words import word
from kopuro_client.commands.session import Session, connected
from kopuro_client.errors import RefusedError, SealingError, UnreadableError
from kopuro_client.records import MailboxConsumer, Message, Page

# The members of a message's data that are printed, in this order; --json prints all.
_SUMMARY_FIELDS = (
    "urgency",
    "needs",
    "region",
    "organization",
    "sender",
    "author",
    "report_id",
    "watched_id",
    "application_id",
    "text",
    "reporter",
    "reader",
    "coordinator",
    "status",
    "outcome",
    "result",
    "act",
    "reason",
    "withdrawn_for",
    "service",
    "approved_needs",
    "part",
    "need",
    "deadline",
    "due_at",
    "replace_by",
    "until",
    "expires_at",
    "offer_id",
    "onward",
    "part_of",
    "parts",
    "kind",
    "subject",
    "client_id",
    "kid",
    "manner",
    "requested_by",
    "by",
    "approved_by",
    "credential",
    "keys",
    "not_before",
    "previous_until",
    "days",
    "since",
    "waits_for",
    "endpoint_id",
    "host",
    "change",
    "state",
    "receives",
    "percent",
    "failing_since",
    "disabled_at",
)
_TIMES = frozenset(
    {
        *("deadline", "due_at", "replace_by", "since", "until", "expires_at", "not_before"),
        *("previous_until", "failing_since", "disabled_at"),
    }
)
# Options that several commands share.
TYPES = Annotated[
    list[str] | None,
    typer.Option("--type", help="Only these messages, such as offer.opened. May be repeated."),
]
CONSUMER = Annotated[str | None, typer.Option(help="Act for this named consumer instead of the default one.")]
CONTRACT = Annotated[
    str | None,
    typer.Option(help="Version of the contract in which messages are read: 1."),
]


def group() -> typer.Typer:
    """Return the commands under `kopuro mailbox`."""
    commands = typer.Typer(no_args_is_help=True, help="Read, watch and acknowledge messages.")
    commands.command("list")(connected(list_))
    commands.command("watch")(connected(watch, lasting=True))
    commands.command("ack")(connected(ack))
    commands.command("consumers")(connected(consumers))
    commands.command("put-consumer")(connected(put_consumer))
    commands.command("delete-consumer")(connected(delete_consumer))
    return commands


def list_(
    session: Session,
    after: AFTER = None,
    limit: LIMIT = None,
    types: TYPES = None,
    consumer: CONSUMER = None,
    language: LANGUAGE = "en",
) -> None:
    """List the unacknowledged messages, oldest first. Coordinators share one mailbox."""
    page = session.hub.mailbox(after=after, limit=limit, types=types or (), consumer=consumer)
    show_items(
        session.out,
        page,
        lambda messages: _show_all(session, messages, language),
        language=language,
        kind=word("messages", language),
    )


def watch(
    session: Session,
    after: AFTER = None,
    ack: Annotated[
        bool,
        typer.Option(
            "--ack",
            help="Acknowledge each message after printing it. Unreadable notes are reported to their sender.",
        ),
    ] = False,
    quiet_for: Annotated[
        float | None,
        typer.Option("--for", min=1, help="Stop after this many seconds without a message."),
    ] = None,
    language: LANGUAGE = "en",
) -> None:
    """Print messages as they arrive, one per line (--json: one CloudEvent per line), until Ctrl-C.

    Keeps running during an outage of the hub, unless the outage outlasts --for; stderr reports when it begins
    and ends. For --for, an outage does not count as time without a message.
    """
    session.out.note("watching the mailbox; press Ctrl-C to stop")
    for message in session.hub.watch(after=after, give_up_after=quiet_for):
        if session.out.as_json:
            session.out.json_line(message)
        else:
            show_message(session, message, language)
        if ack:
            _settle(session, message)


def ack(
    session: Session,
    messages: Annotated[list[str], typer.Argument(metavar="MESSAGE...", help="The messages' ids.")],
    consumer: CONSUMER = None,
) -> None:
    """Acknowledge messages, so that they are not returned again, except by `kopuro recover`."""
    for message_id in messages:
        session.hub.acknowledge(message_id, consumer=consumer)
        session.out.note(f"acknowledged {message_id}")


def consumers(session: Session) -> None:
    """List the organisation's named consumers, and since when a message waits for each."""
    page: Page[MailboxConsumer] = {"items": session.hub.consumers(), "next": None}
    show_page(
        session.out,
        page,
        columns=("name", "types", "contract", "waiting since"),
        row=lambda consumer: (
            consumer["name"],
            ", ".join(consumer["types"]) or "all",
            consumer["contract"],
            moment(consumer["waiting_since"]) if consumer["waiting_since"] else "",
        ),
    )


def put_consumer(
    session: Session,
    consumer: Annotated[str, typer.Argument(metavar="NAME", help="The consumer's name: a lower-case slug.")],
    types: TYPES = None,
    contract: CONTRACT = None,
    start: Annotated[
        str | None,
        typer.Option(
            help="Read next from this RFC 3339 time or cursor. Without it a new consumer starts with the "
            "oldest message, and an existing one continues."
        ),
    ] = None,
) -> None:
    """Create a named consumer of the mailbox, or change its settings. It keeps settings not given."""
    stored = session.hub.put_consumer(consumer, types=types or None, contract=contract, start=start)
    if session.out.as_json:
        session.out.document(stored)
    else:
        session.out.note(f"consumer {consumer} is set")


def delete_consumer(
    session: Session,
    consumer: Annotated[str, typer.Argument(metavar="NAME", help="The consumer's name.")],
) -> None:
    """Delete a named consumer. Messages that only it needed are no longer kept."""
    session.hub.delete_consumer(consumer)
    session.out.note(f"consumer {consumer} is deleted")


def _settle(session: Session, message: Message) -> None:
    """Acknowledge a message, and report an unreadable note. Print a refusal to stderr and continue."""
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


def _show_all(session: Session, messages: list[Message], language: str) -> None:
    for message in messages:
        show_message(session, message, language)


def show_message(session: Session, message: Message, language: str = "en") -> None:
    """Print one line: time, fact, referral, summary in words, and the message id to acknowledge."""
    session.out.entry(
        moment(message["time"]),
        fact_of(message),
        referral_of(message),
        message_words(fact_of(message), summary(message, session.hub), language),
        f"message={message['id']}",
    )


def fact_of(message: Message) -> str:
    """Return the fact's name: `offer.opened` for `kopuro.offer.opened.v1`."""
    return message["type"].removeprefix("kopuro.").rsplit(".v", 1)[0]


def referral_of(message: Message) -> str:
    """Return the referral's id; "" for a message about no referral or several."""
    return str(message["data"].get("referral_id") or "")


def summary(message: Message, hub: Kopuro) -> dict[str, Any]:
    """Return the members of a message that its reader needs to decide what to do next."""
    data = message["data"]
    shown = {name: data[name] for name in _SUMMARY_FIELDS if data.get(name) is not None}
    if fact_of(message) == "offer.opened":
        shown.pop("organization", None)  # it is the reader
    if fact_of(message) == "message.closed":
        shown["closed"] = data["message_type"].removeprefix("kopuro.").rsplit(".v", 1)[0]
    if fact_of(message) == "alerts.counted":
        shown["alerts"] = data["message_type"].removeprefix("kopuro.").rsplit(".v", 1)[0]
        shown |= {"number": data["messages"], "since": moment(data["since"])}
    if fact_of(message) == "coordination.digest":
        shown |= {"period": data["period"], "as_of": moment(data["as_of"])}
        shown |= {one["queue"]: one["referrals"] for one in data["queues"]}
    if fact_of(message) == "statement.issued":
        shown["month"] = data["month"]  # what `kopuro organization statement --month` takes
    if fact_of(message).startswith("approval."):
        shown["approval"] = data.get("id")  # what `kopuro approvals` takes
    if data.get("root") is True:
        shown["root"] = True  # operators have named the client the first one
    if fact_of(message).startswith("submission."):
        # Over AMQP the property message_id is the key.
        answered = {"key": data.get("message_id"), "submission": data.get("submission_id")}
        shown |= {name: value for name, value in answered.items() if value is not None}
    for name in shown.keys() & _TIMES:
        shown[name] = moment(shown[name])
    if isinstance(data.get("note"), str):
        shown["note"] = _note_text(data["note"], hub)
    if isinstance(data.get("evidence"), str):
        shown["evidence"] = _note_text(data["evidence"], hub)
    if isinstance(data.get("allegation"), dict):
        shown |= {"employer": data["allegation"]["employer"]["name"]}
        shown["practices"] = data["allegation"]["practices"]
    if isinstance(data.get("employer"), dict):
        shown["employer"] = data["employer"]["name"]
    if isinstance(data.get("problem"), dict):
        shown["refused"] = _refusal(data["problem"])
    if isinstance(data.get("facts"), dict):
        shown |= {
            name: data["facts"][name] for name in ("urgency", "needs", "region") if name in data["facts"]
        }
    return shown


def _refusal(problem: Mapping[str, Any]) -> str:
    """Return the detail of a problem, with its pointers: `Correct /status. /status: Must be one of ...`.

    An error that the detail says already has its pointer only: `A reason is required. (/reason)`.
    """
    said = str(problem.get("detail") or problem.get("title"))
    words = [said]
    for one in problem.get("errors") or ():
        if one["detail"] != said:
            words.append(f"{one['pointer']}: {one['detail']}")
        elif one["pointer"]:
            words.append(f"({one['pointer']})")
    return " ".join(words)


def _note_text(note: str, hub: Kopuro) -> str:
    """Return the note's text. A decline's note may be open text; a note between the parties is sealed."""
    if note.count(".") != 4 or " " in note:
        return note
    try:
        return hub.open_note(note)
    except UnreadableError:
        return "(unreadable)"
    except SealingError:
        return "(sealed to a key that is not available here)"
