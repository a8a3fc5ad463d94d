"""`kopuro organization applications`, `vet-application` and `refuse-application`."""

from __future__ import annotations

from typing import Annotated

import typer

from kopuro_client.commands.act_words import application_state, question, recorded
from kopuro_client.commands.admission_words import REFUSALS, field, note, worded
from kopuro_client.commands.code_words import in_words
from kopuro_client.commands.confirmation import YES, confirm
from kopuro_client.commands.effect_words import effect
from kopuro_client.commands.fixed_values import (
    REFUSALS_OF_APPLICATIONS,
    STATES_OF_APPLICATIONS,
    listed,
    one_of,
)
from kopuro_client.commands.language import LANGUAGE
from kopuro_client.commands.lists import AFTER, LIMIT, show_page
from kopuro_client.commands.nearest_organizations import said_nearest
from kopuro_client.commands.printable import moment
from kopuro_client.commands.session import Session
from kopuro_client.errors import (
    InvalidArgumentError,
    RefusedError,
)
from kopuro_client.records import ApplicationContent, ApplicationRecord, Organization

_APPLICATION = Annotated[
    str, typer.Argument(metavar="ID", help="The id that `kopuro organization applications` shows.")
]
_REASON = Annotated[
    str,
    typer.Option(
        callback=one_of(REFUSALS_OF_APPLICATIONS),
        help=f"{listed(REFUSALS_OF_APPLICATIONS)}; it is recorded and shown to the applicant.",
    ),
]


def applications(
    session: Session,
    application: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="Show this application, with everything that was sent."),
    ] = None,
    state: Annotated[
        str, typer.Option(callback=one_of(STATES_OF_APPLICATIONS), help=f"{listed(STATES_OF_APPLICATIONS)}.")
    ] = "waiting",
    after: AFTER = None,
    limit: LIMIT = None,
    language: LANGUAGE = "en",
) -> None:
    """List the applications to join, oldest first, as a coordinator or operator."""
    if application is not None:
        _show_application(session, session.hub.application(application), language)
        return
    page = session.hub.applications_page(state=None if state == "all" else state, after=after, limit=limit)
    show_page(
        session.out,
        page,
        columns=[field(name, language) for name in ("id", "submitted", "state", "name", "kind", "country")],
        row=lambda item: _row(item, language),
        language=language,
    )
    room = page.get("room")  # missing from older hubs
    if room is not None and not session.out.as_json:
        session.out.note(note("room", language, taken=room["taken"], most=room["most"]))


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
            near = said_nearest(session.hub, parent)
            raise InvalidArgumentError(
                f"the directory has no organisation {parent}{near}: give another --parent, or "
                "--without-parent"
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


def _show_application(session: Session, record: ApplicationRecord, language: str) -> None:
    if session.out.as_json:
        session.out.document(record)
        return
    content = record["application"]
    session.out.heading(record["id"], application_state(record["state"], language))
    sent: list[tuple[str, object]] = []
    if content is not None:
        contact = content["contact"]
        sent = [
            ("name", content["name"]),
            ("kind", in_words("kind", content["kind"], language)),
            ("country", in_words("country", content["country"], language)),
            ("languages", in_words("languages", content["languages"], language)),
            ("description", content["description"]),
            ("contact", contact["name"]),
            ("email", contact["email"]),
            ("telephone", contact["telephone"]),
            ("website", content["website"]),
            ("parent", content["parent"]),
            ("proposed_id", content["proposed_id"]),
        ]
    fields = [
        *sent,
        ("submitted", moment(record["submitted_at"])),
        ("expires" if record["decided_at"] is None else "deleted_on", moment(record["expires_at"])),
        ("approval", record["approval_id"]),
        ("organisation", record["organization"]),
        ("decided_by", record["decided_by"]),
        ("decided", moment(record["decided_at"])),
        ("reason", worded(REFUSALS, record["reason"], language)),
        ("note", record["note"]),
    ]
    session.out.fields([(field(name, language), value) for name, value in fields])
    if content is not None:
        session.out.note(note("unverified", language))


def _row(item: ApplicationRecord, language: str) -> tuple[str, ...]:
    content = item["application"]
    told = ("", "", "")
    if content is not None:
        kind, country = (in_words(name, content[name], language) for name in ("kind", "country"))
        told = (content["name"], kind, country)
    state = application_state(item["state"], language)
    return (item["id"], moment(item["submitted_at"]), state, *told)
