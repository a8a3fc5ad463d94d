from __future__ import annotations

from contracts.organization import Organization
from contracts.records import dump
from services.directory.adapters.decoded_records import DecodedRecords
from tests.unit.services.directory.samples import organization


def text_of(name: str) -> str:
    return dump(organization(name)).decode()


def test_record_is_decoded_once_for_each_text() -> None:
    records, text = DecodedRecords(), text_of("kg.a")
    first = records.read(Organization, text)
    assert first == organization("kg.a")
    assert records.read(Organization, text_of("kg.a")) is first
    assert records.read(Organization, text.replace("Osh Legal Aid", "Renamed")).name == "Renamed"


def test_texts_that_are_kept_take_a_bounded_number_of_bytes() -> None:
    texts = [text_of(f"kg.{letter}") for letter in "abc"]
    records = DecodedRecords(most_bytes=2 * len(texts[0]))
    first, second = (records.read(Organization, text) for text in texts[:2])
    assert records.read(Organization, texts[0]) is first
    records.read(Organization, texts[2])  # forgets the one that was not read for the longest time
    assert records.read(Organization, texts[0]) is first
    assert records.read(Organization, texts[1]) is not second


def test_text_beyond_the_bound_is_decoded_and_not_kept() -> None:
    records = DecodedRecords(most_bytes=10)
    assert records.read(Organization, text_of("kg.a")) == organization("kg.a")
    assert records.read(Organization, text_of("kg.a")) == organization("kg.a")
