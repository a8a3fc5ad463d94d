"""The words of applications to join and of requests for approval, in English, Russian and Kyrgyz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kopuro_client.commands.code_words import Texts, filled
from kopuro_client.commands.labels import LANGUAGES
from kopuro_client.commands.printable import one_line

FIELDS: Final[Mapping[str, Texts]] = {
    "id": ("id", "id", "id"),
    "kind": ("kind", "вид", "түрү"),
    "subject": ("subject", "о чём", "эмне жөнүндө"),
    "state": ("state", "состояние", "абалы"),
    "requested_by": ("requested by", "кто запросил", "ким сураган"),
    "endorsed_by": ("endorsed by", "кто поддержал", "ким колдогон"),
    "expires": ("expires", "срок до", "мөөнөтү"),
    "deleted_on": ("deleted on", "будет удалено", "өчүрүлөт"),
    "submitted": ("submitted", "подано", "жөнөтүлдү"),
    "name": ("name", "название", "аталышы"),
    "country": ("country", "страна", "өлкө"),
    "languages": ("languages", "языки", "тилдер"),
    "description": ("description", "описание", "сүрөттөмө"),
    "contact": ("contact", "контактное лицо", "байланыш адамы"),
    "email": ("e-mail", "эл. почта", "эл. почта"),
    "telephone": ("telephone", "телефон", "телефон"),
    "website": ("website", "сайт", "сайт"),
    "parent": ("branch of", "отделение организации", "кайсы уюмдун бөлүмү"),
    "proposed_id": ("proposed id", "предложенный id", "сунушталган id"),
    "approval": ("approval", "запрос на одобрение", "бекитүү суроосу"),
    "organisation": ("organisation", "организация", "уюм"),
    "decided_by": ("decided by", "кто решил", "ким чечкен"),
    "decided": ("decided", "решено", "чечилди"),
    "reason": ("reason", "причина", "себеби"),
    "note": ("note", "примечание", "эскертүү"),
}

# The subject of a request for approval: `ApprovalKind`.
KINDS: Final[Mapping[str, Texts]] = {
    "credential": ("client", "клиент", "клиент"),
    "role": ("staff client", "клиент сотрудника", "кызматкердин клиенти"),
    "sealing_key": ("sealing key", "ключ запечатывания", "мөөрлөө ачкычы"),
    "vetting": ("vetting", "проверка", "текшерүү"),
    "service": ("service", "услуга", "кызмат"),
    "agreement": ("agreement", "соглашение", "макулдашуу"),
    "root_client": ("root client", "главный клиент", "башкы клиент"),
}

# The state of a request for approval.
APPROVAL_STATES: Final[Mapping[str, Texts]] = {
    "requested": ("requested", "ждёт решения", "чечим күтүүдө"),
    "granted": ("granted", "одобрено", "бекитилди"),
    "refused": ("refused", "отказано", "четке кагылды"),
    "expired": ("expired", "срок истёк", "мөөнөтү өттү"),
    "stale": ("out of date", "устарело", "эскирди"),
}

# Why an application was refused: `ApplicationRefusal`.
REFUSALS: Final[Mapping[str, Texts]] = {
    "outside_the_network": ("outside the network's scope", "вне сферы сети", "тармактын чөйрөсүнөн тышкары"),
    "already_a_member": ("already a member", "уже участвует в сети", "мурунтан эле мүчө"),
    "not_verified": ("could not be verified", "сведения не подтвердились", "маалымат ырасталган жок"),
    "not_reachable": ("could not be reached", "не удалось связаться", "байланышууга мүмкүн болгон жок"),
    "not_genuine": ("not genuine", "заявка не подлинная", "арыз чыныгы эмес"),
    "other": ("another reason", "другая причина", "башка себеп"),
}

_NOTES: Final[Mapping[str, Texts]] = {
    "endorsed": (
        "endorsed; another member of the staff must approve it too",
        "поддержано; его должен одобрить ещё один сотрудник",
        "колдоого алынды; аны дагы бир кызматкер бекитиши керек",
    ),
    "room": (
        "{taken} of at most {most} applications: those that are open, and those that were withdrawn within a "
        "day of being sent",
        "заявок {taken} из {most} возможных: открытые и отозванные в течение дня после подачи",
        "арыз: эң көп {most} ичинен {taken}: ачык жана жөнөтүлгөндөн кийин бир күндө кайтарып алынгандар",
    ),
    "unverified": (
        "nobody has verified this; call the organisation on a number from another source",
        "этого никто не проверял; позвоните в организацию по номеру из другого источника",
        "муну эч ким текшерген эмес; уюмга башка булактан алынган номер менен чалыңыз",
    ),
}


def field(name: str, language: str) -> str:
    """Return the name of a field or column."""
    return FIELDS[name][LANGUAGES.index(language)]


def worded(texts: Mapping[str, Texts], code: str | None, language: str) -> str | None:
    """Return a code in words; the code itself if it is newer than this program, None if there is none."""
    if code is None:
        return None
    found = texts.get(code)
    return one_line(code) if found is None else found[LANGUAGES.index(language)]


def note(name: str, language: str, **values: object) -> str:
    """Return a note with its values."""
    return filled(_NOTES[name], language, values)
