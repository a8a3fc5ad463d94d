"""The pictures of the dashboards' figures."""

from __future__ import annotations

from typing import Any

import pytest

from docs.dashboards.panel import Kind
from docs.dashboards.pictures import PICTURES, Picture, drawn, legend
from tests.unit.docs.pages import ROOT


def named(kind: Kind) -> Picture:
    return next(picture for picture in PICTURES if picture.panel.kind is kind)


def test_legend_names_a_series_by_its_labels() -> None:
    assert legend("{{need_group}}, {{country}}", {"need_group": "legal", "country": "RU"}) == "legal, RU"


def test_lines_begin_at_the_start_of_the_run_and_leave_out_what_never_happened() -> None:
    results: list[dict[str, Any]] = [
        {"metric": {"status": "offered"}, "values": [[1000, "2"], [1010, "4"]]},
        {"metric": {"status": "on_hold"}, "values": [[1000, "0"], [1010, "0"]]},
    ]
    picture = drawn(named(Kind.lines), results, 10)
    assert "over 10 seconds" in picture
    assert ">offered</text>" in picture
    assert "on_hold" not in picture
    assert 'points="52.0,186.0 650.0,56.0"' in picture


def test_bars_are_ordered_by_their_length() -> None:
    results: list[dict[str, Any]] = [
        {"metric": {"need_group": name, "country": "RU"}, "value": [1000, value]}
        for name, value in (("work", "1"), ("legal", "7"), ("money", "0"))
    ]
    picture = drawn(named(Kind.bars), results, 10)
    assert picture.index("legal, RU") < picture.index("work, RU")
    assert "money" not in picture


@pytest.mark.parametrize("picture", PICTURES, ids=lambda one: one.file)
def test_picture_shows_its_panel_in_the_operations_page(picture: Picture) -> None:
    assert len(picture.panel.queries) == 1
    text = (ROOT / "docs" / picture.file).read_text(encoding="utf-8")
    assert f"<title>{picture.panel.title}</title>" in text
    assert f"({picture.file})" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
