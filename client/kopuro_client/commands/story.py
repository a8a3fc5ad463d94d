"""`kopuro story`: a referral's history as readable text."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kopuro_client.commands import story_pdf
from kopuro_client.commands.language import VARIABLE
from kopuro_client.commands.new_file import new_file
from kopuro_client.commands.session import Session


class Language(StrEnum):
    en = "en"
    ru = "ru"
    ky = "ky"
    tg = "tg"
    uz = "uz"
    uz_cyrl = "uz-Cyrl"
    kk = "kk"


class StoryFormat(StrEnum):
    text = "text"
    markdown = "markdown"
    html = "html"


def story(
    session: Session,
    referral: Annotated[str, typer.Argument(help="The referral's id.")],
    language: Annotated[Language, typer.Option(envvar=VARIABLE, help="The story's language.")] = Language.en,
    format_: Annotated[
        StoryFormat, typer.Option("--format", help="Output format; html is a printable page.")
    ] = StoryFormat.text,
    pdf: Annotated[
        Path | None,
        typer.Option(help="Write a PDF to a new file. Needs kopuro-client\\[pdf]."),
    ] = None,
) -> None:
    """Print a referral's history as readable text. A party to the referral sees only its own part.

    One line counts the consecutive reads of one reader on one day; --json has each.
    """
    if pdf is not None:
        story_pdf.require()  # before the first request, because the hub records it
        with new_file(pdf) as write:
            content = story_pdf.story_pdf(session.hub.story_document(referral, language=language.value))
            write(content)
        if session.out.as_json:
            session.out.document({"file": str(pdf), "bytes": len(content)})
        else:
            session.out.text(pdf)
        return
    if session.out.as_json:
        document = session.hub.story_document(referral, language=language.value)
        session.out.document({"referral": referral, **document})
        return
    text = session.hub.story(referral, language=language.value, format=format_.value)
    session.out.text(text.rstrip("\n"))
