"""The steps of a trace and their receipts, in English, Russian and Kyrgyz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kopuro_client.commands.code_words import Texts, filled, in_words
from kopuro_client.commands.printable import moment

WORDS: Final[Mapping[str, Texts]] = {
    "since": ("since {time}", "с {time}", "{time} учурунан баштап"),
    "until": ("until {time}", "до {time}", "{time} учуруна чейин"),
    "also_coordinators": (
        ", and of the coordinators for another part",
        ", а другой части — координаторов сети",
        ", башка бөлүгү боюнча — тармактын координаторлорунда",
    ),
    "next": ("Next:", "Дальше:", "Андан ары:"),
    "nothing": ("Nothing found", "Ничего не найдено", "Эч нерсе табылган жок"),
    "hops": ("Hops", "Шаги", "Кадамдар"),
    "coordinators": ("coordinators", "координаторы", "координаторлор"),
    "published": ("published", "передано брокеру", "брокерге берилди"),
    "unpublished": ("not published yet", "ещё не передано брокеру", "брокерге азырынча берилген жок"),
    "entry": (
        "log entry {entry}, in the signed checkpoint of {size} entries",
        "запись журнала {entry}, в подписанной контрольной точке (всего записей: {size})",
        "журналдын {entry} жазуусу, {size} жазуунун кол коюлган текшерүү чекитинде",
    ),
    "unsigned": (
        "log entry {entry}, not yet in a checkpoint",
        "запись журнала {entry}, ещё не в контрольной точке",
        "журналдын {entry} жазуусу, азырынча текшерүү чекитинде жок",
    ),
    "silent": (
        "no answer from {services}: its steps may be missing",
        "нет ответа от {services}: шаги могут отсутствовать",
        "{services} жооп берген жок: кадамдары жок болушу мүмкүн",
    ),
}

# The steps of a message in a mailbox. Facts keep their names in every language.
STEPS: Final[Mapping[str, Texts]] = {
    "queued": ("in the mailbox", "в почтовом ящике", "почта кутусунда"),
    "delivered": ("fetched", "получено", "алынды"),
    "acknowledged": ("acknowledged", "подтверждено", "ырасталды"),
    "closed": ("content erased", "содержимое стёрто", "мазмуну өчүрүлдү"),
    "webhook": ("webhook", "вебхук", "вебхук"),
}

# The names of what a receipt of a hop holds.
RECEIPT: Final[Mapping[str, Texts]] = {
    "message": ("message", "сообщение", "билдирүү"),
    "offer": ("offer", "предложение", "сунуш"),
    "onward": ("onward", "дальше", "андан ары"),
    "parts": ("parts", "части", "бөлүктөр"),
    "part_of": ("part of", "часть направления", "кайсы жолдомонун бөлүгү"),
    "reason": ("reason", "причина", "себеп"),
    "endpoint": ("endpoint", "адрес вебхука", "вебхуктун дареги"),
    "state": ("state", "состояние", "абалы"),
    "attempts": ("attempts", "попыток", "аракет саны"),
    "next_attempt": ("next attempt", "следующая попытка", "кийинки аракет"),
}


def receipt_of(name: str, value: str, language: str) -> str:
    """Return one part of a receipt: its name, and a reason in words."""
    texts = RECEIPT.get(name)
    named = name.replace("_", " ") if texts is None else filled(texts, language, {})
    return f"{named} {in_words(name, value, language) if name == 'reason' else moment(value)}"


def word(name: str, language: str, **values: object) -> str:
    """Return a word or phrase of the trace."""
    return filled(WORDS[name], language, values)


def step_of(name: str, language: str) -> str:
    """Return the name of a hop's step: words for those of messages, the fact's own name otherwise."""
    texts = STEPS.get(name)
    return name if texts is None else filled(texts, language, {})
