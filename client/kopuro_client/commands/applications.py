"""`kopuro organization apply`, `applications`, `vet-application` and `refuse-application`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from kopuro_client.commands.act_words import application_state, question, recorded
from kopuro_client.commands.code_words import in_words
from kopuro_client.commands.confirmation import YES, ask, confirm
from kopuro_client.commands.effect_words import effect
from kopuro_client.commands.input_file import read_json, read_text
from kopuro_client.commands.language import LANGUAGE
from kopuro_client.commands.lists import AFTER, LIMIT, show_page
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
from kopuro_client.records import ApplicationContent, ApplicationRecord, ApplicationStatus, Organization
from kopuro_client.resources.applications import new_application_reference

_REFERENCE: Final = re.compile(r"[A-Za-z0-9_-]{43,100}")
_APPLICATION = Annotated[
    str, typer.Argument(metavar="ID", help="The id that `kopuro organization applications` shows.")
]
_STATES: Final = ("waiting", "in_approval", "vetted", "refused", "withdrawn", "expired", "all")
_REASON = Annotated[
    str,
    typer.Option(
        help="outside_the_network, already_a_member, not_verified, not_reachable, not_genuine or other; it "
        "is recorded and shown to the applicant."
    ),
]


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


def applications(
    session: Session,
    application: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="Show this application, with everything that was sent."),
    ] = None,
    state: Annotated[str, typer.Option(help=f"{', '.join(_STATES[:-1])} or {_STATES[-1]}.")] = "waiting",
    after: AFTER = None,
    limit: LIMIT = None,
) -> None:
    """List the applications to join, oldest first, as a coordinator or operator."""
    if state not in _STATES:
        raise InvalidArgumentError(f"--state must be one of {', '.join(_STATES)}")
    if application is not None:
        _show_application(session, session.hub.application(application))
        return
    page = session.hub.applications_page(state=None if state == "all" else state, after=after, limit=limit)
    show_page(session.out, page, columns=("id", "submitted", "state", "name", "kind", "country"), row=_row)
    room = page.get("room")  # missing from older hubs
    if room is not None and not session.out.as_json:
        session.out.note(
            f"{room['taken']} of at most {room['most']} applications: those that are open, and those that "
            "were withdrawn within a day of being sent"
        )


def vet_application(
    session: Session,
    application: _APPLICATION,
    wanted_id: Annotated[
        str | None, typer.Option("--id", help="The organisation's id; by default as proposed.")
    ] = None,
    parent: Annotated[
        str | None, typer.Option(help="The organisation's parent; by default as proposed.")
    ] = None,
    without_parent: Annotated[
        bool, typer.Option("--without-parent", help="Set no parent, even if one was proposed.")
    ] = False,
    yes: YES = False,
    language: LANGUAGE = "en",
) -> None:
    """Admit an applicant, as a coordinator or operator. An operator approves it as the second person."""
    if not yes:
        record = session.hub.application(application)
        content = record["application"]
        if content is None:
            raise InvalidArgumentError(f"the application is {record['state']}")
        wanted_id = wanted_id or content["proposed_id"]
        wanted_parent = None if without_parent else parent or content["parent"]
        effects = _effects_of_vetting(session, content, wanted_id, wanted_parent, language)
        confirm(session.out, effects, question("vet", language), language)
    changed = session.hub.vet_application(
        application, organization_id=wanted_id, parent=parent, without_parent=without_parent
    )
    if session.out.as_json:
        session.out.document(changed)
    elif changed["state"] == "in_approval":
        session.out.text(changed["approval_id"])
        session.out.note(recorded("vetting_requested", language))
    else:
        session.out.text(changed["organization"])
        session.out.note(recorded("applicant_vetted", language))


def _effects_of_vetting(
    session: Session, content: ApplicationContent, wanted_id: str | None, parent: str | None, language: str
) -> list[str]:
    """Return what vetting would do. Raises InvalidArgumentError for a taken id or an unknown parent."""
    if wanted_id is None:
        raise InvalidArgumentError("the applicant proposed no id: add --id")
    if (taken := _in_directory(session, wanted_id)) is not None:
        raise InvalidArgumentError(f"{wanted_id} is the id of {taken['name']}: give another one with --id")
    effects = [
        effect(
            "becomes",
            language,
            name=content["name"],
            kind=in_words("kind", content["kind"], language),
            country=in_words("country", content["country"], language),
            organization=wanted_id,
        )
    ]
    if parent is None:
        effects.append(effect("no_branch", language))
    else:
        above = _in_directory(session, parent)
        if above is None:
            raise InvalidArgumentError(
                f"the directory has no organisation {parent}: give another --parent, or --without-parent"
            )
        effects.append(
            effect(
                "branch",
                language,
                parent=parent,
                name=above["name"],
                kind=in_words("kind", above["kind"], language),
                country=in_words("country", above["country"], language),
            )
        )
    contact = content["contact"]
    reached = " ".join(filter(None, (contact["email"], contact["telephone"])))
    return [
        *effects,
        effect("any_member", language),
        effect("write_down", language, contact=f"{contact['name']}, {reached}"),
    ]


def _in_directory(session: Session, organization: str) -> Organization | None:
    try:
        return session.hub.organization(organization)
    except RefusedError as error:
        if error.status == 404:
            return None
        raise


def _label(name: str, code: str) -> str:
    return in_words(name, code, "en")


def refuse_application(
    session: Session,
    applications: Annotated[
        list[str],
        typer.Argument(metavar="ID...", help="The ids that `kopuro organization applications` shows."),
    ],
    reason: _REASON,
    note: Annotated[str | None, typer.Option(help="A note that only the applicant can read.")] = None,
    yes: YES = False,
    language: LANGUAGE = "en",
) -> None:
    """Refuse applications, as a coordinator or operator. A refused one no longer counts towards the limit."""
    if not yes:
        effects = []
        for record in map(session.hub.application, applications):
            content = record["application"]
            named = record["id"] if content is None else content["name"]
            state = application_state(record["state"], language)
            effects.append(effect("application_refused", language, name=named, state=state))
        asked = question("refuse_one" if len(effects) == 1 else "refuse_all", language)
        confirm(session.out, effects, asked, language)
    for application in applications:
        changed = session.hub.refuse_application(application, reason, note=note)
        if session.out.as_json:
            show = session.out.document if len(applications) == 1 else session.out.json_line
            show(changed)
        else:
            until = moment(changed["expires_at"])
            session.out.note(recorded("application_refused", language, until=until))


def _show_application(session: Session, record: ApplicationRecord) -> None:
    if session.out.as_json:
        session.out.document(record)
        return
    content = record["application"]
    session.out.heading(record["id"], record["state"])
    sent: list[tuple[str, object]] = []
    if content is not None:
        contact = content["contact"]
        sent = [
            ("name", content["name"]),
            ("kind", _label("kind", content["kind"])),
            ("country", _label("country", content["country"])),
            ("languages", in_words("languages", content["languages"], "en")),
            ("description", content["description"]),
            ("contact", contact["name"]),
            ("e-mail", contact["email"]),
            ("telephone", contact["telephone"]),
            ("website", content["website"]),
            ("branch of", content["parent"]),
            ("proposed id", content["proposed_id"]),
        ]
    session.out.fields(
        [
            *sent,
            ("submitted", moment(record["submitted_at"])),
            ("expires" if record["decided_at"] is None else "deleted on", moment(record["expires_at"])),
            ("approval", record["approval_id"]),
            ("organisation", record["organization"]),
            ("decided by", record["decided_by"]),
            ("decided", moment(record["decided_at"])),
            ("reason", record["reason"]),
            ("note", record["note"]),
        ]
    )
    if content is not None:
        session.out.note("nobody has verified this; call the organisation on a number from another source")


def _row(item: ApplicationRecord) -> tuple[str, ...]:
    content = item["application"]
    told = ("", "", "") if content is None else (content["name"], content["kind"], content["country"])
    return (item["id"], moment(item["submitted_at"]), item["state"], *told)


def _show_status(session: Session, found: ApplicationStatus) -> None:
    if session.out.as_json:
        session.out.document(found)
        return
    session.out.text(found["state"] if found["organization"] is None else found["organization"])
    for told in (found["reason"], found["note"], found["next"]):
        if told is not None:
            session.out.note(told)
