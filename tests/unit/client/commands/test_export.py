"""An export is whole, named by its hashes, and goes on where it broke off."""

from __future__ import annotations

import csv
import json
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import Answer, FakeHub, answer

PATH = "/audit/v1/export"


def entry(index: int) -> dict[str, Any]:
    leaf = json.dumps({"type": "kopuro.offer.opened.v1", "message_id": f"m{index}", "time": "t"})
    return {"index": index, "leaf": leaf, "salt": "cw==", "data": {"rank": index, "имя": "ө"}}


def page(*indices: int, following: str | None, note: str = "note") -> Answer:
    lines = [*map(entry, indices), {"next": following, "size": 9, "checkpoint": note}]
    return Answer(status=200, body=b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def manifest(directory: Path) -> Any:
    return json.loads((directory / "manifest.json").read_bytes())


def test_files_are_bounded_and_the_manifest_names_their_hashes(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    hub.script(
        "GET", PATH, page(0, 1, following="a"), page(2, following="b", note="later"), page(3, following=None)
    )
    ran = run("export", str(tmp_path / "x"), "--file-entries", "3", "--from", "2026-01-01T00:00:00Z")
    assert ran.out == f"{tmp_path / 'x' / 'manifest.json'}\n"
    found = manifest(tmp_path / "x")
    assert [(file["entries"], file["first_index"], file["last_index"]) for file in found["files"]] == [
        (3, 0, 2),
        (1, 3, 3),
    ]
    for file in found["files"]:
        content = (tmp_path / "x" / file["name"]).read_bytes()
        assert (sha256(content).hexdigest(), len(content)) == (file["sha256"], file["bytes"])
    lines = (tmp_path / "x" / "entries-000001.ndjson").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [entry(0), entry(1), entry(2)]
    assert (found["complete"], found["size"], found["checkpoint"]) == (True, 9, "note")
    assert [request.query["limit"] for request in hub.requests_to(PATH)] == ["3", "1", "3"]


def test_broken_off_it_goes_on_after_the_last_whole_file(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    refused = answer({"type": "urn:kopuro:problem:forbidden", "title": "No", "status": 403}, status=403)
    hub.script("GET", PATH, page(0, following="a"), refused, page(1, following=None))
    assert run("export", str(tmp_path / "x"), "--file-entries", "1").code == 3
    assert not manifest(tmp_path / "x")["complete"]
    assert run("export", str(tmp_path / "x"), "--file-entries", "1").code == 0
    assert [file["first_index"] for file in manifest(tmp_path / "x")["files"]] == [0, 1]
    assert hub.requests_to(PATH)[-1].query["after"] == "a"


def test_a_damaged_file_another_export_or_a_foreign_folder_is_not_gone_on_with(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    hub.script("GET", PATH, page(0, following=None))
    assert run("export", str(tmp_path / "x")).code == 0
    asked = len(hub.requests_to(PATH))
    assert run("export", str(tmp_path / "x"), "--format", "csv").code == 2
    (tmp_path / "x" / "entries-000001.ndjson").write_bytes(b"{}\n")
    assert run("export", str(tmp_path / "x")).code == 2
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    assert run("export", str(tmp_path / "mine")).code == 2
    assert len(hub.requests_to(PATH)) == asked


def test_csv_is_flat_with_the_content_as_json(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    hub.script("GET", PATH, page(0, following=None))
    assert run("export", str(tmp_path / "x"), "--format", "csv").code == 0
    with (tmp_path / "x" / "entries-000001.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["index"], row["message_id"], row["organization"]) == ("0", "m0", "")
    assert json.loads(row["data"]) == {"rank": 0, "имя": "ө"}


@pytest.mark.skipif(find_spec("pyarrow") is not None, reason="says what is missing where it is missing")
def test_parquet_says_what_it_needs_before_anything_is_asked(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    ran = run("export", str(tmp_path / "x"), "--format", "parquet")
    assert ran.code == 2
    assert "kopuro-client[parquet]" in ran.err
    assert hub.requests_to(PATH) == []


def test_an_answer_that_breaks_off_is_no_export(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    hub.script("GET", PATH, Answer(status=200, body=json.dumps(entry(0)).encode() + b"\n"))
    assert run("export", str(tmp_path / "x")).code == 8
