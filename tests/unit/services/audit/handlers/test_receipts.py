"""A receipt is all that its receiver needs to show that the step is in the log."""

from __future__ import annotations

import base64
import json

from contracts.facts import CATALOGUE, ReceiptIssued
from runtime.identifiers import new_id
from runtime.messaging.outbox import Outbox
from services.audit.adapters.tables import MESSAGING, OPENINGS
from services.audit.domain.merkle import leaf_hash, verify_inclusion
from services.audit.handlers.receipts import RECEIPTED
from tests.unit.services.audit.logs import LogOnDatabase, event, events


def test_a_receipt_is_a_tlog_proof_of_its_own_leaf(audit: LogOnDatabase) -> None:
    referral = new_id()
    step = event(
        "kopuro.referral.completed.v1",
        data={"referral_id": referral, "organization": "ru.moscow-union", "sender": "kg.osh-legal-aid"},
        partition_key=referral,
    )
    audit.publish([*events(700), step, *events(11)])
    with audit.database.read() as transaction:
        waiting = [message for _, message in Outbox(MESSAGING.outbox).oldest(transaction, 10)]
    # By the queue's name: through the exchange it would come back into the log.
    assert {(message.exchange, message.routing_key) for message in waiting} == {("", "delivery.events")}
    assert {message.partition_key for message in waiting} == {referral}
    for receipt in audit.recorded_reads():
        assert receipt.type == ReceiptIssued.type
        assert receipt.causation_id == step.id == receipt.data["message_id"]
        assert receipt.data["message_type"] == step.type
        leaf = receipt.data["leaf"].encode()
        assert json.loads(leaf)["message_id"] == step.id
        head, _, note = receipt.data["proof"].partition("\n\n")
        version, index, *hashes = head.split("\n")
        assert (version, index) == ("c2sp.org/tlog-proof@v1", "index 700")
        checkpoint = audit.key.read(note.encode())
        proof = [base64.b64decode(line) for line in hashes]
        verify_inclusion(leaf_hash(leaf), 700, checkpoint.size, proof, checkpoint.root)


def test_no_receipt_is_receipted() -> None:
    assert set(RECEIPTED) <= set(CATALOGUE)
    assert ReceiptIssued.type not in RECEIPTED


def test_a_step_whose_opening_is_gone_names_nobody(audit: LogOnDatabase) -> None:
    referral = new_id()
    audit.append([event("kopuro.case.released.v1", data={"organization": "ru.x"}, partition_key=referral)])
    with audit.database.write() as transaction:
        transaction.execute(OPENINGS.delete())
    audit.publisher.turn()
    assert audit.recorded_reads() == []
