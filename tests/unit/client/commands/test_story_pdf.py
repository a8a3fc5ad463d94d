"""A story's PDF has the hub's text in every language, breaks between sentences, and is reproducible."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from contracts.vocabularies import FOLDER, rows
from kopuro_client import DefectError, InvalidArgumentError
from kopuro_client.commands import story_pdf as story_pdf_module
from kopuro_client.commands.story_pdf import story_pdf
from kopuro_client.records import StoryDocument
from services.audit.reports.domain.story import StoryEntry, build_story
from services.audit.reports.story_text import as_json
from services.audit.reports.story_words import LANGUAGES, words_of
from tests.long_run import times
from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, json_response

REFERRAL = "01a20017-af1f-76e0-9288-113cdc507552"
NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
OSH, MOSCOW = "kg.osh-legal-aid", "ru.moscow-union"
FACTS = {"needs": ["legal.wage_claim"], "urgency": "urgent", "region": "RU-MOW", "sex": "female"}
PATH = "/audit/v1/history/r1/story"


def story_fact(fact: str, index: int, **data: Any) -> StoryEntry:
    return StoryEntry(
        index=index, time=NOON + dt.timedelta(minutes=index), type=f"kopuro.{fact}.v1", data=data
    )


def document(language: str = "ky", *entries: StoryEntry) -> StoryDocument:
    """Return the story in the form in which the hub's API returns it."""
    story = build_story(REFERRAL, entries or SHORT, words_of(language))
    read: StoryDocument = json.loads(as_json(story))
    return read


SHORT = (
    story_fact("referral.submitted", 3, sender=OSH, facts=FACTS),
    story_fact("offer.opened", 4, organization=MOSCOW, rank=1, deadline="2026-03-02T12:00:00Z"),
    story_fact("offer.declined", 5, organization=MOSCOW, reason="no_capacity", note="До мая мест нет"),
    StoryEntry(index=7, time=NOON + dt.timedelta(days=1), type="kopuro.case.released.v1", data=None),
)


def batched(words: list[str], size: int) -> list[list[str]]:
    return [words[first : first + size] for first in range(0, len(words), size)]


def pages(content: bytes) -> list[str]:
    """Return the text of each page on one line."""
    return [" ".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(content)).pages]


@pytest.mark.parametrize("language", LANGUAGES)
def test_story_pdf_has_the_storys_text_in_order(language: str) -> None:
    story = document(language)
    (page,) = pages(story_pdf(story))
    wanted = [story["title"], story["situation"]["heading"]]
    wanted += [f"{name} {value}" for name, value in story["situation"]["stated"]]
    wanted += [story["events"]["heading"], *(line["text"] for line in story["events"]["sentences"])]
    at = 0
    for text in wanted:
        drawn = " ".join(text.split()).replace("ʻ", "‘")
        at = page.index(drawn, at) + len(drawn)
    assert "2026-03-01 12:04:00 UTC" in page
    assert page.endswith(f"{story['title']} · 1 / 1".replace("ʻ", "‘"))


def test_story_pdf_text_in_kyrgyz_is_extracted_verbatim() -> None:
    (page,) = pages(story_pdf(document("ky")))
    assert "kg.osh-legal-aid жолдомо жөнөттү." in page
    assert "Төлөнбөгөн эмгек акы" in page
    assert "ru.moscow-union баш тартты: кабыл алууга мүмкүнчүлүк жок. Эскертүү: «До мая мест нет»" in page


def test_uzbek_letters_are_drawn_with_a_mark_that_the_typeface_has() -> None:
    (page,) = pages(story_pdf(document("uz")))
    assert "kg.osh-legal-aid yo‘llanma yubordi." in page
    assert "[U+02BB]" not in page


def test_story_pdf_font_has_every_letter_of_phrases_and_labels(caplog: pytest.LogCaptureFixture) -> None:
    texts = ["ҢӨҮ ңөү ҒғҚқҲҳҶҷӢӣӮӯ ІіӘәҰұҺһ Ўў «» “” — …"]
    texts += [phrase for language in LANGUAGES for phrase in words_of(language).phrases.values()]
    labels = [row for file in FOLDER.glob("*.csv") for row in rows(file.stem).values()]
    texts += [text for row in labels for language in LANGUAGES if (text := row.get(language))]
    assert len(texts) > 500
    # Each word once: breaking all texts into lines takes 17 s.
    words = sorted({word for text in texts for word in text.split()})
    story = document()
    story["events"]["lines"] = [
        {"first": index, "last": index, "time": "2026-03-01T12:00:00Z", "text": text}
        for index, text in enumerate([texts[0], *(" ".join(some) for some in batched(words, 40))])
    ]
    drawn = " ".join(pages(story_pdf(story)))
    assert set("".join(words)) - {"ʻ"} <= set(drawn)
    assert "ҢӨҮ ңөү" in drawn
    assert "[U+" not in drawn
    assert [record.getMessage() for record in caplog.records if "glyph" in record.getMessage()] == []


def test_long_story_breaks_pages_between_sentences() -> None:
    count = times(60, 120)
    entries = [
        story_fact("offer.declined", n, organization=MOSCOW, reason="no_capacity", note="Ңөү жок " * (n % 60))
        for n in range(count)
    ]
    story = document("ky", *entries)
    found = pages(story_pdf(story))
    assert len(found) > times(5, 10)
    for number, page in enumerate(found, 1):
        assert page.endswith(f" · {number} / {len(found)}")
    shown = [[int(index) for index in re.findall(r"\[(\d+)\]", page)] for page in found]
    assert [index for page in shown for index in page] == list(range(count))
    sentences = [" ".join(line["text"].split()) for line in story["events"]["sentences"]]
    for page, indices in zip(found, shown, strict=True):
        at = 0
        for index in indices:  # complete, on the page with its index
            at = page.index(sentences[index], at) + len(sentences[index])


READS = tuple(story_fact("referral.read", n, reader="kg.coordinator") for n in range(8, 208))


def test_story_pdf_has_one_line_for_the_reads_of_one_reader_on_one_day() -> None:
    story = document("en", *SHORT[:3], *READS)
    [*others, line] = story["events"]["lines"]
    assert (len(others), line["first"], line["last"]) == (3, 8, 207)
    (page,) = pages(story_pdf(story))
    assert line["text"] in page
    assert page.count("kg.coordinator") == 1
    assert "[8…207]" in page


def test_story_pdf_of_an_older_hub_has_each_read() -> None:
    story = document("en", *SHORT[:3], *READS[:5])
    del story["events"]["lines"]
    (page,) = pages(story_pdf(story))
    assert page.count("kg.coordinator") == 5
    assert "[12]" in page


def test_same_story_gives_identical_pdf_bytes() -> None:
    here = story_pdf(document())
    code = (
        "import json, sys; from kopuro_client.commands.story_pdf import story_pdf;"
        "sys.stdout.buffer.write(story_pdf(json.load(sys.stdin)))"
    )
    environment = {**os.environ, "TZ": "Asia/Bishkek", "PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "1"}
    there = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(document()).encode(),
        env=environment,
        capture_output=True,
        check=True,
    )
    assert there.stdout == here
    metadata = PdfReader(io.BytesIO(here)).metadata
    assert metadata is not None
    assert metadata.creation_date == NOON + dt.timedelta(days=1), "of the last entry"


def test_character_without_glyph_is_written_as_code_point() -> None:
    story = document(
        "en", story_fact("offer.declined", 1, organization=MOSCOW, note="😀 中 a\u0301 {nb} \x1b[31m")
    )
    (page,) = pages(story_pdf(story))
    assert "[U+1F600] [U+4E2D] á {nb}" in page
    assert "\x1b" not in page


def test_sentence_longer_than_a_page_continues_on_the_next() -> None:
    story = document("en")
    story["events"]["lines"][0]["text"] = "😀" * 100_000
    found = pages(story_pdf(story))
    assert 3 < len(found) < 20
    assert "[7]" in found[-1]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {**document(), "events": {"heading": "h"}},
        {**document(), "events": {"heading": "h", "sentences": [{"index": 1, "time": "noon", "text": "t"}]}},
        {**document(), "events": {"heading": "h", "sentences": [{"index": "x", "text": "t", "time": "t"}]}},
        {**document(), "events": {"heading": "h", "sentences": [], "lines": [{"first": 1, "text": "t"}]}},
        {**document(), "events": {"heading": "h", "sentences": [], "lines": None}},
        {**document(), "situation": {"heading": "h", "stated": [["a"]], "lost": None}},
        {**document(), "situation": []},
    ],
)
def test_invalid_story_is_hub_defect(broken: Any) -> None:
    with pytest.raises(DefectError):
        story_pdf(broken)


def test_error_while_drawing_is_not_reported_as_hub_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr(story_pdf_module, "_write_lines", broken)
    with pytest.raises(ValueError, match="a fault"):
        story_pdf(document())


@pytest.mark.usefixtures("any_umask")
def test_story_pdf_file_is_private_and_overwrites_nothing(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    hub.script("GET", PATH, json_response(document()))
    file = tmp_path / "story.pdf"
    assert run("story", "r1", "--language", "ky", "--pdf", str(file)).out == f"{file}\n"
    assert hub.requests_to(PATH)[0].query == {"language": "ky", "format": "json"}
    assert file.read_bytes() == story_pdf(document())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run("story", "r1", "--pdf", str(file)).code == 2


@pytest.mark.parametrize("missing", ["fpdf", "fontpkg"])
def test_story_pdf_without_the_extra_sends_no_request(
    hub: FakeHub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    ran = run("story", "r1", "--pdf", str(tmp_path / "story.pdf"))
    assert ran.code == 2
    assert "pip install 'kopuro-client[pdf]'" in ran.err
    assert hub.requests_to(PATH) == []
    with pytest.raises(InvalidArgumentError, match="PT Sans"):
        story_pdf(document())
