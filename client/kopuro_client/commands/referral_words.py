"""The names of a referral's fields and the sentences of its timeline: English, Russian and Kyrgyz.

The details of a step, such as a reason, follow its sentence as codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kopuro_client.commands.code_words import LANGUAGES, Texts

FIELDS: Final[Mapping[str, Texts]] = {
    "Referral": ("Referral", "Направление", "Жолдомо"),
    "Parts": ("Parts", "Части", "Бөлүктөр"),
    "Offers": ("Offers", "Предложения", "Сунуштар"),
    "Timeline": ("Timeline", "Что произошло", "Эмне болду"),
    "status": ("status", "состояние", "абалы"),
    "outcome": ("outcome", "результат", "жыйынтыгы"),
    "sender": ("sender", "отправитель", "жөнөтүүчү"),
    "acceptor": ("acceptor", "принявшая организация", "кабыл алган уюм"),
    "onward from": ("onward from", "продолжает", "улантат"),
    "referred onward": ("referred onward", "продолжено", "уланды"),
    "part of": ("part of", "часть направления", "жолдомонун бөлүгү"),
    "urgency": ("urgency", "срочность", "шашылыштыгы"),
    "needs": ("needs", "потребности", "муктаждыктар"),
    "region": ("region", "регион", "аймак"),
    "languages": ("languages", "языки", "тилдер"),
    "special categories": ("special categories", "особые категории", "өзгөчө категориялар"),
    "submitted": ("submitted", "подано", "жөнөтүлдү"),
    "updated": ("updated", "изменено", "өзгөрдү"),
    "referral": ("referral", "направление", "жолдомо"),
    "no.": ("no.", "№", "№"),
    "organisation": ("organisation", "организация", "уюм"),
    "state": ("state", "состояние", "абалы"),
    "opened": ("opened", "сделано", "жасалды"),
    "deadline": ("deadline", "срок", "мөөнөтү"),
    "reason": ("reason", "причина", "себеби"),
    "offer": ("offer", "предложение", "сунуш"),
}

STEPS: Final[Mapping[str, Texts]] = {
    "referral.submitted": (
        "{organization} submitted the referral",
        "{organization}: направление подано",
        "{organization} жолдомо жөнөттү",
    ),
    "offer.opened": (
        "offered to {organization}",
        "предложено: {organization}",
        "{organization} уюмуна сунушталды",
    ),
    "offer.reminded": (
        "{organization} was reminded of the offer",
        "{organization}: напоминание о предложении",
        "{organization} уюмуна сунуш эскертилди",
    ),
    "offer.accepted": (
        "{organization} accepted",
        "{organization}: направление принято",
        "{organization} жолдомону кабыл алды",
    ),
    "offer.declined": ("{organization} declined", "{organization}: отказ", "{organization} баш тартты"),
    "offer.expired": (
        "{organization} did not answer in time",
        "{organization}: ответа в срок не было",
        "{organization} убагында жооп берген жок",
    ),
    "offer.revoked": (
        "the offer to {organization} was withdrawn",
        "предложение отозвано: {organization}",
        "{organization} уюмуна берилген сунуш кайтарылып алынды",
    ),
    "referral.unplaced": (
        "no organisation was found; a coordinator was asked",
        "организация не найдена; передано координатору",
        "уюм табылган жок; координаторго берилди",
    ),
    "referral.progressed": (
        "{organization} reported progress",
        "{organization}: сообщено о ходе работы",
        "{organization} иштин жүрүшүн билдирди",
    ),
    "referral.completed": (
        "{organization} completed the referral",
        "{organization}: направление завершено",
        "{organization} жолдомону аяктады",
    ),
    "referral.withdrawn": (
        "the referral was withdrawn",
        "направление отозвано",
        "жолдомо кайтарып алынды",
    ),
    "referral.failed": ("the referral failed", "направление не состоялось", "жолдомо ишке ашкан жок"),
    "referral.overdue": (
        "the report of {organization} is overdue",
        "{organization}: отчёт просрочен",
        "{organization}: отчёттун мөөнөтү өттү",
    ),
    "referral.handed_back": (
        "{organization} handed the referral back",
        "{organization}: направление возвращено",
        "{organization} жолдомону кайтарып берди",
    ),
    "case.released": (
        "the sealed case was released to {organization}",
        "{organization}: передано запечатанное дело",
        "мөөрлөнгөн иш {organization} уюмуна берилди",
    ),
    "case.fetched": (
        "{organization} fetched the sealed case",
        "{organization}: запечатанное дело получено",
        "{organization} мөөрлөнгөн ишти алды",
    ),
    "case.unreadable": (
        "{organization} cannot read the case; the sender was asked to send it again",
        "{organization}: дело не читается; отправителя попросили прислать его заново",
        "{organization} ишти окуй албайт; жөнөтүүчүдөн аны кайра жөнөтүү суралды",
    ),
}


def field(name: str, language: str) -> str:
    """Return the name of a field, a heading or a column."""
    return FIELDS[name][LANGUAGES.index(language)]


def step(fact: str, organization: str | None, language: str) -> str | None:
    """Return the sentence of a step of the timeline; None if there is none."""
    texts = STEPS.get(fact)
    if texts is None:
        return None
    text = texts[LANGUAGES.index(language)]
    if organization is None and "{organization}" in text:
        return None
    return text.format(organization=organization)
