"""Words for the hub's codes inside sentences, in English, Russian and Kyrgyz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kopuro_client.commands.labels import LANGUAGES, codes, inside
from kopuro_client.commands.printable import moment, one_line, printable

Texts = tuple[str, str, str]  # in the order of LANGUAGES

CAPACITIES: Final[Mapping[str, Texts]] = {
    "capacity": ("has capacity", "есть места", "орун бар"),
    "assessment_required": (
        "assesses each person first",
        "сначала оценивает каждый случай",
        "алгач ар бир учурду баалайт",
    ),
    "waitlist": ("has a waiting list", "есть лист ожидания", "күтүү тизмеси бар"),
    "no_capacity": ("is full", "мест нет", "орун жок"),
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

OFFER_STATES: Final[Mapping[str, Texts]] = {
    "open": ("open", "открыто", "ачык"),
    "accepted": ("accepted", "принято", "кабыл алынды"),
    "declined": ("declined", "отклонено", "четке кагылды"),
    "expired": ("not answered in time", "нет ответа в срок", "убагында жооп жок"),
    "revoked": ("revoked", "отозвано", "кайтарып алынды"),
    "returned": ("handed back", "возвращено", "кайтарылды"),
}

_ACTS: Final[Mapping[str, Texts]] = {
    "nudge": ("reminder", "напоминание", "эскертүү"),
    "extend": ("more time", "продление срока", "мөөнөттү узартуу"),
    "move_on": ("moved on to the next candidate", "передача следующей организации", "кийинки уюмга өткөрүү"),
}

_ANSWERS: Final[Mapping[str, Texts]] = {
    "accept": ("it accepts", "принимает", "кабыл алат"),
    "decline": ("it declines", "отказывается", "баш тартат"),
}

# Reasons that no vocabulary has.
_REASONS: Final[Mapping[str, Texts]] = {
    "no_candidate": (
        "no organisation can be asked",
        "предложить некому",
        "сунуштай турган уюм жок",
    ),
    "candidates_exhausted": (
        "no other organisation can be asked",
        "больше предложить некому",
        "сунуштай турган башка уюм жок",
    ),
    "accepted_elsewhere": (
        "another organisation accepted",
        "приняла другая организация",
        "башка уюм кабыл алды",
    ),
    "withdrawn": ("the referral was withdrawn", "направление отозвано", "жолдомо кайтарып алынды"),
    "consent_revoked": (
        "the person withdrew the consent",
        "человек отозвал согласие",
        "адам макулдугун кайтарып алды",
    ),
    "failed": ("the referral failed", "направление не состоялось", "жолдомо ишке ашкан жок"),
    "organization_suspended": (
        "the organisation is suspended",
        "участие организации приостановлено",
        "уюмдун катышуусу токтотулган",
    ),
    "approval_ended": (
        "the network no longer approves the service for a sensitive need",
        "услуга больше не одобрена для деликатной потребности",
        "кызмат купуя муктаждык үчүн мындан ары бекитилген эмес",
    ),
    "agreement_ended": (
        "no agreement of the sender with the organisation covers the referral any more",
        "ни одно соглашение отправителя с организацией больше не охватывает направление",
        "жөнөтүүчүнүн уюм менен макулдашуулары жолдомого мындан ары тиешелүү эмес",
    ),
    "organization_changed": (
        "the organisation's record changed, and the referral may not go to it",
        "запись организации изменилась, и направление больше нельзя ей передать",
        "уюмдун жазуусу өзгөрдү, жолдомону ага мындан ары берүүгө болбойт",
    ),
    "report_overdue": ("the report was overdue", "отчёт просрочен", "отчёттун мөөнөтү өткөн"),
    "moved_on": (
        "a coordinator moved the referral on",
        "координатор передал направление дальше",
        "координатор жолдомону андан ары өткөрдү",
    ),
    "case_unreadable": ("the case cannot be read", "дело не читается", "иш окулбайт"),
    "not_the_acceptor": (
        "the sender has not accepted the earlier referral",
        "отправитель не принимал прежнее направление",
        "жөнөтүүчү мурунку жолдомону кабыл алган эмес",
    ),
    "chain_too_long": (
        "too many onward referrals precede it",
        "слишком длинная цепочка передач",
        "жөнөтүүлөр чынжыры өтө узун",
    ),
    "too_many_onward": (
        "too many onward referrals follow the earlier one",
        "слишком много новых направлений продолжают прежнее",
        "мурунку жолдомону өтө көп жаңы жолдомо улантат",
    ),
    "cannot_decrypt": (
        "it cannot be decrypted",
        "не расшифровывается",
        "шифри ачылбайт",
    ),
    "not_understood": (
        "its content is not understood",
        "содержание непонятно",
        "мазмуну түшүнүксүз",
    ),
    "key_lost": ("the key is lost", "ключ утрачен", "ачкыч жоголгон"),
    "no_answer": ("no answer", "нет ответа", "жооп жок"),
    "agreed_with_organization": (
        "agreed with the organisation",
        "согласовано с организацией",
        "уюм менен макулдашылды",
    ),
    "asked_by_sender": (
        "the sender asked for it",
        "по просьбе отправителя",
        "жөнөтүүчүнүн өтүнүчү боюнча",
    ),
    "person_at_risk": ("the person is at risk", "человек в опасности", "адам коркунучта"),
}

# Why the network withdrew the approval of a service.
_WITHDRAWN_FOR: Final[Mapping[str, Texts]] = {
    "person_at_risk": ("a person is at risk", "человек в опасности", "адам коркунучта"),
    "agreement_breached": (
        "the organisation breached an agreement",
        "организация нарушила соглашение",
        "уюм макулдашууну бузган",
    ),
    "data_misused": (
        "the organisation misused data",
        "организация злоупотребила данными",
        "уюм маалыматты кыянат пайдаланган",
    ),
    "service_changed": (
        "the service is not what was approved",
        "услуга отличается от одобренной",
        "кызмат бекитилгенден башкача",
    ),
    "asked_by_organization": (
        "the organisation asked for it",
        "по просьбе организации",
        "уюмдун өтүнүчү боюнча",
    ),
    "other": ("another reason", "другая причина", "башка себеп"),
}

# The parts of a service's record that an organisation should correct.
_PARTS: Final[Mapping[str, Texts]] = {
    "eligibility": ("conditions", "условия", "шарттар"),
    "areas": ("regions", "регионы", "аймактар"),
    "languages": ("languages", "языки", "тилдер"),
}

# The rules that a coordinator may override, as they failed. `not_in_chain` is not told.
_OVERRIDDEN: Final[Mapping[str, Texts]] = {
    "need_met": ("the need is not met", "потребность не охвачена", "муктаждык камтылган эмес"),
    "area_served": ("the region is not covered", "регион не охвачен", "аймак камтылган эмес"),
    "settlement_served": (
        "the settlement is not covered",
        "такой населённый пункт не охвачен",
        "мындай калктуу конуш камтылган эмес",
    ),
    "person_eligible": (
        "the person does not meet the conditions",
        "человек не подходит по условиям",
        "адам шарттарга туура келбейт",
    ),
    "language_shared": ("no common language", "нет общего языка", "жалпы тил жок"),
    "capacity_left": ("full", "мест нет", "орун жок"),
    "capacity_not_declined": (
        "declined for lack of capacity",
        "недавно отказала: нет мест",
        "жакында баш тартты: орун жок",
    ),
    "place_left": ("no place is left", "места заняты", "орундар ээленген"),
    "open_now": ("not open at all hours", "не круглосуточно", "күнү-түнү иштебейт"),
    "not_asked_before": ("asked before", "уже запрошена", "мурда суралган"),
}

# The alerts to the coordinators, by the type of the message.
_ALERTS: Final[Mapping[str, Texts]] = {
    "kopuro.referral.unplaced.v1": ("about an unplaced referral", "никто не найден", "эч ким табылган жок"),
    "kopuro.referral.overdue.v1": ("about an overdue report", "просроченный отчёт", "отчёттун мөөнөтү өткөн"),
    "kopuro.referral.unanswered.v1": (
        "about an emergency without an answer",
        "экстренное направление без ответа",
        "жоопсуз өзгөчө шашылыш жолдомо",
    ),
    "kopuro.referral.acceptor_suspended.v1": (
        "about a suspended or inactive acceptor",
        "участие принявшей организации приостановлено или прекращено",
        "кабыл алган уюмдун катышуусу токтотулган",
    ),
}

# The name of a detail -> the words of its codes.
WORDS: Final[Mapping[str, Mapping[str, Texts]]] = {
    "cost": _COSTS,
    "settlement": _SETTLEMENTS,
    "status": CAPACITIES,
    "unmet": _CONDITIONS,
    "state": OFFER_STATES,
    "result": OFFER_STATES,
    "act": _ACTS,
    "answer": _ANSWERS,
    "reason": _REASONS,
    "withdrawn_for": _WITHDRAWN_FOR,
    "part": _PARTS,
    "message_type": _ALERTS,
    "overridden": _OVERRIDDEN,
}

# The name of a detail -> the vocabularies that have labels of its codes.
VOCABULARIES: Final[Mapping[str, tuple[str, ...]]] = {
    "need": ("needs",),
    "needs": ("needs",),
    "approved_needs": ("needs",),
    "region": ("regions",),
    "country": ("regions",),
    "language": ("languages",),
    "languages": ("languages",),
    "spoken": ("languages",),
    "kind": ("organization_kinds",),
    "urgency": ("urgencies",),
    "special_categories": ("special_categories",),
    "sex": ("sexes",),
    "age_band": ("age_bands",),
    "stage": ("stages",),
    "origin_country": ("regions",),
    "outcome": ("outcomes",),
    "practices": ("employer_practices",),
    "status": ("referral_statuses",),
    "reason": ("hand_back_reasons", "decline_reasons", "withdrawal_reasons"),
}


def in_words(name: str, value: object, language: str) -> str:
    """Return a detail as text: known codes in words, times to the second, the rest as it is."""
    if isinstance(value, list):
        return ", ".join(in_words(name, one, language) for one in value)
    if isinstance(value, str):
        texts = WORDS.get(name, {}).get(value)
        if texts is not None:
            return texts[LANGUAGES.index(language)]
        for vocabulary in VOCABULARIES.get(name, ()):
            if value in codes(vocabulary):
                return inside(vocabulary, value, language)
    return moment(printable(value))


# A condition of a service and whom it is for.
_ONLY_FOR: Final[Texts] = ("{name} (only: {values})", "{name} (только: {values})", "{name} ({values} гана)")


def conditions_in_words(unmet: list[str], conditions: Mapping[str, list[str]], language: str) -> str:
    """Return the names of conditions, each with whom the service is for where that is known."""
    texts = []
    for name in unmet:
        text = in_words("unmet", name, language)
        if known := conditions.get(name):
            only = _ONLY_FOR[LANGUAGES.index(language)]
            text = only.format(name=text, values=in_words(name, known, language))
        texts.append(text)
    return "; ".join(texts)


def values_in_words(values: Mapping[str, object], language: str) -> dict[str, str]:
    """Return the details as texts, by name."""
    return {name: in_words(name, value, language) for name, value in values.items()}


def filled(texts: Texts, language: str, values: Mapping[str, object]) -> str:
    """Return the text in the language, with each value on one line in place of its field."""
    shown = {name: one_line(value) for name, value in values.items()}
    return texts[LANGUAGES.index(language)].format_map(shown)
