"""Approvals by a second person: what waits, what takes effect, and what is on record."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256

import pytest

from contracts.codes import ApprovalKind, ApprovalRefusal, Vetting
from contracts.errors import Refused
from contracts.facts import (
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequested,
    ClientChanged,
    CredentialIssued,
    OrganizationChanged,
    RoleGranted,
)
from contracts.records import dump, plain
from runtime.storage.database import Database
from services.directory.domain.amendment import Editor
from services.directory.domain.approval import (
    MOST_OPEN_ABOUT_SUBJECT,
    MOST_OPEN_BY_REQUESTER,
    VALID_FOR,
    Approval,
    Decider,
    Policy,
    State,
)
from services.directory.domain.client import Role
from services.directory.domain.precondition import ANY_REVISION, at_revision
from services.directory.handlers.approvals import ApprovalReader
from services.directory.handlers.entries import Written
from tests.support import migrated
from tests.unit.services.directory.samples import (
    NOON,
    OPERATOR,
    OSH,
    OSH_ITSELF,
    Directory,
    agreement,
    issue,
    new_sealing_key,
    organization,
    service_record,
    without_digest,
)

SECRET = "a" * 43
SECOND = Decider(id="kg.second", roles=frozenset({"operator"}))
FIRST = Decider(id=OPERATOR.id, roles=frozenset({"operator"}))
EVERYONE = ApprovalReader(organization=None)


@pytest.fixture
def guarded(database_url: str) -> Iterator[Directory]:
    """A directory with one vetted organisation, where two persons decide."""
    database = Database.open(database_url)
    migrated.upgrade("services.directory", database)
    loader = Directory(database)
    loader.entries.put_organization(OPERATOR, organization())
    with database.write() as transaction:
        loader.outbox.forget(transaction, [n for n, _ in loader.outbox.oldest(transaction, 1000)])
    yield Directory(database, policy=Policy.two_person)
    database.close()


def requested(result: object) -> Approval:
    assert isinstance(result, Approval)
    return result


def refusal_of(attempt: object) -> str:
    with pytest.raises(Refused) as refusal:
        attempt()  # type: ignore[operator]
    return refusal.value.slug


def test_credential_takes_effect_only_after_the_second_person_approves(guarded: Directory) -> None:
    waiting = requested(issue(guarded, OSH, "desk", SECRET))
    assert (waiting.kind, waiting.state, waiting.organization) == (
        ApprovalKind.credential,
        State.requested,
        OSH,
    )
    assert refusal_of(lambda: guarded.tokens.issue("desk", SECRET)) == "invalid-client"
    assert refusal_of(lambda: guarded.approvals.approve(waiting.id, FIRST)) == "forbidden"
    assert refusal_of(lambda: guarded.tokens.issue("desk", SECRET)) == "invalid-client"
    assert guarded.approvals.approve(waiting.id, SECOND).state is State.granted
    assert guarded.tokens.issue("desk", SECRET)
    asked, granted, client, issued = [event.data for event in guarded.events()]
    assert asked == ApprovalRequested(
        id=waiting.id,
        kind=ApprovalKind.credential,
        subject="desk",
        requested_by=OPERATOR.id,
        expires_at=NOON + dt.timedelta(days=7),
        digest=waiting.digest,
        organization=OSH,
    )
    assert granted == ApprovalGranted(
        id=waiting.id,
        kind=ApprovalKind.credential,
        subject="desk",
        requested_by=OPERATOR.id,
        by=SECOND.id,
        digest=waiting.digest,
        organization=OSH,
    )
    assert without_digest(client) == ClientChanged(
        revision=1, client_id="desk", principal=OSH, roles=("partner",), live=True
    )
    assert issued == CredentialIssued(
        client_id="desk", principal=OSH, roles=("partner",), by=OPERATOR.id, approved_by=SECOND.id
    )


def test_request_shows_a_fingerprint_in_place_of_the_digest_of_its_secret(guarded: Directory) -> None:
    waiting = requested(issue(guarded, OSH, "desk", SECRET))
    secret_digest = sha256(SECRET.encode()).hexdigest()
    shown = guarded.approvals.shown(waiting)
    assert secret_digest not in dump(shown).decode()
    assert shown.change["secret_fingerprint"] == secret_digest[:16]
    assert (shown.change["client_id"], shown.change["principal"], shown.requested_by) == (
        "desk",
        OSH,
        OPERATOR.id,
    )
    # The request itself keeps the whole digest, which takes effect.
    guarded.approvals.approve(waiting.id, SECOND)
    assert guarded.tokens.issue("desk", SECRET)


def test_request_of_a_revoked_operator_is_stale(guarded: Directory) -> None:
    loader = Directory(guarded.database)
    issue(loader, OPERATOR.id, "operator", SECRET, Role.operator)
    waiting = requested(issue(guarded, OSH, "desk", SECRET))
    loader.credentials.revoke("operator", by=SECOND.id, operator=True)
    assert refusal_of(lambda: guarded.approvals.approve(waiting.id, SECOND)) == "conflict"
    assert refusal_of(lambda: guarded.tokens.issue("desk", SECRET)) == "invalid-client"
    assert guarded.approvals.one(waiting.id, EVERYONE).state is State.stale


def test_decided_request_cannot_be_decided_again(guarded: Directory) -> None:
    first, second = (requested(issue(guarded, OSH, name, SECRET)) for name in ("one", "two"))
    guarded.approvals.approve(first.id, SECOND)
    guarded.approvals.refuse(second.id, SECOND)
    for approval in (first, second):
        assert refusal_of(lambda a=approval: guarded.approvals.approve(a.id, SECOND)) == "conflict"
        assert refusal_of(lambda a=approval: guarded.approvals.refuse(a.id, SECOND)) == "conflict"
    assert refusal_of(lambda: guarded.tokens.issue("two", SECRET)) == "invalid-client"
    assert guarded.events()[-1].data == ApprovalRefused(
        id=second.id,
        kind=ApprovalKind.credential,
        subject="two",
        requested_by=OPERATOR.id,
        by=SECOND.id,
        reason=ApprovalRefusal.refused,
        organization=OSH,
    )


def test_second_client_of_a_partner_is_announced_to_the_partner(guarded: Directory) -> None:
    for name in ("first", "second"):
        guarded.approvals.approve(requested(issue(guarded, OSH, name, SECRET)).id, SECOND)
    issued = [event.data for event in guarded.events() if isinstance(event.data, CredentialIssued)]
    assert [(fact.client_id, fact.organization) for fact in issued] == [("first", None), ("second", OSH)]


def test_role_grant_needs_a_second_person_other_than_its_holder(guarded: Directory) -> None:
    waiting = requested(issue(guarded, "cholpon", "cholpon", SECRET, Role.operator))
    assert (waiting.kind, waiting.organization) == (ApprovalKind.role, None)
    holder = Decider(id="cholpon", roles=frozenset({"operator"}))
    assert refusal_of(lambda: guarded.approvals.approve(waiting.id, holder)) == "forbidden"
    guarded.approvals.approve(waiting.id, SECOND)
    assert guarded.events()[-1].data == RoleGranted(
        principal="cholpon", role="operator", client_id="cholpon", by=OPERATOR.id, approved_by=SECOND.id
    )


def test_secret_made_by_the_hub_needs_one_person_policy(guarded: Directory) -> None:
    with pytest.raises(Refused) as refusal:
        guarded.credentials.issue(
            OPERATOR.id, client_id="desk", principal=OSH, roles=(Role.partner,), secret_sha256=None
        )
    assert [error.pointer for error in refusal.value.errors] == ["/secret_sha256"]


def test_vetting_takes_effect_as_requested_after_approval(guarded: Directory) -> None:
    guarded.entries.put_organization(OPERATOR, organization("kg.new", vetting="applied"))
    waiting = requested(
        guarded.entries.put_organization(OPERATOR, organization("kg.new"), precondition=at_revision(1))
    )
    assert guarded.listings.organization("kg.new").entry.vetting is Vetting.applied
    guarded.approvals.approve(waiting.id, SECOND)
    assert guarded.listings.organization("kg.new").entry == organization("kg.new")
    assert guarded.revisions("kg.new")[-1] == (2, 1, OPERATOR.id)


@pytest.mark.parametrize(
    "wanted",
    [
        organization("kg.new"),
        organization("kg.new", vetting="applied", sealing_key=plain(new_sealing_key())),
        organization(kind="union"),
        organization(country="UZ"),
    ],
)
def test_operator_alone_cannot_vouch_for_an_organization(guarded: Directory, wanted: object) -> None:
    assert isinstance(wanted, type(organization()))
    known = wanted.id == OSH
    before = guarded.events()
    requested(
        guarded.entries.put_organization(OPERATOR, wanted, precondition=ANY_REVISION if known else None)
    )
    changed = [e for e in guarded.events()[len(before) :] if isinstance(e.data, OrganizationChanged)]
    assert changed == []


def test_suspension_needs_one_person_and_readmission_two(guarded: Directory) -> None:
    suspended = guarded.entries.put_organization(
        OPERATOR, organization(vetting="suspended"), precondition=at_revision(1)
    )
    assert isinstance(suspended, Written)
    requested(guarded.entries.put_organization(OPERATOR, organization(), precondition=at_revision(2)))
    assert guarded.listings.organization(OSH).entry.vetting is Vetting.suspended


def test_request_on_a_record_that_changed_since_is_stale_and_on_record(guarded: Directory) -> None:
    wanted = organization(country="UZ")
    waiting = requested(guarded.entries.put_organization(OPERATOR, wanted, precondition=at_revision(1)))
    guarded.entries.put_organization(OSH_ITSELF, organization(name="New"), precondition=at_revision(1))
    assert refusal_of(lambda: guarded.approvals.approve(waiting.id, SECOND)) == "conflict"
    assert guarded.listings.organization(OSH).entry == organization(name="New")
    assert guarded.approvals.one(waiting.id, EVERYONE).state is State.stale
    last = guarded.events()[-1].data
    assert isinstance(last, ApprovalRefused)
    assert (last.reason, last.by) == (ApprovalRefusal.stale, SECOND.id)


def test_expired_request_has_no_effect(guarded: Directory) -> None:
    waiting = requested(issue(guarded, OSH, "desk", SECRET))
    assert waiting.expires_at - waiting.requested_at == dt.timedelta(days=7)
    guarded.clock.time = waiting.expires_at
    assert guarded.approvals.shown(waiting).state == "expired"
    assert refusal_of(lambda: guarded.approvals.approve(waiting.id, SECOND)) == "conflict"
    assert guarded.approvals.one(waiting.id, EVERYONE).state is State.expired
    assert refusal_of(lambda: guarded.tokens.issue("desk", SECRET)) == "invalid-client"


def test_repeated_request_is_one_request_and_a_different_one_replaces_it(guarded: Directory) -> None:
    first = requested(issue(guarded, OSH, "desk", SECRET))
    assert requested(issue(guarded, OSH, "desk", SECRET)) == first
    second = requested(issue(guarded, OSH, "desk", "b" * 43))
    assert second.id != first.id
    assert refusal_of(lambda: guarded.approvals.approve(first.id, SECOND)) == "conflict"
    waiting = guarded.approvals.page(EVERYONE, State.requested, "", 10)
    assert waiting == [second]
    reasons = [event.data.reason for event in guarded.events() if isinstance(event.data, ApprovalRefused)]
    assert reasons == [ApprovalRefusal.stale]


def test_partner_sees_only_the_requests_about_itself(guarded: Directory) -> None:
    own = requested(issue(guarded, OSH, "desk", SECRET))
    staff = requested(issue(guarded, "cholpon", "cholpon", SECRET, Role.auditor))
    partner, other = ApprovalReader(organization=OSH), ApprovalReader(organization="kg.other")
    assert [a.id for a in guarded.approvals.page(partner, None, "", 10)] == [own.id]
    assert [a.id for a in guarded.approvals.page(EVERYONE, None, "", 10)] == [own.id, staff.id]
    assert [a.id for a in guarded.approvals.page(EVERYONE, None, own.id, 10)] == [staff.id]
    assert guarded.approvals.page(other, None, "", 10) == []
    assert guarded.approvals.one(own.id, partner).id == own.id
    assert refusal_of(lambda: guarded.approvals.one(staff.id, partner)) == "not-found"
    assert refusal_of(lambda: guarded.approvals.approve("unknown", SECOND)) == "not-found"


def test_granted_client_that_breaks_separation_meanwhile_stays_requested(guarded: Directory) -> None:
    auditor = requested(issue(guarded, "ann", "ann", SECRET, Role.auditor))
    operator = requested(issue(guarded, "ann", "ann-2", SECRET, Role.operator))
    guarded.approvals.approve(auditor.id, SECOND)
    assert refusal_of(lambda: guarded.approvals.approve(operator.id, SECOND)) == "conflict"
    assert guarded.approvals.one(operator.id, EVERYONE) == replace(operator, state=State.requested)
    assert refusal_of(lambda: guarded.tokens.issue("ann-2", SECRET)) == "invalid-client"


def test_simultaneous_decisions_take_effect_once(guarded: Directory) -> None:
    waiting = requested(issue(guarded, OSH, "desk", SECRET))
    third = Decider(id="kg.third", roles=frozenset({"operator"}))

    def decide(by: Decider) -> str:
        try:
            return guarded.approvals.approve(waiting.id, by).state
        except Refused as refused:
            return refused.slug

    with ThreadPoolExecutor(4) as deciders:
        outcomes = sorted(deciders.map(decide, [SECOND, third, SECOND, third]))
    assert outcomes == ["conflict"] * 3 + ["granted"]
    facts = [event.data.routing_key for event in guarded.events()]
    assert facts == ["approval.requested", "approval.granted", "client.changed", "credential.issued"]


def test_agreement_takes_effect_only_after_the_second_person_approves(guarded: Directory) -> None:
    wanted = agreement(disclosure="sensitive")
    waiting = requested(guarded.entries.put_agreement(OPERATOR, wanted))
    assert (waiting.kind, waiting.subject, waiting.organization) == (ApprovalKind.agreement, wanted.id, None)
    assert guarded.listings.agreements("", 10) == []
    assert refusal_of(lambda: guarded.approvals.approve(waiting.id, FIRST)) == "forbidden"
    guarded.approvals.approve(waiting.id, SECOND)
    assert [one.entry for one in guarded.listings.agreements("", 10)] == [wanted]
    assert guarded.revisions(wanted.id) == [(1, None, OPERATOR.id)]


def test_operator_alone_ends_an_agreement_and_does_not_extend_it(guarded: Directory) -> None:
    whole = agreement()
    guarded.approvals.approve(requested(guarded.entries.put_agreement(OPERATOR, whole)).id, SECOND)
    ended = agreement(effective_until="2026-03-01")
    written = guarded.entries.put_agreement(OPERATOR, ended, precondition=at_revision(1))
    assert isinstance(written, Written)
    again = guarded.entries.put_agreement(OPERATOR, whole, precondition=at_revision(2))
    assert requested(again).basis == "revision 2"
    assert [one.entry for one in guarded.listings.agreements("", 10)] == [ended]


def test_agreement_that_changed_since_the_request_makes_it_stale(guarded: Directory) -> None:
    first = requested(guarded.entries.put_agreement(OPERATOR, agreement()))
    other = Editor(id=SECOND.id, operator=True)
    second = requested(guarded.entries.put_agreement(other, agreement(title="Another")))
    guarded.approvals.approve(first.id, SECOND)
    assert refusal_of(lambda: guarded.approvals.approve(second.id, FIRST)) == "conflict"
    assert guarded.approvals.one(second.id, EVERYONE).state is State.stale


def test_operator_alone_does_not_change_the_services_by_which_an_organization_is_asked(
    guarded: Directory,
) -> None:
    everywhere = organization(services=[service_record(areas=["KG", "RU", "KZ"])])
    waiting = requested(guarded.entries.put_organization(OPERATOR, everywhere, precondition=at_revision(1)))
    assert guarded.listings.organization(OSH).entry == organization()
    own = guarded.entries.put_organization(OSH_ITSELF, everywhere, precondition=at_revision(1))
    assert isinstance(own, Written)
    assert refusal_of(lambda: guarded.approvals.approve(waiting.id, SECOND)) == "conflict"


def test_requester_has_a_bounded_number_of_open_requests(guarded: Directory) -> None:
    for number in range(MOST_OPEN_BY_REQUESTER):
        requested(issue(guarded, OSH, f"desk-{number}", SECRET))
    before = guarded.events()
    assert refusal_of(lambda: issue(guarded, OSH, "one-more", SECRET)) == "too-many-open-requests"
    assert guarded.events() == before
    requested(issue(guarded, OSH, "desk-0", "b" * 43))  # replaces its own earlier request
    other = guarded.keys.publish(OSH, new_sealing_key(), by=OSH, without_proof=True)
    requested(other)  # somebody else's request
    (first, *_) = guarded.approvals.page(EVERYONE, State.requested, "", 10)
    guarded.approvals.refuse(first.id, FIRST)
    requested(issue(guarded, OSH, "one-more", SECRET))


def test_subject_has_a_bounded_number_of_open_requests(guarded: Directory) -> None:
    for number in range(MOST_OPEN_ABOUT_SUBJECT):
        editor = Editor(id=f"kg.operator-{number}", operator=True)
        requested(guarded.entries.put_agreement(editor, agreement()))
    last = Editor(id="kg.last", operator=True)
    refused = refusal_of(lambda: guarded.entries.put_agreement(last, agreement()))
    assert refused == "too-many-open-requests"
    requested(guarded.entries.put_agreement(last, agreement("another")))


def test_expired_requests_end_on_record_when_the_next_one_is_made(guarded: Directory) -> None:
    for number in range(MOST_OPEN_BY_REQUESTER):
        requested(issue(guarded, OSH, f"desk-{number}", SECRET))
    guarded.clock.time = NOON + VALID_FOR
    requested(issue(guarded, OSH, "next", SECRET))
    ended = [event.data for event in guarded.events() if isinstance(event.data, ApprovalRefused)]
    assert len(ended) == MOST_OPEN_BY_REQUESTER
    assert {(fact.reason, fact.by) for fact in ended} == {(ApprovalRefusal.expired, OPERATOR.id)}


def test_overlapping_agreement_is_refused_before_and_after_the_request(guarded: Directory) -> None:
    copy = requested(guarded.entries.put_agreement(OPERATOR, agreement("copy", needs=["legal"])))
    guarded.approvals.approve(requested(guarded.entries.put_agreement(OPERATOR, agreement())).id, SECOND)
    assert refusal_of(lambda: guarded.entries.put_agreement(OPERATOR, agreement("third"))) == "conflict"
    assert refusal_of(lambda: guarded.approvals.approve(copy.id, SECOND)) == "conflict"
    assert [one.entry.id for one in guarded.listings.agreements("", 10)] == ["network-memorandum"]
