"""The preview of a referral as text, in English, Russian and Kyrgyz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kopuro_client.commands.code_words import Texts, in_words
from kopuro_client.commands.labels import LANGUAGES
from kopuro_client.commands.output import Output
from kopuro_client.records import Preview

WORDS: Final[Mapping[str, Texts]] = {
    "candidates": (
        "organisations that could be asked now",
        "организаций, которым можно предложить сейчас",
        "азыр сунуштоого боло турган уюмдар",
    ),
    "half_answered": (
        "half of such referrals are answered within",
        "на половину таких направлений отвечают за",
        "мындай жолдомолордун жарымына жооп берүү убактысы",
    ),
    "found_nobody": (
        "such referrals that found no organisation at some time",
        "таких направлений, для которых когда-либо никого не нашлось",
        "кайсы бир учурда эч ким табылбаган мындай жолдомолор",
    ),
    "part": (
        "needs that one organisation could take",
        "потребности, которые может взять на себя одна организация",
        "бир уюм камтый ала турган муктаждыктар",
    ),
    "organisations": ("organisations", "организаций", "уюмдар"),
    "would_split": (
        "The hub would split the referral into these parts.",
        "Хаб разделит направление на эти части.",
        "Хаб жолдомону ушул бөлүктөргө бөлөт.",
    ),
    "language": (
        "more with one more language",
        "больше, если добавить язык",
        "дагы бир тил кошулса, көбөйөт",
    ),
    "region": ("more in another region", "больше в другом регионе", "башка аймакта көбүрөөк"),
    "kind": (
        "only because of this opt-in",
        "только благодаря этому согласию",
        "ушул макулдуктун негизинде гана",
    ),
    "few_answers": (
        "unknown: too few answers",
        "неизвестно: слишком мало ответов",
        "белгисиз: жооптор өтө аз",
    ),
    "few_referrals": (
        "unknown: too few earlier referrals",
        "неизвестно: слишком мало прежних направлений",
        "белгисиз: мурунку жолдомолор өтө аз",
    ),
    "time": ("{hours} h {minutes} min", "{hours} ч {minutes} мин", "{hours} саат {minutes} мүн"),
}


def show_preview(out: Output, found: Preview, language: str) -> None:
    """Print the preview: the candidates, the experience, and what would change their number."""
    if out.as_json:
        out.document(found)
        return
    out.fields(
        (
            (_word("candidates", language), found["candidates"]),
            (_word("half_answered", language), _time(found["half_answered_seconds"], language)),
            (_word("found_nobody", language), _share(found["found_nobody"], language)),
        )
    )
    if parts := found.get("parts"):
        out.blank()
        out.table(
            (_word("part", language), _word("organisations", language)),
            ((in_words("needs", part["needs"], language), part["candidates"]) for part in parts),
        )
    if found.get("would_split"):
        out.text(_word("would_split", language))
    _show_changes(out, "language", found["more_by_language"], language)
    _show_changes(out, "region", found["more_by_region"], language)
    _show_changes(out, "kind", found["only_by_kind"], language)


def _show_changes(out: Output, name: str, bands: Mapping[str, str], language: str) -> None:
    if bands:
        out.blank()
        out.table(
            (_word(name, language), _word("organisations", language)),
            # The code is shown too, because the referral's file takes it.
            ((f"{in_words(name, code, language)} ({code})", band) for code, band in bands.items()),
        )


def _time(seconds: int | None, language: str) -> str:
    if seconds is None:
        return _word("few_answers", language)
    hours, minutes = divmod(seconds // 60, 60)
    return _word("time", language, hours=hours, minutes=f"{minutes:02}")


def _share(share: float | None, language: str) -> str:
    return _word("few_referrals", language) if share is None else f"{share:.0%}"


def _word(name: str, language: str, **values: object) -> str:
    return WORDS[name][LANGUAGES.index(language)].format(**values)
