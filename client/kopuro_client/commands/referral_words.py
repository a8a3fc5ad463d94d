"""The names of a referral's fields and the sentences of its timeline: English, Russian and Kyrgyz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kopuro_client.commands.code_words import Texts, in_words
from kopuro_client.commands.labels import LANGUAGES
from kopuro_client.commands.printable import moment, one_line
from kopuro_client.records import Offer, TimelineEntry

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
    "submitted": ("submitted", "отправлено", "жөнөтүлдү"),
    "updated": ("updated", "изменено", "өзгөрдү"),
    "referral": ("referral", "направление", "жолдомо"),
    "no.": ("no.", "№", "№"),
    "organisation": ("organisation", "организация", "уюм"),
    "state": ("state", "состояние", "абалы"),
    "opened": ("opened", "сделано", "жасалды"),
    "deadline": ("deadline", "срок", "мөөнөтү"),
    "reason": ("reason", "причина", "себеби"),
    "since": ("since", "с какого времени", "качандан бери"),
    "offer": ("offer", "предложение", "сунуш"),
}

STEPS: Final[Mapping[str, Texts]] = {
    "referral.submitted": (
        "{organization} submitted the referral",
        "{organization}: направление отправлено",
        "{organization} жолдомо жөнөттү",
    ),
    "answer.submitted": (
        "{organization} answered",
        "{organization}: ответ",
        "{organization} жооп берди",
    ),
    "progress.submitted": (
        "{organization} sent a report",
        "{organization}: прислан отчёт",
        "{organization} отчёт жөнөттү",
    ),
    "outcome.submitted": (
        "{organization} sent the outcome",
        "{organization}: прислан итог",
        "{organization} жыйынтыгын жөнөттү",
    ),
    "hand_back.submitted": (
        "{organization} asked to hand the referral back",
        "{organization}: просьба вернуть направление",
        "{organization} жолдомону кайтарууну суранды",
    ),
    "withdrawal.submitted": (
        "{organization} asked to withdraw the referral",
        "{organization}: просьба отозвать направление",
        "{organization} жолдомону кайтарып алууну суранды",
    ),
    "revocation.submitted": (
        "{organization} reported that the person withdrew the consent",
        "{organization}: человек отозвал согласие",
        "{organization}: адам макулдугун кайтарып алды",
    ),
    "unreadable.submitted": (
        "{organization} cannot read what was sealed for it",
        "{organization}: запечатанное не читается",
        "{organization} мөөрлөнгөндү окуй албайт",
    ),
    "replacement.submitted": (
        "{organization} sent the sealed case again",
        "{organization}: запечатанное дело прислано заново",
        "{organization} мөөрлөнгөн ишти кайра жөнөттү",
    ),
    "placement.submitted": (
        "a coordinator chose {organization}",
        "координатор выбрал: {organization}",
        "координатор {organization} уюмун тандады",
    ),
    "placement.refused": (
        "the placement with {organization} was refused",
        "{organization}: направить туда нельзя",
        "{organization} уюмуна жайгаштыруу четке кагылды",
    ),
    "placement.answered": (
        "the placement with {organization} has a result",
        "{organization}: ответ на выбор координатора",
        "{organization}: координатордун тандоосуна жооп",
    ),
    "intervention.submitted": (
        "a coordinator acted on this referral",
        "координатор принял меры по направлению",
        "координатор бул жолдомо боюнча чара көрдү",
    ),
    "intervention.applied": (
        "a coordinator's act took effect for {organization}",
        "{organization}: действие координатора выполнено",
        "{organization}: координатордун аракети аткарылды",
    ),
    "intervention.refused": (
        "a coordinator's act was refused",
        "в действии координатора отказано",
        "координатордун аракети четке кагылды",
    ),
    "coordinator_withdrawal.submitted": (
        "a coordinator withdrew the referral for {organization}",
        "координатор отозвал направление вместо {organization}",
        "координатор жолдомону {organization} уюмунун ордуна кайтарып алды",
    ),
    "coordinator_withdrawal.refused": (
        "a coordinator's withdrawal for {organization} was refused",
        "{organization}: в отзыве координатором отказано",
        "{organization}: координатордун кайтарып алуусу четке кагылды",
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
    "offer.declined": (
        "{organization} declined",
        "{organization}: отказ",
        "{organization} баш тартты",
    ),
    "offer.expired": (
        "{organization} did not answer in time",
        "{organization}: ответа в срок не было",
        "{organization} убагында жооп берген жок",
    ),
    "offer.revoked": (
        "the offer to {organization} was revoked",
        "предложение отозвано: {organization}",
        "{organization} уюмуна берилген сунуш кайтарылып алынды",
    ),
    "acceptance.revoked": (
        "the referral was taken from {organization}",
        "{organization}: направление больше не у этой организации",
        "жолдомо {organization} уюмунан алынды",
    ),
    "answer.refused": (
        "the answer of {organization} came too late or was refused",
        "{organization}: ответ не принят",
        "{organization}: жообу кабыл алынган жок",
    ),
    "submission.refused": (
        "a submission of {organization} was refused",
        "{organization}: обращение не принято",
        "{organization}: кайрылуусу кабыл алынган жок",
    ),
    "hand_back.refused": (
        "{organization} could not hand the referral back",
        "{organization}: вернуть направление нельзя",
        "{organization} жолдомону кайтара албады",
    ),
    "directory_correction.suggested": (
        "{organization} should correct its record",
        "{organization}: нужно исправить запись в справочнике",
        "{organization} маалымдамадагы жазуусун оңдошу керек",
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
    "referral.failed": (
        "the referral failed",
        "направление не состоялось",
        "жолдомо ишке ашкан жок",
    ),
    "referral.referred_onward": (
        "{organization} referred the person onward",
        "{organization}: человек направлен дальше",
        "{organization} адамды андан ары жөнөттү",
    ),
    "referral.split": (
        "the referral was split into parts",
        "направление разделено на части",
        "жолдомо бөлүктөргө бөлүндү",
    ),
    "referral.rejoined": (
        "the parts were joined again",
        "части снова объединены",
        "бөлүктөр кайра бириктирилди",
    ),
    "part.opened": (
        "this part was opened",
        "эта часть открыта",
        "бул бөлүк ачылды",
    ),
    "referral.overdue": (
        "the report of {organization} is overdue",
        "{organization}: отчёт просрочен",
        "{organization}: отчёттун мөөнөтү өттү",
    ),
    "referral.unanswered": (
        "nobody has accepted this emergency; a coordinator was alerted",
        "экстренный случай никем не принят; координатор предупреждён",
        "өзгөчө шашылыш учурду эч ким кабыл алган жок; координаторго билдирилди",
    ),
    "referral.handed_back": (
        "{organization} handed the referral back",
        "{organization}: направление возвращено",
        "{organization} жолдомону кайтарып берди",
    ),
    "referral.acceptor_suspended": (
        "the acceptor {organization} is suspended or inactive",
        "{organization}: участие принявшей организации приостановлено или прекращено",
        "кабыл алган {organization} уюмунун катышуусу токтотулган",
    ),
    "referral.acceptor_declined_part": (
        "{organization}, the acceptor of this part, declined another part",
        "{organization}: отказ от другой части",
        "{organization} башка бөлүгүнөн баш тартты",
    ),
    "alert.closed": (
        "an alert to the coordinators was closed",
        "оповещение координаторов закрыто",
        "координаторлорго жөнөтүлгөн билдирүү жабылды",
    ),
    "case.refused": (
        "the vault could not use the case",
        "хранилище не смогло использовать дело",
        "сактагыч ишти колдоно алган жок",
    ),
    "case.paused": (
        "the vault does not release the case yet",
        "хранилище пока не выдаёт дело",
        "сактагыч ишти азырынча бербейт",
    ),
    "case.requested": (
        "the sender was asked to seal the case for {organization}",
        "{organization}: отправителя попросили запечатать дело для этой организации",
        "жөнөтүүчүдөн ишти {organization} үчүн мөөрлөө суралды",
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
    "note.unreadable": (
        "a note of {organization} cannot be read",
        "{organization}: записка не читается",
        "{organization}: кат окулбайт",
    ),
}

# An offer's late answer.
_LATE: Final[Texts] = (
    "{organization} answered too late, at {time}: {answer}",
    "{organization}: ответ пришёл слишком поздно, {time}: {answer}",
    "{organization} өтө кеч жооп берди, {time}: {answer}",
)

# Steps that concern no organisation: a referral that was split is completed by its parts.
_OF_NOBODY: Final[Mapping[str, Texts]] = {
    "referral.completed": ("the referral is completed", "направление завершено", "жолдомо аяктады"),
}

# The details of a step that its sentence does not say, in the order in which they follow it.
DETAILS: Final[Mapping[str, Texts]] = {
    "message_type": ("{value}", "{value}", "{value}"),
    "answer": ("{value}", "{value}", "{value}"),
    "act": ("{value}", "{value}", "{value}"),
    "result": ("{value}", "{value}", "{value}"),
    "status": ("{value}", "{value}", "{value}"),
    "outcome": ("{value}", "{value}", "{value}"),
    "reason": ("{value}", "{value}", "{value}"),
    "parts": ("parts {value}", "части {value}", "бөлүктөрү {value}"),
    "part_of": ("part of {value}", "часть направления {value}", "{value} жолдомосунун бөлүгү"),
    "onward": ("onward as {value}", "продолжено в {value}", "{value} менен уланды"),
    "onward_from": ("continues {value}", "продолжает {value}", "{value} жолдомосун улантат"),
    "to": ("sealed for {value}", "запечатано для {value}", "{value} үчүн мөөрлөнгөн"),
    "deadline": ("until {value}", "до {value}", "{value} учуруна чейин"),
    "until": ("until {value}", "до {value}", "{value} учуруна чейин"),
    "due_at": ("due {value}", "срок {value}", "мөөнөтү {value}"),
    "replace_by": ("due {value}", "срок {value}", "мөөнөтү {value}"),
    "coordinator": ("by {value}", "кто: {value}", "ким: {value}"),
    "by": ("by {value}", "кто: {value}", "ким: {value}"),
    "overridden": ("although: {value}", "хотя: {value}", "буга карабай: {value}"),
    "problem": ("the hub's response: {value}", "ответ хаба: {value}", "хабдын жообу: {value}"),
}


def field(name: str, language: str) -> str:
    """Return the name of a field, a heading or a column."""
    return FIELDS[name][LANGUAGES.index(language)]


def step(entry: TimelineEntry, language: str) -> str | None:
    """Return a step of the timeline as a sentence with its details; None for a fact without a sentence."""
    organization = entry["organization"]
    texts = STEPS.get(entry["fact"])
    if organization is None:
        texts = _OF_NOBODY.get(entry["fact"], texts)
    if texts is None:
        return None
    text = texts[LANGUAGES.index(language)]
    if organization is None and "{organization}" in text:
        return None
    details = ", ".join(_details(entry["detail"] or {}, language))
    return one_line(text.format(organization=organization) + (f" ({details})" if details else ""))


def late_answer(offer: Offer, language: str) -> str | None:
    """Return a sentence about an answer that came too late to an offer; None if none came."""
    answer, time = offer.get("late_answer"), offer.get("late_at")
    if answer is None or time is None:
        return None
    values = {
        "organization": offer["organization"],
        "time": moment(time),
        "answer": in_words("answer", answer, language),
    }
    return one_line(_LATE[LANGUAGES.index(language)].format_map(values))


def _details(detail: Mapping[str, Any], language: str) -> list[str]:
    return [
        texts[LANGUAGES.index(language)].format(value=_value(name, detail[name], language))
        for name, texts in DETAILS.items()
        if detail.get(name)
    ]


def _value(name: str, value: object, language: str) -> str:
    if name == "problem" and isinstance(value, dict):
        # The hub's own sentence, which has one language.
        return moment(value.get("detail") or value.get("title"))
    return in_words(name, value, language)
