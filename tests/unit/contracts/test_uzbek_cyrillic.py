from __future__ import annotations

import pytest

from contracts.vocabularies.uzbek_cyrillic import cyrillic


@pytest.mark.parametrize(
    ("latin", "written"),
    [
        ("Oʻzbekiston", "Ўзбекистон"),
        ("gʻarbiy", "ғарбий"),
        ("roʻyxatdan oʻtish", "рўйхатдан ўтиш"),
        ("maʼlumot", "маълумот"),
        ("Isʼhoq", "Исҳоқ"),
        ("Shahar, chet, SHCH", "Шаҳар, чет, ШЧ"),
        ("yoʻl va yordam", "йўл ва ёрдам"),
        ("Yahudiy, yulduz, yetti, Yetti", "Яҳудий, юлдуз, етти, Етти"),
        ("El, element, poema, jarayonda edi", "Эл, элемент, поэма, жараёнда эди"),
        ("kech", "кеч"),
        ("Mangʻistov", "Манғистов"),
        ("Deportatsiya", "Депортация"),
        ("ketsa", "кетса"),
        ("Yamal-Nenets, ryazan", "Ямал-Ненец, рязань"),
        ("OIV boʻyicha", "ОИВ бўйича"),
        ("60 yosh — 0–11", "60 ёш — 0–11"),
        ("{organization}: qabul {reason}.", "{organization}: қабул {reason}."),
    ],
)
def test_latin_is_written_in_cyrillic(latin: str, written: str) -> None:
    assert cyrillic(latin) == written


def test_letter_that_uzbek_lacks_is_refused() -> None:
    with pytest.raises(KeyError):
        cyrillic("web")
