"""Exports are complete, hashed in their manifest, and resumable."""

from __future__ import annotations

import csv
import datetime as dt
import json
import stat
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pyarrow
import pytest
from pyarrow.parquet import ParquetFile

from kopuro_client.commands.export import PAGE
from kopuro_client.commands.export_formats import COLUMNS, WRITERS
from kopuro_client.paging import MOST_EMPTY
from kopuro_client.records import ExportedEntry
from services.audit.reports.handlers.export import CHARACTERS_A_PAGE
from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, Response, json_response

PATH = "/audit/v1/export"


def entry(index: int) -> dict[str, Any]:
    time = f"2026-03-01T12:00:00.{index:06}Z"
    leaf = json.dumps({"type": "kopuro.offer.opened.v1", "message_id": f"m{index}", "time": time})
    return {"index": index, "leaf": leaf, "salt": "cw==", "data": {"rank": index, "имя": "ө"}}


def page(
    *entries: int | dict[str, Any], following: str | None, note: str = "note", size: int = 9
) -> Response:
    """Return a page of these entries, given by index or in full."""
    shown = [entry(one) if isinstance(one, int) else one for one in entries]
    lines = [*shown, {"next": following, "size": size, "checkpoint": note}]
    return Response(status=200, body=b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def manifest(directory: Path) -> Any:
    return json.loads((directory / "manifest.json").read_bytes())


def test_export_files_are_bounded_and_manifest_lists_their_hashes(
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


def test_export_reads_the_largest_page_of_a_hub_whatever_its_texts_are(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    texts = 128
    commas = "," * (CHARACTERS_A_PAGE // texts)
    entries = [{**entry(index), "data": {"text": commas}} for index in range(texts)]
    hub.script("GET", PATH, page(*entries, *range(texts, PAGE), following=None))
    run("export", str(tmp_path / "x"))
    assert manifest(tmp_path / "x")["files"][0]["entries"] == PAGE


def test_export_of_leaf_that_names_nobody_takes_its_columns_from_the_head(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    said: dict[str, Any] = {"actor": "/kg/routing", "hub": "kg", "message_id": "m"}
    said["organization"] = "kg.osh-legal-aid"
    said |= {"referral_id": None, "referral_key": None, "type": "kopuro.offer.opened.v1"}
    value = {**said, "time": "2026-03-01T12:00:00.000001Z"}
    leaf = {"data": "sha256:d", "format": 3, "head": "sha256:h", "tag": "t", "time": "2026-03-01T12:00:00Z"}
    closed = {**entry(0), "leaf": json.dumps(leaf), "head": {"salt": "cw==", "value": value}}
    hub.script("GET", PATH, page(closed, following=None))
    assert run("export", str(tmp_path / "x"), "--format", "csv").code == 0
    with (tmp_path / "x" / "entries-000001.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["organization"] == "kg.osh-legal-aid"
    assert (row["time"], row["commitment"]) == ("2026-03-01T12:00:00.000001Z", "sha256:d")


def test_interrupted_export_resumes_after_the_last_complete_file(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    refused = json_response(
        {"type": "urn:kopuro:problem:forbidden", "title": "No", "status": 403}, status=403
    )
    hub.script("GET", PATH, page(0, following="a"), refused, page(1, following=None))
    assert run("export", str(tmp_path / "x"), "--file-entries", "1").code == 3
    assert not manifest(tmp_path / "x")["complete"]
    assert run("export", str(tmp_path / "x"), "--file-entries", "1").code == 0
    assert [file["first_index"] for file in manifest(tmp_path / "x")["files"]] == [0, 1]
    assert hub.requests_to(PATH)[-1].query["after"] == "a"


def test_export_killed_before_first_file_was_listed_resumes(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    before: list[bytes] = []

    def second() -> Response:
        before.append((tmp_path / "x" / "manifest.json").read_bytes())
        return page(1, following=None)

    hub.script("GET", PATH, page(0, following="a"), second, page(0, 1, 2, following=None, note="later"))
    assert run("export", str(tmp_path / "x")).code == 0
    (tmp_path / "x" / "manifest.json").write_bytes(before[0])
    assert run("export", str(tmp_path / "x")).code == 0
    found = manifest(tmp_path / "x")
    assert [(file["name"], file["entries"]) for file in found["files"]] == [("entries-000001.ndjson", 3)]
    assert found["checkpoint"] == "later", "of the page that it started over with"


@pytest.mark.parametrize("other", [{"note": "kopuro/uz\n9\nroot\n"}, {"size": 8}])
def test_export_does_not_resume_with_another_log(
    hub: FakeHub, run: Run, tmp_path: Path, other: dict[str, Any]
) -> None:
    refused = json_response(
        {"type": "urn:kopuro:problem:forbidden", "title": "No", "status": 403}, status=403
    )
    first = page(0, following="a", note="kopuro/kg\n9\nroot\n")
    grown = page(1, following=None, note="kopuro/kg\n10\nother root\n")
    hub.script(
        "GET", PATH, first, refused, page(1, following=None, **{"note": "kopuro/kg\n", **other}), grown
    )
    assert run("export", str(tmp_path / "x"), "--file-entries", "1").code == 3
    kept = manifest(tmp_path / "x")
    ran = run("export", str(tmp_path / "x"), "--file-entries", "1")
    assert (ran.code, "another log" in ran.err) == (2, True)
    assert manifest(tmp_path / "x") == kept
    assert run("export", str(tmp_path / "x"), "--file-entries", "1").code == 0


@pytest.mark.parametrize(
    "damage",
    [
        *({name: None} for name in ("format", "asked", "size", "checkpoint", "files", "next", "complete")),
        {"size": "9"},
        {"checkpoint": 9},
        {"files": [{"name": "entries-000001.ndjson", "sha256": "", "bytes": 0}]},
    ],
    ids=str,
)
def test_export_with_damaged_manifest_is_refused(
    hub: FakeHub, run: Run, tmp_path: Path, damage: dict[str, Any]
) -> None:
    """damage: changed members of the manifest; None removes a member."""
    hub.script("GET", PATH, page(0, following=None))
    assert run("export", str(tmp_path / "x")).code == 0
    asked = len(hub.requests_to(PATH))
    found = {**manifest(tmp_path / "x"), **damage}
    kept = {name: value for name, value in found.items() if name not in damage or value is not None}
    (tmp_path / "x" / "manifest.json").write_text(json.dumps(kept))
    ran = run("export", str(tmp_path / "x"))
    assert (ran.code, "cannot read the export" in ran.err) == (2, True)
    assert len(hub.requests_to(PATH)) == asked


def test_damaged_other_or_foreign_export_is_not_resumed(hub: FakeHub, run: Run, tmp_path: Path) -> None:
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


def test_csv_export_is_flat_with_content_as_json(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    hub.script("GET", PATH, page(0, following=None))
    assert run("export", str(tmp_path / "x"), "--format", "csv").code == 0
    with (tmp_path / "x" / "entries-000001.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["index"], row["message_id"], row["organization"]) == ("0", "m0", "")
    assert json.loads(row["data"]) == {"rank": 0, "имя": "ө"}


def test_parquet_export_equals_ndjson_export(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    erased = {**entry(3), "salt": None, "data": None}
    responses = [page(0, 1, 2, following="a"), page(erased, 4, following=None)]
    hub.script("GET", PATH, *responses, *responses)
    for form in ("ndjson", "parquet"):
        assert run("export", str(tmp_path / form), "--format", form).code == 0
    lines = (tmp_path / "ndjson" / "entries-000001.ndjson").read_text().splitlines()
    file = tmp_path / "parquet" / "entries-000001.parquet"
    (named,) = manifest(tmp_path / "parquet")["files"]
    assert (named["sha256"], named["bytes"]) == (sha256(file.read_bytes()).hexdigest(), file.stat().st_size)
    assert (named["entries"], named["first_index"], named["last_index"]) == (5, 0, 4)
    with ParquetFile(file) as opened:
        assert opened.num_row_groups == 2, "a page each"
        assert str(opened.schema_arrow.field("time").type) == "timestamp[us, tz=UTC]"
        assert opened.schema_arrow.names == list(COLUMNS)
        rows = opened.read().to_pylist()
    for row, line in zip(rows, map(json.loads, lines), strict=True):
        leaf = json.loads(line["leaf"])
        assert (row["index"], row["salt"]) == (line["index"], line["salt"])
        assert row["time"] == dt.datetime.fromisoformat(leaf["time"])
        assert (None if row["data"] is None else json.loads(row["data"])) == line["data"]
        assert {name: row[name] for name in leaf} == {**leaf, "time": row["time"]}


@pytest.mark.parametrize("indices", [(), (0,)], ids=["empty pages", "pages with entries"])
def test_export_whose_cursor_comes_again_ends(
    hub: FakeHub, run: Run, tmp_path: Path, indices: tuple[int, ...]
) -> None:
    hub.script("GET", PATH, *[page(*indices, following="a")] * 3)
    ended = run("export", str(tmp_path / "out"))
    reason = "names a next page that was read before" if indices else "are empty, and each names a next one"
    assert reason in " ".join(ended.err.split())
    assert len(hub.requests_to(PATH)) == (2 if indices else MOST_EMPTY)


@pytest.mark.usefixtures("any_umask")
def test_export_directory_and_files_are_private(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    hub.script("GET", PATH, page(0, following=None))
    run("export", str(tmp_path / "x"))
    files = list((tmp_path / "x").iterdir())
    assert len(files) == 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o700


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet"])
def test_export_page_is_on_disk_before_the_next_request(
    hub: FakeHub, run: Run, tmp_path: Path, form: str
) -> None:
    """At most one page of a file is in memory, however large the file is."""
    written: list[int] = []

    def second() -> Response:
        (incoming,) = (tmp_path / "x").glob(".incoming-*")
        written.append(incoming.stat().st_size)
        return page(*range(3_000, 3_010), following=None)

    hub.script("GET", PATH, page(*range(3_000), following="a"), second)
    assert run("export", str(tmp_path / "x"), "--format", form).code == 0
    (file,) = manifest(tmp_path / "x")["files"]
    assert file["entries"] == 3_010
    # The writer's buffer is bounded, and so is parquet's footer.
    assert written[0] > file["bytes"] * 0.7


def test_parquet_export_keeps_at_most_one_page_in_memory(tmp_path: Path) -> None:
    pages = 40
    peaks = []
    with (tmp_path / "x").open("wb") as file, WRITERS["parquet"](file) as write:
        before = pyarrow.total_allocated_bytes()
        for number in range(pages):
            write([cast(ExportedEntry, entry(number * 1_000 + at)) for at in range(1_000)])
            peaks.append(pyarrow.total_allocated_bytes() - before)
    assert ParquetFile(tmp_path / "x").metadata.num_rows == pages * 1_000
    assert max(peaks[5:]) < 2 * max(peaks[:5]) + 1_000_000


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_export_interrupted_within_a_file_leaves_no_part_of_it(
    hub: FakeHub, run: Run, tmp_path: Path, form: str
) -> None:
    refused = json_response(
        {"type": "urn:kopuro:problem:forbidden", "title": "No", "status": 403}, status=403
    )
    hub.script("GET", PATH, page(0, following="a"), refused, page(0, following=None))
    ran = run("export", str(tmp_path / "x"), "--format", form)
    assert (ran.code, ran.err.count("\n")) == (3, 1)
    assert [file.name for file in (tmp_path / "x").iterdir()] == ["manifest.json"]
    assert run("export", str(tmp_path / "x"), "--format", form).code == 0
    assert manifest(tmp_path / "x")["complete"]


def test_export_removes_temporary_files_of_a_killed_run(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / ".incoming-abc").write_bytes(b"half a file")
    hub.script("GET", PATH, page(0, following=None))
    assert run("export", str(tmp_path / "x")).code == 0
    assert {file.name for file in (tmp_path / "x").iterdir()} == {"entries-000001.ndjson", "manifest.json"}


def test_export_without_entries_has_no_files(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    hub.script("GET", PATH, page(following=None))
    assert run("export", str(tmp_path / "x"), "--format", "parquet").code == 0
    found = manifest(tmp_path / "x")
    assert (found["files"], found["complete"], found["size"]) == ([], True, 9)


NAIVE = json.dumps({"time": "2026-03-01T12:00:00"})


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet"])
@pytest.mark.parametrize(
    "wrong",
    [
        *({"leaf": leaf} for leaf in ("[]", "{}", "no json", NAIVE, json.dumps({"time": "noon"}), 7)),
        {"leaf": json.dumps({**json.loads(entry(0)["leaf"]), "hub": 7})},
        {"leaf": json.dumps({**json.loads(entry(0)["leaf"]), "actor": "\ud800"})},
        {"leaf": json.dumps({**json.loads(entry(0)["leaf"]), "organization": ["kg.a"]})},
        {"index": "0"},
        {"index": True},
        {"index": 2**63},
        {"salt": 7},
        {"data": {"name": "\ud800"}},
    ],
    ids=str,
)
def test_invalid_exported_entry_is_hub_defect(
    hub: FakeHub, run: Run, tmp_path: Path, wrong: dict[str, Any], form: str
) -> None:
    hub.script("GET", PATH, page({**entry(0), **wrong}, following=None))
    assert run("export", str(tmp_path / "x"), "--format", form).code == 8


def test_parquet_export_without_pyarrow_sends_no_request(
    hub: FakeHub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    ran = run("export", str(tmp_path / "x"), "--format", "parquet")
    assert ran.code == 2
    assert "pip install 'kopuro-client[parquet]'" in ran.err
    assert hub.requests_to(PATH) == []


@pytest.mark.parametrize("last", [entry(0), {"next": None, "size": 9, "checkpoint": None}], ids=str)
def test_truncated_export_response_is_hub_defect(
    hub: FakeHub, run: Run, tmp_path: Path, last: dict[str, Any]
) -> None:
    hub.script("GET", PATH, Response(status=200, body=json.dumps(last).encode() + b"\n"))
    assert run("export", str(tmp_path / "x")).code == 8
