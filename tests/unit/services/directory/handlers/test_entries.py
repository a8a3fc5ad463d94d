"""Changes of entries: revisions, and events in the same transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from contracts.codes import KeyManner
from contracts.errors import Refused
from contracts.facts import AgreementChanged, OrganizationChanged, SealingKeyReplaced, TokenKeyChanged
from contracts.organization import Agreement, Organization, SealingKeyChange
from contracts.records import plain
from services.directory import admission
from services.directory.domain.amendment import Editor
from services.directory.domain.client import Client, Role, client
from services.directory.domain.entry import Standing, TokenKey
from services.directory.domain.precondition import ABSENT, ANY_REVISION, at_revision
from services.directory.handlers.entries import Written
from tests.unit.services.directory.samples import (
    NOON,
    OPERATOR,
    OSH,
    OSH_ITSELF,
    SOURCE,
    Directory,
    agreement,
    issue,
    new_sealing_key,
    organization,
    organization_record,
)

# The members of the sample record.
RECORD = frozenset(organization_record())


def put(directory: Directory, editor: Editor, wanted: Organization, **options: Any) -> Written[Organization]:
    """Write a record that needs no second person."""
    written = directory.entries.put_organization(editor, wanted, **options)
    assert isinstance(written, Written)
    return written


def test_change_writes_a_revision_and_a_full_state_event(directory: Directory) -> None:
    first = put(directory, OPERATOR, organization())
    second = put(directory, OSH_ITSELF, organization(name="New"), precondition=at_revision(1))
    assert (first.created, first.standing.revision) == (True, 1)
    assert (second.created, second.standing.revision) == (False, 2)
    assert directory.revisions(OSH) == [(1, None, OPERATOR.id), (2, 1, OSH)]
    events = directory.events()
    assert [event.data for event in events] == [
        OrganizationChanged(revision=1, organization=organization(), by=OPERATOR.id),
        OrganizationChanged(revision=2, organization=organization(name="New"), by=OSH),
    ]
    assert {(event.source, event.partition_key, event.time) for event in events} == {(SOURCE, OSH, NOON)}
    assert directory.listings.organization(OSH) == second.standing
    assert directory.commits == 2


def test_unchanged_record_makes_no_revision(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    again = put(directory, OSH_ITSELF, organization(), precondition=at_revision(1))
    assert (again.created, again.standing.revision) == (False, 1)
    assert len(directory.revisions(OSH)) == len(directory.events()) == 1


def test_refused_change_writes_nothing(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    for editor, wanted, precondition in (
        (OSH_ITSELF, organization(vetting="left"), at_revision(1)),
        (OSH_ITSELF, organization("kg.other"), None),
        (OPERATOR, organization(name="New"), at_revision(7)),
        (OPERATOR, organization(name="New"), None),
        (OPERATOR, organization(parent="kg.nobody"), at_revision(1)),
    ):
        with pytest.raises(Refused):
            directory.entries.put_organization(editor, wanted, precondition=precondition)
    assert directory.listings.organization(OSH).entry == organization()
    assert len(directory.events()) == 1


def test_concurrent_changes_are_serialised(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    names = [f"Name {number}" for number in range(16)]
    with ThreadPoolExecutor(8) as editors:
        written = list(
            editors.map(
                lambda name: put(directory, OSH_ITSELF, organization(name=name), precondition=ANY_REVISION),
                names,
            )
        )
    assert sorted(w.standing.revision for w in written) == list(range(2, 18))
    assert [number for number, _, _ in directory.revisions(OSH)] == list(range(1, 18))
    assert [event.data.revision for event in directory.events()] == list(range(1, 18))  # type: ignore[attr-defined]


def test_concurrent_creation_of_a_record_succeeds_once(directory: Directory) -> None:
    def enter(_: int) -> str:
        try:
            directory.entries.put_organization(OPERATOR, organization(name=f"Name {_}"), precondition=ABSENT)
        except Refused as refused:
            return refused.slug
        return "created"

    with ThreadPoolExecutor(4) as editors:
        assert sorted(editors.map(enter, range(4))) == ["created", *["precondition-failed"] * 3]


def test_agreement_is_published(directory: Directory) -> None:
    written = directory.entries.put_agreement(OPERATOR, agreement())
    assert isinstance(written, Written)
    assert (written.created, written.standing.revision) == (True, 1)
    (event,) = directory.events()
    assert event.data == AgreementChanged(revision=1, agreement=agreement(), by=OPERATOR.id)
    assert event.partition_key == "network-memorandum"


def test_token_key_is_published_once(directory: Directory) -> None:
    key = TokenKey(id="kid", key={"kid": "kid", "x": "..."})
    directory.entries.announce([key], by=SOURCE)
    directory.entries.announce([key], by=SOURCE)
    (event,) = directory.events()
    assert event.data == TokenKeyChanged(revision=1, key=key.key)
    assert event.partition_key == "kid"


def test_new_token_key_withdraws_the_previous_key(directory: Directory) -> None:
    old, new = (TokenKey(id=kid, key={"kid": kid, "x": "..."}) for kid in ("old", "new"))
    directory.entries.announce([old], by=SOURCE)
    directory.entries.announce([new], by=SOURCE)
    directory.entries.announce([new], by=SOURCE)
    told = {event.partition_key: event.data for event in directory.events()[1:]}
    assert told == {
        "old": TokenKeyChanged(revision=2, key=old.key, withdrawn=True),
        "new": TokenKeyChanged(revision=1, key=new.key),
    }


def patch(directory: Directory, changes: dict[str, Any], **options: Any) -> Written[Organization]:
    given: dict[str, Any] = {"editor": OSH_ITSELF, "precondition": at_revision(1), **options}
    editor = given.pop("editor")
    written = directory.entries.patch_organization(
        editor, OSH, changes, admit=lambda document: admission.organization(document, NOON), **given
    )
    assert isinstance(written, Written)
    return written


def test_patch_changes_only_the_named_members(directory: Directory) -> None:
    present = organization(sealing_key=plain(new_sealing_key()), profile={"staff": 3, "office": True})
    directory.entries.put_organization(OPERATOR, present)
    written = patch(directory, {"description": "Opposite the bazaar.", "profile": {"staff": 4}})
    assert written.standing.revision == 2
    assert written.standing.entry == replace(
        present,
        description="Opposite the bazaar.",
        profile=replace(present.profile, staff=4),
        sealing_key_change=SealingKeyChange(at=NOON, manner=KeyManner.first),
    )


@pytest.mark.parametrize(
    ("changes", "options", "slug"),
    [
        ({"name": "New"}, {"precondition": None}, "precondition-required"),
        ({"name": "New"}, {"precondition": at_revision(7)}, "precondition-failed"),
        ({"vetting": "left"}, {}, "forbidden"),
        ({"parent": "kg.nobody"}, {"editor": OPERATOR}, "unknown-organization"),
        ({"id": "kg.other"}, {}, "invalid-submission"),
        ({"name": None}, {}, "invalid-submission"),
        ({"nickname": "x"}, {}, "invalid-submission"),
        ({"name": "New"}, {"editor": Editor(id="kg.other", operator=False)}, "forbidden"),
    ],
)
def test_invalid_patch_changes_nothing(
    directory: Directory, changes: dict[str, Any], options: dict[str, Any], slug: str
) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    with pytest.raises(Refused) as refusal:
        patch(directory, changes, **options)
    assert refusal.value.slug == slug
    assert directory.listings.organization(OSH) == Standing(revision=1, entry=organization())


def test_patch_of_an_unknown_organization_is_not_found(directory: Directory) -> None:
    with pytest.raises(Refused) as refusal:
        patch(directory, {"name": "New"}, editor=OPERATOR)
    assert refusal.value.slug == "not-found"


def test_repeated_patch_after_a_lost_response_succeeds(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    first = patch(directory, {"name": "New"})
    assert patch(directory, {"name": "New"}).standing == first.standing


def test_two_patches_from_one_revision_do_not_overwrite_each_other(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization())

    def change(number: int) -> str:
        try:
            patch(directory, {"name": f"Name {number}"})
        except Refused as refused:
            return refused.slug
        return "changed"

    with ThreadPoolExecutor(4) as editors:
        assert sorted(editors.map(change, range(4))) == ["changed", *["precondition-failed"] * 3]


def test_replaced_agreement_needs_a_precondition_and_known_parties(directory: Directory) -> None:
    directory.entries.put_agreement(OPERATOR, agreement())
    for wanted, precondition, slug in (
        (agreement(title="New"), None, "precondition-required"),
        (agreement(title="New"), at_revision(2), "precondition-failed"),
        (agreement(parties=["kg.nobody", OSH]), at_revision(1), "unknown-organization"),
    ):
        with pytest.raises(Refused) as refusal:
            directory.entries.put_agreement(OPERATOR, wanted, precondition=precondition)
        assert refusal.value.slug == slug
    written = directory.entries.put_agreement(OPERATOR, agreement(title="New"), precondition=at_revision(1))
    assert isinstance(written, Written)
    assert written.standing.revision == 2


def test_loaded_record_without_a_key_keeps_the_published_one(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    directory.keys.publish(OSH, new_sealing_key(), by=OSH)
    published = directory.listings.organization(OSH).entry
    assert directory.entries.enter(Organization, [organization()], by="load") == 0
    assert directory.entries.enter(Organization, [organization(name="New")], by="load") == 1
    assert directory.listings.organization(OSH).entry == replace(published, name="New")


def test_loaded_record_with_another_key_counts_as_approved_and_is_announced(directory: Directory) -> None:
    first, second = new_sealing_key(), new_sealing_key()
    directory.entries.enter(Organization, [organization(sealing_key=plain(first))], by="load")
    present = directory.listings.organization(OSH).entry
    assert present.sealing_key_change == SealingKeyChange(at=NOON, manner=KeyManner.first)
    assert directory.entries.enter(Organization, [organization(sealing_key=plain(first))], by="load") == 0
    assert directory.entries.enter(Organization, [organization(sealing_key=plain(second))], by="load") == 1
    present = directory.listings.organization(OSH).entry
    assert present.sealing_key_change == SealingKeyChange(at=NOON, manner=KeyManner.approved)
    assert directory.events()[-1].data == SealingKeyReplaced(
        organization=OSH, kid=second.kid, manner=KeyManner.approved, by="load", previous=first.kid
    )


def test_only_the_earliest_client_may_make_its_organization_inactive(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    issue(directory, OSH, "desk", "a" * 43)
    directory.clock.time = NOON + dt.timedelta(hours=1)
    issue(directory, OSH, "phone", "b" * 43)
    later, first = (replace(OSH_ITSELF, client_id=client) for client in ("phone", "desk"))

    def leave(editor: Editor) -> object:
        return directory.entries.patch_organization(
            editor,
            OSH,
            {"active": False},
            precondition=ANY_REVISION,
            admit=lambda document: admission.organization(document, NOON),
        )

    with pytest.raises(Refused, match="Only the first client of your organisation can set it to inactive"):
        leave(later)
    assert isinstance(leave(first), Written)


def test_no_loaded_client_of_several_makes_its_organization_inactive_before_one_is_the_root(
    directory: Directory,
) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    loaded = [
        client(client_id=name, principal=OSH, roles=(Role.partner,), secret=name * 20)
        for name in ("desk", "phone")
    ]
    directory.entries.enter(Client, loaded, by="load")

    def leave(name: str) -> object:
        editor = replace(OSH_ITSELF, client_id=name)
        return patch(directory, {"active": False}, editor=editor)

    for name in ("desk", "phone"):
        with pytest.raises(Refused, match="Only the first client"):
            leave(name)
    directory.credentials.name_root("phone", by=OPERATOR.id)
    with pytest.raises(Refused, match="Only the first client"):
        leave("desk")
    assert isinstance(leave("phone"), Written)


@pytest.mark.parametrize(
    "change",
    [
        {"sealing_key": None},
        {"sealing_key": plain(new_sealing_key())},
        {"sealing_key_change": {"at": "2026-01-01T00:00:00Z", "manner": "proved"}},
        {
            "approved_services": [
                {"service": "legal", "needs": ["legal"], "by": "a", "at": "2026-01-01T00:00:00Z"}
            ]
        },
    ],
)
@pytest.mark.parametrize("editor", [OPERATOR, OSH_ITSELF])
def test_record_cannot_change_what_the_directory_keeps(
    directory: Directory, change: dict[str, Any], editor: Editor
) -> None:
    directory.entries.put_organization(OPERATOR, organization(sealing_key=plain(new_sealing_key())))
    before = directory.listings.organization(OSH)
    (name,) = change
    named = frozenset({*RECORD, name})
    attempts: list[Callable[[], object]] = [
        lambda: patch(directory, change, editor=editor),
        lambda: put(directory, editor, organization(**change), precondition=at_revision(1), named=named),
    ]
    for attempt in attempts:
        with pytest.raises(Refused) as refusal:
            attempt()
        assert refusal.value.slug == "forbidden"
        assert [error.pointer for error in refusal.value.errors] == [f"/{name}"]
    assert directory.listings.organization(OSH) == before


def test_replacement_that_omits_what_the_directory_keeps_does_not_delete_it(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization(sealing_key=plain(new_sealing_key())))
    present = directory.listings.organization(OSH).entry
    directory.entries.put_organization(
        OSH_ITSELF, organization(name="New"), precondition=at_revision(1), named=RECORD
    )
    assert directory.listings.organization(OSH).entry == replace(present, name="New")


def test_entering_many_entries_is_idempotent(directory: Directory) -> None:
    many = [organization(f"kg.number-{number}") for number in range(1201)]
    assert directory.entries.enter(Organization, many, by="load") == 1201
    many[7] = organization("kg.number-7", name="New")
    assert directory.entries.enter(Organization, many, by="load") == 1
    assert directory.revisions("kg.number-7") == [(1, None, "load"), (2, 1, "load")]
    assert directory.revisions("kg.number-8") == [(1, None, "load")]


def test_entering_no_entries_changes_nothing(directory: Directory) -> None:
    assert directory.entries.enter(Agreement, [], by="load") == 0
    assert directory.entries.enter(Client, [], by="load") == 0


def test_new_organization_with_the_id_of_a_member_of_the_staff_is_refused(directory: Directory) -> None:
    issue(directory, OSH, "coordinator", "s" * 43, Role.coordinator)
    with pytest.raises(Refused) as refusal:
        directory.entries.put_organization(OPERATOR, organization())
    assert (refusal.value.slug, refusal.value.errors[0].pointer) == ("conflict", "/id")
    directory.credentials.revoke("coordinator", by=OPERATOR.id, operator=True)
    assert directory.entries.put_organization(OPERATOR, organization())
