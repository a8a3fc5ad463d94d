"""The words of a report: its headings and the rules by which it counts, in English, Russian and Kyrgyz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kopuro_client.commands.code_words import LANGUAGES, Texts

WORDS: Final[Mapping[str, Texts]] = {
    "week": ("Week {week}", "Неделя {week}", "{week} жумасы"),
    "against": ("changes against {before}", "изменения к {before}", "{before} менен салыштырганда"),
    "total": ("in all", "всего", "баары"),
    "gaps": ("Found nobody, by place", "Никто не найден: где", "Эч ким табылган жок: кайда"),
    "rules": ("Found nobody, by rule", "Никто не найден: почему", "Эч ким табылган жок: эмнеге"),
    "organizations": ("Organisations", "Организации", "Уюмдар"),
    "region": ("region", "регион", "аймак"),
    "need": ("need", "потребность", "муктаждык"),
    "language": ("language", "язык", "тил"),
    "rule": ("rule", "правило", "эреже"),
    "organization": ("organisation", "организация", "уюм"),
    "count": ("count", "число", "саны"),
    "change": ("change", "изменение", "өзгөрүү"),
    "submitted": ("submitted", "направлено", "жөнөтүлдү"),
    "unplaced": ("found nobody", "никто не найден", "эч ким табылган жок"),
    "asked": ("asked", "запрошено", "суралды"),
    "answered": ("answered", "отвечено", "жооп берди"),
    "accepted": ("accepted", "принято", "кабыл алды"),
    "declined": ("declined", "отказы", "баш тартты"),
    "silent": ("silent", "без ответа", "жоопсуз"),
    "median": ("median", "медиана", "медиана"),
    "withheld": ("withheld", "скрыто", "жашырылган"),
    "others": ("all others", "все остальные", "калгандарынын баары"),
    "legend": (
        "withheld: fewer than {threshold}, or a figure from which one could be computed",
        "скрыто: меньше {threshold} или число, из которого такое можно вычислить",
        "жашырылган: {threshold} дан аз же андайды эсептеп чыгарууга мүмкүндүк берген сан",
    ),
}

# The hub's rules, and what else a report counts beside them.
RULES: Final[Mapping[str, Texts]] = {
    "organization_active": ("not active", "не действует", "иштебейт"),
    "organization_vetted": ("not vetted", "не проверена", "текшерилген эмес"),
    "not_the_sender": ("is the sender", "сам отправитель", "жөнөтүүчүнүн өзү"),
    "consent_given": ("no consent", "нет согласия", "макулдук жок"),
    "not_excluded": ("excluded by the person", "исключена человеком", "адам четтеткен"),
    "kind_consented": ("kind not consented to", "на такой вид нет согласия", "мындай түргө макулдук жок"),
    "agreement_in_force": ("no agreement", "нет соглашения", "макулдашуу жок"),
    "can_receive": ("no sealing key", "нет ключа запечатывания", "мөөрлөө ачкычы жок"),
    "case_sealed_for": ("sealed for another", "запечатано для другой", "башкага мөөрлөнгөн"),
    "need_met": ("need not met", "не отвечает потребности", "муктаждыкка ылайык эмес"),
    "service_approved": ("service not approved", "услуга не одобрена", "кызмат бекитилген эмес"),
    "area_served": ("region not covered", "не охватывает регион", "аймакты камтыбайт"),
    "settlement_served": (
        "settlement not covered",
        "не охватывает такой населённый пункт",
        "мындай калктуу конушту камтыбайт",
    ),
    "person_eligible": ("conditions not met", "не подходит по условиям", "шарттарга ылайык эмес"),
    "language_shared": ("no common language", "нет общего языка", "жалпы тил жок"),
    "cost_accepted": ("not free", "платная", "акылуу"),
    "capacity_left": ("full", "мест нет", "орун жок"),
    "capacity_not_declined": (
        "declined for lack of capacity",
        "недавно отказала: нет мест",
        "жакында баш тартты: орун жок",
    ),
    "place_left": ("no place left", "места заняты", "орундар ээленген"),
    "open_now": ("not open at all hours", "не круглосуточно", "күнү-түнү иштебейт"),
    "storage_allowed": ("storage not allowed", "хранение не разрешено", "сактоого уруксат жок"),
    "not_asked_before": ("asked before", "уже запрошена", "мурда суралган"),
    "no_service": ("no service", "нет услуги", "кызмат жок"),
    "erased": ("erased on request", "стёрто по просьбе", "өтүнүч боюнча өчүрүлгөн"),
}


def word(name: str, language: str, **values: object) -> str:
    """Return one of WORDS in a language."""
    return WORDS[name][LANGUAGES.index(language)].format(**values)


def rule_name(rule: str, language: str) -> str:
    """Return the name of a rule; its code if it is unknown here."""
    texts = RULES.get(rule)
    return rule if texts is None else texts[LANGUAGES.index(language)]
