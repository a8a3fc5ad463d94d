"""The end of open requests when their requester loses its standing: each way with each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from contracts.application import ApplicationVetting
from contracts.codes import ApplicationState, ApprovalRefusal, SuspensionReason, Vetting
from contracts.errors import Refused
from contracts.facts import ApprovalRefused
from contracts.organization import Organization, SealingKey
from runtime.access.tokens import Principal
from runtime.storage.database import Database
from services.directory import admission
from services.directory.domain.approval import Approval, Decider, Policy, State
from services.directory.domain.client import Client, Role, client, digest
from services.directory.domain.client_key import client_keys
from services.directory.domain.precondition import ANY_REVISION, at_revision
from services.directory.handlers.approvals import ApprovalReader
from services.directory.handlers.kept_role import keep_role
from services.directory.handlers.sealing_keys import Challenged
from tests.support import migrated
from tests.support.client_assertions import new_key, public_set
from tests.unit.services.directory.application_samples import request as application
from tests.unit.services.directory.samples import (
    NOON,
    OPERATOR,
    OSH,
    Directory,
    agreement,
    issue,
    new_sealing_key,
    organization,
    service_record,
)

SECRET = "a" * 43
ANN, OTHER = "ann", "kg.other"
EVERYONE = ApprovalReader(organization=None)
FIRST_KEY = new_sealing_key()


@dataclass
class Hub:
    """Two persons decide. quick: the same directory where one does, to bring it into its state."""

    quick: Directory
    two: Directory

    def clients(self, *clients: Client) -> None:
        self.quick.entries.enter(Client, clients, by="an earlier build")

    def state(self, approval: Approval) -> State:
        return self.two.approvals.one(approval.id, EVERYONE).state


@pytest.fixture
def hub(sqlite_database: str) -> Iterator[Hub]:
    """Two vetted organisations, one with a sealing key and the client `desk`."""
    database = Database.open(sqlite_database)
    migrated.upgrade("services.directory", database)
    quick = Directory(database)
    services = [service_record(needs=["protection.trafficking"])]
    for record in (organization(services=services), organization(OTHER)):
        quick.entries.put_organization(OPERATOR, record)
    quick.keys.publish(OSH, FIRST_KEY, by=OSH)
    yield Hub(quick=quick, two=Directory(database, policy=Policy.two_person))
    database.close()


def member(client_id: str, *roles: Role, principal: str = ANN) -> Client:
    return client(client_id=client_id, principal=principal, roles=roles, secret=SECRET)


def asked(result: object) -> Approval:
    assert isinstance(result, Approval)
    return result


def revision_of(directory: Directory, organization_id: str) -> int:
    with directory.ledger.writing() as writing:
        found = writing.standing(Organization, organization_id)
    assert found is not None
    return found.revision


# The requests of a member of the staff.
STAFF_REQUESTS: dict[str, Callable[[Directory], Any]] = {
    "credential": lambda d: d.credentials.issue(
        ANN, client_id=f"{OSH}.new", principal=OSH, roles=(Role.partner,), secret_sha256="b" * 64
    ),
    "role": lambda d: d.credentials.issue(
        ANN, client_id="new", principal="new", roles=(Role.auditor,), secret_sha256="b" * 64
    ),
    "sealing key": lambda d: d.keys.publish(OSH, new_sealing_key(), by=ANN, operator=True),
    "vetting": lambda d: d.entries.put_organization(replace(OPERATOR, id=ANN), organization("kg.third")),
    "agreement": lambda d: d.entries.put_agreement(replace(OPERATOR, id=ANN), agreement()),
    "service": lambda d: d.service_approvals.approve(
        ANN, OSH, "legal", ["protection.trafficking"], precondition=at_revision(revision_of(d, OSH))
    ),
    "root client": lambda d: d.credentials.name_root("desk", by=ANN),
}


def _revoked(hub: Hub) -> None:
    hub.two.credentials.revoke(ANN, by="second", operator=True)


def _role_changed(hub: Hub) -> None:
    keep_role(hub.two.ledger, ANN, Role.auditor, by="admin")


def _issued_again(client_id: str, principal: str, role: Role, **credential: Any) -> Callable[[Hub], None]:
    def lose(hub: Hub) -> None:
        hub.quick.credentials.issue(
            "second",
            client_id=client_id,
            principal=principal,
            roles=(role,),
            precondition=ANY_REVISION,
            **(credential or {"secret_sha256": "c" * 64}),
        )

    return lose


KEYS = admission.key_set(public_set(new_key()))
OTHER_KEYS = admission.key_set(public_set(new_key()))


def _with_key(one: Client) -> Client:
    return replace(one, keys=client_keys(KEYS, NOON))


STAFF_WAYS: dict[str, tuple[tuple[Client, ...], Callable[[Hub], None]]] = {
    "revoked": ((member(ANN, Role.operator),), _revoked),
    "another role of its client": ((member(ANN, Role.auditor, Role.operator),), _role_changed),
    "another client with another role": (
        (member(ANN, Role.operator), member("ann-2", Role.auditor)),
        _role_changed,
    ),
    "issued again": ((member(ANN, Role.operator),), _issued_again(ANN, ANN, Role.operator)),
    "issued again with its key": (
        (_with_key(member(ANN, Role.operator)),),
        _issued_again(ANN, ANN, Role.operator, secret_sha256="c" * 64, jwks=KEYS),
    ),
    "issued again with its secret": (
        (_with_key(member(ANN, Role.operator)),),
        _issued_again(ANN, ANN, Role.operator, secret_sha256=digest(SECRET), jwks=OTHER_KEYS),
    ),
}


@pytest.mark.parametrize("way", STAFF_WAYS)
def test_request_that_a_member_of_the_staff_endorsed_ends_with_its_standing(hub: Hub, way: str) -> None:
    clients, lose = STAFF_WAYS[way]
    issue(hub.quick, OSH, "desk", SECRET)
    hub.clients(*clients)
    endorsed = asked(publish(hub, new_sealing_key(), "desk", without_proof=True))
    hub.two.approvals.approve(endorsed.id, Decider(id=ANN, roles=frozenset({"operator"})))
    other = asked(publish(hub, new_sealing_key(), "desk", without_proof=True))
    hub.two.approvals.approve(other.id, Decider(id="third", roles=frozenset({"operator"})))
    lose(hub)
    assert (hub.state(endorsed), hub.state(other)) == (State.stale, State.requested)
    # A new client of the same person does not bring the endorsement back.
    hub.clients(member("ann-3", Role.auditor))
    with pytest.raises(Refused) as refused:
        hub.two.approvals.approve(endorsed.id, Decider(id="second", roles=frozenset({"operator"})))
    assert refused.value.slug == "conflict"
    assert "endorser was revoked, has another role or was issued again" in str(refused.value)
    found = hub.two.keys.history(OSH)
    assert [one.key for one in found] == [FIRST_KEY]


def test_endorsement_by_an_operator_that_an_earlier_build_revoked_ends_with_its_next_client(hub: Hub) -> None:
    """Earlier builds revoked the client and left the endorsement, which did not count without a client."""
    hub.clients(member("desk", Role.partner, principal=OSH), replace(member(ANN, Role.operator), live=False))
    endorsed, other = (asked(publish(hub, new_sealing_key(), "desk", without_proof=True)) for _ in range(2))
    for request, by in ((endorsed, ANN), (other, "third")):
        hub.two.approvals.approve(request.id, Decider(id=by, roles=frozenset({"operator"})))
    hub.clients(member("ann-2", Role.auditor))
    assert (hub.state(endorsed), hub.state(other)) == (State.stale, State.requested)


@pytest.mark.parametrize("way", STAFF_WAYS)
@pytest.mark.parametrize("kind", STAFF_REQUESTS)
def test_request_of_staff_ends_with_its_requesters_standing(hub: Hub, kind: str, way: str) -> None:
    clients, lose = STAFF_WAYS[way]
    issue(hub.quick, OSH, "desk", SECRET)
    hub.clients(*clients)
    open_request = asked(STAFF_REQUESTS[kind](hub.two))
    others = asked(hub.two.keys.publish(OSH, new_sealing_key(), by="second", operator=True))
    assert hub.state(open_request) is State.requested
    lose(hub)
    assert hub.state(open_request) is State.stale
    assert hub.state(others) is State.requested
    told = [fact.data for fact in hub.two.events() if isinstance(fact.data, ApprovalRefused)]
    assert [(fact.id, fact.reason) for fact in told] == [(open_request.id, ApprovalRefusal.stale)]


@pytest.mark.parametrize("way", STAFF_WAYS)
def test_application_waits_again_when_the_requester_of_its_vetting_loses_standing(hub: Hub, way: str) -> None:
    clients, lose = STAFF_WAYS[way]
    hub.clients(*clients)
    sent = hub.two.applications.apply(application()).application
    vetting = ApplicationVetting()
    known = hub.two.applications.vet(sent.id, vetting, by=ANN)
    assert known.state is ApplicationState.in_approval
    lose(hub)
    assert hub.two.applications.one(sent.id).state is ApplicationState.waiting
    assert hub.two.applications.vet(sent.id, vetting, by="second").state is ApplicationState.in_approval


def _excluded(**changes: Any) -> Callable[[Hub], None]:
    def lose(hub: Hub) -> None:
        with hub.quick.ledger.writing() as writing:
            present = writing.organization(OSH)
            assert present is not None
            writing.put(replace(present, **changes), by="kg.operator")

    return lose


def _loaded_as_suspended(hub: Hub) -> None:
    hub.quick.entries.enter(Organization, [organization(vetting=Vetting.suspended)], by="load")


# How an organisation loses its standing, and whether its open challenge ends too. A challenge is answered
# with the present key's private half, so the revocation of a client does not matter for it.
PARTNER_WAYS: dict[str, tuple[Callable[[Hub], object], bool]] = {
    "client revoked": (lambda hub: hub.two.credentials.revoke("desk", by="second", operator=True), False),
    "client issued again": (_issued_again("desk", OSH, Role.partner), False),
    "role kept by its other client": (
        lambda hub: keep_role(hub.two.ledger, OSH, Role.partner, client_id="spare", by="admin"),
        False,
    ),
    "suspended": (
        lambda hub: hub.two.suspensions.suspend(OSH, SuspensionReason.other, by="second"),
        True,
    ),
    "inactive": (_excluded(active=False), True),
    "left": (_excluded(vetting=Vetting.left), True),
    "loaded as suspended": (_loaded_as_suspended, True),
}


@pytest.mark.parametrize("way", PARTNER_WAYS)
def test_request_of_an_organization_ends_with_its_standing(hub: Hub, way: str) -> None:
    lose, ends_challenge = PARTNER_WAYS[way]
    hub.clients(member("desk", Role.partner, principal=OSH), member("spare", Role.partner, principal=OSH))
    lost = asked(publish(hub, new_sealing_key(), "desk", without_proof=True))
    spare = asked(publish(hub, new_sealing_key(), "spare", without_proof=True))
    operators = asked(hub.two.keys.publish(OSH, new_sealing_key(), by="second", operator=True))
    challenged = publish(hub, new_sealing_key(), "desk")
    assert isinstance(challenged, Challenged)
    lose(hub)
    assert hub.state(lost) is State.stale
    # Those of its other client end too if it is the organisation that lost its standing.
    assert hub.state(spare) is (State.stale if ends_challenge else State.requested)
    # Requests of the staff about it stay: one of them may readmit the organisation.
    assert hub.state(operators) is State.requested
    with hub.two.ledger.writing() as writing:
        store = hub.two.ledger.keys
        found = store.open_challenge(writing.transaction, OSH, challenged.challenge.id)
    assert (found is None) is ends_challenge


def publish(hub: Hub, key: SealingKey, client_id: str, **how: Any) -> Any:
    return hub.two.keys.publish(OSH, key, by=OSH, client=client_id, **how)


def test_revoked_client_of_a_kept_role_leaves_no_password_that_it_has_set(hub: Hub) -> None:
    gateway = member(f"{OSH}.amqp", Role.partner, principal=OSH)
    hub.clients(
        replace(gateway, amqp_password_by="desk"),
        member("desk", Role.partner, principal=OSH),
        member("spare", Role.partner, principal=OSH),
    )
    keep_role(hub.two.ledger, OSH, Role.partner, client_id=f"{OSH}.amqp", by="admin")
    with hub.two.ledger.writing() as writing:
        kept = writing.standing(Client, gateway.id)
    assert kept is not None
    assert kept.entry.amqp_password_by == ""
    assert kept.entry.amqp_password_hash != ""


@pytest.mark.parametrize("setter", ["desk", "zebra"])
def test_password_ends_with_its_client_also_where_the_gateways_client_is_revoked_too(
    hub: Hub, setter: str
) -> None:
    gateway = member(f"{OSH}.amqp", Role.partner, principal=OSH)
    hub.clients(
        replace(gateway, amqp_password_by=setter),
        member(setter, Role.partner, principal=OSH),
        member("spare", Role.partner, principal=OSH),
    )
    keep_role(hub.two.ledger, OSH, Role.partner, client_id="spare", by="admin")
    with hub.two.ledger.writing() as writing:
        revoked = writing.standing(Client, gateway.id)
    assert revoked is not None
    assert not revoked.entry.live
    assert revoked.entry.amqp_password_by == ""
    assert revoked.entry.amqp_password_hash != ""


def test_standing_that_is_not_lost_ends_nothing(hub: Hub) -> None:
    hub.clients(member("desk", Role.partner, principal=OSH), member(ANN, Role.operator))
    partners = asked(publish(hub, new_sealing_key(), "desk", without_proof=True))
    staffs = asked(STAFF_REQUESTS["agreement"](hub.two))
    for client_id, principal, role in (("desk", OSH, "partner"), (ANN, ANN, "operator")):
        by = Principal(id=principal, roles=frozenset({role}), client_id=client_id)
        # The second time, the secret and the key of the first are removed.
        for secret in ("c" * 64, "e" * 64):
            hub.two.own_credentials.rotate(client_id, secret, by=by)
            hub.two.own_credentials.replace_keys(client_id, admission.key_set(public_set(new_key())), by=by)
        hub.two.own_credentials.revoke_tokens(client_id, by=by, operator=False)
    kept = admission.key_set(public_set(new_key(), new_key(kid="k-2")))
    hub.clients(replace(member("spare", Role.partner, principal=OSH), secret_sha256="d" * 64))
    spare = asked(publish(hub, new_sealing_key(), "spare", without_proof=True))
    _issued_again("spare", OSH, Role.partner, secret_sha256="d" * 64, jwks=kept)(hub)
    assert hub.state(spare) is State.requested
    _excluded(name="Another name")(hub)
    assert (hub.state(partners), hub.state(staffs)) == (State.requested, State.requested)
