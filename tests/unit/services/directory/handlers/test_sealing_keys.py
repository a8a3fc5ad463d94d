"""Sealing keys: a token alone never replaces one."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
from joserfc import jwe
from joserfc.jwk import OKPKey

from contracts.codes import ApprovalKind, KeyManner
from contracts.errors import Refused
from contracts.facts import ApprovalEndorsed, ApprovalGranted, ApprovalRefused, SealingKeyReplaced
from contracts.organization import SealingKey, SealingKeyChange
from runtime.settings import REQUESTS_PER_MINUTE
from services.directory.domain.approval import (
    MOST_OPEN_ABOUT_SUBJECT,
    Approval,
    Decider,
    Policy,
    State,
)
from services.directory.domain.client import Role
from services.directory.domain.precondition import at_revision
from services.directory.domain.sealing_key_history import CHALLENGE_VALID_FOR, MOST_CHALLENGES, with_key
from services.directory.handlers import sealing_keys
from services.directory.handlers.approvals import ApprovalReader
from services.directory.handlers.sealing_keys import Challenged
from tests.unit.services.directory.samples import (
    NOON,
    OPERATOR,
    OSH,
    OSH_ITSELF,
    Directory,
    issue,
    new_sealing_key,
    organization,
)

SECOND = Decider(id="kg.second", roles=frozenset({"operator"}))
FIRST = Decider(id=OPERATOR.id, roles=frozenset({"operator"}))
THIRD = Decider(id="kg.third", roles=frozenset({"operator"}))
REGISTRY = jwe.JWERegistry(algorithms=["ECDH-ES+A256KW", "A256GCM"])


@dataclass(frozen=True)
class Pair:
    """A private key and its public half."""

    private: OKPKey
    public: SealingKey

    @classmethod
    def new(cls) -> Pair:
        key = OKPKey.generate_key("X25519")
        x = str(key.as_dict(private=False)["x"])
        return cls(key, SealingKey(kty="OKP", crv="X25519", x=x, kid=key.thumbprint()))

    def content(self, challenged: Challenged) -> dict[str, Any]:
        opened = jwe.decrypt_compact(challenged.sealed, self.private, registry=REGISTRY)
        document: dict[str, Any] = orjson.loads(opened.plaintext or b"")
        return document


def challenged(result: object) -> Challenged:
    assert isinstance(result, Challenged)
    return result


def slug(attempt: object) -> str:
    with pytest.raises(Refused) as refusal:
        attempt()  # type: ignore[operator]
    return refusal.value.slug


@pytest.fixture
def old() -> Pair:
    return Pair.new()


@pytest.fixture
def keyed(directory: Directory, old: Pair) -> Directory:
    """An organisation with a key, where one person decides."""
    directory.entries.put_organization(OPERATOR, organization())
    assert directory.keys.publish(OSH, old.public, by=OSH) == old.public
    return directory


def present(directory: Directory) -> SealingKey | None:
    return directory.listings.organization(OSH).entry.sealing_key


def test_first_key_is_announced_and_kept(keyed: Directory, old: Pair) -> None:
    record = keyed.listings.organization(OSH).entry
    assert record.sealing_key_change == SealingKeyChange(at=NOON, manner=KeyManner.first)
    assert keyed.events()[-1].data == SealingKeyReplaced(
        organization=OSH, kid=old.public.kid, manner=KeyManner.first, by=OSH
    )
    (kept,) = keyed.keys.history(OSH)
    assert (kept.key, kept.since, kept.until, kept.manner, kept.by) == (
        old.public, NOON, None, KeyManner.first, OSH
    )  # fmt: skip


@pytest.mark.parametrize("has_key", [False, True])
def test_history_and_notice_agree_about_a_key_whose_record_does_not_say_its_manner(
    directory: Directory, has_key: bool
) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    if has_key:
        directory.keys.publish(OSH, new_sealing_key(), by=OSH)
    manner = KeyManner.approved if has_key else KeyManner.first
    new = new_sealing_key()
    with directory.ledger.writing() as writing:
        record = writing.organization(OSH)
        assert record is not None
        writing.put(replace(record, sealing_key=new, sealing_key_change=None), by=OPERATOR.id)
    replaced = directory.events()[-1].data
    assert isinstance(replaced, SealingKeyReplaced)
    kept = directory.keys.history(OSH)[0]
    assert (kept.key, kept.manner) == (new, manner)
    assert (replaced.kid, replaced.manner) == (new.kid, manner)


def test_holder_of_the_old_key_replaces_it_at_once(keyed: Directory, old: Pair) -> None:
    new = new_sealing_key()
    asked = challenged(keyed.keys.publish(OSH, new, by=OSH))
    assert present(keyed) == old.public
    content = old.content(asked)
    assert (content["kid"], content["organization"], content["challenge"]) == (
        new.kid,
        OSH,
        asked.challenge.id,
    )
    keyed.clock.time = NOON + dt.timedelta(minutes=9)
    assert keyed.keys.prove(OSH, asked.challenge.id, content["answer"]) == new
    record = keyed.listings.organization(OSH).entry
    assert record.sealing_key == new
    assert record.sealing_key_change == SealingKeyChange(
        at=keyed.clock.time, manner=KeyManner.proved, previous=old.public.kid
    )
    assert keyed.events()[-1].data == SealingKeyReplaced(
        organization=OSH, kid=new.kid, manner=KeyManner.proved, by=OSH, previous=old.public.kid
    )
    assert [(k.key, k.until, k.manner) for k in keyed.keys.history(OSH)] == [
        (new, None, KeyManner.proved),
        (old.public, keyed.clock.time, KeyManner.first),
    ]
    assert slug(lambda: keyed.keys.prove(OSH, asked.challenge.id, content["answer"])) == "not-found"


def test_token_without_the_old_key_replaces_nothing(keyed: Directory, old: Pair) -> None:
    asked = challenged(keyed.keys.publish(OSH, new_sealing_key(), by=OSH))
    events = keyed.events()
    for answer in ("", "guess", asked.challenge.answer_sha256, asked.sealed):
        assert slug(lambda a=answer: keyed.keys.prove(OSH, asked.challenge.id, a)) == "forbidden"
    assert slug(lambda: keyed.keys.prove(OSH, "another", "guess")) == "not-found"
    assert present(keyed) == old.public
    assert keyed.events() == events


def test_challenge_of_another_organization_expired_or_overtaken_is_refused(
    keyed: Directory, old: Pair
) -> None:
    keyed.entries.put_organization(OPERATOR, organization("kg.other"))
    asked = challenged(keyed.keys.publish(OSH, new_sealing_key(), by=OSH))
    answer = old.content(asked)["answer"]
    assert slug(lambda: keyed.keys.prove("kg.other", asked.challenge.id, answer)) == "not-found"
    keyed.clock.time = asked.challenge.expires_at
    assert slug(lambda: keyed.keys.prove(OSH, asked.challenge.id, answer)) == "not-found"
    keyed.clock.time = NOON
    newer = challenged(keyed.keys.publish(OSH, new_sealing_key(), by=OSH))
    keyed.keys.publish(OSH, new_sealing_key(), by=OPERATOR.id, operator=True)
    after = old.content(newer)["answer"]
    assert slug(lambda: keyed.keys.prove(OSH, newer.challenge.id, after)) == "conflict"


@pytest.fixture
def few_challenges(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sealing_keys, "MOST_CHALLENGES", 5)
    return 5


def test_thief_of_the_secret_cannot_use_up_the_challenges_at_the_shipped_rate_of_requests() -> None:
    assert REQUESTS_PER_MINUTE * CHALLENGE_VALID_FOR / dt.timedelta(minutes=1) < MOST_CHALLENGES


def test_challenge_for_another_key_ends_no_earlier_one_and_their_number_is_bounded(
    keyed: Directory, old: Pair, few_challenges: int
) -> None:
    mine = new_sealing_key()
    asked = challenged(keyed.keys.publish(OSH, mine, by=OSH))
    answer = old.content(asked)["answer"]
    foreign = [new_sealing_key() for _ in range(few_challenges)]
    for key in foreign[:-1]:  # a thief with the client's secret
        challenged(keyed.keys.publish(OSH, key, by=OSH))
    assert slug(lambda: keyed.keys.publish(OSH, foreign[-1], by=OSH)) == "too-many-open-requests"
    challenged(keyed.keys.publish(OSH, foreign[0], by=OSH))  # replaces its own challenge
    other = organization("kg.other")
    keyed.entries.put_organization(OPERATOR, other)
    keyed.keys.publish("kg.other", old.public, by="kg.other")
    challenged(keyed.keys.publish("kg.other", mine, by="kg.other"))
    assert keyed.keys.prove(OSH, asked.challenge.id, answer) == mine


def test_expired_challenges_make_room(keyed: Directory, few_challenges: int) -> None:
    for _ in range(few_challenges):
        challenged(keyed.keys.publish(OSH, new_sealing_key(), by=OSH))
    keyed.clock.time = NOON + CHALLENGE_VALID_FOR
    challenged(keyed.keys.publish(OSH, new_sealing_key(), by=OSH))


def test_repeated_challenge_for_one_key_replaces_the_earlier_one(keyed: Directory, old: Pair) -> None:
    new = new_sealing_key()
    first, second = (challenged(keyed.keys.publish(OSH, new, by=OSH)) for _ in range(2))
    answers = [old.content(one)["answer"] for one in (first, second)]
    assert slug(lambda: keyed.keys.prove(OSH, first.challenge.id, answers[0])) == "not-found"
    assert keyed.keys.prove(OSH, second.challenge.id, answers[1]) == new


def test_lost_key_needs_two_operators_where_two_persons_decide(keyed: Directory, old: Pair) -> None:
    guarded = Directory(keyed.database, policy=Policy.two_person)
    new = new_sealing_key()
    asked = guarded.keys.publish(OSH, new, by=OSH, without_proof=True)
    assert isinstance(asked, Approval)
    endorsed = guarded.approvals.approve(asked.id, FIRST)
    assert (endorsed.state, endorsed.endorsed_by) == (State.requested, FIRST.id)
    assert present(guarded) == old.public
    assert slug(lambda: guarded.approvals.approve(asked.id, FIRST)) == "forbidden"
    assert present(guarded) == old.public
    assert guarded.approvals.approve(asked.id, SECOND).state is State.granted
    assert present(guarded) == new
    about: dict[str, Any] = {
        "id": asked.id,
        "kind": ApprovalKind.sealing_key,
        "subject": OSH,
        "requested_by": OSH,
    }
    about |= {"digest": asked.digest, "organization": OSH}
    told = [event.data for event in guarded.events()]
    assert ApprovalEndorsed(**about, by=FIRST.id) in told
    assert ApprovalGranted(**about, by=SECOND.id, endorsed_by=FIRST.id) in told


def test_history_says_when_each_key_came_although_a_proof_counts_as_the_approval_before(
    keyed: Directory, old: Pair
) -> None:
    """The pause counts from the approval; a key was used from when it came until the next one did."""
    keyed.clock.time = approved_at = NOON + dt.timedelta(hours=1)
    approved = Pair.new()
    with keyed.ledger.writing() as writing:
        record = writing.organization(OSH)
        assert record is not None
        replaced = with_key(record, approved.public, manner=KeyManner.approved, at=approved_at)
        writing.put(replaced, by=OSH, approved_by=OPERATOR.id)
    keyed.clock.time = proved_at = approved_at + dt.timedelta(hours=3)
    third = new_sealing_key()
    asked = challenged(keyed.keys.publish(OSH, third, by=OSH))
    assert keyed.keys.prove(OSH, asked.challenge.id, approved.content(asked)["answer"]) == third
    change = keyed.listings.organization(OSH).entry.sealing_key_change
    assert change is not None
    assert (change.manner, change.at) == (KeyManner.approved, approved_at)
    assert [(k.key, k.since, k.until, k.manner, k.approved_by) for k in keyed.keys.history(OSH)] == [
        (third, proved_at, None, KeyManner.approved, None),
        (approved.public, approved_at, proved_at, KeyManner.approved, OPERATOR.id),
        (old.public, NOON, approved_at, KeyManner.first, None),
    ]


def test_endorsement_by_a_revoked_operator_does_not_count(keyed: Directory, old: Pair) -> None:
    issue(keyed, FIRST.id, "first", "f" * 43, Role.operator)
    guarded = Directory(keyed.database, policy=Policy.two_person)
    new = new_sealing_key()
    asked = guarded.keys.publish(OSH, new, by=OSH, without_proof=True)
    assert isinstance(asked, Approval)
    guarded.approvals.approve(asked.id, FIRST)
    guarded.credentials.revoke("first", by=SECOND.id, operator=True)
    assert slug(lambda: guarded.approvals.approve(asked.id, SECOND)) == "conflict"
    again = guarded.keys.publish(OSH, new, by=OSH, without_proof=True)
    assert isinstance(again, Approval)
    assert again.id != asked.id
    assert guarded.approvals.approve(again.id, SECOND).state is State.requested
    assert present(guarded) == old.public
    assert guarded.approvals.approve(again.id, THIRD).state is State.granted
    assert present(guarded) == new


def test_first_key_of_a_partner_needs_two_operators_where_two_persons_decide(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    guarded = Directory(directory.database, policy=Policy.two_person)
    asked = guarded.keys.publish(OSH, new_sealing_key(), by=OSH)
    assert isinstance(asked, Approval)
    guarded.approvals.approve(asked.id, FIRST)
    assert present(guarded) is None
    guarded.approvals.approve(asked.id, SECOND)
    assert present(guarded) is not None


def test_lost_key_is_replaced_by_an_operator_on_request_of_the_owner(keyed: Directory, old: Pair) -> None:
    new = new_sealing_key()
    asked = keyed.keys.publish(OSH, new, by=OSH, without_proof=True)
    assert isinstance(asked, Approval)
    assert (asked.kind, asked.requested_by, asked.basis) == (ApprovalKind.sealing_key, OSH, old.public.kid)
    assert present(keyed) == old.public
    owner = Decider(id=OSH, roles=frozenset({"partner"}))
    assert slug(lambda: keyed.approvals.approve(asked.id, owner)) == "forbidden"
    keyed.approvals.approve(asked.id, FIRST)
    assert present(keyed) == new
    assert keyed.events()[-1].data == SealingKeyReplaced(
        organization=OSH,
        kid=new.kid,
        manner=KeyManner.approved,
        by=OSH,
        previous=old.public.kid,
        approved_by=OPERATOR.id,
    )


def test_request_for_another_key_makes_no_request_stale(keyed: Directory) -> None:
    guarded = Directory(keyed.database, policy=Policy.two_person)
    new, foreign = new_sealing_key(), new_sealing_key()
    asked = guarded.keys.publish(OSH, new, by=OSH, without_proof=True)
    assert isinstance(asked, Approval)
    guarded.approvals.approve(asked.id, FIRST)
    thiefs = guarded.keys.publish(OSH, foreign, by=OSH, without_proof=True)
    assert isinstance(thiefs, Approval)
    repeated = guarded.keys.publish(OSH, new, by=OSH, without_proof=True)
    assert isinstance(repeated, Approval)
    assert repeated.id == asked.id
    assert guarded.approvals.approve(asked.id, SECOND).state is State.granted
    assert present(guarded) == new
    assert slug(lambda: guarded.approvals.approve(thiefs.id, FIRST)) == "conflict"


@pytest.fixture
def stolen(keyed: Directory) -> Directory:
    """Two persons decide; the client `desk` is the owner's, `phone` is stolen and was registered later."""
    for name in ("desk", "phone"):
        issue(keyed, OSH, name, name * 20)
    return Directory(keyed.database, policy=Policy.two_person)


def ask_for(directory: Directory, key: SealingKey, client: str) -> Approval:
    asked = directory.keys.publish(OSH, key, by=OSH, client=client, without_proof=True)
    assert isinstance(asked, Approval)
    return asked


def revoke(directory: Directory, client: str) -> None:
    directory.credentials.revoke(client, by=OPERATOR.id, operator=True)


def owner_with(client: str) -> Decider:
    return Decider(id=OSH, roles=frozenset({"partner"}), client=client)


def test_later_client_does_not_refuse_the_request_of_an_earlier_one(stolen: Directory) -> None:
    asked = ask_for(stolen, new_sealing_key(), "desk")
    assert slug(lambda: stolen.approvals.refuse(asked.id, owner_with("phone"))) == "forbidden"
    own = ask_for(stolen, new_sealing_key(), "phone")
    assert stolen.approvals.refuse(own.id, owner_with("phone")).state is State.refused
    thiefs = ask_for(stolen, new_sealing_key(), "phone")
    assert stolen.approvals.refuse(thiefs.id, owner_with("desk")).state is State.refused
    assert stolen.approvals.refuse(asked.id, owner_with("desk")).state is State.refused


def test_requests_of_a_later_client_leave_room_for_the_owner_and_for_operators(stolen: Directory) -> None:
    for _ in range(MOST_OPEN_ABOUT_SUBJECT):
        ask_for(stolen, new_sealing_key(), "phone")
    assert slug(lambda: ask_for(stolen, new_sealing_key(), "phone")) == "too-many-open-requests"
    asked = [ask_for(stolen, new_sealing_key(), "desk") for _ in range(MOST_OPEN_ABOUT_SUBJECT)]
    assert len({one.id for one in asked}) == MOST_OPEN_ABOUT_SUBJECT
    assert slug(lambda: ask_for(stolen, new_sealing_key(), "desk")) == "too-many-open-requests"
    staffs = stolen.keys.publish(OSH, new_sealing_key(), by=OPERATOR.id, operator=True)
    assert isinstance(staffs, Approval)


def test_one_operators_requests_leave_room_for_the_owner_and_for_other_operators(stolen: Directory) -> None:
    def ask_as(operator: str) -> Approval:
        asked = stolen.keys.publish(OSH, new_sealing_key(), by=operator, operator=True)
        assert isinstance(asked, Approval)
        return asked

    first, *_ = [ask_as(OPERATOR.id) for _ in range(MOST_OPEN_ABOUT_SUBJECT)]
    with pytest.raises(Refused) as refusal:
        ask_as(OPERATOR.id)
    assert refusal.value.slug == "too-many-open-requests"
    whose = f"You have {MOST_OPEN_ABOUT_SUBJECT} open requests for a sealing key of {OSH}. "
    assert refusal.value.detail.startswith(whose)
    assert ask_as("kg.second").state is State.requested
    assert ask_for(stolen, new_sealing_key(), "desk").state is State.requested
    stolen.approvals.refuse(first.id, Decider(id=OPERATOR.id, roles=frozenset({"operator"})))
    assert ask_as(OPERATOR.id).state is State.requested


def test_request_of_a_later_client_for_the_same_key_does_not_replace_the_owners(stolen: Directory) -> None:
    new = new_sealing_key()
    thiefs = ask_for(stolen, new, "phone")
    owners = ask_for(stolen, new, "desk")
    assert owners.id != thiefs.id
    assert ask_for(stolen, new, "desk").id == owners.id
    assert ask_for(stolen, new, "phone").id in (owners.id, thiefs.id)
    stolen.approvals.refuse(thiefs.id, owner_with("phone"))
    assert ask_for(stolen, new, "phone").id == owners.id
    stolen.approvals.approve(owners.id, FIRST)
    assert stolen.approvals.approve(owners.id, SECOND).state is State.granted


def test_request_of_a_client_that_was_revoked_is_stale(stolen: Directory) -> None:
    thiefs = ask_for(stolen, new_sealing_key(), "phone")
    owners = ask_for(stolen, new_sealing_key(), "desk")
    revoke(stolen, "phone")
    assert stolen.approvals.one(thiefs.id, ApprovalReader(organization=None)).state is State.stale
    assert slug(lambda: stolen.approvals.approve(thiefs.id, FIRST)) == "conflict"
    assert [event.data.id for event in stolen.events() if isinstance(event.data, ApprovalRefused)] == [
        thiefs.id
    ]
    assert stolen.approvals.approve(owners.id, FIRST).state is State.requested
    assert stolen.approvals.approve(owners.id, SECOND).state is State.granted


def test_request_of_a_revoked_client_is_not_returned_to_another_one(stolen: Directory) -> None:
    key = new_sealing_key()
    earlier = ask_for(stolen, key, "desk")
    revoke(stolen, "desk")
    own = ask_for(stolen, key, "phone")
    assert own.id != earlier.id
    stolen.approvals.approve(own.id, FIRST)
    assert stolen.approvals.approve(own.id, SECOND).state is State.granted


def test_requests_of_a_revoked_client_take_no_room(stolen: Directory) -> None:
    for _ in range(MOST_OPEN_ABOUT_SUBJECT):
        ask_for(stolen, new_sealing_key(), "desk")
    assert slug(lambda: ask_for(stolen, new_sealing_key(), "phone")) == "too-many-open-requests"
    revoke(stolen, "desk")
    assert ask_for(stolen, new_sealing_key(), "phone").state is State.requested


def test_client_that_was_revoked_requests_nothing_with_a_token_that_it_still_has(stolen: Directory) -> None:
    revoke(stolen, "phone")
    assert slug(lambda: ask_for(stolen, new_sealing_key(), "phone")) == "forbidden"


def test_request_that_expired_before_its_client_was_revoked_ends_as_expired(stolen: Directory) -> None:
    asked = ask_for(stolen, new_sealing_key(), "phone")
    stolen.clock.time = asked.expires_at
    revoke(stolen, "phone")
    assert stolen.approvals.one(asked.id, ApprovalReader(organization=None)).state is State.expired


def test_request_of_an_earlier_build_is_refused_by_operators_alone(stolen: Directory) -> None:
    asked = stolen.keys.publish(OSH, new_sealing_key(), by=OSH, without_proof=True)
    assert isinstance(asked, Approval)
    with pytest.raises(Refused, match="Only an operator can refuse it") as refusal:
        stolen.approvals.refuse(asked.id, owner_with("desk"))
    assert refusal.value.slug == "forbidden"
    assert stolen.approvals.refuse(asked.id, FIRST).state is State.refused


def test_request_outlives_other_changes_of_the_record_but_not_another_key(
    keyed: Directory, old: Pair
) -> None:
    first = keyed.keys.publish(OSH, new_sealing_key(), by=OSH, without_proof=True)
    assert isinstance(first, Approval)
    keyed.entries.put_organization(
        OSH_ITSELF, organization(name="New"), precondition=at_revision(2), named=frozenset({"name"})
    )
    keyed.keys.publish(OSH, new_sealing_key(), by=OPERATOR.id, operator=True)
    changed = present(keyed)
    assert slug(lambda: keyed.approvals.approve(first.id, SECOND)) == "conflict"
    assert present(keyed) == changed


def test_two_persons_decide_about_first_keys_and_operators_requests(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    guarded = Directory(directory.database, policy=Policy.two_person)
    key = new_sealing_key()
    own = guarded.keys.publish(OSH, key, by=OSH)
    asked = guarded.keys.publish(OSH, key, by=OPERATOR.id, operator=True)
    assert isinstance(own, Approval)
    assert isinstance(asked, Approval)
    assert present(guarded) is None
    assert slug(lambda: guarded.approvals.approve(asked.id, FIRST)) == "forbidden"
    guarded.approvals.approve(asked.id, SECOND)
    record = guarded.listings.organization(OSH).entry
    assert record.sealing_key == key
    assert record.sealing_key_change == SealingKeyChange(at=NOON, manner=KeyManner.first)


def test_repeated_publication_changes_nothing(keyed: Directory, old: Pair) -> None:
    events = keyed.events()
    assert keyed.keys.publish(OSH, old.public, by=OSH) == old.public
    assert keyed.events() == events


def test_key_without_an_organization_or_with_a_stale_precondition_is_refused(keyed: Directory) -> None:
    assert slug(lambda: keyed.keys.publish("kg.nobody", new_sealing_key(), by="kg.nobody")) == "not-found"
    stale = at_revision(1)
    assert (
        slug(lambda: keyed.keys.publish(OSH, new_sealing_key(), by=OSH, precondition=stale))
        == "precondition-failed"
    )
