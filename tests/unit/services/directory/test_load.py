"""Loading from files: all or nothing, and every fault with its position."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import Refused
from services.directory.load import load
from tests.unit.services.directory.samples import OSH, Directory, organization_record, service_record

SECRET = "s" * 43
CREDENTIAL = {"client_id": "desk", "client_secret": SECRET, "principal": OSH, "roles": ["partner"]}
AGREEMENT = {
    "id": "memorandum",
    "title": "Memorandum",
    "kind": "network_memorandum",
    "parties": ["*"],
    "disclosure": "standard",
    "effective_from": "2021-03-01",
}


def written(directory: Path, name: str, content: Any) -> Path:
    file = directory / f"{name}.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def run(directory: Directory, **files: Path) -> tuple[int, list[str], list[str]]:
    out, err = io.StringIO(), io.StringIO()
    status = load(directory.database, "kg", files, out, err)
    return status, out.getvalue().splitlines(), err.getvalue().splitlines()


def test_documented_files_are_loaded(directory: Directory, tmp_path: Path) -> None:
    page = (Path(__file__).parents[4] / "docs" / "operations.md").read_text(encoding="utf-8")
    examples = re.findall(r"```json\n( *\[\n.*?)```", page, flags=re.DOTALL)
    names = ("organizations", "agreements", "credentials")
    texts = [re.sub(r'"\([^)]*\)"', f'"{SECRET}"', example) for example in examples]
    files = {name: written(tmp_path, name, text) for name, text in zip(names, texts, strict=True)}
    assert run(directory, **files) == (
        0,
        [
            "organizations: 1 read, 1 changed",
            "agreements: 1 read, 1 changed",
            "credentials: 3 read, 3 changed",
        ],
        [],
    )


def test_loaded_files_are_published_and_loading_is_idempotent(directory: Directory, tmp_path: Path) -> None:
    files = {
        "organizations": written(tmp_path, "o", [organization_record(), organization_record("kg.other")]),
        "agreements": written(tmp_path, "a", [AGREEMENT]),
        "credentials": written(tmp_path, "c", [CREDENTIAL]),
    }
    assert run(directory, **files) == (
        0,
        [
            "organizations: 2 read, 2 changed",
            "agreements: 1 read, 1 changed",
            "credentials: 1 read, 1 changed",
        ],
        [],
    )
    assert [event.data.routing_key for event in directory.events()] == [
        "organization.changed",
        "organization.changed",
        "agreement.changed",
        "client.changed",
        "credential.issued",
    ]
    assert {event.source for event in directory.events()} == {"/kg/directory"}
    assert directory.tokens.issue("desk", SECRET)
    assert run(directory, **files)[1] == [
        "organizations: 2 read, 0 changed",
        "agreements: 1 read, 0 changed",
        "credentials: 1 read, 0 changed",
    ]
    assert len(directory.events()) == 5


def test_one_invalid_record_prevents_the_whole_load(directory: Directory, tmp_path: Path) -> None:
    bad_service = service_record(needs=["legal.wage_claim", "magic"])
    organizations = written(
        tmp_path, "o", [organization_record(), organization_record("kg.b", services=[bad_service], staff=3)]
    )
    credentials = written(tmp_path, "c", [CREDENTIAL])
    status, out, err = run(directory, organizations=organizations, credentials=credentials)
    assert (status, out) == (1, [])
    places = [line.partition(": ")[0] for line in err[:-1]]
    assert places == [f"{organizations}[1] /services/0/needs/1", f"{organizations}[1] /staff"]
    assert err[-1] == "Nothing was loaded."
    assert directory.events() == []
    with pytest.raises(Refused):
        directory.tokens.issue("desk", SECRET)


def test_records_that_refer_to_unknown_organizations_are_not_loaded(
    directory: Directory, tmp_path: Path
) -> None:
    files = {
        "organizations": written(
            tmp_path,
            "o",
            [
                organization_record("kg.b", parent="kg.a"),
                organization_record("kg.a", parent="kg.b"),
                organization_record("kg.c", parent="kg.nobody"),
            ],
        ),
        "agreements": written(tmp_path, "a", [{**AGREEMENT, "parties": ["kg.a", "kg.nobody"]}]),
        "credentials": written(tmp_path, "c", [CREDENTIAL]),
    }
    status, out, err = run(directory, **files)
    assert (status, out, err[-1]) == (1, [], "Nothing was loaded.")
    assert [line.partition(": ")[0] for line in err[:-1]] == [
        f"{files['organizations']}[0] /parent",
        f"{files['organizations']}[1] /parent",
        f"{files['organizations']}[2] /parent",
        f"{files['agreements']}[0] /parties/1",
        f"{files['credentials']}[0] /principal",
    ]


def test_records_may_refer_to_loaded_and_later_records(directory: Directory, tmp_path: Path) -> None:
    first = written(tmp_path, "o", [organization_record("kg.branch", parent=OSH), organization_record()])
    assert run(directory, organizations=first)[0] == 0
    agreements = written(tmp_path, "a", [{**AGREEMENT, "parties": ["kg.branch", OSH]}])
    credentials = written(tmp_path, "c", [CREDENTIAL])
    assert run(directory, agreements=agreements, credentials=credentials)[0] == 0


def test_faults_of_all_files_are_reported_together(directory: Directory, tmp_path: Path) -> None:
    status, _, err = run(
        directory,
        organizations=tmp_path / "missing",
        agreements=written(tmp_path, "a", "[{]"),
        credentials=written(tmp_path, "c", {"client_id": "desk"}),
    )
    assert status == 1
    assert len(err) == 4
    assert "cannot be read" in err[0]
    assert "line 1" in err[1]
    assert "Not a JSON list" in err[2]


def test_file_with_a_byte_order_mark_is_loaded(directory: Directory, tmp_path: Path) -> None:
    file = tmp_path / "organizations.json"
    file.write_text(json.dumps([organization_record(OSH)]), encoding="utf-8-sig")
    assert run(directory, organizations=file)[0] == 0


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("[]".encode("utf-16"), "The file is in UTF-16 or UTF-32: save it as UTF-8."),
        (b'[{"id": "kg.x",\n "name":,}]', "The file has malformed JSON at line 2, column 9."),
    ],
)
def test_file_that_is_not_json_is_named_as_a_file(
    directory: Directory, tmp_path: Path, content: bytes, fault: str
) -> None:
    file = tmp_path / "organizations.json"
    file.write_bytes(content)
    status, _, faults = run(directory, organizations=file)
    assert (status, faults[0]) == (1, f"{file}: {fault}")


def test_duplicate_id_is_a_fault(directory: Directory, tmp_path: Path) -> None:
    file = written(tmp_path, "o", [organization_record(), organization_record(name="New")])
    status, _, err = run(directory, organizations=file)
    assert status == 1
    assert err[0] == f"{file}[1]: Another record in this file has the same id."


def test_repeated_name_is_named_with_its_place(directory: Directory, tmp_path: Path) -> None:
    file = tmp_path / "o.json"
    file.write_text('[{"id": "kg.one", "name": "A", "name": "B"}]')
    status, _, err = run(directory, organizations=file)
    assert status == 1
    assert err[0] == f"{file} /0/name: Appears more than once."


def test_agreement_of_one_party_is_named(directory: Directory, tmp_path: Path) -> None:
    for parties in (["kg.one"], ["kg.one", "kg.one"]):
        record = {
            "id": "alone",
            "title": "Alone",
            "kind": "network_memorandum",
            "parties": parties,
            "disclosure": "standard",
            "effective_from": "2021-03-01",
        }
        file = written(tmp_path, "a", [record])
        status, _, err = run(directory, agreements=file)
        assert status == 1
        assert err[0] == f'{file}[0] /parties: kg.one is the only party: name another one, or "*".'


def test_cycle_of_branches_is_named(directory: Directory, tmp_path: Path) -> None:
    chain = {"kg.one": "kg.two", "kg.two": "kg.three", "kg.three": "kg.one", "kg.below": "kg.one"}
    records = [organization_record(name, parent=parent) for name, parent in chain.items()]
    status, _, err = run(directory, organizations=written(tmp_path, "o", records))
    assert status == 1
    cycle = "/parent: The organisation would be below itself: kg.one → kg.two → kg.three → kg.one."
    assert err[0].endswith(cycle)
    # One that is below the cycle names it too.
    assert err[3].endswith(cycle)


def test_fault_does_not_contain_the_secret(directory: Directory, tmp_path: Path) -> None:
    file = written(tmp_path, "c", [{**CREDENTIAL, "client_secret": "short-secret"}])
    status, _, err = run(directory, credentials=file)
    assert status == 1
    assert "short-secret" not in "".join(err)


def test_file_with_an_empty_list_is_valid(directory: Directory, tmp_path: Path) -> None:
    assert run(directory, agreements=written(tmp_path, "a", [])) == (
        0,
        ["agreements: 0 read, 0 changed"],
        [],
    )


def test_loaded_principal_with_two_roles_or_shared_by_two_clients_loads_nothing(
    directory: Directory, tmp_path: Path
) -> None:
    auditor = {**CREDENTIAL, "client_id": "ann", "principal": "ann", "roles": ["auditor"]}
    operator = {**auditor, "client_id": "ann-2", "roles": ["operator"]}
    shared = {**auditor, "client_id": "bob", "principal": "ann"}
    for broken in ([auditor, operator], [auditor, shared], [{**auditor, "roles": ["auditor", "operator"]}]):
        status, out, err = run(directory, credentials=written(tmp_path, "c", broken))
        assert (status, out) == (1, [])
        assert any("exactly one role" in line or "one person" in line for line in err)
    assert run(directory, credentials=written(tmp_path, "c", [auditor]))[0] == 0
    assert run(directory, credentials=written(tmp_path, "c", [operator]))[0] == 1
    assert directory.tokens.issue("ann", SECRET)


def test_loaded_staff_client_with_an_organization_id_loads_nothing(
    directory: Directory, tmp_path: Path
) -> None:
    auditor = {**CREDENTIAL, "client_id": "kg.ann", "principal": "kg.ann", "roles": ["auditor"]}
    status, out, err = run(directory, credentials=written(tmp_path, "c", [auditor]))
    assert (status, out) == (1, [])
    assert any("/client_id" in line and "organisation's" in line for line in err)
    assert run(directory, credentials=written(tmp_path, "c", [{**auditor, "client_id": "ann"}]))[0] == 0


def test_ids_that_look_like_others_load_nothing(directory: Directory, tmp_path: Path) -> None:
    organizations = written(tmp_path, "o", [organization_record(), organization_record("kg.other")])
    auditor = {**CREDENTIAL, "client_id": "x.kg.other", "principal": "ann", "roles": ["auditor"]}
    both = run(directory, organizations=organizations, credentials=written(tmp_path, "c", [auditor]))
    assert (both[0], both[1]) == (1, [])
    assert any(
        "[0] /client_id" in line and "reads like the organisation kg.other" in line for line in both[2]
    )
    desk = {**auditor, "client_id": "kg-talas-desk"}
    assert run(directory, credentials=written(tmp_path, "c", [desk]))[0] == 0
    status, out, err = run(directory, organizations=written(tmp_path, "o", [organization_record("kg.ta1as")]))
    assert (status, out) == (1, [])
    assert any("[0] /id" in line and "another principal's client id" in line for line in err)


def test_loading_again_keeps_revoked_clients_and_replaced_secrets(
    directory: Directory, tmp_path: Path
) -> None:
    auditors = [{**CREDENTIAL, "client_id": n, "principal": n, "roles": ["auditor"]} for n in ("ann", "bob")]
    file = written(tmp_path, "c", auditors)
    assert run(directory, credentials=file)[0] == 0
    directory.credentials.revoke("ann", by="operator", operator=True)
    assert run(directory, credentials=file)[1] == ["credentials: 2 read, 0 changed"]
    with pytest.raises(Refused):
        directory.tokens.issue("ann", SECRET)
    assert directory.tokens.issue("bob", SECRET)


def test_file_gives_no_client_to_another_principal_and_changes_no_role(
    directory: Directory, tmp_path: Path
) -> None:
    organizations = written(tmp_path, "o", [organization_record(), organization_record("kg.other")])
    auditor = {**CREDENTIAL, "client_id": "ann", "principal": "ann", "roles": ["auditor"]}
    first = written(tmp_path, "c", [CREDENTIAL, auditor])
    assert run(directory, organizations=organizations, credentials=first)[0] == 0
    before = len(directory.events())
    taken = [{**CREDENTIAL, "principal": "kg.other"}, {**auditor, "roles": ["operator"]}]
    status, out, err = run(directory, credentials=(second := written(tmp_path, "d", taken)))
    assert (status, out) == (1, [])
    assert [line.partition(": ")[0] for line in err[:-1]] == [
        f"{second}[0] /principal",
        f"{second}[1] /roles",
    ]
    assert len(directory.events()) == before
    # Nor does a client that was revoked, whose entry stays, go to another principal.
    directory.credentials.revoke("desk", by="operator", operator=True)
    assert run(directory, credentials=written(tmp_path, "e", taken[:1]))[0] == 1


def test_new_organization_with_the_id_of_a_member_of_the_staff_loads_nothing(
    directory: Directory, tmp_path: Path
) -> None:
    coordinator = {**CREDENTIAL, "client_id": "c", "principal": "kg.other", "roles": ["coordinator"]}
    assert run(directory, credentials=written(tmp_path, "c", [coordinator]))[0] == 0
    file = written(tmp_path, "o", [organization_record(), organization_record("kg.other")])
    status, out, err = run(directory, organizations=file)
    assert (status, out) == (1, [])
    assert any(str(file) in line and "staff has this id" in line for line in err)
    directory.credentials.revoke("c", by="operator", operator=True)
    assert run(directory, organizations=file)[0] == 0


def test_overlapping_agreements_are_named_and_nothing_is_loaded(directory: Directory, tmp_path: Path) -> None:
    assert run(directory, agreements=written(tmp_path, "a", [AGREEMENT]))[0] == 0
    files = {
        "organizations": written(tmp_path, "o", [organization_record()]),
        "agreements": written(
            tmp_path,
            "a",
            [{**AGREEMENT, "title": "New"}, {**AGREEMENT, "id": "copy", "needs": ["legal"]}],
        ),
    }
    status, out, err = run(directory, **files)
    assert (status, out, err[-1]) == (1, [], "Nothing was loaded.")
    named = [line for line in err[:-1] if line.startswith(f"{files['agreements']}[1] /parties")]
    assert "agreement memorandum" in named[0]
    # Either one may be loaded alone, and what is loaded already may be loaded again.
    assert run(directory, agreements=written(tmp_path, "a", [AGREEMENT]))[0] == 0
