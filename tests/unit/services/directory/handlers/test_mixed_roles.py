"""Clients of earlier builds with several roles: reported, no members of the staff, and split."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations

from admin.kept_role import keep_role_in
from admin.operator_name import login_name
from contracts.errors import Refused
from contracts.facts import ClientChanged, CredentialRevoked
from runtime.access.tokens import Principal, TokenVerifier
from runtime.storage.database import Database
from services.directory.adapters.register import SqlRegister
from services.directory.domain.client import Client, Role, client
from services.directory.domain.precondition import ANY_REVISION
from services.directory.handlers.role_report import RoleReport
from services.directory.migrations import approvals, client_order, staff
from tests.support import migrated
from tests.unit.services.directory.samples import (
    OPERATOR,
    OSH,
    Directory,
    issue,
    organization,
    without_digest,
)

SECRET = "a" * 43
Keep = Callable[..., dict[str, object]]


@pytest.fixture
def earlier(database_url: str) -> Iterator[Directory]:
    """A directory of the build before the separation of roles, upgraded to this one."""
    database = Database.open(database_url)
    migrated.upgrade("services.directory", database)
    directory = Directory(database)
    directory.entries.put_organization(OPERATOR, organization())
    stored = [
        client(client_id="ann", principal="kg.ann", roles=(Role.auditor, Role.operator), secret=SECRET),
        client(client_id="desk", principal=OSH, roles=(Role.coordinator, Role.partner), secret=SECRET),
        client(client_id="bek-1", principal="kg.bek", roles=(Role.auditor,), secret=SECRET),
        client(client_id="bek-2", principal="kg.bek", roles=(Role.operator,), secret=SECRET),
        client(client_id="fine", principal="kg.fine", roles=(Role.operator,), secret=SECRET),
    ]
    directory.entries.enter(Client, stored, by="an earlier build")
    with database.write() as connection, Operations.context(MigrationContext.configure(connection)):
        client_order.downgrade()
        staff.downgrade()
        approvals.downgrade()
        approvals.upgrade()
        staff.upgrade()
        client_order.upgrade()
    yield directory
    database.close()


def report(directory: Directory, counts: list[int]) -> RoleReport:
    return RoleReport(database=directory.database, register=SqlRegister(), count=counts.append)


@pytest.fixture
def keep(earlier: Directory) -> Keep:
    """Runs the operator's command beside the service."""

    def run(principal: str, role: str, client_id: str | None = None) -> dict[str, object]:
        changed = keep_role_in(earlier.database, "kg", principal, role, client_id)
        return {one.id: one.roles if one.live else "revoked" for one in changed}

    return run


def roles(directory: Directory, client_id: str) -> frozenset[str]:
    keys = {"keys": [directory.signer.public_jwk()]}
    verifier = TokenVerifier(lambda: keys, "kopuro:kg", directory.clock, clients=directory.access.client)
    return verifier.verify(directory.tokens.issue(client_id, SECRET)).roles


def refused(attempt: object) -> str:
    with pytest.raises(Refused) as refusal:
        attempt()  # type: ignore[operator]
    return refusal.value.slug


def test_mixed_principals_are_logged_counted_and_a_warning(
    earlier: Directory, keep: Keep, caplog: pytest.LogCaptureFixture
) -> None:
    counts: list[int] = []
    reported = report(earlier, counts)
    with caplog.at_level(logging.WARNING):
        reported.start(lambda function: function())
    lines = [r for r in caplog.records if r.getMessage() == "principal has conflicting roles"]
    assert {line.principal for line in lines} == {"kg.ann", "kg.bek", OSH}  # type: ignore[attr-defined]
    warning = reported.alarm()
    assert warning is not None
    assert all(name in warning for name in ("kg.ann", "kg.bek", OSH))
    keep("kg.ann", "auditor")
    keep("kg.bek", "operator")
    keep(OSH, "partner")
    assert reported.alarm() is None
    assert counts[0] == 3
    assert counts[-1] == 0


def test_staff_client_with_an_organization_id_is_logged_and_a_warning_until_revoked(
    earlier: Directory, keep: Keep, caplog: pytest.LogCaptureFixture
) -> None:
    for principal, role in (("kg.ann", "auditor"), ("kg.bek", "operator"), (OSH, "partner")):
        keep(principal, role)
    stored = client(client_id="kg.old", principal="kg.old", roles=(Role.auditor,), secret=SECRET)
    earlier.entries.enter(Client, [stored], by="an earlier build")
    counts: list[int] = []
    reported = report(earlier, counts)
    with caplog.at_level(logging.WARNING):
        reported.start(lambda function: function())
    lines = [r for r in caplog.records if r.getMessage() == "client id resembles another organisation's"]
    assert [line.client for line in lines] == ["kg.old"]  # type: ignore[attr-defined]
    assert "kg.old" in str(reported.alarm())
    assert counts[-1] == 0
    assert roles(earlier, "kg.old") == {"auditor"}
    issue(earlier, "kg.old", "kg.old", "b" * 43, Role.auditor, precondition=ANY_REVISION)
    assert "kg.old" in str(reported.alarm())
    earlier.credentials.revoke("kg.old", by="kg.fine", operator=True)
    assert reported.alarm() is None


@pytest.mark.parametrize("client_id", ["ann", "bek-1", "bek-2"])
def test_mixed_member_of_the_staff_gets_no_token(earlier: Directory, client_id: str) -> None:
    assert refused(lambda: earlier.tokens.issue(client_id, SECRET)) == "unauthorized-client"
    assert refused(lambda: earlier.tokens.issue(client_id, "b" * 43)) == "invalid-client"


def test_mixed_partner_acts_as_a_partner_only(earlier: Directory) -> None:
    assert roles(earlier, "desk") == {"partner"}
    assert roles(earlier, "fine") == {"operator"}


def test_forged_token_of_a_mixed_client_has_no_role_of_the_staff(earlier: Directory) -> None:
    keys = {"keys": [earlier.signer.public_jwk()]}
    verifier = TokenVerifier(lambda: keys, "kopuro:kg", earlier.clock, clients=earlier.access.client)
    for principal, client_id in (("kg.ann", "ann"), (OSH, "desk")):
        forged = Principal(id=principal, roles=frozenset())
        for role in ("operator", "auditor", "coordinator"):
            token = earlier.signer.issue(
                replace(forged, roles=frozenset({role})), now=earlier.clock.now(), client_id=client_id
            )
            assert refused(lambda token=token: verifier.verify(token)) == "invalid-token"


def test_kept_role_is_the_only_one_and_on_record(earlier: Directory, keep: Keep) -> None:
    assert keep("kg.ann", "auditor") == {"ann": ("auditor",)}
    assert roles(earlier, "ann") == {"auditor"}
    assert keep("kg.bek", "operator") == {"bek-1": "revoked"}
    assert roles(earlier, "bek-2") == {"operator"}
    assert keep("kg.bek", "operator") == {}
    facts = [without_digest(event.data) for event in earlier.events()]
    assert (
        CredentialRevoked(client_id="bek-1", principal="kg.bek", by=login_name(), organization=None) in facts
    )
    assert (
        ClientChanged(revision=2, client_id="ann", principal="kg.ann", roles=("auditor",), live=True) in facts
    )


def test_keeping_a_role_adds_none_and_obeys_the_separation(earlier: Directory, keep: Keep) -> None:
    issue(earlier, "kg.last", "last-1", SECRET, Role.auditor)
    twice = client(client_id="last-2", principal="kg.last", roles=(Role.auditor,), secret=SECRET)
    earlier.entries.enter(Client, [twice], by="an earlier build")
    before = earlier.events()
    assert refused(lambda: keep("kg.ann", "coordinator")) == "not-found"
    assert refused(lambda: keep("kg.nobody", "auditor")) == "not-found"
    assert refused(lambda: keep(OSH, "coordinator")) == "conflict"
    assert refused(lambda: keep("kg.last", "auditor")) == "conflict"
    assert earlier.events() == before
    assert keep("kg.last", "auditor", "last-2") == {"last-1": "revoked"}
