"""The migration that adds approvals fills the history of keys and the principals of clients."""

from __future__ import annotations

import datetime as dt

from alembic.migration import MigrationContext
from alembic.operations import Operations

from contracts.codes import KeyManner
from runtime.storage.migrate import differences
from services.directory.adapters.register import SqlRegister
from services.directory.domain.precondition import ANY_REVISION
from services.directory.migrations import approvals, client_order, staff
from tests.unit.services.directory.samples import (
    OPERATOR,
    OSH,
    Directory,
    issue,
    new_sealing_key,
    organization,
)


def test_migration_restores_keys_from_the_revisions_and_principals_from_the_records(
    directory: Directory,
) -> None:
    first, second = new_sealing_key(), new_sealing_key()
    for name in (OSH, "kg.other"):
        directory.entries.put_organization(OPERATOR, organization(name))
        directory.keys.publish(name, first, by=name)
    directory.keys.publish(OSH, second, by=OPERATOR.id, operator=True)
    issue(directory, OSH, "desk", "a" * 43)
    before = {name: directory.keys.history(name) for name in (OSH, "kg.other")}
    with (
        directory.database.write() as connection,
        Operations.context(MigrationContext.configure(connection)),
    ):
        client_order.downgrade()
        staff.downgrade()
        approvals.downgrade()
        approvals.upgrade()
        staff.upgrade()
        client_order.upgrade()
    after = {name: directory.keys.history(name) for name in (OSH, "kg.other")}
    assert after == before
    assert [(kept.key, kept.manner, kept.by) for kept in after[OSH]] == [
        (second, KeyManner.approved, OPERATOR.id),
        (first, KeyManner.first, OSH),
    ]
    assert [client.entry.id for client in directory.credentials.page(OSH, "", 10)] == ["desk"]
    assert differences("services.directory", directory.database) == []


def test_migration_orders_the_clients_by_their_first_revisions(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    for name in ("root", "desk", "phone"):
        issue(directory, OSH, name, name * 20)
        if name == "root":
            directory.clock.time += dt.timedelta(seconds=1)
    issue(directory, OSH, "root", "s" * 43, precondition=ANY_REVISION)
    with (
        directory.database.write() as connection,
        Operations.context(MigrationContext.configure(connection)),
    ):
        client_order.downgrade()
        client_order.upgrade()
    with directory.database.read() as transaction:
        places = SqlRegister().registered(transaction, ["root", "desk", "phone"])
    assert places == {"root": 1, "desk": 2, "phone": 2}
    assert differences("services.directory", directory.database) == []
