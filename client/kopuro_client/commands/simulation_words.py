"""The words of a policy's simulation, in English, Russian and Kyrgyz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kopuro_client.commands.code_words import Texts, filled
from kopuro_client.commands.labels import LANGUAGES

WORDS: Final[Mapping[str, Texts]] = {
    "when": ("when {trigger}: {asked}", "{trigger}: {asked}", "{trigger}: {asked}"),
    "before": ("before: {turn}", "прежние правила: {turn}", "мурунку эрежелер: {turn}"),
    "after": ("after: {turn}", "новые правила: {turn}", "жаңы эрежелер: {turn}"),
    "no_turn": (
        "no organisation may be asked.",
        "предложить некому.",
        "сунуштай турган уюм жок.",
    ),
    "standing": (
        "{organization}, service {service}: rank {ranks}, score {scores}",
        "{organization}, услуга {service}: место {ranks}, оценка {scores}",
        "{organization}, {service} кызматы: тизмедеги орду {ranks}, упайы {scores}",
    ),
    "no_value": ("none", "нет", "жок"),
    "now_excluded": ("now excluded: {rule}", "теперь исключена: {rule}", "эми четтетилет: {rule}"),
    "lifted": (
        "no longer excluded: {rule}",
        "больше не исключена: {rule}",
        "мындан ары четтетилбейт: {rule}",
    ),
    "total": (
        "{elsewhere} of {referrals} would have gone elsewhere",
        "ушли бы в другие организации: {elsewhere} из {referrals}",
        "башка уюмдарга кетмек: {referrals} жолдомонун ичинен {elsewhere}",
    ),
    "unlisted": (
        "further decisions that would have asked others, not listed: {count}",
        "ещё решений с другим выбором, не показаны: {count}",
        "башка уюмдарды тандаган дагы чечимдер, көрсөтүлгөн жок: {count}",
    ),
    "directory_changed": (
        "referrals that would also go elsewhere under the earlier policy (the directory changed): {count}",
        "направлений, которые из-за изменений справочника и по прежним правилам ушли бы в другие "
        "организации: {count}",
        "маалымдама өзгөргөндүктөн мурунку эрежелер боюнча да башка уюмдарга кетмек жолдомолор: {count}",
    ),
    "left_out": (
        "referrals with decisions that were left out ({reason}): {count}",
        "направлений с неучтёнными решениями ({reason}): {count}",
        "эске алынбаган чечимдери бар жолдомолор ({reason}): {count}",
    ),
    "valid": (
        "{version}: valid; an operator can apply it (digest {digest})",
        "{version}: правила верны, их может применить оператор (хеш {digest})",
        "{version}: эрежелер туура, аларды оператор колдоно алат (хеш {digest})",
    ),
}

# The hub's codes of the reason why a decision was not made again.
LEFT_OUT: Final[Mapping[str, Texts]] = {
    "erased": (
        "erased after the referral had ended",
        "стёрты после завершения направления",
        "жолдомо аяктагандан кийин өчүрүлгөн",
    ),
    "another_build": (
        "made by another build of the hub",
        "приняты другой версией хаба",
        "хабдын башка версиясы чыгарган",
    ),
    "damaged": (
        "their records cannot be used",
        "записи непригодны",
        "жазуулары жараксыз",
    ),
    "too_many_decisions": (
        "more decisions than one simulation can repeat",
        "решений больше, чем проверяется за один раз",
        "чечимдер бир жолу текшериле тургандан көп",
    ),
    "no_time_left": (
        "the simulation ran out of time",
        "время проверки истекло",
        "текшерүүнүн убактысы бүттү",
    ),
}

# Why a rule excludes. The hub's reports use the same labels; a test compares them.
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
}


def word(name: str, language: str, **values: object) -> str:
    """Return the text with the values filled in, on one line."""
    return filled(WORDS[name], language, values)


def rule_in_words(rule: str, language: str) -> str:
    """Return why a rule excludes, or the hub's name of a rule that is unknown here."""
    texts = RULES.get(rule)
    return rule if texts is None else texts[LANGUAGES.index(language)]


def left_out(code: str, language: str) -> str:
    """Return why decisions were left out, or the hub's code if it is unknown here."""
    texts = LEFT_OUT.get(code)
    return code if texts is None else texts[LANGUAGES.index(language)]
