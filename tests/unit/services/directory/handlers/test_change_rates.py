"""The rates of changes by one organisation or client."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from contracts.errors import RateLimited, Refused
from contracts.records import dump
from contracts.vocabularies import codes
from services.directory import admission
from services.directory.domain.amendment import Editor
from services.directory.domain.approval import Approval, Decider
from services.directory.domain.client import digest
from services.directory.domain.precondition import ANY_REVISION
from services.directory.handlers.change_rates import (
    CREDENTIALS,
    KEYS,
    RECORDS,
    REQUESTS,
    REVOCATIONS,
    ChangeRates,
)
from tests.support.client_assertions import new_key, public_set
from tests.unit.services.directory.samples import (
    DESK,
    NOON,
    OPERATOR,
    OSH,
    OSH_ITSELF,
    Directory,
    issue,
    new_sealing_key,
    organization,
    service_record,
)

SECRET = "a" * 43


def refused_at(act: Callable[[int], object], most: int) -> tuple[int, int]:
    """Return the number of the first act that is refused for now, from 0, and the seconds to wait."""
    for number in range(most):
        try:
            act(number)
        except RateLimited as limited:
            return number, limited.retry_after
    raise AssertionError("none is refused")


def rename(directory: Directory, number: int, **changes: Any) -> None:
    wanted = organization(name=f"Name {number}", **changes)
    directory.entries.put_organization(OSH_ITSELF, wanted, precondition=ANY_REVISION)


def leave_changes(directory: Directory, editor: str, left: int) -> None:
    """Count changes by the editor, without making them, until `left` more are allowed."""
    for _ in range(RECORDS.burst // 4 - left):
        directory.rates.count_record(editor, organization())


@pytest.fixture
def filled(directory: Directory) -> Directory:
    directory.entries.put_organization(OPERATOR, organization())
    issue(directory, OSH, "desk", SECRET)
    return directory


def test_changes_of_an_own_record_have_a_rate_and_go_on_after_the_wait(filled: Directory) -> None:
    number, wait = refused_at(partial(rename, filled), 1000)
    assert number == RECORDS.burst // 4
    assert len(filled.revisions(OSH)) == 1 + number
    filled.seconds += wait
    rename(filled, number)
    assert len(filled.revisions(OSH)) == 2 + number


@pytest.mark.parametrize("editor", [OSH_ITSELF, OPERATOR], ids=lambda editor: editor.id)
@pytest.mark.parametrize(
    "services",
    [
        [service_record(id=f"service-{number}") for number in range(199)],
        [
            service_record(id=f"service-{n}", needs=list(codes("needs"))[:60], areas=list(codes("regions")))
            for n in range(3)
        ],
    ],
    ids=["bytes", "pairs"],
)
def test_record_beyond_its_bounds_is_not_stored_whoever_sends_it(
    filled: Directory, services: list[dict[str, Any]], editor: Editor
) -> None:
    before = filled.revisions(OSH)
    with pytest.raises(Refused) as refused:
        filled.entries.put_organization(editor, organization(services=services), precondition=ANY_REVISION)
    assert refused.value.slug == "invalid-submission"
    with pytest.raises(Refused):
        filled.entries.patch_organization(
            editor,
            OSH,
            {"services": services},
            precondition=ANY_REVISION,
            admit=lambda document: admission.organization(document, NOON),
        )
    assert filled.revisions(OSH) == before


def test_bytes_that_large_records_store_are_bounded() -> None:
    rates = ChangeRates(lambda: 0.0)
    large = organization(services=[service_record(id=f"service-{number}") for number in range(120)])

    def store(_: int) -> None:
        rates.require_record(OSH, large)
        rates.count_record(OSH, large)

    number, _ = refused_at(store, 1000)
    assert number * len(dump(large)) <= RECORDS.burst * 1024


def test_organization_ends_its_access_after_any_number_of_changes(filled: Directory) -> None:
    leave_changes(filled, OSH_ITSELF.id, 0)
    with pytest.raises(RateLimited):
        rename(filled, 0)
    shut = organization(active=False)
    by = replace(OSH_ITSELF, client_id="desk")
    filled.entries.put_organization(by, shut, precondition=ANY_REVISION)


def test_repetition_and_refused_change_cost_nothing_and_operators_have_no_rate(filled: Directory) -> None:
    leave_changes(filled, OSH_ITSELF.id, 1)
    leave_changes(filled, OPERATOR.id, 0)
    for _ in range(3):
        filled.entries.put_organization(OSH_ITSELF, organization(), precondition=ANY_REVISION)
    with pytest.raises(Refused):
        rename(filled, 0, vetting="applied")
    for number in range(3):
        wanted = organization(name=f"Operator {number}")
        filled.entries.put_organization(OPERATOR, wanted, precondition=ANY_REVISION)
    rename(filled, 0)
    with pytest.raises(RateLimited):
        rename(filled, 1)


def test_client_changes_its_secret_and_keys_at_a_rate(filled: Directory) -> None:
    def rotate(number: int) -> None:
        filled.own_credentials.rotate("desk", digest(f"{number:043}"), by=DESK)

    number, wait = refused_at(rotate, 100)
    assert (number, wait) == (CREDENTIALS.burst, 180)
    with pytest.raises(RateLimited):
        filled.own_credentials.replace_keys("desk", admission.key_set(public_set(new_key())), by=DESK)
    rotate(number - 1)  # a repetition after a lost answer


def test_end_of_tokens_has_a_rate_and_never_delays_the_end_of_the_client(
    filled: Directory,
) -> None:
    def revoke(_: int) -> None:
        filled.clock.time += dt.timedelta(milliseconds=1)
        filled.own_credentials.revoke_tokens("desk", by=DESK, operator=False)

    number, wait = refused_at(revoke, 100)
    assert (number, wait) == (REVOCATIONS.burst, 12)
    filled.own_credentials.rotate("desk", digest("n" * 43), by=DESK)
    filled.own_credentials.revoke_tokens("desk", by=replace(DESK, id=OPERATOR.id), operator=True)
    filled.credentials.revoke("desk", by=OSH, client="desk", operator=False)


def test_a_day_has_five_replacements_of_a_sealing_key_with_proof() -> None:
    now = [NOON.timestamp()]
    rates = ChangeRates(lambda: now[0])
    number, wait = refused_at(lambda _: rates.take_key(OSH), 100)
    assert (number, wait) == (KEYS.burst, 24 * 3600 // 5)
    rates.take_key("kg.other")
    now[0] += wait
    rates.take_key(OSH)


def test_client_sets_the_password_at_the_partners_broker_at_the_same_rate(filled: Directory) -> None:
    filled.clock.time += dt.timedelta(days=1)
    issue(filled, OSH, f"{OSH}.amqp", "g" * 43)

    def replace_password(number: int) -> None:
        filled.amqp_passwords.replace(f"{number:048}", by=DESK)

    number, wait = refused_at(replace_password, 100)
    assert (number, wait) == (CREDENTIALS.burst, 180)
    replace_password(number - 1)  # a repetition after a lost answer
    with pytest.raises(RateLimited):
        filled.own_credentials.rotate("desk", digest("n" * 43), by=DESK)


def test_requests_for_approval_that_are_withdrawn_have_a_rate(filled: Directory) -> None:
    filled.keys.publish(OSH, new_sealing_key(), by=OSH, client="desk")
    owner = Decider(id=OSH, roles=frozenset({"partner"}), client="desk")

    def request(_: int) -> None:
        wanted = new_sealing_key()
        asked = filled.keys.publish(OSH, wanted, by=OSH, client="desk", without_proof=True)
        assert isinstance(asked, Approval)
        again = filled.keys.publish(OSH, wanted, by=OSH, client="desk", without_proof=True)
        assert again == asked, "a repetition after a lost answer"
        filled.approvals.refuse(asked.id, owner)

    number, wait = refused_at(request, 100)
    assert (number, wait) == (REQUESTS.burst, 180)
    filled.seconds += wait
    request(number)
