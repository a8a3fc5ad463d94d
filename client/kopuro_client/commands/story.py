"""`kopuro story`: what happened to a referral, in sentences."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kopuro_client.commands import story_pdf
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
    language: Annotated[Language, typer.Option(help="The language it is told in.")] = Language.en,
    format_: Annotated[
        StoryFormat, typer.Option("--format", help="html is a page that a browser prints.")
    ] = StoryFormat.text,
    pdf: Annotated[
        Path | None,
        typer.Option(help="Write a PDF here; nothing is overwritten. Needs kopuro-client[pdf]."),
    ] = None,
) -> None:
    """Tell what happened to a referral, for people to read. A party to it reads its own part."""
    if pdf is not None:
        story_pdf.require()  # what is missing is said before anything is asked, for asking is on record
        with new_file(pdf) as write:
            content = story_pdf.story_pdf(session.hub.story_document(referral, language=language.value))
            write(content)
        if session.out.as_json:
            session.out.document({"file": str(pdf), "bytes": len(content)})
        else:
            session.out.text(pdf)
        return
    told = session.hub.story(referral, language=language.value, format=format_.value)
    if session.out.as_json:
        session.out.document({"referral": referral, "language": language.value, "story": told})
    else:
        session.out.text(told.rstrip("\n"))
