"""Open text: characters that show nothing or hide others, and names in the network's languages."""

from __future__ import annotations

import unicodedata
from typing import Final

import pytest
from marshmallow import ValidationError

from contracts.application import ApplicationRequest, ContactPerson
from contracts.employer import Employer
from contracts.open_text import NoTelephoneNumber, PlainText
from contracts.organization import Agreement, Organization, Service
from contracts.record_schema import schema_of

# Default_Ignorable_Code_Point of Unicode 17 (DerivedCoreProperties.txt), whole.
IGNORABLE: Final = (
    *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
    *((0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F)),
    *((0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A)),
    (0xE0000, 0xE0FFF),
)
BLANK: Final = (0x2800, 0xFFFC, 0x13441, 0x13442, 0x16FE4, 0x1D159)
NAMES: Final = (
    "Центр «Ёлка» имени Й. Щербаковой, № 5",
    "Өзгөн укук борбору — Ыйман жана Ңөү",
    "Oʻzbekiston mehnat muhojirlari “Gʻamxoʻrlik” markazi",
    "Ўзбек ҳуқуқий маркази қўмитаси",
    "Маркази ҳуқуқии муҳоҷирони «Ғарм», Қӯрғонтеппа",
    "Құқық қорғау орталығы «Әділет» — Өскемен, Іле",
    "Trung tâm hỗ trợ người lao động ở Nghệ An — Nguyễn Thị Ngọc Ệ",
    "Crèche d’Orléans (Île-de-France) & Co. +7",
    "مركز دعم العُمّال",
    "શ્રમિક સહાય કેન્દ્ર — श्रमिक सहायता केंद्र",
    "မြို့နယ် အလုပ်သမား ကူညီရေး",
    "ศูนย์ช่วยเหลือแรงงาน",
    "노동자 지원 센터",
    "ཞབས་ཏོག་བསྒྲུབས",
    "עֵזְרָה לָעוֹבְדִים",
    "移民労働者支援センター",
)


def refuses(text: str) -> bool:
    try:
        PlainText()(text)
    except ValidationError:
        return True
    return False


def test_characters_that_show_nothing_are_refused_alone_and_inside_a_name() -> None:
    ignorable = [code for first, last in IGNORABLE for code in range(first, last + 1)]
    for code in (*ignorable, *BLANK):
        assert refuses(chr(code)), f"U+{code:04X}"
        assert refuses(f"Osh{chr(code)}Aid"), f"U+{code:04X}"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC"])
def test_names_pass_in_every_unicode_form(name: str, form: str) -> None:
    assert not refuses(unicodedata.normalize(form, name))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["A" + "\u0301" * 6, "A" + "\u0301" * 190, "\u0301", "\u0301A", "A \u0301", "\u20ddA", "  "]
)
def test_marks_without_a_letter_and_stacks_of_them_are_refused(text: str) -> None:
    assert refuses(text)


def test_lines_are_allowed_where_a_text_may_have_several() -> None:
    assert PlainText(lines=True)("First.\nSecond.")
    for text in ("A\nB\u3164", "A\n\u0301", "\n"):
        with pytest.raises(ValidationError):
            PlainText(lines=True)(text)


@pytest.mark.parametrize(
    ("record", "member"),
    [
        (ApplicationRequest, "name"),
        (ContactPerson, "name"),
        (Organization, "name"),
        (Service, "name"),
        (Agreement, "title"),
        (Employer, "name"),
    ],
)
def test_every_submitted_name_and_title_is_plain_text(record: type, member: str) -> None:
    for text in ("\u3164\u3164", "Osh\u202eAid", "Osh\nAid", "Osh" + "\u0301" * 9):
        assert member in schema_of(record)().validate({member: text})
    assert member not in schema_of(record)().validate({member: NAMES[0]})


@pytest.mark.parametrize(
    "digits",
    [
        *("".join(map(chr, range(zero, zero + 10))) for zero in (0xFF10, 0x1D7CE, 0x0660, 0x06F0, 0x09E6)),
        *("⁰¹²³⁴⁵⁶⁷⁸⁹", "⓪①②③④⑤⑥⑦⑧⑨", "⓿❶❷❸❹❺❻❼❽❾", "🄋➀➁➂➃➄➅➆➇➈", "🄌➊➋➌➍➎➏➐➑➒", "〇一二三四五六七八九"),
    ],
)
def test_telephone_number_is_found_in_every_form_of_its_digits(digits: str) -> None:
    """Digits of other scripts; superscripts, ideographs and digits in circles."""
    with pytest.raises(ValidationError, match="no telephone number"):
        NoTelephoneNumber()("call +" + "".join(digits[int(one)] for one in "996312000000"))


@pytest.mark.parametrize(
    "hidden",
    [
        *(
            "\u3164",
            "\u115f",
            "\u2800",
            "\ufe0f",
            "\u200b",
            "\u0301",
            "\u0903",
            "\u00a0",
            "-",
            "....",
            " - - ",
        ),
        *("\n\n\n\n", ";&#", "\u02bc", "\u30fc", " \u2e3a \u2e3a "),
    ],
)
def test_telephone_number_is_found_however_its_digits_are_separated(hidden: str) -> None:
    with pytest.raises(ValidationError):
        NoTelephoneNumber()("call " + hidden.join("996312000000"))


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("01.03.2026 - 01.04.2026", "01.03.2026 to 01.04.2026"),
        ("2026-03-01: 15 000", "2026-03-01: KGS 15 000"),
    ],
)
def test_refusal_of_dates_without_a_letter_between_them_says_what_to_change(text: str, mended: str) -> None:
    with pytest.raises(ValidationError, match="nine digits or more without a letter between them"):
        NoTelephoneNumber()(text)
    assert NoTelephoneNumber()(mended) == mended


@pytest.mark.parametrize(
    "text", ["+996 312", "Order 12345678 of 01.03.2026", "5 1Ⅻ 2026 — 12½%", "Зд. 12, кв. 34, 720001"]
)
def test_dates_and_short_numbers_are_not_telephone_numbers(text: str) -> None:
    assert NoTelephoneNumber()(text) == text
