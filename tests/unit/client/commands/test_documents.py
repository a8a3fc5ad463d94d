"""A case is printed completely, and its documents are saved under safe file names."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kopuro_client import public_key, seal
from kopuro_client.commands import ExitCode
from kopuro_client.commands.documents import LONGEST_NAME, file_name
from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, json_response


def document(
    name: object, content: bytes = b"hi", media_type: str = "application/pdf", **more: object
) -> Any:
    encoded = base64.b64encode(content).decode()
    return {"name": name, "media_type": media_type, "content": encoded, **more}


@pytest.fixture
def released(hub: FakeHub, sealing_key: dict[str, Any]) -> Any:
    """A function that makes the hub release a case."""

    def releasing(case: dict[str, Any]) -> None:
        sealed = seal(case, public_key(sealing_key))
        hub.script("GET", "/delivery/v1/case/r1", json_response({"referral_id": "r1", "case": sealed}))

    return releasing


def test_case_show_prints_unknown_fields(released: Any, run: Run) -> None:
    released(
        {
            "name": "Зарина",
            "embassy": {"country": "TJ", "room": 4},
            "allergies": ["penicillin", "\x1b[2Jnuts"],
            "documents": [document("a.pdf", pages=3), "loose text"],
        }
    )
    ran = run("case", "show", "r1")
    assert ran.code == ExitCode.OK
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert 'embassy {"country": "TJ", "room": 4}' in lines
    assert 'allergies ["penicillin", "\\u001b[2Jnuts"]' in lines
    assert "a.pdf application/pdf 2 pages=3" in lines
    assert "loose text" in lines
    assert "\x1b" not in ran.out


@pytest.mark.parametrize(
    "case", [{}, {"name": 7, "phones": "x", "documents": 3}, {"narrative": {"a": 1}, "documents": [None]}]
)
def test_case_show_prints_case_of_another_shape(released: Any, run: Run, case: dict[str, Any]) -> None:
    released(case)
    assert run("case", "show", "r1").code == ExitCode.OK


@pytest.mark.usefixtures("any_umask")
def test_documents_are_saved_under_safe_names_as_private_files(
    released: Any, run: Run, tmp_path: Path
) -> None:
    hostile = [
        "../../../etc/passwd",
        "/etc/cron.d/x",
        "..",
        ".bashrc",
        "a\x1b[31m\u202egpj.exe",
        "C:\\x\\y",
        "",
        7,
    ]
    released({"name": "A", "documents": [document(name, bytes([n])) for n, name in enumerate(hostile)]})
    inside = tmp_path / "inside"
    ran = run("case", "show", "r1", "--save-documents", str(inside / "new"))
    assert ran.code == ExitCode.OK
    saved = sorted((inside / "new").iterdir())
    assert [file.read_bytes() for file in saved] == [bytes([n]) for n in range(len(hostile))]
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in saved)
    assert (inside / "new").stat().st_mode & 0o777 == 0o700
    assert [path.name for path in inside.iterdir()] == ["new"]
    assert "\x1b" not in ran.out + ran.err
    assert "\u202e" not in ran.out + ran.err
    assert all(str(file) in ran.err for file in saved)


def test_case_without_documents_says_so(released: Any, run: Run, tmp_path: Path) -> None:
    released({"name": "A"})
    ran = run("case", "show", "r1", "--save-documents", str(tmp_path / "d"))
    assert (ran.code, ran.err) == (0, "the case has no documents\n")


def test_documents_are_not_saved_if_a_name_is_taken(released: Any, run: Run, tmp_path: Path) -> None:
    released({"name": "A", "documents": [document("a.pdf", b"1"), document("b.pdf", b"2")]})
    (tmp_path / "02-b.pdf").write_text("mine")
    ran = run("case", "show", "r1", "--save-documents", str(tmp_path))
    assert (ran.code, "File exists" in ran.err) == (ExitCode.USAGE, True)
    assert (tmp_path / "02-b.pdf").read_text() == "mine"
    assert not (tmp_path / "01-a.pdf").exists()


def test_document_without_base64_is_reported_and_others_are_saved(
    released: Any, run: Run, tmp_path: Path
) -> None:
    released({"name": "A", "documents": [{"name": "x", "content": "?"}, document("b.pdf", b"2"), "x"]})
    ran = run("case", "show", "r1", "--save-documents", str(tmp_path / "d"))
    assert ran.code == ExitCode.SEALING
    assert "/documents/0/content" in ran.err
    assert "/documents/2/content" in ran.err
    assert [file.name for file in (tmp_path / "d").iterdir()] == ["02-b.pdf"]


def test_documents_directory_that_cannot_be_created_is_reported_on_one_line(
    released: Any, run: Run, tmp_path: Path
) -> None:
    released({"name": "A", "documents": [document("a.pdf")]})
    (tmp_path / "file").write_text("")
    ran = run("case", "show", "r1", "--save-documents", str(tmp_path / "file"))
    assert ran.code == ExitCode.USAGE
    assert "Traceback" not in ran.err
    assert run("case", "show", "r1", "--sealed", "--save-documents", str(tmp_path)).code == ExitCode.USAGE


@given(
    st.integers(1, 20),
    st.text() | st.text("./\\: \x00\u202e\ud800а", max_size=300),
    st.sampled_from(["application/pdf", "x", ""]),
)
def test_file_name_is_one_safe_component(number: int, name: str, media_type: str) -> None:
    made = file_name(number, name, media_type)
    assert os.path.basename(made) == made
    assert made.startswith(f"{number:02}-")
    assert len(made.encode()) <= LONGEST_NAME
    assert made.isprintable()
    assert not set(made) & set('/\\:*?"<>|\x00')
    assert not made.endswith((".", " "))


def test_file_name_keeps_harmless_names() -> None:
    assert (
        file_name(1, "Трудовой договор (копия).pdf", "application/pdf") == "01-Трудовой договор (копия).pdf"
    )
    assert file_name(12, "Паспорт", "image/jpeg") == "12-Паспорт.jpg"
    assert file_name(2, "run", "application/x-sh") == "02-run"
