"""A story as PDF. With the same versions of the libraries, the same story gives the same bytes.

The extra `kopuro-client[pdf]` installs the libraries: fpdf2, and PT Sans, a typeface for languages written in
Cyrillic. A character without a glyph, such as an emoji in a note, is written as its code point instead of an
empty box.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from kopuro_client.commands.printable import one_line
from kopuro_client.errors import DefectError, InvalidArgumentError
from kopuro_client.records import StoryDocument, StoryLine

if TYPE_CHECKING:
    from fpdf import FPDF

_MISSING: Final = "a PDF needs fpdf2 and PT Sans: pip install 'kopuro-client[pdf]'"
_NO_STORY: Final = "the hub's story violates its contract"
_FAMILY: Final = "PT Sans"
_MARGIN: Final = 18.0  # millimetres, as all lengths here; type is in points
_QUIET: Final = 110  # grey of the text beside the sentences
# fpdf2 replaces this by the number of pages. No text of a story contains two spaces in a row.
_PAGES: Final = "  {nb}"
# A page holds about 4,000 characters; the hub cuts people's text at 600.
_LONGEST: Final = 3_000


def require() -> None:
    """Raises InvalidArgumentError, naming the missing packages, if the extra is not installed."""
    _empty_document()


def story_pdf(story: StoryDocument) -> bytes:
    """Return the story as a PDF file on A4 pages.

    Raises InvalidArgumentError if the extra is not installed, DefectError if the story violates its contract.
    """
    pdf = _empty_document()
    lines = _lines(story)
    times = _times(story, lines)
    # The last line's time, not the current time, so that the same story gives the same bytes.
    pdf.set_creation_date(max(times, default=dt.datetime.fromtimestamp(0, dt.UTC)))
    pdf.set_lang(one_line(story["language"]))
    pdf.set_title(_drawable(pdf, story["title"]))
    pdf.set_creator("kopuro")
    pdf.add_page()
    _write_heading(pdf, story["title"], size=15, above=0)
    _write_situation(pdf, story)
    _write_heading(pdf, story["events"]["heading"], size=12, above=6)
    _write_lines(pdf, lines, times)
    return bytes(pdf.output())


def _lines(story: StoryDocument) -> list[StoryLine]:
    """Return the lines for people; of an older hub, which has none, a line for each sentence.

    Raises DefectError if the document violates its contract.
    """
    try:
        events = story["events"]
        if "lines" in events:
            return list(events["lines"])
        return [
            {"first": one["index"], "last": one["index"], "time": one["time"], "text": one["text"]}
            for one in events["sentences"]
        ]
    except (KeyError, TypeError) as error:
        raise DefectError(_NO_STORY) from error


def _times(story: StoryDocument, lines: list[StoryLine]) -> list[dt.datetime]:
    """Return the lines' times. Raises DefectError if any part of the document violates its contract."""
    try:
        situation, events = story["situation"], story["events"]
        texts = [story["language"], story["title"], situation["heading"], events["heading"]]
        texts += [text for pair in situation["stated"] for text in pair]
        texts += [line["text"] for line in lines]
        sound = (
            all(isinstance(text, str) for text in texts)
            and isinstance(situation["lost"], str | None)
            and all(len(pair) == 2 for pair in situation["stated"])
            and all(type(index) is int for line in lines for index in (line["first"], line["last"]))
        )
        times = [_utc(line["time"]) for line in lines]
    except (KeyError, TypeError, ValueError) as error:
        raise DefectError(_NO_STORY) from error
    if not sound:
        raise DefectError(_NO_STORY)
    return times


def _empty_document() -> FPDF:
    try:
        fpdf, fontpkg = import_module("fpdf"), import_module("fontpkg")
        regular, bold = fontpkg.path(_FAMILY), fontpkg.path(_FAMILY, weight=700)
    except (ImportError, LookupError):
        raise InvalidArgumentError(_MISSING) from None

    class Document(fpdf.FPDF):  # type: ignore[misc, name-defined]  # imported at run time
        def footer(self) -> None:
            self.set_y(-_MARGIN + 6)
            self.set_font(_FAMILY, size=8)
            self.set_text_color(_QUIET)
            self.cell(0, 4, f"{self.title} · {self.page_no()} / {_PAGES}", align="C")

    pdf: FPDF = Document(format="A4")
    pdf.add_font(_FAMILY, "", regular)
    pdf.add_font(_FAMILY, "B", bold)
    pdf.alias_nb_pages(_PAGES)
    pdf.set_margin(_MARGIN)
    pdf.set_auto_page_break(True, margin=_MARGIN)
    return pdf


def _write_heading(pdf: FPDF, text: str, *, size: float, above: float) -> None:
    pdf.set_y(pdf.get_y() + above)
    pdf.set_font(_FAMILY, "B", size)
    pdf.set_text_color(0)
    pdf.multi_cell(0, size * 0.5, _drawable(pdf, text), align="L", new_x="LMARGIN", new_y="NEXT")
    pdf.set_y(pdf.get_y() + 1.5)


def _write_situation(pdf: FPDF, story: StoryDocument) -> None:
    situation = story["situation"]
    _write_heading(pdf, situation["heading"], size=12, above=4)
    if situation["lost"] is not None:
        pdf.set_font(_FAMILY, size=10)
        pdf.multi_cell(0, 5, _drawable(pdf, situation["lost"]), align="L", new_x="LMARGIN", new_y="NEXT")
    for name, value in situation["stated"]:
        top, page = pdf.get_y(), pdf.page
        pdf.set_font(_FAMILY, size=10)
        pdf.set_text_color(_QUIET)
        pdf.cell(48, 5, _drawable(pdf, name))
        pdf.set_text_color(0)
        pdf.multi_cell(0, 5, _drawable(pdf, value), align="L", new_x="LMARGIN", new_y="NEXT")
        if pdf.page == page:
            pdf.set_y(max(pdf.get_y(), top + 5))


def _write_lines(pdf: FPDF, lines: list[StoryLine], times: list[dt.datetime]) -> None:
    """Write a row for each line: time, text, and the indices of its entries. Pages break between rows."""
    pdf.set_font(_FAMILY, size=10)
    time_wide = pdf.get_string_width("0000-00-00 00:00:00 UTC") + 5
    indices = [_indices(line) for line in lines]
    index_wide = max([18.0, *(pdf.get_string_width(one) + 3 for one in indices)])
    text_wide = pdf.epw - time_wide - index_wide
    for line, time, index in zip(lines, times, indices, strict=True):
        text = _drawable(pdf, line["text"])
        height = pdf.multi_cell(text_wide, 5, text, align="L", dry_run=True, output="HEIGHT")
        if pdf.will_page_break(cast(float, height)) and pdf.get_y() > pdf.t_margin:
            pdf.add_page()
        top = pdf.get_y()
        pdf.set_text_color(_QUIET)
        pdf.cell(time_wide, 5, time.strftime("%Y-%m-%d %H:%M:%S UTC"))
        pdf.set_xy(pdf.l_margin + time_wide + text_wide, top)
        pdf.cell(index_wide, 5, index, align="R")
        pdf.set_xy(pdf.l_margin + time_wide, top)
        pdf.set_text_color(0)
        pdf.multi_cell(text_wide, 5, text, align="L", new_x="LMARGIN", new_y="NEXT")
        pdf.set_y(pdf.get_y() + 1)


def _indices(line: StoryLine) -> str:
    first, last = int(line["first"]), int(line["last"])
    return f"[{first}]" if first == last else f"[{first}…{last}]"


def _drawable(pdf: FPDF, text: str) -> str:
    """Return the text on one line, with `[U+1F600]` for characters that the font lacks."""
    # PT Sans lacks U+02BB of the Uzbek oʻ and gʻ; U+2018 looks the same.
    text = text.replace("ʻ", "‘")
    glyphs = pdf.fonts[_FAMILY.lower()].cmap  # type: ignore[union-attr]  # no core font has that name
    composed = unicodedata.normalize("NFC", one_line(text))
    cut = composed if len(composed) <= _LONGEST else composed[:_LONGEST] + "…"
    return "".join(char if ord(char) in glyphs else f"[U+{ord(char):04X}]" for char in cut)


def _utc(text: str) -> dt.datetime:
    time = dt.datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without an offset")
    return time.astimezone(dt.UTC)
