"""The words of an organisation's record, in English, Russian and Kyrgyz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kopuro_client.commands.code_words import Texts
from kopuro_client.commands.labels import LANGUAGES

WORDS: Final[Mapping[str, Texts]] = {
    "organisation": ("organisation", "организация", "уюм"),
    "name": ("name", "название", "аталышы"),
    "kind": ("kind", "вид", "түрү"),
    "country": ("country", "страна", "өлкө"),
    "standing": ("standing", "положение", "абалы"),
    "parent": ("branch of", "отделение организации", "кайсы уюмдун бөлүмү"),
    "languages": ("languages", "языки", "тилдер"),
    "sealing_key": ("sealing key", "ключ запечатывания", "мөөрлөө ачкычы"),
    "revision": ("revision", "версия записи", "жазуунун версиясы"),
    "services": ("Services", "Услуги", "Кызматтар"),
    "agreements": ("Agreements", "Соглашения", "Макулдашуулар"),
    "yes": ("yes", "есть", "бар"),
    "no": (
        "none: no case can be sent to it",
        "нет: дело ей отправить нельзя",
        "жок: ага иш жөнөтүүгө болбойт",
    ),
    "applied": ("not vetted yet", "ещё не проверена", "азырынча текшериле элек"),
    "vetted": ("vetted", "проверена", "текшерилген"),
    "suspended": ("suspended", "участие приостановлено", "катышуусу токтотулган"),
    "left": ("has left the network", "вышла из сети", "тармактан чыккан"),
    "suspended_by": ("suspended by", "кто приостановил", "ким токтоткон"),
    "by_at": ("{by}, {at}", "{by}, {at}", "{by}, {at}"),
    "by_at_reason": ("{by}, {at}: {reason}", "{by}, {at}: {reason}", "{by}, {at}: {reason}"),
    "person_at_risk": ("a person is at risk", "человек в опасности", "адам коркунучта"),
    "agreement_breached": (
        "it breached an agreement",
        "нарушила соглашение",
        "макулдашууну бузган",
    ),
    "data_misused": ("it misused data", "злоупотребила данными", "маалыматты кыянат пайдаланган"),
    "credentials_stolen": (
        "its credentials were stolen",
        "украдены её учётные данные",
        "анын эсептик маалыматтары уурдалган",
    ),
    "no_answer": ("it does not answer", "не отвечает", "жооп бербейт"),
    "asked_by_organization": ("it asked for it", "по её просьбе", "өзүнүн өтүнүчү боюнча"),
    "other": ("another reason", "другая причина", "башка себеп"),
    "inactive": ("not active", "не действует", "иштебейт"),
    "examined": (
        "since {day}, examined by {by}",
        "с {day}, проверка: {by}",
        "{day} күнүнөн баштап, текшерген: {by}",
    ),
    "since": ("since {day}", "с {day}", "{day} күнүнөн баштап"),
    "needs": ("helps with: {value}", "помогает: {value}", "жардам берет: {value}"),
    "spoken": ("languages: {value}", "языки: {value}", "тилдер: {value}"),
    "interpreted": ("with an interpreter: {value}", "с переводчиком: {value}", "котормочу менен: {value}"),
    "areas": ("regions: {value}", "регионы: {value}", "аймактар: {value}"),
    "conditions": ("conditions: {value}", "условия: {value}", "шарттары: {value}"),
    "maximum": ("at most {value} at once", "одновременно не больше {value}", "бир убакта эң көп {value}"),
    "stated": ("stated {value}", "по данным на {value}", "{value} учуруна карата"),
    "always_open": ("open at all hours", "круглосуточно", "күнү-түнү"),
    "approved": (
        "approved for sensitive needs: {needs} (by {by}, {at})",
        "одобрено для деликатных потребностей: {needs} (кто: {by}, {at})",
        "купуя муктаждыктар үчүн бекитилген: {needs} (ким: {by}, {at})",
    ),
    "all_needs": ("all needs", "все потребности", "бардык муктаждыктар"),
    "in_force": ("from {day}", "с {day}", "{day} күнүнөн баштап"),
    "until": ("until {day}", "до {day}", "{day} күнүнө чейин"),
    "none": ("none", "нет", "жок"),
}


def word(name: str, language: str, **values: object) -> str:
    """Return a word or phrase; the name itself if it is a code newer than this program."""
    texts = WORDS.get(name)
    return name if texts is None else texts[LANGUAGES.index(language)].format(**values)


def standing(record: Mapping[str, Any], language: str) -> str:
    """Return what the network states about an organisation: `vetted since 2026-03-07`, `suspended`."""
    parts = [word(record["vetting"], language)]
    if record["vetting"] == "vetted" and (day := record.get("vetted_on")) is not None:
        by = record.get("vetted_by")
        name = "since" if by is None else "examined"
        parts[0] += " " + word(name, language, day=day, by=by)
    if not record["active"]:
        parts.append(word("inactive", language))
    return ", ".join(parts)
