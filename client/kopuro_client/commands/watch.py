"""`kopuro watch`: report employers that cheat, and list those that several organisations report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from kopuro_client.commands.act_words import question
from kopuro_client.commands.code_words import Texts, in_words
from kopuro_client.commands.confirmation import YES, ask
from kopuro_client.commands.effect_words import effect
from kopuro_client.commands.input_file import read_text
from kopuro_client.commands.labels import LANGUAGES
from kopuro_client.commands.language import LANGUAGE
from kopuro_client.commands.lists import AFTER, LIMIT, show_page
from kopuro_client.commands.printable import moment
from kopuro_client.commands.session import Session, connected
from kopuro_client.records import Page, WatchedEmployer, WatchRecipient

_WATCHED = Annotated[str, typer.Argument(metavar="ID", help="The id that `kopuro watch list` shows.")]
_COLUMNS = ("id", "name", "number", "region", "practices", "months", "reporters")
_WORDS: Final[Mapping[str, Texts]] = {
    "id": ("id", "№", "№"),
    "name": ("name", "название", "аталышы"),
    "number": ("number", "рег. номер", "каттоо номери"),
    "region": ("region", "регион", "аймак"),
    "practices": ("practices", "нарушения", "бузуулар"),
    "months": ("months", "месяцы", "айлар"),
    "reporters": ("reporters", "сколько сообщили", "канча билдирди"),
    "from_to": ("{first} to {last}", "{first} – {last}", "{first} – {last}"),
    "two_to_four": ("two to four", "от двух до четырёх", "экиден төрткө чейин"),
    "five_to_nine": ("five to nine", "от пяти до девяти", "бештен тогузга чейин"),
    "ten_or_more": ("ten or more", "десять и больше", "он жана андан көп"),
    "watched_until": (
        "watched until {until}, unless another report follows",
        "под наблюдением до {until}, если не поступит новое сообщение",
        "эгер жаңы билдирүү келбесе, {until} айына чейин көзөмөлдө",
    ),
    "replied": (
        "Reply, entered by {by} on {at}",
        "Ответ, внёс {by}, {at}",
        "Жооп, киргизген {by}, {at}",
    ),
}


def group() -> typer.Typer:
    """Return the commands under `kopuro watch`."""
    commands = typer.Typer(no_args_is_help=True, help="Report abusive employers, and list watched ones.")
    commands.command("report")(connected(report))
    commands.command("list")(connected(list_))
    commands.command("show")(connected(show))
    commands.command("reports")(connected(reports))
    commands.command("retract")(connected(retract))
    commands.command("reply")(connected(reply))
    commands.command("recipients")(connected(recipients))
    commands.command("opt-in")(connected(opt_in))
    return commands


def report(
    session: Session,
    name: Annotated[str, typer.Argument(help="The employer's name.")],
    country: Annotated[str, typer.Option(help="The employer's country, such as RU.")],
    practices: Annotated[
        list[str],
        typer.Option("--practice", help="A practice, such as wages_withheld. Repeatable."),
    ],
    first_month: Annotated[str, typer.Option("--from", help="The first month, such as 2026-01.")],
    evidence: Annotated[
        Path, typer.Option(help="Text file with the evidence; only the recipients can read it.")
    ],
    last_month: Annotated[
        str | None, typer.Option("--to", help="The last month; by default the first.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="The region, such as RU-MOW.")] = None,
    number: Annotated[
        str | None, typer.Option(help="The registration number, such as an INN or BIN.")
    ] = None,
    agency: Annotated[bool, typer.Option("--agency", help="The employer is a recruitment agency.")] = False,
    recipients: Annotated[
        list[str] | None, typer.Option("--recipient", help="Only these recipients; by default all.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--idempotency-key", help="Repeat an earlier report safely under its key.")
    ] = None,
) -> None:
    """Report an employer. The evidence is sealed here to each organisation that receives watch reports."""
    made = session.hub.report_employer(
        {
            "name": name,
            "kind": "agency" if agency else "employer",
            "country": country,
            "region": region,
            "registration_number": number,
        },
        practices=practices,
        first_month=first_month,
        last_month=last_month or first_month,
        evidence=read_text(evidence),
        to=recipients or (),
        idempotency_key=key,
    )
    if session.out.as_json:
        session.out.document(made)
        return
    session.out.text(made["id"])
    session.out.note(f"reported to {', '.join(made['recipients'])}")


def list_(
    session: Session,
    country: Annotated[str | None, typer.Option(help="Only this country.")] = None,
    region: Annotated[str | None, typer.Option(help="Only this region, or this country.")] = None,
    name: Annotated[str | None, typer.Option(help="Only names that contain this.")] = None,
    after: AFTER = None,
    limit: LIMIT = None,
    language: LANGUAGE = "en",
) -> None:
    """List the employers that at least two unrelated organisations report, without the reporters' names."""
    page = session.hub.watched_page(country=country, region=region, name=name, after=after, limit=limit)
    show_page(
        session.out,
        page,
        columns=[_word(name, language) for name in _COLUMNS],
        row=lambda item: _row(item, language),
        language=language,
    )


def show(session: Session, watched: _WATCHED, language: LANGUAGE = "en") -> None:
    """Show one watched employer, and its reply."""
    _show(session, session.hub.watched(watched), language)


def reports(session: Session, after: AFTER = None, limit: LIMIT = None) -> None:
    """List your own reports, oldest first."""
    show_page(
        session.out,
        session.hub.watch_reports(after=after, limit=limit),
        columns=("id", "reported", "expires", "name", "recipients", "retracted"),
        row=lambda item: (
            item["id"],
            moment(item["reported_at"]),
            moment(item["expires_at"]),
            item["employer"]["name"],
            ", ".join(item["recipients"]),
            moment(item["retracted_at"]) if item["retracted_at"] else "",
        ),
    )


def retract(
    session: Session,
    report: Annotated[str, typer.Argument(help="The id of your report.")],
    yes: YES = False,
    language: LANGUAGE = "en",
) -> None:
    """Retract your report. Its recipients get a message."""
    effects = [effect("retracted", language, report=report)]
    ask(session.out, lambda: effects, question("retract", language), language, yes=yes)
    made = session.hub.retract_watch_report(report)
    if session.out.as_json:
        session.out.document(made)
    else:
        session.out.note(f"report {report} is retracted")


def reply(
    session: Session,
    watched: _WATCHED,
    text: Annotated[str, typer.Option(help="The employer's reply. Every organisation can read it.")],
    language: LANGUAGE = "en",
) -> None:
    """Record an employer's reply, as a coordinator. It replaces an earlier one and shows your name."""
    _show(session, session.hub.reply_for_employer(watched, text), language)


def recipients(session: Session) -> None:
    """List the organisations that receive watch reports."""
    page: Page[WatchRecipient] = {"items": list(session.hub.watch_recipients()), "next": None}
    show_page(
        session.out,
        page,
        columns=("organization", "name"),
        row=lambda item: (item["organization"], item["name"]),
    )


def opt_in(
    session: Session,
    out: Annotated[bool, typer.Option("--out", help="Stop receiving reports.")] = False,
) -> None:
    """Receive watch reports in your mailbox: for trade unions and state bodies with a sealing key."""
    chosen = session.hub.watch_opt_in(receives=not out)
    if session.out.as_json:
        session.out.document(chosen)
    else:
        session.out.note(
            "you receive watch reports" if chosen["receives"] else "you do not receive watch reports"
        )


def _row(item: WatchedEmployer, language: str) -> tuple[str, ...]:
    employer = item["employer"]
    return (
        item["id"],
        employer["name"],
        employer["registration_number"] or "",
        in_words("region", employer["region"] or employer["country"], language),
        in_words("practices", item["practices"], language),
        _word("from_to", language, first=item["first_month"], last=item["last_month"])
        if item["first_month"]
        else "",
        _word(item["reporters"], language),
    )


def _show(session: Session, item: WatchedEmployer, language: str) -> None:
    if session.out.as_json:
        session.out.document(item)
        return
    session.out.table([_word(name, language) for name in _COLUMNS], [_row(item, language)])
    session.out.note(_word("watched_until", language, until=item["until"]))
    answer = item["reply"]
    if answer is not None:
        head = _word("replied", language, by=answer["by"], at=moment(answer["at"]))
        session.out.text(f"{head}: {answer['text']}")


def _word(name: str, language: str, /, **values: object) -> str:
    """Return a word or phrase; the name itself if it is a code newer than this program."""
    texts = _WORDS.get(name)
    return name if texts is None else texts[LANGUAGES.index(language)].format(**values)
