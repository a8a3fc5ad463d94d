from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from contracts.envelope import CONTENT_TYPE, Envelope
from contracts.errors import PROBLEMS, Refused, problem
from contracts.facts import CATALOGUE
from contracts.publish import (
    DIALECT,
    FOLDER,
    LABEL_LANGUAGES,
    LABELS,
    drifted,
    labels,
    main,
    publish,
    published,
)
from contracts.records import Malformed, load, plain
from contracts.referral import ReferralSubmission
from contracts.vocabularies import label
from tests.golden_messages.examples import AGREEMENT, EXAMPLES, FACTS, ORGANIZATION, SEALED

FILES = sorted(published())
GOLDEN = Path(__file__).parents[2] / "golden_messages"


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(
        json.loads((FOLDER / name).read_bytes()), format_checker=Draft202012Validator.FORMAT_CHECKER
    )


def without(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in names}


SUBMISSION: dict[str, Any] = {**plain(FACTS), "case": SEALED}


def test_published_files_match_the_records() -> None:
    assert drifted() == [], "run: python -m contracts.publish"


@pytest.mark.parametrize("name", FILES)
def test_every_published_file_is_json_schema_2020_12(name: str) -> None:
    schema = json.loads((FOLDER / name).read_bytes())
    assert schema["$schema"] == DIALECT
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", FILES)
def test_schema_references_stay_within_their_file(name: str) -> None:
    schema = json.loads((FOLDER / name).read_bytes())

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [r for child in node.values() for r in references(child)]
        return [r for child in node for r in references(child)] if isinstance(node, list) else []

    assert set(references(schema)) <= {f"#/$defs/{d}" for d in schema.get("$defs", {})}


def test_schema_ids_are_unique() -> None:
    ids = [json.loads(content)["$id"] for content in published().values()]
    assert len(set(ids)) == len(ids)
    assert "urn:kopuro:schema:events:offer.opened.v1" in ids


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_golden_message_validates_against_its_schemas(name: str) -> None:
    message = json.loads((GOLDEN / f"{name}.json").read_bytes())
    validator(f"events/{name.removeprefix('kopuro.')}.json").validate(message)
    validator("envelope.json").validate(message)


def test_envelope_schema_lists_every_written_attribute() -> None:
    schema = json.loads((FOLDER / "envelope.json").read_bytes())
    written = json.loads(next(iter(EXAMPLES.values())).encode())
    assert schema["properties"].keys() == written.keys()
    assert CONTENT_TYPE == "application/cloudevents+json"


@pytest.mark.parametrize("id_", ["", "i", "i" * 64, "i" * 65, "nul\0nul", "two\nlines"])
def test_envelope_schema_and_reader_accept_the_same_ids(id_: str) -> None:
    message = {**json.loads(next(iter(EXAMPLES.values())).encode()), "id": id_}
    try:
        Envelope.decode(json.dumps(message).encode())
        taken = True
    except Malformed:
        taken = False
    assert validator("envelope.json").is_valid(message) == taken


def test_event_schema_allows_unknown_fields_but_no_other_type() -> None:
    message = json.loads(EXAMPLES["kopuro.offer.opened.v1"].encode())
    opened = validator("events/offer.opened.v1.json")
    later = {**message, "new": 1, "data": {**message["data"], "facts": {**message["data"]["facts"], "x": 1}}}
    assert opened.is_valid(later)
    assert not opened.is_valid({**message, "type": "kopuro.offer.expired.v1"})
    assert not opened.is_valid({**message, "data": without(message["data"], "deadline")})


def test_event_schema_allows_new_vocabulary_codes() -> None:
    message = json.loads(EXAMPLES["kopuro.offer.opened.v1"].encode())
    message["data"]["facts"]["needs"] = ["legal.added_next_year"]
    assert validator("events/offer.opened.v1.json").is_valid(message)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("organization.json", plain(ORGANIZATION)),
        ("agreement.json", plain(AGREEMENT)),
        ("referral_submission.json", SUBMISSION),
        ("referral_submission.json", without(SUBMISSION, "to", "special_categories", "accepts_cost")),
        ("referral_submission.json", {**SUBMISSION, "to": None}),
        ("case.json", {"name": "А. А.", "phones": ["+996555000000"], "safe_contact": None}),
    ],
)
def test_body_schema_refuses_unknown_fields(name: str, body: dict[str, Any]) -> None:
    validator(name).validate(body)
    assert not validator(name).is_valid({**body, "unknown": 1})


@pytest.mark.parametrize(
    "wrong",
    [
        {"needs": []},
        {"needs": ["legal.no_such_need"]},
        {"region": "RU-XXX"},
        {"languages": ["xx"]},
        {"urgency": "very"},
        {"accepts_cost": 1},
        {"origin_country": "kg"},
        {"to": "Osh"},
        {"case": "not sealed"},
        {"special_categories": None},
        {"consent": {**SUBMISSION["consent"], "method": "telepathy"}},
        {"consent": {**SUBMISSION["consent"], "unknown": 1}},
        {"consent": without(SUBMISSION["consent"], "given_at")},
        {"consent": {**SUBMISSION["consent"], "given": False}},
        {"consent": {**SUBMISSION["consent"], "opt_in_kinds": ["ngo"]}},
    ],
)
def test_body_schema_refuses_documents_that_load_refuses(wrong: dict[str, Any]) -> None:
    body = {**SUBMISSION, **wrong}
    assert not validator("referral_submission.json").is_valid(body)
    with pytest.raises(Refused):
        load(ReferralSubmission, body)


def test_every_problem_validates_against_its_schema() -> None:
    for slug in PROBLEMS:
        validator("problem.json").validate(problem(slug, "A sentence."))
    validator("problem.json").validate(
        {**problem("conflict", "x"), "errors": [{"pointer": "/a", "detail": "b"}], "instance": "/x"}
    )
    assert not validator("problem.json").is_valid({**problem("conflict", "x"), "status": "409"})


def test_drift_lists_stale_missing_and_leftover_files(tmp_path: Path) -> None:
    assert publish(tmp_path) == FILES
    assert drifted(tmp_path) == []
    (tmp_path / "case.json").write_bytes(b"{}\n")
    (tmp_path / "problem.json").unlink()
    (tmp_path / "events" / "gone.v1.json").write_bytes(b"{}\n")
    assert drifted(tmp_path) == ["case.json", "events/gone.v1.json", "problem.json"]
    publish(tmp_path)
    assert drifted(tmp_path) == []


def test_publish_check_lists_drifted_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["--check"]) == 0
    monkeypatch.setattr("contracts.publish.drifted", lambda: ["case.json"])
    assert main(["--check"]) == 1
    assert capsys.readouterr().out == "drifted: contracts/schemas/case.json\n"
    with pytest.raises(SystemExit):
        main(["--chekc"])


def test_the_clients_labels_are_those_of_the_vocabularies() -> None:
    assert LABELS.read_bytes() == labels()
    assert json.loads(labels())["needs"]["legal.wage_claim"] == [
        label("needs", "legal.wage_claim", language) for language in LABEL_LANGUAGES
    ]
