"""Which of several needs an organisation covers, in English, Russian and Kyrgyz."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from kopuro_client.commands.code_words import Texts, filled, in_words
from kopuro_client.records import NeedsCovered

_ALL: Final[Texts] = ("covers all needs", "охватывает все потребности", "бардык муктаждыктарды камтыйт")
_SOME: Final[Texts] = (
    "covers {covered}, but not {lacking}",
    "охватывает: {covered}; не охватывает: {lacking}",
    "камтыганы: {covered}; камтыбаганы: {lacking}",
)
_NONE: Final[Texts] = (
    "covers none of the needs",
    "не охватывает ни одной из потребностей",
    "муктаждыктардын бирин да камтыбайт",
)


def covered_needs(covers: Iterable[NeedsCovered], language: str) -> Mapping[str, str]:
    """Return a phrase for each organisation by its id. Empty for a referral with one need."""
    return {one["organization"]: _phrase(one, language) for one in covers}


def _phrase(one: NeedsCovered, language: str) -> str:
    texts = _SOME if one["needs"] and one["lacking"] else _NONE if one["lacking"] else _ALL
    values = {
        "covered": in_words("needs", one["needs"], language),
        "lacking": in_words("needs", one["lacking"], language),
    }
    return filled(texts, language, values)
