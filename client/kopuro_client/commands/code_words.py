"""The hub's codes in sentences about routing, in words: English, Russian and Kyrgyz.

Needs, regions, languages and ids stay codes, because the commands take them as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kopuro_client.commands.printable import moment, printable

LANGUAGES: Final = ("en", "ru", "ky")

Texts = tuple[str, str, str]  # in the order of LANGUAGES

CAPACITIES: Final[Mapping[str, Texts]] = {
    "capacity": ("has room", "есть места", "орун бар"),
    "assessment_required": (
        "assesses each person first",
        "сначала оценивает каждый случай",
        "алгач ар бир учурду баалайт",
    ),
    "waitlist": ("has a waiting list", "есть лист ожидания", "күтүү тизмеси бар"),
    "no_capacity": ("is full", "мест нет", "орун жок"),
}

_KINDS: Final[Mapping[str, Texts]] = {
    "consular_representative": (
        "consular representative",
        "консульский представитель",
        "консулдук өкүл",
    ),
    "state_body": ("state body", "государственный орган", "мамлекеттик орган"),
    "employment_agency": (
        "employment agency",
        "агентство занятости",
        "жумушка орноштуруу агенттиги",
    ),
}

_COSTS: Final[Mapping[str, Texts]] = {
    "at_cost": ("at cost price", "по себестоимости", "өздүк наркы боюнча"),
    "commercial": ("at commercial prices", "на коммерческих условиях", "коммерциялык шартта"),
}

_SETTLEMENTS: Final[Mapping[str, Texts]] = {
    "urban": ("urban", "городские", "шаар"),
    "rural": ("rural", "сельские", "айыл"),
}

_CONDITIONS: Final[Mapping[str, Texts]] = {
    "sex": ("sex", "пол", "жынысы"),
    "age_band": ("age", "возраст", "жашы"),
    "stage": ("stage of migration", "этап миграции", "миграция баскычы"),
    "origin_country": ("country of origin", "страна происхождения", "келип чыккан өлкөсү"),
    "special_categories": ("special categories", "особые категории", "өзгөчө категориялар"),
}

# The name of a rule's detail -> its codes.
WORDS: Final[Mapping[str, Mapping[str, Texts]]] = {
    "kind": _KINDS,
    "cost": _COSTS,
    "settlement": _SETTLEMENTS,
    "status": CAPACITIES,
    "unmet": _CONDITIONS,
}


def in_words(name: str, value: object, language: str) -> str:
    """Return a detail of a rule as text: known codes in words, times to the second, the rest as it is."""
    if isinstance(value, list):
        return ", ".join(in_words(name, one, language) for one in value)
    texts = WORDS.get(name, {}).get(value) if isinstance(value, str) else None
    return moment(printable(value)) if texts is None else texts[LANGUAGES.index(language)]
