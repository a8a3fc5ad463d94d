"""A receipt suffices to prove that its step is in the log."""

from __future__ import annotations

import pytest

from contracts.envelope import Envelope
from contracts.facts import CATALOGUE, ReceiptIssued, ReceiptsIssued
from contracts.facts.recorded import MOST_RECEIPTS
from contracts.topology import RECEIPTS
from kopuro_client.tlog import TrustPolicy, VerifierKey, receipts_in
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox
from services.audit.adapters.tables import MESSAGING, OPENINGS
from services.audit.log.handlers import receipts
from services.audit.log.handlers.receipts import RECEIPTED
from tests.unit.services.audit.logs import LogOnDatabase, event, events

OSH, MOSCOW, KAZAN = "kg.osh-legal-aid", "ru.moscow-union", "ru.kazan-union"


def completed(acceptor: str = MOSCOW) -> Envelope:
    referral = new_id()
    parties = {"referral_id": referral, "organization": acceptor, "sender": OSH}
    return event("kopuro.referral.completed.v1", data=parties, partition_key=referral)


def logged(message: Envelope) -> list[tuple[int, str]]:
    """Index and message id of what the receipts in a message prove, as the client checks them."""
    found = []
    for receipt in receipts_in(message.data):
        found.append((receipt.proof.index, receipt.fields()["message_id"]))
    return found


def test_each_receipt_is_a_tlog_proof_of_its_own_leaf(audit: LogOnDatabase) -> None:
    first, second = completed(), completed(KAZAN)
    audit.publish([*events(700), first, *events(5), second, *events(11)])
    with audit.database.read() as transaction:
        waiting = [message for _, message in Outbox(MESSAGING.outbox).oldest(transaction, 10)]
    # Sent to the queue by its name: through the exchange it would come back into the log.
    assert {(message.exchange, message.routing_key) for message in waiting} == {(RECEIPTS, "delivery.events")}
    sent = {message.data["organization"]: message for message in audit.recorded_reads()}
    assert {who: message.partition_key for who, message in sent.items()} == {
        who: who for who in (OSH, MOSCOW, KAZAN)
    }
    assert logged(sent[OSH]) == [(700, first.id), (706, second.id)]
    assert (logged(sent[MOSCOW]), logged(sent[KAZAN])) == ([(700, first.id)], [(706, second.id)])
    policy = TrustPolicy(logs=(VerifierKey.parse(audit.key.verifier_key),))
    for message in sent.values():
        assert message.type == ReceiptsIssued.type
        for receipt in receipts_in(message.data):
            assert receipt.verify(policy).checkpoint.size == 718
    # Hashes that two paths share are sent once.
    hashes = sent[OSH].data["hashes"]
    assert len(set(hashes)) == len(hashes) < sum(len(one["path"]) for one in sent[OSH].data["receipts"])


def test_receipt_message_is_limited_in_count(audit: LogOnDatabase) -> None:
    audit.publish([completed() for _ in range(MOST_RECEIPTS + 1)])
    theirs = [message for message in audit.recorded_reads() if message.data["organization"] == MOSCOW]
    assert [len(logged(message)) for message in theirs] == [MOST_RECEIPTS, 1]
    assert [index for message in theirs for index, _ in logged(message)] == list(range(MOST_RECEIPTS + 1))


def test_receipt_message_is_limited_in_bytes(audit: LogOnDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "MOST_BYTES", 1_600)
    audit.publish([completed() for _ in range(5)])
    theirs = [logged(message) for message in audit.recorded_reads() if message.data["organization"] == OSH]
    assert [len(some) for some in theirs] == [2, 2, 1]
    monkeypatch.setattr(receipts, "MOST_BYTES", 1)  # a single receipt cannot be divided
    audit.publish([completed() for _ in range(2)])
    assert [len(logged(message)) for message in audit.recorded_reads()[-2:]] == [1, 1]


def test_receipts_get_no_receipts() -> None:
    assert set(RECEIPTED) <= set(CATALOGUE)
    assert not {ReceiptsIssued.type, ReceiptIssued.type} & set(RECEIPTED)


def test_erased_step_gets_no_receipt(audit: LogOnDatabase) -> None:
    referral = new_id()
    audit.append([event("kopuro.case.released.v1", data={"organization": "ru.x"}, partition_key=referral)])
    with audit.database.write() as transaction:
        transaction.execute(OPENINGS.delete())
    audit.publisher.turn()
    assert audit.recorded_reads() == []
