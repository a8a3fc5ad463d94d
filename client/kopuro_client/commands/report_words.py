"""The words of a report's tables, in English, Russian and Kyrgyz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kopuro_client.commands.code_words import Texts
from kopuro_client.commands.labels import LANGUAGES

WORDS: Final[Mapping[str, Texts]] = {
    "week": ("Week {week}", "Неделя {week}", "{week} жумасы"),
    "every_week": ("week", "неделя", "жума"),
    "every_month": ("month", "месяц", "ай"),
    "hours": ("{hours}:{minutes} h", "{hours}:{minutes} ч", "{hours}:{minutes} саат"),
    "weeks": ("weeks", "недель", "жума саны"),
    "weeks_counted": ("weeks counted: {weeks}", "учтены недели: {weeks}", "эсептелген жумалар: {weeks}"),
    "not_issued": (
        "not issued yet: the figures may grow, and the log does not have them",
        "ещё не выпущено: числа могут вырасти, и в журнале их нет",
        "азырынча чыгарыла элек: сандар өсүшү мүмкүн, журналда алар жок",
    ),
    "against": ("changes against {before}", "изменения к {before}", "{before} менен салыштырганда"),
    "total": ("in all", "всего", "баары"),
    "gaps": ("No organisation found, by place", "Никто не найден: где", "Эч ким табылган жок: кайда"),
    "rules": ("No organisation found, by rule", "Никто не найден: почему", "Эч ким табылган жок: эмнеге"),
    "organizations": ("Organisations", "Организации", "Уюмдар"),
    "region": ("region", "регион", "аймак"),
    "need": ("need", "потребность", "муктаждык"),
    "language": ("language", "язык", "тил"),
    "rule": ("rule", "правило", "эреже"),
    "organization": ("organisation", "организация", "уюм"),
    "count": ("count", "число", "саны"),
    "change": ("change", "изменение", "өзгөрүү"),
    "submitted": ("submitted", "направлено", "жөнөтүлдү"),
    "unplaced": ("no organisation found", "никто не найден", "эч ким табылган жок"),
    "considered": ("considered", "рассмотрено", "каралды"),
    "passed_over": ("passed over", "не предложено", "сунушталган жок"),
    "asked": ("asked", "предложено", "сунушталды"),
    "answered": ("answered", "с ответом", "жооп берди"),
    "accepted": ("accepted", "принято", "кабыл алды"),
    "declined": ("declined", "отказы", "баш тартты"),
    "silent": ("silent", "без ответа", "жоопсуз"),
    "median": ("median", "медиана", "медиана"),
    "withheld": ("withheld", "скрыто", "жашырылган"),
    "all_withheld": (
        "rows without a figure to show: {rows} (--csv has them)",
        "строк без показанных чисел: {rows} (они есть в --csv)",
        "көрсөтүлө турган саны жок саптар: {rows} (алар --csv ичинде бар)",
    ),
    "others": ("all others", "все остальные", "калгандарынын баары"),
    "passed_over.others_first": ("others came first", "очередь не дошла", "башкалар мурда болду"),
    "passed_over.persons_choice": ("the person's choice", "выбор человека", "адамдын тандоосу"),
    "passed_over.standing": (
        "not active or not vetted",
        "не действует или не проверена",
        "иштебейт же текшерилген эмес",
    ),
    "passed_over.agreement": ("no agreement", "нет соглашения", "макулдашуу жок"),
    "passed_over.sealing": (
        "case cannot be sealed for it",
        "дело нельзя запечатать для неё",
        "ишти ал үчүн мөөрлөөгө болбойт",
    ),
    "passed_over.service": (
        "need not met or not approved",
        "потребность не охвачена или не одобрена",
        "муктаждык камтылган эмес же бекитилген эмес",
    ),
    "passed_over.area": ("place not covered", "место не охвачено", "жер камтылган эмес"),
    "passed_over.conditions": ("conditions not met", "не подходит по условиям", "шарттарга ылайык эмес"),
    "passed_over.language": ("no common language", "нет общего языка", "жалпы тил жок"),
    "passed_over.cost": ("not free", "платная", "акылуу"),
    "passed_over.capacity": ("full", "мест нет", "орун жок"),
    "passed_over.hours": ("not open at all hours", "не круглосуточно", "күнү-түнү иштебейт"),
    "passed_over.other_rule": ("another rule", "другое правило", "башка эреже"),
    "passed_over.others": ("all others", "все остальные", "калгандарынын баары"),
    "legend": (
        "withheld: fewer than {threshold}, or a figure from which one could be computed",
        "скрыто: меньше {threshold} или число, из которого такое можно вычислить",
        "жашырылган: {threshold} санынан аз же андайды эсептеп чыгарууга мүмкүндүк берген сан",
    ),
}


def word(name: str, language: str, **values: object) -> str:
    """Return one of WORDS in a language."""
    return WORDS[name][LANGUAGES.index(language)].format(**values)
