"""The CSV files under contracts/vocabularies: complete, consistent with the code lists and with ISO 3166."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from enum import StrEnum

import pycountry
import pytest

from contracts import codes, vocabularies
from contracts.vocabularies import FOLDER
from contracts.vocabularies.uzbek_cyrillic import cyrillic

LABEL_LANGUAGES = ("en", "ru", "ky", "tg", "uz", "uz-Cyrl", "kk")
_RUSSIAN = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
# The letters of each language; what Russian names bring into Kyrgyz, Kazakh and Uzbek is in their alphabets.
ALPHABETS = {
    "en": "abcdefghijklmnopqrstuvwxyz",
    "ru": _RUSSIAN,
    "ky": _RUSSIAN + "ңөү",
    # Without ц, щ, ы and ь since 1998.
    "tg": "абвгғдеёжзиӣйкқлмнопрстуӯфхҳчҷшъэюя",
    "uz": "abcdefghijklmnopqrstuvxyzʻʼ",
    "uz-Cyrl": "абвгғдеёжзийкқлмнопрстуўфхҳцчшъьэюя",
    "kk": _RUSSIAN + "әғқңөұүһі",
}
COUNTRIES = ("KG", "KZ", "TJ", "UZ", "RU")

CODE_LISTS: dict[str, type[StrEnum]] = {
    "age_bands": codes.AgeBand,
    "decline_reasons": codes.DeclineReason,
    "employer_practices": codes.EmployerPractice,
    "hand_back_reasons": codes.HandBackReason,
    "organization_kinds": codes.OrganizationKind,
    "outcomes": codes.Outcome,
    "referral_statuses": codes.ReferralStatus,
    "sexes": codes.Sex,
    "special_categories": codes.SpecialCategory,
    "stages": codes.Stage,
    "urgencies": codes.Urgency,
    "withdrawal_reasons": codes.WithdrawalReason,
}

HEADERS = {
    "needs": ("code", "parent", "sensitive", *LABEL_LANGUAGES),
    "regions": ("code", "country", *LABEL_LANGUAGES),
    "languages": ("code", *LABEL_LANGUAGES, "native"),
    **dict.fromkeys(CODE_LISTS, ("code", *LABEL_LANGUAGES)),
}

NEED_GROUPS = {
    "legal",
    "protection",
    "health",
    "psychosocial",
    "basic_needs",
    "work",
    "children",
    "money",
    "return",
    "consular",
    "information",
}


def rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def codes_of(name: str) -> list[str]:
    return [row["code"] for row in rows(name)]


def test_every_vocabulary_file_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*.csv")} == set(HEADERS)


@pytest.mark.parametrize("name", HEADERS)
def test_vocabulary_file_format_is_plain(name: str) -> None:
    data = (FOLDER / f"{name}.csv").read_bytes()
    text = data.decode("utf-8")
    assert not text.startswith("\ufeff")
    assert "\r" not in text
    assert text == unicodedata.normalize("NFC", text)
    # Written again with minimal quoting it is the same file: no stray blanks, no needless quotes.
    again = io.StringIO()
    csv.writer(again, lineterminator="\n").writerows(csv.reader(io.StringIO(text)))
    assert text == again.getvalue()


@pytest.mark.parametrize("name", HEADERS)
def test_vocabulary_has_no_empty_cell_or_repeated_code(name: str) -> None:
    table = rows(name)
    assert tuple(table[0]) == HEADERS[name]
    for row in table:
        for column, cell in row.items():
            assert cell == cell.strip()
            if column == "sensitive":
                assert cell in ("yes", ""), row["code"]
            elif column != "parent":
                assert cell, (row["code"], column)
    assert len(set(codes_of(name))) == len(table)


@pytest.mark.parametrize("name", CODE_LISTS)
def test_labels_follow_their_code_list(name: str) -> None:
    assert codes_of(name) == list(vocabularies.rows(name)) == [member.value for member in CODE_LISTS[name]]


@pytest.mark.parametrize("name", HEADERS)
def test_no_two_codes_of_a_list_carry_the_same_label(name: str) -> None:
    for language in LABEL_LANGUAGES:
        labels = [(row.get("parent"), row[language]) for row in rows(name)]
        assert len(set(labels)) == len(labels), language


@pytest.mark.parametrize("name", HEADERS)
def test_label_has_only_letters_of_its_language(name: str) -> None:
    """A letter of the other script that looks the same would break searching, sorting and reading aloud."""
    for row in rows(name):
        for language in LABEL_LANGUAGES:
            letters = {c for c in row[language].lower() if c.isalpha()}
            assert letters
            assert letters <= set(ALPHABETS[language]), (row["code"], language, row[language])


@pytest.mark.parametrize("name", HEADERS)
def test_uzbek_latin_label_has_proper_modifier_letters(name: str) -> None:
    """U+02BB makes oʻ and gʻ, U+02BC is the glottal stop; quotation marks and primes are neither."""
    for row in rows(name):
        label = row["uz"]
        assert not set("'`´‘’′") & set(label), (row["code"], label)
        assert not re.search("(?<![OoGg])ʻ|(?<![A-Za-z])ʼ|[OoGg]ʼ", label), (row["code"], label)


@pytest.mark.parametrize("name", HEADERS)
def test_uzbek_cyrillic_label_is_the_latin_one_transliterated(name: str) -> None:
    for row in rows(name):
        assert row["uz-Cyrl"] == cyrillic(row["uz"]), row["code"]


def test_language_is_called_by_its_own_name_in_its_own_labels() -> None:
    for row in rows("languages"):
        if row["code"] in LABEL_LANGUAGES:
            assert row[row["code"]].startswith(row["native"].removesuffix("ша")), row["code"]


def test_every_need_belongs_to_the_group_in_its_code() -> None:
    groups = {row["code"] for row in rows("needs") if not row["parent"]}
    assert groups == NEED_GROUPS
    for row in rows("needs"):
        if row["parent"]:
            assert row["parent"] in groups
            assert row["code"].startswith(row["parent"] + ".")
        else:
            assert "." not in row["code"]


def test_every_need_group_has_needs() -> None:
    assert {row["parent"] for row in rows("needs")} - {""} == NEED_GROUPS


def test_regions_match_iso_3166() -> None:
    expected = set(COUNTRIES)
    for country in COUNTRIES:
        expected |= {s.code for s in pycountry.subdivisions.get(country_code=country)}
    assert set(codes_of("regions")) == expected


def test_region_belongs_to_the_country_in_its_code() -> None:
    for row in rows("regions"):
        assert row["country"] == row["code"].partition("-")[0]


def test_region_names_are_ascii() -> None:
    for row in rows("regions"):
        assert row["en"].isascii(), row["en"]


def test_languages_are_bcp_47_with_known_subtags() -> None:
    for code in codes_of("languages"):
        language, _, script = code.partition("-")
        if len(language) == 2:
            assert pycountry.languages.get(alpha_2=language), code
        else:
            # RFC 5646 §2.2.1: a three-letter code only where there is no two-letter one
            found = pycountry.languages.get(alpha_3=language)
            assert found, code
            assert not hasattr(found, "alpha_2"), code
        assert not script or pycountry.scripts.get(alpha_4=script), code


def test_label_and_hotline_languages_are_listed() -> None:
    assert {*LABEL_LANGUAGES, "ro", "kaa"} <= set(codes_of("languages"))
