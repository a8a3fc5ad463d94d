"""Charts are well-formed, in proportion, and safe with any name."""

from __future__ import annotations

from xml.etree import ElementTree

from benchmarks.charts import Bar, Line, bars, lines
from benchmarks.figures import Spread

SVG = "{http://www.w3.org/2000/svg}"


def read(drawing: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawing)  # noqa: S314 - we have just written it


def exactly(value: float) -> Spread:
    return Spread(median=value, lowest=value, highest=value)


def test_bars_are_as_long_as_their_medians() -> None:
    drawn = read(
        bars("Loops", "a second", [Bar(name="a", figure=exactly(100)), Bar(name="b", figure=exactly(25))])
    )

    first, second = (float(bar.attrib["width"]) for bar in drawn.iter(f"{SVG}rect"))
    assert first == 4 * second


def test_names_are_escaped() -> None:
    drawn = read(bars("p50 < p99", "ms", [Bar(name="a & b", figure=exactly(1))]))

    assert "a & b" in [text.text for text in drawn.iter(f"{SVG}text")]


def test_chart_without_measurements_is_empty() -> None:
    drawn = read(bars("Loops", "a second", [Bar(name="a", figure=exactly(0))]))

    assert [bar.attrib["width"] for bar in drawn.iter(f"{SVG}rect")] == ["0.0"]


def test_line_ends_at_its_last_point_and_labels_do_not_overlap() -> None:
    same = [(0.0, 10.0), (5.0, 100.0)]
    drawn = read(lines("Memory", "MiB", [Line(name="a & b", points=same), Line(name="c", points=same)]))

    first, second = (line.attrib["points"].split() for line in drawn.iter(f"{SVG}polyline"))
    assert first == second
    heights = [float(text.attrib["y"]) for text in drawn.iter(f"{SVG}text") if text.text in ("a & b", "c")]
    assert heights[1] - heights[0] >= 15
