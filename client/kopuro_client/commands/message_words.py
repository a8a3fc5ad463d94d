"""The members of a mailbox's message in words: English, Russian and Kyrgyz.

In English the members keep their names, which the options of other commands and programs use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kopuro_client.commands.code_words import Texts, in_words
from kopuro_client.commands.labels import LANGUAGES

# A member's Russian and Kyrgyz name. Ids and the names of facts are the same in every language.
NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "urgency": ("срочность", "шашылыштыгы"),
    "needs": ("потребности", "муктаждыктар"),
    "need": ("потребность", "муктаждык"),
    "region": ("регион", "аймак"),
    "organization": ("организация", "уюм"),
    "sender": ("отправитель", "жөнөтүүчү"),
    "author": ("автор", "автор"),
    "text": ("текст", "текст"),
    "note": ("записка", "кат"),
    "reporter": ("сообщила", "билдирген"),
    "reader": ("читатель", "окуган"),
    "coordinator": ("координатор", "координатор"),
    "status": ("состояние", "абалы"),
    "outcome": ("результат", "жыйынтыгы"),
    "result": ("ответ", "жооп"),
    "act": ("действие", "аракет"),
    "reason": ("причина", "себеби"),
    "withdrawn_for": ("основание", "негизи"),
    "service": ("услуга", "кызмат"),
    "approved_needs": ("одобренные потребности", "бекитилген муктаждыктар"),
    "part": ("раздел записи", "жазуунун бөлүгү"),
    "deadline": ("срок ответа", "жооп мөөнөтү"),
    "due_at": ("срок", "мөөнөтү"),
    "replace_by": ("прислать до", "чейин жөнөтүү керек"),
    "until": ("до", "чейин"),
    "expires_at": ("истекает", "бүтөт"),
    "since": ("с", "баштап"),
    "waits_for": ("ждём", "күтөбүз"),
    "kind": ("вид", "түрү"),
    "subject": ("предмет", "предмети"),
    "requested_by": ("запросил", "сураган"),
    "by": ("кто", "ким"),
    "approved_by": ("утвердил", "бекиткен"),
    "days": ("дней", "күн"),
    "closed": ("закрыто", "жабылды"),
    "alerts": ("оповещения", "билдирүүлөр"),
    "number": ("всего", "баары"),
    "period": ("период", "мезгил"),
    "as_of": ("на момент", "убакытка карата"),
    "month": ("месяц", "ай"),
    "employer": ("работодатель", "иш берүүчү"),
    "practices": ("нарушения", "бузуулар"),
    "evidence": ("доказательства", "далилдер"),
    "refused": ("отказ", "четке кагуу"),
}


# A fact -> the words of its reasons, which mean something else in other facts.
REASONS: Final[Mapping[str, Mapping[str, Texts]]] = {
    "service_approval.ended": {
        "widened": (
            "the service reaches more places or people",
            "услуга охватывает больше мест или людей",
            "кызмат көбүрөөк жерлерди же адамдарды камтыйт",
        ),
        "removed": ("the service is gone", "услуги больше нет", "кызмат жоюлган"),
        "withdrawn": ("a coordinator withdrew it", "координатор отозвал", "координатор кайтарып алды"),
    },
    # The reasons name what ended the message, or what it asked for.
    "message.closed": {
        "declined": ("the offer was declined", "предложение отклонено", "сунуш четке кагылды"),
        "expired": ("the offer expired", "срок предложения истёк", "сунуштун мөөнөтү өттү"),
        "revoked": ("the offer was revoked", "предложение отозвано", "сунуш кайтарып алынды"),
        "acceptance_revoked": (
            "the acceptance was revoked",
            "принятие направления отменено",
            "кабыл алуу жокко чыгарылды",
        ),
        "handed_back": ("the referral was handed back", "направление возвращено", "жолдомо кайтарылды"),
        "completed": ("the referral is completed", "направление завершено", "жолдомо аяктады"),
        "acted_on": (
            "no action is left",
            "действий больше не требуется",
            "мындан ары аракет талап кылынбайт",
        ),
        "retracted": ("the report was retracted", "сообщение отозвано", "билдирүү кайтарып алынды"),
        "opted_out": (
            "the recipient receives no further reports",
            "получатель больше не принимает сообщения",
            "алуучу мындан ары билдирүү албайт",
        ),
    },
}


def message_words(fact: str, shown: Mapping[str, object], language: str) -> dict[str, object]:
    """Return the members with their codes in words, and in Russian and Kyrgyz their names too."""
    return {_name(name, language): _value(fact, name, value, language) for name, value in shown.items()}


def _name(name: str, language: str) -> str:
    texts = NAMES.get(name)
    return name if texts is None or language == "en" else texts[language == "ky"]


def _value(fact: str, name: str, value: object, language: str) -> object:
    if name == "reason" and (texts := REASONS.get(fact, {}).get(str(value))) is not None:
        return texts[LANGUAGES.index(language)]
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return in_words(name, value, language)
    return in_words(name, value, language) if isinstance(value, str) else value
