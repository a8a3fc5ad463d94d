"""`kopuro story`: what happened to a referral, in sentences."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from kopuro_client.commands.session import Session


class Language(StrEnum):
    en = "en"
    ru = "ru"
    ky = "ky"


class Format(StrEnum):
    text = "text"
    markdown = "markdown"
    html = "html"


def story(
    session: Session,
    referral: Annotated[str, typer.Argument(help="The referral's id.")],
    language: Annotated[Language, typer.Option(help="The language it is told in.")] = Language.en,
    format_: Annotated[
        Format, typer.Option("--format", help="html is a page that a browser prints, or saves as PDF.")
    ] = Format.text,
) -> None:
    """Tell what happened to a referral, for people to read."""
    told = session.hub.story(referral, language=language.value, format=format_.value)
    if session.out.as_json:
        session.out.document({"referral": referral, "language": language.value, "story": told})
    else:
        session.out.text(told.rstrip("\n"))
