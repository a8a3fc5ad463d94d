"""Every promise of docs/security.md has a proof, and every attack in tests/threats proves one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.docs.pages import ROOT
from tests.unit.docs.threat_model import cited_files, collected_in, faults, promises

PAGE = ROOT / "docs" / "security.md"
SECURITY = PAGE.read_text(encoding="utf-8")
HERE = Path(__file__)
PROOF = f"[test_every_promise_has_a_proof_that_exists]({HERE.name})"


def test_every_promise_has_a_proof_that_exists() -> None:
    assert faults(SECURITY, PAGE.parent) == []


def test_page_makes_many_promises() -> None:
    assert len(promises(SECURITY)) > 40


def test_every_attack_proves_a_promise() -> None:
    attacks = set((ROOT / "tests" / "threats").glob("test_*.py"))
    assert len(attacks) > 5
    assert sorted(attacks - cited_files(SECURITY, PAGE.parent)) == []


@pytest.mark.parametrize(
    "page",
    [
        f"- **P1** It holds. {PROOF}",
        f"- **P1** It holds,\n  always.\n  {PROOF}.\n- **P2** Here too.\n  {PROOF}, {PROOF}\n\nSee P1.",
        f"| id | promise |\n|---|---|\n| **P1** | It holds. {PROOF} |",
        f"## What is promised\n\n- **P1** It holds. {PROOF}\n\n## Other\n\n- An item.\n\n| P1 | holds |",
        f"- **P1** It holds. {PROOF}\n\n```sh\n- no item\n```",
    ],
)
def test_promises_with_proofs_are_accepted(page: str) -> None:
    assert faults(page, HERE.parent) == []


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("Nothing.", "the page has no promise"),
        ("- **P1** It holds.", "P1: no proof"),
        ("- **P1** It holds. [a page](pages.py)", "P1: no proof"),
        (f"- **P1** It holds.\n\n{PROOF}", "P1: no proof"),
        (f"- **P1** It holds.\n- **P2** Here too. {PROOF}", "P1: no proof"),
        ("| id | promise |\n|---|---|\n| **P1** | It holds. |", "P1: no proof"),
        (f"- **P1** {PROOF} It holds.", "P1: does not end with its proof"),
        (f"- **P1** {PROOF} [a page](pages.py)", "P1: does not end with its proof"),
        (f"- **P1** It holds. {PROOF}\n- **P1** Again. {PROOF}", "P1 is used twice"),
        (f"- **P1** It holds. {PROOF}\n\nSee P2.", "P2 is not a promise"),
        (f"## What is promised\n\n- It holds. {PROOF}", f"It holds. {PROOF}"[:60] + ": no id"),
        (
            f"## What is promised\n\n| a | b |\n|---|---|\n| It | holds. {PROOF} |",
            f"It | holds. {PROOF}"[:60] + ": no id",
        ),
    ],
)
def test_promise_without_proof_or_id_is_a_fault(page: str, fault: str) -> None:
    assert faults(page, HERE.parent) == [fault]


@pytest.mark.parametrize(
    "proof",
    [
        f"[test_that_nobody_wrote]({HERE.name})",
        "[test_every_promise_has_a_proof_that_exists](test_that_nobody_wrote.py)",
        "[test_every_promise_has_a_proof_that_exists](threat_model.py)",
    ],
)
def test_proof_that_does_not_exist_is_a_fault(proof: str) -> None:
    (fault,) = faults(f"- **P1** It holds. {proof}", HERE.parent)
    name, target = proof.strip("[)").split("](")
    assert fault == f"P1: {target} has no {name}"


def test_test_that_is_only_mentioned_does_not_exist(tmp_path: Path) -> None:
    file = tmp_path / "test_mention.py"
    file.write_text(
        '"""def test_in_a_docstring() -> None:"""\n'
        "# def test_in_a_comment() -> None:\n"
        "def test_real() -> None:\n"
        "    def test_inside() -> None: ...\n"
        "test_assigned = test_real\n"
        "class TestClass:\n"
        "    async def test_method(self) -> None: ...\n"
        "class Helper:\n"
        "    def test_of_no_test_class(self) -> None: ...\n"
    )
    assert collected_in(file) == {"test_real", "test_method"}
