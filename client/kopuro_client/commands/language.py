"""The language in which commands speak to people: one option and one default for all of them."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from kopuro_client.commands.labels import LANGUAGES

VARIABLE: Final = "KOPURO_LANGUAGE"


def checked_language(language: str) -> str:
    """Return the language. Raises BadParameter for one without sentences."""
    if language not in LANGUAGES:
        raise typer.BadParameter(f"must be one of {', '.join(LANGUAGES)}")
    return language


LANGUAGE = Annotated[
    str,
    typer.Option(
        "--language",
        envvar=VARIABLE,
        callback=checked_language,
        help="Language of the texts: en, ru or ky.",
    ),
]
