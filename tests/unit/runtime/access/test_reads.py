"""Every GET resource says what it shows of persons, and staff read nothing that leaves no record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from contracts.facts import ReferralRead
from runtime.access.read_recorder import ReadRecorder
from runtime.access.reads import NOTHING_READ, STAFF, Read, Reads
from runtime.access.tokens import Principal
from runtime.clock import SystemClock
from runtime.entrypoints.resource import resource
from runtime.identifiers import new_id
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.outbox.outbox import Outbox
from runtime.storage.database import Database
from runtime.web.request import Request
from runtime.web.response import Response
from services.intake.adapters.tables import MESSAGING
from tests.support.migrated import upgrade
from tests.support.service_resources import resources

FIRST, SECOND = new_id(), new_id()


RESOURCES = {
    entrypoint.route().template: entrypoint
    for _, entrypoint, _ in resources()
    if entrypoint.route().method == "GET"
}
# The resources whose answers contain facts of persons, with how their reads are recorded.
OF_PERSONS = {
    "/v1/referrals": Reads.recorded,
    "/v1/referrals/<id>": Reads.recorded,
    "/v1/referrals/<id>/decision": Reads.recorded,
    "/v1/coordination/unplaced": Reads.recorded,
    "/v1/coordination/queue": Reads.recorded,
    "/v1/coordination/<id>/candidates": Reads.recorded,
    "/v1/coordination/wishes": Reads.recorded,
    "/v1/coordination/coverage": Reads.recorded,
    "/v1/coordination/organizations/<id>/engagements": Reads.recorded,
    # The name and telephone of the person who applies for an organisation.
    "/v1/applications": Reads.recorded,
    "/v1/applications/<id>": Reads.recorded,
    "/v1/mailbox": Reads.recorded,
    "/v1/submissions": Reads.recorded,
    "/v1/deliveries/<id>": Reads.recorded,
    "/v1/case/<referral_id>": Reads.by_handler,
    "/v1/history": Reads.by_handler,
    "/v1/history/<referral_id>": Reads.by_handler,
    "/v1/history/<referral_id>/bundle": Reads.by_handler,
    "/v1/history/<referral_id>/story": Reads.by_handler,
    "/v1/history/<referral_id>/readers": Reads.by_handler,
    "/v1/export": Reads.by_handler,
    "/v1/statistics": Reads.by_handler,
    "/v1/statistics/entries": Reads.by_handler,
    "/v1/entries/<index>": Reads.by_handler,
}


# Every other resource that staff or anybody may read, with the reason why no read of it needs an entry. A
# figure that may stand for one person, and the name of anybody, belong to `OF_PERSONS`.
NO_PERSON = {
    "/checkpoint": "public: a root hash and its size",
    "/cosigned-checkpoint": "public: a root hash and its size",
    "/tile/<path>": "public: hashes of entries",
    "/v1/log-key": "public: the verifier key of the log",
    "/v1/entries": "hashes of entries, and heads that name the caller's own referrals",
    "/v1/proof": "hashes",
    "/v1/consistency": "hashes",
    "/v1/mailbox/consumers": "names of the caller's own consumers",
    "/v1/webhooks": "the caller's own endpoints",
    "/v1/webhooks/<endpoint_id>": "the caller's own endpoint, with notices that name messages only",
    "/.well-known/oauth-authorization-server": "public: addresses of the token endpoint",
    "/oauth/jwks": "public keys",
    "/v1/organizations": "records of organisations, which every member reads",
    "/v1/organizations/<id>": "records of organisations, which every member reads",
    "/v1/services": "records of organisations, which every member reads",
    "/v1/service_at_locations": "records of organisations, which every member reads",
    "/v1/taxonomy_terms": "vocabularies",
    "/v1/agreements": "agreements between organisations",
    "/v1/keys": "public sealing keys of organisations",
    "/v1/credentials": "ids of clients and their owners: the access to the hub itself",
    "/v1/amqp-password": "whether the caller's own password waits",
    "/v1/approvals": "changes of the directory and who asked; every decision is an entry",
    "/v1/approvals/<id>": "a change of the directory and who asked; every decision is an entry",
    "/v1/watched": "employers about which organisations warn, which every member reads",
    "/v1/watched/<id>": "an employer about which organisations warn, which every member reads",
    "/v1/watch/reports": "the caller's own reports",
    "/v1/watch/recipients": "organisations that receive reports",
    "/v1/watch/opt-in": "the caller's own choice",
    "/v1/applications/<id>/state": "one's own application, without its content",
    "/apply": "an empty form",
    "/apply/state": "an empty form",
    "/v1/coordination/report": "figures of five persons or more",
    "/v1/coordination/statistics": "figures of five persons or more",
    "/v1/statement": "the caller's own statement, with figures of five persons or more",
    "/v1/statement/month": "the caller's own statement, with figures of five persons or more",
    "/v1/statement/month/decisions": "commitments to decisions that concern the caller",
}

# The resources that staff may change, with what each response shows. One with facts of a person is recorded
# as a read is, also if the change is an entry of its own: a repetition changes nothing, and shows them again.
STAFF_CHANGES = {
    "POST /v1/mailbox/<message_id>/acknowledge": "nothing",
    "POST /v1/mailbox:acknowledge": "ids of messages",
    "PUT /v1/organizations/<id>": "the record of an organisation",
    "PATCH /v1/organizations/<id>": "the record of an organisation",
    "POST /v1/organizations/<id>/suspend": "the record of an organisation",
    "POST /v1/organizations/<id>/services/<service>/approval": "the record of an organisation",
    "POST /v1/organizations/<id>/services/<service>/approval/withdraw": "the record of an organisation",
    "POST /v1/agreements": "an agreement between organisations",
    "POST /v1/keys": "a public key, or a challenge",
    "POST /v1/credentials": "a client and its secret",
    "DELETE /v1/credentials/<client_id>": "nothing",
    "PUT /v1/credentials/<client_id>/root": "a client",
    "POST /v1/credentials/<client_id>/rotate": "a client",
    "PUT /v1/credentials/<client_id>/keys": "a client",
    "POST /v1/credentials/<client_id>/revoke-tokens": "times",
    "POST /v1/organizations/<id>/revoke-tokens": "times",
    "POST /v1/approvals/<id>/approve": "a change of the directory and who asked",
    "POST /v1/approvals/<id>/refuse": "a change of the directory and who asked",
    "PUT /v1/watched/<id>/reply": "an employer about which organisations warn",
    "POST /v1/coordination/<id>/offer": "the id of the submission",
    "POST /v1/coordination/<id>/nudge": "the id of the submission",
    "POST /v1/coordination/<id>/extend": "the id of the submission",
    "POST /v1/coordination/<id>/move-on": "the id of the submission",
    "POST /v1/coordination/<id>/withdraw": "the id of the submission",
}
CHANGES_OF_PERSONS = {
    # The name and telephone of the person who applies for an organisation.
    "POST /v1/applications/<id>/vet",
    "POST /v1/applications/<id>/refuse",
    # Referrals that would have gone elsewhere, with their needs and regions.
    "POST /v1/coordination/policies:simulate",
}


def test_change_by_staff_shows_nobody_or_is_recorded_as_a_read() -> None:
    changes = {
        f"{route.method} {route.template}": entrypoint.reads
        for _, entrypoint, _ in resources()
        if (route := entrypoint.route()).method != "GET" and STAFF & (route.roles or frozenset())
    }
    assert {name for name, reads in changes.items() if reads is Reads.recorded} == CHANGES_OF_PERSONS
    assert changes.keys() - CHANGES_OF_PERSONS == STAFF_CHANGES.keys()


def test_resource_without_facts_of_persons_is_listed_with_its_reason() -> None:
    declared = {url for url, entrypoint in RESOURCES.items() if entrypoint.reads is Reads.no_person}
    assert declared == NO_PERSON.keys()
    assert all(NO_PERSON.values())


@pytest.mark.parametrize("url", sorted(RESOURCES))
def test_get_resource_declares_what_it_shows_of_persons(url: str) -> None:
    declared, roles = RESOURCES[url].reads, RESOURCES[url].route().roles
    assert declared is not None, "declare `reads`"
    if url in OF_PERSONS:
        assert declared is OF_PERSONS[url]
    else:
        assert declared in (Reads.no_person, Reads.own)
    if declared is Reads.own:
        assert roles is not None
        assert roles.isdisjoint(STAFF), "staff are not a party to a referral"


def test_every_known_resource_of_persons_exists() -> None:
    assert OF_PERSONS.keys() <= RESOURCES.keys()


class Bench:
    """A resource on a real outbox. answer: what its method returns."""

    def __init__(self, database_url: str) -> None:
        self.database = Database.open(database_url)
        upgrade("services.intake", self.database)
        self.answer = Response.json({"secret": True})
        self.application = SimpleNamespace(
            name="sample",
            reads=ReadRecorder(
                database=self.database,
                outbox=Outbox(MESSAGING.outbox),
                source="/kg/intake",
                clock=SystemClock(),
                after_commit=lambda: None,
            ),
        )

    @resource("GET", "/v1/referrals", roles=STAFF, reads=Reads.recorded)
    def show(self, _request: Request) -> Response:
        return self.answer

    def ask(self, role: str) -> Response:
        caller = Principal(id="kg.ann", roles=frozenset({role}), client_id="ann-laptop")
        return self.show(Request(method="GET", route="/v1/referrals", caller=caller))

    def recorded(self) -> list[tuple[str, str]]:
        """Return partition key and text of each recorded read."""
        with self.database.read() as transaction:
            rows = Outbox(MESSAGING.outbox).oldest(transaction, 100)
        assert {message.routing_key for _, message in rows} <= {ReferralRead.routing_key}
        return [
            (message.partition_key, body.decode())
            for _, message in rows
            for body in decode_batch(message.body)
        ]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(f"sqlite:///{tmp_path / 'intake.db'}")
    yield made
    made.database.close()


@pytest.mark.parametrize("role", sorted(STAFF))
def test_response_to_staff_is_recorded_with_reader_client_role_and_query(bench: Bench, role: str) -> None:
    bench.answer = Response.json({}).reading(Read.of_list([FIRST, SECOND], {"status": "unplaced"}))
    assert bench.ask(role).status == 200
    ((key, body),) = bench.recorded()
    assert key == "kg.ann"
    for part in ('"kg.ann"', '"ann-laptop"', f'["{role}"]', '"GET /v1/referrals"', '{"status":"unplaced"}'):
        assert part in body, part
    assert f'["{FIRST}","{SECOND}"]' in body


def test_answer_about_one_referral_is_recorded_in_its_history(bench: Bench) -> None:
    bench.answer = Response.json({}).reading(Read.of_one(FIRST))
    bench.ask("auditor")
    ((key, _),) = bench.recorded()
    assert key == FIRST


def test_read_of_figures_that_may_stand_for_one_person_is_recorded_with_its_query(bench: Bench) -> None:
    bench.answer = Response.json({}).reading(Read.of_figures({"region": "RU-KAM"}))
    bench.ask("coordinator")
    ((key, body),) = bench.recorded()
    assert key == "kg.ann"
    assert '{"region":"RU-KAM"}' in body


def test_read_by_a_party_and_empty_response_leave_no_record(bench: Bench) -> None:
    bench.answer = Response.json({}).reading(Read.of_one(FIRST))
    bench.ask("partner")
    bench.answer = Response.json({}).reading(NOTHING_READ)
    bench.ask("coordinator")
    assert bench.recorded() == []


def test_answer_that_does_not_state_its_referrals_does_not_leave(bench: Bench) -> None:
    refused = bench.ask("auditor")
    assert refused.status == 500
    assert b"secret" not in refused.body


def test_answer_does_not_leave_while_the_outbox_cannot_be_written(bench: Bench) -> None:
    bench.answer = Response.json({"secret": True}).reading(Read.of_one(FIRST))
    with bench.database.write() as transaction:
        transaction.exec_driver_sql("ALTER TABLE outbox RENAME TO gone")
    refused = bench.ask("auditor")
    assert refused.status == 503
    assert b"secret" not in refused.body


def test_service_without_a_recorder_shows_staff_nothing(bench: Bench) -> None:
    bench.application.reads = None
    bench.answer = Response.json({"secret": True}).reading(Read.of_one(FIRST))
    assert b"secret" not in bench.ask("auditor").body
