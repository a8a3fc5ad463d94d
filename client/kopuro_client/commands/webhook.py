"""`kopuro webhook`: HTTP endpoints that the hub notifies of the messages of the mailbox."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from kopuro_client.commands.act_words import question
from kopuro_client.commands.confirmation import YES, ask
from kopuro_client.commands.effect_words import effect
from kopuro_client.commands.language import LANGUAGE
from kopuro_client.commands.lists import AFTER, LIMIT, show_page
from kopuro_client.commands.new_file import new_file
from kopuro_client.commands.printable import moment
from kopuro_client.commands.session import Session, connected
from kopuro_client.records import WebhookNotice, WebhookSecret

_ENDPOINT = Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint's id.")]
_MESSAGE = Annotated[str, typer.Argument(metavar="MESSAGE", help="The id of the message.")]
_TYPES = Annotated[
    list[str] | None,
    typer.Option(
        "--type",
        help="Only messages of this type, such as offer.opened. Repeatable.",
    ),
]
_SECRET = Annotated[
    Path | None,
    typer.Option("--secret", help="New file for the secret, which is otherwise printed."),
]


def group() -> typer.Typer:
    """Return the commands under `kopuro webhook`."""
    commands = typer.Typer(
        no_args_is_help=True, help="HTTP endpoints that the hub notifies of each message of your mailbox."
    )
    commands.command("add")(connected(add))
    commands.command("list")(connected(list_))
    commands.command("show")(connected(show))
    commands.command("change")(connected(change))
    commands.command("delete")(connected(delete))
    commands.command("rotate")(connected(rotate))
    commands.command("test")(connected(test))
    commands.command("notices")(connected(notices))
    commands.command("attempts")(connected(attempts))
    commands.command("resend")(connected(resend))
    commands.command("cancel")(connected(cancel))
    return commands


def add(
    session: Session,
    url: Annotated[str, typer.Argument(help="The endpoint's https URL.")],
    types: _TYPES = None,
    secret: _SECRET = None,
) -> None:
    """Register an endpoint. The hub challenges it after five seconds; its secret is shown only now."""
    _with_secret(session, secret, lambda: session.hub.webhooks.register(url, types=types or ()))


def list_(session: Session) -> None:
    """List your endpoints, oldest first."""
    page = {"items": session.hub.webhooks.endpoints(), "next": None}
    show_page(
        session.out,
        page,  # type: ignore[arg-type]  # a page of its own
        columns=("id", "url", "state", "reason", "failing since"),
        row=lambda item: (
            item["id"],
            item["url"],
            item["state"],
            item["reason"] or "",
            moment(item["failing_since"]) if item["failing_since"] else "",
        ),
    )


def show(session: Session, endpoint: _ENDPOINT) -> None:
    """Show an endpoint as JSON."""
    session.out.document(session.hub.webhooks.endpoint(endpoint))


def change(
    session: Session,
    endpoint: _ENDPOINT,
    url: Annotated[str | None, typer.Option(help="A new URL; the hub challenges it first.")] = None,
    types: _TYPES = None,
    all_types: Annotated[bool, typer.Option("--all-types", help="Notify it of every message.")] = False,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Enable or disable the endpoint.")
    ] = None,
) -> None:
    """Change an endpoint's URL or types, or enable or disable it."""
    chosen = [] if all_types else types
    changed = session.hub.webhooks.change(endpoint, url=url, types=chosen, enabled=enable)
    if session.out.as_json:
        session.out.document(changed)
    else:
        session.out.note(f"{changed['id']} is {changed['state']}")


def delete(session: Session, endpoint: _ENDPOINT, yes: YES = False, language: LANGUAGE = "en") -> None:
    """Delete an endpoint. Your mailbox keeps every message."""
    asked = question("delete_endpoint", language)
    ask(session.out, lambda: _deletion(session, endpoint, language), asked, language, yes=yes)
    session.hub.webhooks.delete(endpoint)
    session.out.note(f"deleted {endpoint}")


def _deletion(session: Session, endpoint: str, language: str) -> list[str]:
    found = session.hub.webhooks.endpoint(endpoint)
    return [
        effect("endpoint_ends", language, url=found["url"], state=found["state"]),
        effect("secret_ends", language),
    ]


def rotate(session: Session, endpoint: _ENDPOINT, secret: _SECRET = None) -> None:
    """Make a new secret, shown only now. The previous secret also signs for a day."""
    new = _with_secret(session, secret, lambda: session.hub.webhooks.rotate_secret(endpoint))
    if new["previous_until"] is not None:
        session.out.note(f"the previous secret signs too until {moment(new['previous_until'])}")


def test(session: Session, endpoint: _ENDPOINT) -> None:
    """Send a test, or a new challenge to an endpoint that has not answered one."""
    _show_notice(session, session.hub.webhooks.test(endpoint))


def notices(session: Session, endpoint: _ENDPOINT, after: AFTER = None, limit: LIMIT = None) -> None:
    """List the notices to the endpoint, newest first."""
    show_page(
        session.out,
        session.hub.webhooks.notices_page(endpoint, after=after, limit=limit),
        columns=("message", "type", "referral", "state", "attempts", "next attempt"),
        row=lambda item: (
            item["message_id"],
            item["type"],
            item["referral_id"] or "",
            item["state"],
            item["attempts"],
            moment(item["next_attempt_at"]) if item["next_attempt_at"] else "",
        ),
    )


def attempts(session: Session, endpoint: _ENDPOINT, after: AFTER = None, limit: LIMIT = None) -> None:
    """List the requests to the endpoint and its responses, newest first."""
    show_page(
        session.out,
        session.hub.webhooks.attempts_page(endpoint, after=after, limit=limit),
        columns=("started", "message", "type", "attempt", "response", "ms", "next attempt"),
        row=lambda item: (
            moment(item["started_at"]),
            item["message_id"],
            item["type"],
            item["attempt"],
            item["fault"] or (item["response"] or {}).get("status", ""),
            item["milliseconds"],
            moment(item["next_attempt_at"]) if item["next_attempt_at"] else "",
        ),
    )


def resend(session: Session, endpoint: _ENDPOINT, message: _MESSAGE) -> None:
    """Send the notice of a message again now."""
    _show_notice(session, session.hub.webhooks.resend(endpoint, message))


def cancel(session: Session, endpoint: _ENDPOINT, message: _MESSAGE) -> None:
    """Stop the retries of a notice. The message stays in your mailbox."""
    _show_notice(session, session.hub.webhooks.cancel(endpoint, message))


def _show_notice(session: Session, notice: WebhookNotice) -> None:
    if session.out.as_json:
        session.out.document(notice)
    else:
        session.out.text(notice["message_id"])
        session.out.note(notice["state"])


def _with_secret(session: Session, file: Path | None, ask: Callable[[], WebhookSecret]) -> WebhookSecret:
    """Ask the hub for a secret; print it, or write it to a file that is created before the hub is asked."""
    if file is None:
        new = ask()
        _show_secret(session, new)
        return new
    with new_file(file) as write:
        new = ask()
        write(new["secret"].encode())
    if session.out.as_json:
        session.out.document({name: value for name, value in new.items() if name != "secret"})
    else:
        session.out.text(new["endpoint"]["id"])
    return new


def _show_secret(session: Session, new: WebhookSecret) -> None:
    if session.out.as_json:
        session.out.document(new)
        return
    session.out.text(new["endpoint"]["id"])
    session.out.text(new["secret"])
    session.out.note("the secret is shown only now")
    session.out.note(f"public key of the v1a signatures: {new['public_key']}")
