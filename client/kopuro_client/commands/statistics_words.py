"""The words of `kopuro statistics --by` in English, Russian and Kyrgyz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kopuro_client.commands.code_words import Texts
from kopuro_client.commands.labels import LANGUAGES, inside

COMBINED: Final = "combined"  # the class of a row that stands for several

WORDS: Final[Mapping[str, Texts]] = {
    "sex": ("sex", "пол", "жынысы"),
    "age_band": ("age band", "возраст", "жашы"),
    "origin": ("origin", "страна происхождения", "келип чыккан өлкөсү"),
    "region": ("region", "регион", "аймак"),
    "need": ("need", "потребность", "муктаждык"),
    "stage": ("stage", "этап миграции", "миграция баскычы"),
    "urgency": ("urgency", "срочность", "шашылыштыгы"),
    "outcome": ("outcome", "результат", "жыйынтыгы"),
    "organization_kind": ("organisation kind", "вид организации", "уюмдун түрү"),
    "referrals": ("referrals", "направления", "жолдомолор"),
    "needs": ("needs", "потребности", "муктаждыктар"),
    "median": ("median answer time", "медиана времени ответа", "жооп убактысынын медианасы"),
    "p90": ("90th percentile", "90-й процентиль", "90-процентиль"),
    "all": ("all", "все", "баары"),
    COMBINED: ("combined", "вместе", "бирге"),
    "none": ("none", "нет", "жок"),
    "unknown": ("unknown", "неизвестно", "белгисиз"),
    "withheld": ("withheld", "скрыто", "жашырылган"),
    "would_reveal": (
        "{name}: withheld, because a row for any class would reveal one with fewer than 5",
        "{name}: скрыто, потому что строка любого класса раскрыла бы класс, где меньше 5",
        "{name}: жашырылган, анткени каалаган класстын сабы 5тен азын ачып коёт",
    ),
    "all_others": (
        "all classes without a row of their own",
        "все классы без своей строки",
        "өз сабы жок бардык класстар",
    ),
    "combined_of": ("{name} combined: {held}", "{name}, вместе: {held}", "{name}, бирге: {held}"),
    "why_withheld": (
        "withheld: figures below 5, and those from which they could be computed",
        "скрыто: числа меньше 5 и те, по которым их можно вычислить",
        "жашырылган: 5тен аз сандар жана аларды эсептөөгө мүмкүн кылгандар",
    ),
    "exact": (
        "exact figures: small ones can identify a person; do not publish them",
        "точные числа: по малым можно узнать человека; не публикуйте их",
        "так сандар: кичинелери боюнча адамды таанууга болот; аларды жарыялабаңыз",
    ),
    "counted": (
        "counted from the log's first {size} entries",
        "подсчитано по первым записям журнала ({size})",
        "журналдын алгачкы жазуулары боюнча эсептелди ({size})",
    ),
    "days": ("{days} d {hours} h", "{days} д {hours} ч", "{days} күн {hours} саат"),
    "hours": ("{hours} h {minutes} min", "{hours} ч {minutes} мин", "{hours} саат {minutes} мүн"),
    "minutes": ("{minutes} min {seconds} s", "{minutes} мин {seconds} с", "{minutes} мүн {seconds} сек"),
}

_VOCABULARIES: Final[Mapping[str, str]] = {
    "sex": "sexes",
    "age_band": "age_bands",
    "origin": "regions",
    "region": "regions",
    "need": "needs",
    "stage": "stages",
    "urgency": "urgencies",
    "outcome": "outcomes",
    "organization_kind": "organization_kinds",
}


def word(name: str, language: str, /, **values: object) -> str:
    """Return a word or phrase; the name itself if it is newer than this program."""
    texts = WORDS.get(name)
    return name if texts is None else texts[LANGUAGES.index(language)].format(**values)


def class_of(name: str, code: str, language: str) -> str:
    """Return a class of an attribute in words: the label of its code, or a word such as `combined`."""
    vocabulary = _VOCABULARIES.get(name)
    text = code if vocabulary is None else inside(vocabulary, code, language)
    return word(code, language) if text == code else text
