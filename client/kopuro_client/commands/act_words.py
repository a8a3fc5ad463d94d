"""The question before an act and its note, in English, Russian and Kyrgyz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kopuro_client.commands.code_words import Texts, filled
from kopuro_client.commands.labels import LANGUAGES
from kopuro_client.commands.printable import one_line

# The states of an application to join.
APPLICATIONS: Final[Mapping[str, Texts]] = {
    "waiting": ("waiting", "ждёт решения", "чечим күтүүдө"),
    "in_approval": ("in approval", "на утверждении", "бекитүүдө"),
    "vetted": ("vetted", "одобрена", "бекитилген"),
    "refused": ("refused", "отклонена", "четке кагылган"),
    "withdrawn": ("withdrawn", "отозвана", "кайтарылып алынган"),
    "expired": ("expired", "истекла", "мөөнөтү бүткөн"),
}

QUESTIONS: Final[Mapping[str, Texts]] = {
    "nudge": ("send this reminder?", "отправить это напоминание?", "бул эскертүүнү жөнөтөлүбү?"),
    "extend": ("extend this deadline?", "продлить этот срок?", "бул мөөнөттү узарталыбы?"),
    "move_on": (
        "move on to the next candidate?",
        "передать следующей организации?",
        "кийинки уюмга өткөрөлүбү?",
    ),
    "place": ("place the referral?", "передать направление?", "жолдомону жайгаштыралыбы?"),
    "withdraw": ("withdraw the referral?", "отозвать направление?", "жолдомону кайтарып алалыбы?"),
    "withdraw_for": (
        "withdraw the referral for {organization}?",
        "отозвать направление вместо {organization}?",
        "жолдомону {organization} уюмунун ордуна кайтарып алалыбы?",
    ),
    "revoke": (
        "record that the person withdrew the consent?",
        "записать, что человек отозвал согласие?",
        "адам макулдугун кайтарып алганын жазалыбы?",
    ),
    "revoke_for": (
        "record for {organization} that the person withdrew the consent?",
        "записать вместо {organization}, что человек отозвал согласие?",
        "{organization} уюмунун ордуна адам макулдугун кайтарып алганын жазалыбы?",
    ),
    "suspend": (
        "suspend the organisation?",
        "приостановить участие организации?",
        "уюмдун катышуусун токтотолубу?",
    ),
    "vet": ("vet the organisation?", "допустить организацию?", "уюмду кабыл алалыбы?"),
    "readmit": (
        "readmit the organisation?",
        "снова допустить организацию?",
        "уюмду кайра кабыл алалыбы?",
    ),
    "approve_service": (
        "approve the service for these needs?",
        "одобрить услугу для этих потребностей?",
        "кызматты ушул муктаждыктар үчүн бекителиби?",
    ),
    "withdraw_approval": (
        "withdraw the approval?",
        "отозвать одобрение?",
        "бекитүүнү кайтарып алалыбы?",
    ),
    "set_inactive": (
        "set it to inactive?",
        "прекратить её участие?",
        "анын катышуусун токтотолубу?",
    ),
    "retract": ("retract the report?", "отозвать сообщение?", "билдирүүнү кайтарып алалыбы?"),
    "delete_endpoint": ("delete the endpoint?", "удалить адрес вебхука?", "вебхуктун дарегин өчүрөлүбү?"),
    "revoke_client": ("revoke the client?", "отозвать клиента?", "клиентти жокко чыгаралыбы?"),
    "refuse_one": ("refuse it?", "отклонить её?", "аны четке кагалыбы?"),
    "refuse_all": ("refuse them?", "отклонить их?", "аларды четке кагалыбы?"),
}

RECORDED: Final[Mapping[str, Texts]] = {
    "nudge": ("reminder recorded", "напоминание записано", "эскертүү жазылды"),
    "extend": ("extension recorded", "продление записано", "узартуу жазылды"),
    "move_on": ("move recorded", "передача записана", "өткөрүү жазылды"),
    "place": ("placement recorded", "выбор организации записан", "уюмду тандоо жазылды"),
    "withdraw": ("withdrawal recorded", "отзыв направления записан", "жолдомону кайтарып алуу жазылды"),
    "revoke": (
        "withdrawal of consent recorded",
        "отзыв согласия записан",
        "макулдукту кайтарып алуу жазылды",
    ),
    "result": (
        "the result will arrive in the mailbox",
        "результат придёт в почтовый ящик",
        "жыйынтыгы почта кутусуна келет",
    ),
    "suspended": (
        "suspended; readmit it with `kopuro organization readmit`, as an operator",
        "участие приостановлено; снова допускает оператор: `kopuro organization readmit`",
        "катышуусу токтотулду; кайра оператор кабыл алат: `kopuro organization readmit`",
    ),
    "vetted": (
        "vetted; routing now considers it",
        "допущена; теперь ей могут предлагать направления",
        "кабыл алынды; эми ага жолдомолор сунушталышы мүмкүн",
    ),
    "revision": (
        "{note} (the record has revision {revision})",
        "{note} (версия записи: {revision})",
        "{note} (жазуунун версиясы: {revision})",
    ),
    "requested": (
        "requested; another operator approves it with `kopuro approvals approve`",
        "запрос создан; его утверждает другой оператор: `kopuro approvals approve`",
        "сурам түзүлдү; аны башка оператор бекитет: `kopuro approvals approve`",
    ),
    "vetting_requested": (
        "requested; an operator approves it with `kopuro approvals approve`",
        "запрос создан; его утверждает оператор: `kopuro approvals approve`",
        "сурам түзүлдү; аны оператор бекитет: `kopuro approvals approve`",
    ),
    "applicant_vetted": (
        "vetted; issue its client with `kopuro credential issue`",
        "допущена; теперь оператор выдаёт ей клиента: `kopuro credential issue`",
        "кабыл алынды; эми оператор ага клиент берет: `kopuro credential issue`",
    ),
    "application_refused": (
        "refused; its remaining data are deleted at {until}",
        "отклонена; её данные удаляются {until}",
        "четке кагылды; анын маалыматтары {until} учурунда өчүрүлөт",
    ),
    "service_requested": (
        "requested; another person approves it with `kopuro approvals approve`",
        "запрос создан; его утверждает другой человек: `kopuro approvals approve`",
        "сурам түзүлдү; аны башка адам бекитет: `kopuro approvals approve`",
    ),
    "service_approved": (
        "approved; the service may be asked for these needs from now on",
        "одобрено; теперь услуга может получать предложения об этих потребностях",
        "бекитилди; эми кызмат ушул муктаждыктар боюнча сунуш ала алат",
    ),
    "approval_withdrawn": (
        "withdrawn; open offers about its sensitive needs are revoked",
        "одобрение отозвано; открытые предложения о деликатных потребностях отзываются",
        "бекитүү кайтарылып алынды; купуя муктаждыктар боюнча ачык сунуштар кайтарылып алынат",
    ),
}

YES: Final = frozenset({"y", "yes", "д", "да", "о", "ооба"})


def question(name: str, language: str, /, **values: object) -> str:
    """Return the question before an act."""
    return filled(QUESTIONS[name], language, values)


def recorded(name: str, language: str, /, **values: object) -> str:
    """Return the sentence that reports an act as done."""
    return filled(RECORDED[name], language, values)


def application_state(code: str, language: str) -> str:
    """Return the state of an application; the code if it is newer than this program."""
    texts = APPLICATIONS.get(code)
    return one_line(code) if texts is None else texts[LANGUAGES.index(language)]
