"""Labels of the figures and rules of reports, in English, Russian and Kyrgyz.

The client has the words of its tables in `kopuro_client/commands/report_words.py`; a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LANGUAGES: Final = ("en", "ru", "ky")

Texts = tuple[str, str, str]  # in the order of LANGUAGES

WORDS: Final[Mapping[str, Texts]] = {
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
    "others": ("all others", "все остальные", "калгандарынын баары"),
}

# The rules by which a report counts unplaced referrals: see `BLOCKING_RULES`.
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
    "not_declined_for_person": (
        "declined for a reason that concerns the person",
        "отказала по причине, связанной с человеком",
        "адамга байланыштуу себептен баш тарткан",
    ),
    "not_in_chain": (
        "held the case earlier in the chain",
        "дело уже было у неё раньше в цепочке",
        "иш чынжырда мурда анда болгон",
    ),
    "no_service": ("no service", "нет услуги", "кызмат жок"),
    "erased": ("erased on request", "стёрто по просьбе", "өтүнүч боюнча өчүрүлгөн"),
}


# The reasons of a statement: see `passed_over.REASONS`.
PASSED_OVER: Final[Mapping[str, Texts]] = {
    "others_first": ("others came first", "очередь не дошла", "башкалар мурда болду"),
    "persons_choice": ("the person's choice", "выбор человека", "адамдын тандоосу"),
    "standing": ("not active or not vetted", "не действует или не проверена", "иштебейт же текшерилген эмес"),
    "agreement": ("no agreement", "нет соглашения", "макулдашуу жок"),
    "sealing": (
        "case cannot be sealed for it",
        "дело нельзя запечатать для неё",
        "ишти ал үчүн мөөрлөөгө болбойт",
    ),
    "service": (
        "need not met or not approved",
        "потребность не охвачена или не одобрена",
        "муктаждык камтылган эмес же бекитилген эмес",
    ),
    "area": ("place not covered", "место не охвачено", "жер камтылган эмес"),
    "conditions": ("conditions not met", "не подходит по условиям", "шарттарга ылайык эмес"),
    "language": ("no common language", "нет общего языка", "жалпы тил жок"),
    "cost": ("not free", "платная", "акылуу"),
    "capacity": ("full", "мест нет", "орун жок"),
    "hours": ("not open at all hours", "не круглосуточно", "күнү-түнү иштебейт"),
    "other_rule": ("another rule", "другое правило", "башка эреже"),
    "others": ("all others", "все остальные", "калгандарынын баары"),
}


def word(name: str, language: str) -> str:
    """Return one of WORDS; in English for a language without words."""
    return _in(WORDS[name], language)


def rule_label(rule: str, language: str) -> str:
    """Return the label of a rule, in English for a language without words; the code of an unknown rule."""
    texts = RULES.get(rule)
    return rule if texts is None else _in(texts, language)


def passed_over_label(reason: str, language: str) -> str:
    """Return the label of a reason for passing over, in English for a language without words."""
    return _in(PASSED_OVER[reason], language)


def _in(texts: Texts, language: str) -> str:
    return texts[LANGUAGES.index(language)] if language in LANGUAGES else texts[0]
