from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Refused
from services.delivery.domain.consumer import (
    CONTRACTS,
    NamedConsumer,
    OldMessage,
    position_after,
    require_contract,
    still_needed,
)
from services.delivery.domain.selection import TYPES, require_kinds, types_of

AT = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def consumer(name: str = "statistics", position: int = 0, types: tuple[str, ...] = ()) -> NamedConsumer:
    return NamedConsumer(
        organization="kg.osh-legal-aid", name=name, position=position, created_at=AT, types=types
    )


def message(sequence: int, name: str = "offer.opened") -> OldMessage:
    return OldMessage(sequence=sequence, organization="kg.osh-legal-aid", name=name)


@given(st.sets(st.integers(1, 30)), st.integers(0, 30))
def test_position_passes_no_message_that_is_still_needed(acknowledged: set[int], position: int) -> None:
    needed = [n for n in range(position + 1, 31) if n not in acknowledged]
    moved = position_after(
        position,
        {n for n in acknowledged if n > position},
        first_needed=needed[0] if needed else None,
        newest=30,
    )
    assert moved >= position
    assert not [n for n in needed if n <= moved]
    assert all(n in acknowledged for n in range(position + 1, moved + 1))


def test_message_is_kept_for_each_consumer_that_has_not_acknowledged_it() -> None:
    old = [message(1), message(2), message(3, "case.released"), message(4)]
    slow, picky = consumer("slow", 1), consumer("picky", 0, ("case.released",))
    consumers = {"kg.osh-legal-aid": [slow, picky]}
    done = {("kg.osh-legal-aid", "slow", 4)}
    assert still_needed(old, consumers, done) == {2, 3}
    assert still_needed(old, {}, ()) == frozenset()


def test_consumers_filter_and_a_polls_filter_narrow_each_other() -> None:
    offers, cases = types_of(["offer.opened"]), types_of(["case.released"])
    assert consumer().selected(frozenset()) == frozenset()
    assert consumer().selected(offers) == offers
    both = consumer(types=("offer.opened", "case.released"))
    assert both.selected(frozenset()) == offers | cases
    assert both.selected(cases) == cases
    with pytest.raises(Refused, match="reads no message of this"):
        both.selected(types_of(["note.delivered"]))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "offer",
        "kopuro.offer.opened",
        "offer.opened.v1",
        "kopuro.offer.opened.v2",
        "offer.opened ",
        "case.fetched",
    ],
)
def test_unknown_message_name_is_refused(name: str) -> None:
    with pytest.raises(Refused) as refused:
        types_of([name])
    assert refused.value.slug == "invalid-parameter"
    assert [one.pointer for one in refused.value.errors] == ["/type"]
    assert "note.unreadable, offer.accepted" in refused.value.errors[0].detail


def test_message_may_be_spelt_as_a_name_or_as_a_whole_type() -> None:
    assert types_of(["offer.opened"]) == types_of(["kopuro.offer.opened.v1"]) == {"kopuro.offer.opened.v1"}


def test_unknown_message_names_of_a_body_are_refused_with_their_pointers() -> None:
    require_kinds({"/types/0": "offer.opened", "/types/1": "kopuro.offer.opened.v1"})
    with pytest.raises(Refused) as refused:
        require_kinds({"/types/0": "offer.opened", "/types/1": "kopuro.offer.opened.v2", "/types/2": "offer"})
    assert refused.value.slug == "invalid-submission"
    assert [one.pointer for one in refused.value.errors] == ["/types/1", "/types/2"]
    assert "`offer.opened`" in refused.value.errors[0].detail


def test_unknown_contract_is_refused() -> None:
    assert require_contract("1") == "1"
    with pytest.raises(Refused) as refused:
        require_contract("2")
    [fault] = refused.value.errors
    assert (fault.pointer, fault.detail) == ("/contract", "Must be a version that this hub writes: 1.")


def test_consumer_with_an_unsupported_contract_is_refused_and_gets_no_other() -> None:
    later = dataclasses.replace(consumer(), contract="2")
    with pytest.raises(Refused, match="a `contract` that the hub writes: 1") as refused:
        later.selected(frozenset())
    assert refused.value.slug == "conflict"


def test_every_mailbox_message_has_only_versions_of_the_pinned_contract() -> None:
    # A message of a later version needs a contract "2", and a conversion for the consumers that pin "1".
    assert CONTRACTS == ("1",)
    assert {kind.rsplit(".v", 1)[1] for kinds in TYPES.values() for kind in kinds} == {"1"}


def test_refusal_of_closed_messages_says_which_type_they_have() -> None:
    with pytest.raises(Refused) as refused:
        types_of(["message.closed"])
    (error,) = refused.value.errors
    assert error.detail.endswith("; `message.closed` has the type of the message that it replaces.")
