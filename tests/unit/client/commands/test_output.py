import io
import json
import re

import pytest

from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import json_text, moment, one_line, printable

COLUMNS = ("id", "status", "needs")
STYLING = re.compile(r"\x1b\[[0-9;]*m")
ROW = ("0199a0de-0000-7000-8000-000000000001", "offered", "legal.wage_claim, basic_needs.shelter")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, width: int) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    Output(as_json=False, stdout=terminal).table(COLUMNS, [ROW, ROW])
    return [line.rstrip() for line in STYLING.sub("", terminal.getvalue()).splitlines()]


def test_table_that_fits_is_printed_as_table(monkeypatch: pytest.MonkeyPatch) -> None:
    heading, rule, first, second = shown(monkeypatch, 100)
    assert heading.split() == list(COLUMNS)
    assert set(rule) == {"─"}
    assert first == second
    assert all(cell in first for cell in ROW)


def test_table_that_fits_only_without_frame_is_printed_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    width = sum(map(len, ROW)) + 2 * (len(ROW) - 1)
    heading, first, second = shown(monkeypatch, width)
    assert heading.split() == list(COLUMNS)
    assert first == second == "  ".join(ROW)


def test_table_that_does_not_fit_is_printed_as_paragraphs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = shown(monkeypatch, 60)
    assert lines[0] == f"id      {ROW[0]}"
    assert lines[3] == ""
    assert lines[:3] == lines[4:]
    assert max(map(len, lines)) <= 60


@pytest.mark.parametrize("evil", ["\x1b[31m", "\x9b31m", "\r", "\x07", "\x7f", "\u202e", "\ud800"])
def test_unsafe_characters_are_replaced(evil: str) -> None:
    assert "\ufffd" in printable(f"a{evil}b")
    assert not any(character in printable(f"a{evil}b") for character in "\x1b\x9b\r\x07\x7f\u202e\ud800")


def test_json_text_escapes_unsafe_characters_and_keeps_its_value() -> None:

    value = {"имя": "a\x1b\x9b\u202e\n\ud800", "list": [1, None]}
    for indent in (None, 2):
        text = json_text(value, indent=indent)
        assert json.loads(text) == value
        assert "имя" in text
        assert not set("\x1b\x9b\u202e\ud800") & set(text)
    assert "\n" not in json_text(value)


def test_printable_values_are_readable() -> None:
    assert printable(None) == ""
    assert printable(True) == "yes"
    assert one_line({"a": ["b", "c"], "d": "e\n f"}) == "a=b, c, d=e f"
    assert moment("2026-05-01T09:00:00.123456Z") == "2026-05-01 09:00:00Z"
    assert moment("2026-05-01T09:00:00+06:00") == "2026-05-01 09:00:00+06:00"
    assert moment(None) == ""
