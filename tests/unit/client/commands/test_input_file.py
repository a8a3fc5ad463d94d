"""Files and stdin are read as UTF-8, with or without a byte order mark."""

from __future__ import annotations

import codecs
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from kopuro_client.commands import ExitCode
from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub

SUBMISSION = json.dumps({"needs": ["shelter"], "case": {"name": "Азамат"}}, ensure_ascii=False)
REFUSED = {
    "utf-16": "in UTF-16 or UTF-32: save it as UTF-8",
    "utf-32": "in UTF-16 or UTF-32: save it as UTF-8",
    "utf-16-le": "is not JSON in UTF-8",
    "utf-16-be": "is not JSON in UTF-8",
    "cp1251": "is not JSON in UTF-8",
}


@pytest.fixture(params=["file", "stdin"])
def seal(request: pytest.FixtureRequest, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that runs `case seal` on bytes, in a file or on stdin."""

    def sealing(content: bytes) -> Any:
        if request.param == "file":
            (tmp_path / "referral.json").write_bytes(content)
            return run("case", "seal", str(tmp_path / "referral.json"))
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        return run("case", "seal", "-")

    return sealing


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_utf_8_input_is_read_with_and_without_byte_order_mark(seal: Any, mark: bytes) -> None:
    assert seal(mark + SUBMISSION.encode()).json()["case"].count(".") == 4


@pytest.mark.parametrize("encoding", REFUSED)
def test_input_in_other_encodings_is_refused_with_advice(seal: Any, encoding: str) -> None:
    ran = seal(SUBMISSION.encode(encoding))
    assert (ran.code, ran.out) == (ExitCode.USAGE, "")
    assert REFUSED[encoding] in ran.err
    assert len(ran.err.splitlines()) == 1


def test_malformed_json_is_refused_with_line_and_column(seal: Any) -> None:
    ran = seal(b'\xef\xbb\xbf{"needs": ["shelter"],\n "case": {,}}')
    assert ran.code == ExitCode.USAGE
    assert ran.err.strip().endswith("is not JSON in UTF-8 (line 2, column 11)")


def test_invalid_case_is_reported_once_with_pointer_into_the_file(seal: Any) -> None:
    ran = seal(json.dumps({"case": {"name": "A", "phones": ["0555"], "age": 7}}).encode())
    assert ran.code == ExitCode.SEALING
    assert ran.err.splitlines() == [
        "kopuro: the case does not follow the contract",
        "  /case/age: This field is not in the contract.",
        "  /case/phones/0: Must be an E.164 number such as +996700000000.",
    ]


def test_invalid_case_with_json_is_reported_as_json(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    (tmp_path / "referral.json").write_text('{"case": {}}')
    ran = run("referral", "submit", str(tmp_path / "referral.json"), "--json")
    assert (ran.code, ran.out) == (ExitCode.SEALING, "")
    document = json.loads(ran.err)
    assert document["type"] == "urn:kopuro:command:sealing"
    assert document["exit_status"] == ExitCode.SEALING
    assert document["errors"] == [
        {"pointer": "/case/name", "detail": "Must be a string of 1 to 300 characters."}
    ]


def test_credentials_and_keys_with_byte_order_mark_are_read(
    hub: FakeHub, run: Run, credentials: Path
) -> None:
    credentials.write_bytes(codecs.BOM_UTF8 + credentials.read_bytes())
    referral = "0199a0de-0000-7000-8000-000000000001"
    assert run("referral", "show", referral).code == ExitCode.REFUSED  # the hub was asked
    credentials.write_bytes(credentials.read_text(encoding="utf-8-sig").encode("utf-16"))
    ran = run("referral", "show", referral)
    assert (ran.code, "UTF-16" in ran.err) == (ExitCode.USAGE, True)


def test_directory_or_missing_file_is_reported_on_one_line(run: Run, tmp_path: Path) -> None:
    for file, reason in ((tmp_path, "Is a directory"), (tmp_path / "absent", "No such file")):
        for command in (("case", "seal"), ("key", "publish"), ("verify", "bundle"), ("verify", "receipt")):
            ran = run(*command, str(file))
            assert (ran.code, ran.out) == (ExitCode.USAGE, "")
            assert len(ran.err.splitlines()) == 1
            assert reason in ran.err


@pytest.mark.parametrize("organizations", [[], "x", {"kg.osh-legal-aid": 7}, {"kg.osh-legal-aid": {}}])
def test_malformed_credentials_are_reported_on_one_line(
    run: Run, credentials: Path, organizations: object
) -> None:
    credentials.write_text(json.dumps({"organizations": organizations}))
    ran = run("referral", "show", "r1")
    assert (ran.code, len(ran.err.splitlines())) == (ExitCode.USAGE, 1)


FAULTY_JSON = {
    b'{"needs": [], "case": {"name": "A"}, "needs": ["x"]}': "names /needs twice",
    b'{"case": {"name": "A", "documents": [{}, {"a/b~": 1, "a/b~": 1}]}}': (
        "names /case/documents/1/a~1b~0 twice"
    ),
    b'{"profile": {"staff": [1, NaN]}}': "has a number at /profile/staff/1 that is not finite",
    b'{"profile": {"staff": -Infinity}}': "has a number at /profile/staff that is not finite",
    b'{"profile": {"staff": 1e999}}': "has a number at /profile/staff that is not finite",
    b'{"name": ["\\ud800"]}': "has text at /name/0 that is not valid Unicode",
    b'{"name": {"\\udc00": 1}}': "has a member name in /name that is not valid Unicode",
}


@pytest.mark.parametrize("content", FAULTY_JSON)
def test_value_that_no_hub_accepts_is_refused_with_its_pointer(seal: Any, content: bytes) -> None:
    ran = seal(content)
    assert (ran.code, ran.out) == (ExitCode.USAGE, "")
    assert ran.err.strip().endswith(FAULTY_JSON[content])
    assert len(ran.err.splitlines()) == 1


def test_first_of_several_faults_is_named(seal: Any) -> None:
    ran = seal(b'{"a": {"b": NaN, "c": 1}, "d": NaN}')
    assert ran.err.strip().endswith("has a number at /a/b that is not finite")
