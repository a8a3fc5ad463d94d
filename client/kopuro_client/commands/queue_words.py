"""The words of the coordinators' queues and wishes, in English, Russian and Kyrgyz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kopuro_client.commands.code_words import Texts
from kopuro_client.commands.labels import LANGUAGES

# The hub's reason codes. since: the time at which the cause began; age: the time since then.
REASONS: Final[Mapping[str, Texts]] = {
    "no_candidate": (
        "no organisation can be asked, since {since}",
        "с {since} предложить некому",
        "{since} учурунан баштап сунуштай турган уюм жок",
    ),
    "candidates_exhausted": (
        "no other organisation can be asked, since {since}",
        "с {since} больше некому предложить",
        "{since} учурунан баштап сунуштай турган башка уюм жок",
    ),
    "half_of_answer_time_passed": (
        "asked {age} ago, no answer after half of the time",
        "предложено {age} назад, прошла половина срока без ответа",
        "{age} мурун сунушталган, мөөнөттүн жарымы жоопсуз өттү",
    ),
    "report_overdue": (
        "the report has been overdue since {since}",
        "отчёт просрочен с {since}",
        "отчёттун мөөнөтү {since} өткөн",
    ),
    "report_awaited": (
        "a report has been awaited since {since}",
        "отчёт ожидается с {since}",
        "отчёт {since} учурунан баштап күтүлүүдө",
    ),
    "case_overdue": (
        "the case cannot be read; a new one from the sender has been overdue since {since}",
        "дело не читается; новое от отправителя просрочено с {since}",
        "иш окулбайт; жөнөтүүчүдөн жаңысынын мөөнөтү {since} өткөн",
    ),
    "case_awaited": (
        "the case cannot be read; a new one from the sender has been awaited since {since}",
        "дело не читается; новое от отправителя ожидается с {since}",
        "иш окулбайт; жөнөтүүчүдөн жаңысы {since} учурунан баштап күтүлүүдө",
    ),
    "acceptor_suspended": (
        "{acceptor}, which accepted it, has been suspended or inactive since {since}",
        "участие {acceptor}, принявшей направление, приостановлено или прекращено с {since}",
        "кабыл алган {acceptor}: катышуусу {since} учурунан баштап токтотулган",
    ),
    "answer_awaited": (
        "asked {age} ago, an answer is awaited",
        "предложено {age} назад, ожидается ответ",
        "{age} мурун сунушталган, жооп күтүлүүдө",
    ),
}

# The hub's kinds of changes.
CHANGES: Final[Mapping[str, Texts]] = {
    "agreement": (
        "an agreement of the sender with {organization}",
        "соглашение отправителя с {organization}",
        "жөнөтүүчүнүн {organization} уюму менен макулдашуусу",
    ),
    "vetting": (
        "vetting of {organization}",
        "проверка {organization}",
        "{organization} уюмунун текшерүүдөн өтүшү",
    ),
    "activity": (
        "{organization} active again",
        "{organization} снова действует",
        "{organization} уюмунун кайра иштеши",
    ),
    "sealing_key": (
        "a sealing key of {organization}",
        "ключ запечатывания у {organization}",
        "{organization} уюмунун мөөрлөө ачкычы",
    ),
    "approval": (
        "approval of a service of {organization} for a sensitive need: {need}",
        "одобрение услуги {organization} для деликатной потребности: {need}",
        "{organization} уюмунун кызматын купуя муктаждык үчүн бекитүү: {need}",
    ),
    "settlement": (
        "{organization} serves this kind of settlement",
        "{organization} охватывает такие населённые пункты",
        "{organization} уюмунун мындай калктуу конушту камтышы",
    ),
    "eligibility": (
        "{organization} lifts a condition of its service ({conditions})",
        "{organization} снимает условие своей услуги ({conditions})",
        "{organization} уюмунун өз кызматынын шартын алып салышы ({conditions})",
    ),
    "funding": (
        "a free service of {organization}",
        "бесплатная услуга {organization}",
        "{organization} уюмунун акысыз кызматы",
    ),
    "opening_hours": (
        "{organization} open at all hours",
        "{organization} работает круглосуточно",
        "{organization} уюмунун күнү-түнү иштеши",
    ),
    "area": (
        "{organization} serves the region",
        "{organization} охватывает регион",
        "{organization} уюмунун аймакты камтышы",
    ),
    "interpreter": (
        "an interpreter in {region}: {language}",
        "{region}: переводчик ({language})",
        "{region}: котормочу ({language})",
    ),
    "places": (
        "places in {region}: {need}",
        "{region}: места ({need})",
        "{region}: орундар ({need})",
    ),
    "service": (
        "a service in {region}: {need} (nobody offers it there)",
        "{region}: услуга, которую там никто не предлагает ({need})",
        "{region}: ал жерде эч ким сунуштабаган кызмат ({need})",
    ),
    # The hub says it too where a choice of the person excludes those that offer it.
    "another_service": (
        "another service in {region}: {need} (all that offer it there were asked or may not be asked)",
        "{region}: ещё одна услуга ({need}): все, кто предлагает её там, уже запрошены или не могут быть "
        "запрошены",
        "{region}: дагы бир кызмат ({need}): ал жерде сунуштагандардын баарына кайрылган же кайрылууга "
        "болбойт",
    ),
}

WORDS: Final[Mapping[str, Texts]] = {
    "emergency": ("emergency", "экстренные", "өзгөчө шашылыш"),
    "overdue": ("overdue", "просроченные", "мөөнөтү өткөн"),
    "acceptor_suspended": (
        "acceptor suspended",
        "участие принявшей организации приостановлено",
        "кабыл алган уюмдун катышуусу токтотулган",
    ),
    "silent": ("silent", "без ответа", "жоопсуз"),
    "unplaced": ("unplaced", "никто не найден", "эч ким табылган жок"),
    "or_more": ("{count} or more", "{count} или больше", "{count} же андан көп"),
    "waiting": ("waiting {age}", "ожидание {age}", "күтүү {age}"),
    "from": (
        "{needs}, sent by {sender}: {reason}",
        "{needs}, отправитель {sender}: {reason}",
        "{needs}, жөнөтүүчү {sender}: {reason}",
    ),
    "waits_for": ("waits for {organizations}", "ждёт {organizations}", "{organizations} күтүлөт"),
    "until": ("until {time}", "до {time}", "{time} учуруна чейин"),
    "next_step": (
        "the hub looks for an organisation again at {time}",
        "хаб снова будет искать организацию: {time}",
        "хаб уюмду {time} учурунда кайра издейт",
    ),
    "part_of": ("part of {whole}", "часть {whole}", "{whole} бөлүгү"),
    "unknown": ("{reason}, since {since}", "{reason}, с {since}", "{reason}, {since} учурунан баштап"),
    "days": ("{days} d {hours} h", "{days} д {hours} ч", "{days} күн {hours} саат"),
    "hours": ("{hours} h {minutes} min", "{hours} ч {minutes} мин", "{hours} саат {minutes} мүн"),
    "minutes": ("{minutes} min", "{minutes} мин", "{minutes} мүн"),
    "and": (" and ", " и ", " жана "),
    "counts": ("referrals", "направления", "жолдомолор"),
    "emergencies": ("emergencies", "экстренные", "өзгөчө шашылыш"),
    "its_service": ("service {service}", "услуга {service}", "{service} кызматы"),
    "none": ("no items", "ничего нет", "эч нерсе жок"),
    "more": ("more: {option}", "дальше: {option}", "уландысы: {option}"),
    "messages": ("messages", "сообщения", "билдирүүлөр"),
    "type": ("type", "тип", "түрү"),
    "oldest": ("oldest", "самое раннее", "эң эскиси"),
    "newest": ("newest", "самое позднее", "эң жаңысы"),
    "more_of": ("more {kind}: {option}", "дальше, {kind}: {option}", "уландысы, {kind}: {option}"),
    "trace": (
        "every hop, and what to do next: {command}",
        "все шаги и что делать дальше: {command}",
        "бардык кадамдар жана андан ары эмне кылуу керек: {command}",
    ),
    "elsewhere": (
        "who offers it elsewhere: {command}",
        "кто предлагает это в других местах: {command}",
        "муну башка жерлерде ким сунуштайт: {command}",
    ),
    "covered": (
        "{spoken}: services {services}, with fresh capacity {fresh}; offers answered {answered}, expired "
        "{expired}; referrals waiting {unplaced}",
        "{spoken}: услуг {services}, из них со свежими данными о местах {fresh}; предложений с ответом "
        "{answered}, без ответа {expired}; ожидающих направлений {unplaced}",
        "{spoken}: кызматтар {services}, анын ичинен орундар тууралуу маалыматы жаңы болгону {fresh}; жооп "
        "берилген сунуштар {answered}, жооп берилбегени {expired}; күткөн жолдомолор {unplaced}",
    ),
    "by": (
        "smallest change that would place them",
        "наименьшее изменение, которое помогло бы",
        "жардам бере турган эң кичине өзгөртүү",
    ),
}


def word(name: str, language: str, **values: object) -> str:
    """Return a word or phrase."""
    return in_language(WORDS[name], language, values)


def in_language(texts: Texts, language: str, values: Mapping[str, object]) -> str:
    """Return one of the texts with its values."""
    return texts[LANGUAGES.index(language)].format_map(values)
