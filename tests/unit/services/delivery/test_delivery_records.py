"""Delivery records: the commands of many callers in one transaction, as group commit batches them."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.errors import Refused
from contracts.facts import DeliveryAcknowledged, DeliveryDelivered
from services.delivery.delivery_records import Acknowledger, MarkDelivered, Results
from tests.unit.services.delivery.workbench import (
    ACCEPTOR,
    SENDER,
    STRANGER,
    Workbench,
    declined,
    opened,
    released_case,
)


def write(bench: Workbench, *commands: MarkDelivered | Acknowledger) -> Sequence[Results]:
    with bench.database.write() as transaction:
        return bench.records.write(transaction, commands)


def test_acknowledgement_with_delivery_in_same_transaction_is_accepted(
    bench: Workbench,
) -> None:
    offer = opened()
    bench.receive(offer)
    acknowledgement = Acknowledger(organization=ACCEPTOR, message_ids=[offer.id])
    assert write(bench, acknowledgement, MarkDelivered(sequences=[1])) == [[True], ()]
    assert [type(e.data) for e in bench.sent()] == [DeliveryDelivered, DeliveryAcknowledged]
    with bench.database.read() as transaction:
        row = transaction.exec_driver_sql(
            "SELECT state, delivered_at, acknowledged_at FROM mailbox_messages"
        ).one()
    assert row.state == "acknowledged"
    assert row.delivered_at == row.acknowledged_at is not None


def test_each_command_gets_its_results_in_order(bench: Workbench) -> None:
    offer, case, notice = opened(), released_case(), declined()
    bench.receive(offer, notice, case)
    results = write(
        bench,
        MarkDelivered(sequences=[1, 3]),
        Acknowledger(organization=ACCEPTOR, message_ids=["no-such-id", case.id, offer.id]),
        Acknowledger(organization=STRANGER, message_ids=[notice.id]),
        MarkDelivered(sequences=[1]),
        Acknowledger(organization=SENDER, message_ids=[notice.id]),
    )
    outcomes = [[r.slug if isinstance(r, Refused) else r for r in result] for result in results]
    assert outcomes == [[], ["not-found", True, True], ["not-found"], [], [True]]
    assert bench.states() == ["acknowledged"] * 3
    published = [(type(e.data), e.causation_id) for e in bench.sent()]
    assert published == [
        (DeliveryDelivered, offer.id),
        (DeliveryDelivered, case.id),
        (DeliveryAcknowledged, offer.id),
        (DeliveryAcknowledged, case.id),
    ]


def test_delivery_of_deleted_message_changes_nothing(bench: Workbench) -> None:
    assert write(bench, MarkDelivered(sequences=[7])) == [()]
    assert bench.sent() == []
