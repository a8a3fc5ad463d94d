"""Replacement of an organisation's AMQP password, which waits until the gateway has applied it."""

from __future__ import annotations

import datetime as dt
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest

from contracts.errors import Refused
from contracts.facts import ClientChanged, CredentialIssued, CredentialRevoked
from runtime.access.tokens import Principal
from services.directory.domain.precondition import ANY_REVISION
from tests.unit.services.directory.samples import DESK, OPERATOR, OSH, Directory, issue, organization

GATEWAY = Principal(id=OSH, roles=frozenset({"partner"}), client_id=f"{OSH}.amqp")
FIRST, SECOND = "AAAA" * 12, "BBBB" * 12


@pytest.fixture
def connected(directory: Directory) -> Directory:
    directory.entries.put_organization(OPERATOR, organization())
    issue(directory, OSH, "desk", "a" * 43)
    directory.clock.time += dt.timedelta(days=1)
    issue(directory, OSH, GATEWAY.client_id, "g" * 43)
    return directory


def epoch(directory: Directory) -> int:
    found = directory.access.client(GATEWAY.client_id)
    assert found is not None
    return found.token_epoch


def slug(call: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refused:
        call()
    return refused.value.slug


def test_password_waits_until_the_gateway_has_applied_it(connected: Directory) -> None:
    passwords = connected.amqp_passwords
    assert passwords.waiting(by=GATEWAY) == ""
    passwords.replace(FIRST, by=DESK)
    assert passwords.waiting(by=GATEWAY) == FIRST
    passwords.applied(FIRST, by=GATEWAY)
    assert passwords.waiting(by=GATEWAY) == ""
    passwords.applied(FIRST, by=GATEWAY)


def test_client_that_was_registered_after_the_gateways_sets_no_password(connected: Directory) -> None:
    connected.clock.time += dt.timedelta(days=1)
    issue(connected, OSH, "phone", "b" * 43)
    before = epoch(connected)
    phone = replace(DESK, client_id="phone")
    assert slug(lambda: connected.amqp_passwords.replace(FIRST, by=phone)) == "forbidden"
    assert (epoch(connected), connected.amqp_passwords.waiting(by=GATEWAY)) == (before, "")


def test_request_ends_the_gateways_token_and_is_announced_once(connected: Directory) -> None:
    before, told = epoch(connected), len(connected.events())
    connected.amqp_passwords.replace(FIRST, by=DESK)
    connected.amqp_passwords.replace(FIRST, by=DESK)
    assert epoch(connected) > before
    connected.amqp_passwords.applied(FIRST, by=GATEWAY)
    facts = [event.data for event in connected.events()[told:]]
    assert [type(fact) for fact in facts] == [ClientChanged, CredentialIssued, ClientChanged]
    assert FIRST not in repr(facts)
    notice = facts[1]
    assert isinstance(notice, CredentialIssued)
    assert (notice.client_id, notice.organization, notice.by) == (GATEWAY.client_id, OSH, OSH)


def test_later_request_still_waits_when_the_earlier_one_is_applied(connected: Directory) -> None:
    connected.amqp_passwords.replace(FIRST, by=DESK)
    connected.amqp_passwords.replace(SECOND, by=DESK)
    connected.amqp_passwords.applied(FIRST, by=GATEWAY)
    assert connected.amqp_passwords.waiting(by=GATEWAY) == SECOND


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("operator", [True, False])
def test_password_ends_with_the_client_that_set_it(
    connected: Directory, applied: bool, operator: bool
) -> None:
    passwords = connected.amqp_passwords
    passwords.replace(FIRST, by=DESK)
    if applied:
        passwords.applied(FIRST, by=GATEWAY)
    before, told = epoch(connected), len(connected.events())
    by = OPERATOR.id if operator else OSH
    connected.credentials.revoke("desk", by=by, client="desk", operator=operator)
    waiting = passwords.waiting(by=GATEWAY)
    assert waiting not in ("", FIRST)
    assert len(b64decode(waiting)) == 36
    assert epoch(connected) > before
    notices = [event.data for event in connected.events()[told:]]
    assert [type(one) for one in notices] == [
        ClientChanged,
        CredentialRevoked,
        ClientChanged,
        CredentialIssued,
    ]
    passwords.applied(waiting, by=GATEWAY)
    connected.credentials.revoke("desk", by=by, client="desk", operator=True)
    assert passwords.waiting(by=GATEWAY) == ""


def test_password_outlives_clients_that_did_not_set_it(connected: Directory) -> None:
    passwords = connected.amqp_passwords
    issue(connected, OSH, "phone", "b" * 43)
    passwords.replace(FIRST, by=DESK)
    passwords.applied(FIRST, by=GATEWAY)
    before = epoch(connected)
    connected.credentials.revoke("phone", by=OSH, client="desk", operator=False)
    assert (epoch(connected), passwords.waiting(by=GATEWAY)) == (before, "")
    # Another client has set one since.
    passwords.replace(SECOND, by=GATEWAY)
    connected.credentials.revoke("desk", by=OPERATOR.id, operator=True)
    assert passwords.waiting(by=GATEWAY) == SECOND


@pytest.mark.parametrize("first", ["desk", GATEWAY.client_id])
def test_password_of_a_revoked_client_does_not_come_back_with_the_gateways_client(
    connected: Directory, first: str
) -> None:
    passwords, revoke = connected.amqp_passwords, connected.credentials.revoke
    passwords.replace(FIRST, by=DESK)
    passwords.applied(FIRST, by=GATEWAY)
    for client in sorted({"desk", GATEWAY.client_id}, key=lambda one: one != first):
        revoke(client, by=OPERATOR.id, operator=True)
    issue(connected, OSH, GATEWAY.client_id, "h" * 43, precondition=ANY_REVISION)
    assert passwords.waiting(by=GATEWAY) not in ("", FIRST)


def test_password_ends_with_its_client_also_after_the_gateways_client_was_issued_again(
    connected: Directory,
) -> None:
    passwords = connected.amqp_passwords
    passwords.replace(FIRST, by=DESK)
    passwords.applied(FIRST, by=GATEWAY)
    connected.credentials.revoke(GATEWAY.client_id, by=OPERATOR.id, operator=True)
    issue(connected, OSH, GATEWAY.client_id, "h" * 43, precondition=ANY_REVISION)
    assert passwords.waiting(by=GATEWAY) == ""  # the owner's password stays in force
    connected.credentials.revoke("desk", by=OPERATOR.id, operator=True)
    assert passwords.waiting(by=GATEWAY) not in ("", FIRST)


def test_another_key_of_the_gateway_keeps_the_author_of_the_password(connected: Directory) -> None:
    connected.amqp_passwords.replace(FIRST, by=DESK)
    issue(connected, OSH, GATEWAY.client_id, "h" * 43, precondition=ANY_REVISION)
    connected.credentials.revoke("desk", by=OPERATOR.id, operator=True)
    assert connected.amqp_passwords.waiting(by=GATEWAY) not in ("", FIRST)


def test_only_the_gateway_reports_a_password_as_applied(connected: Directory) -> None:
    connected.amqp_passwords.replace(FIRST, by=DESK)
    assert slug(lambda: connected.amqp_passwords.applied(FIRST, by=DESK)) == "forbidden"
    assert connected.amqp_passwords.waiting(by=GATEWAY) == FIRST


def test_organization_without_a_live_client_of_the_gateway_is_refused(connected: Directory) -> None:
    passwords = connected.amqp_passwords
    other = Principal(id="kg.other", roles=frozenset({"partner"}), client_id="kg.other")
    assert slug(lambda: passwords.replace(FIRST, by=other)) == "not-found"
    passwords.replace(FIRST, by=DESK)
    connected.credentials.revoke(GATEWAY.client_id, by=OSH, client=GATEWAY.client_id, operator=False)
    assert slug(lambda: passwords.waiting(by=DESK)) == "not-found"
    # A password that waits is applied when the client is issued again: it may replace a thief's.
    issue(connected, OSH, GATEWAY.client_id, "h" * 43, precondition=ANY_REVISION)
    assert passwords.waiting(by=GATEWAY) == FIRST


def test_new_key_of_the_gateway_keeps_the_password_that_waits(connected: Directory) -> None:
    connected.amqp_passwords.replace(FIRST, by=DESK)
    issue(connected, OSH, GATEWAY.client_id, "h" * 43, precondition=ANY_REVISION)
    assert connected.amqp_passwords.waiting(by=GATEWAY) == FIRST


@pytest.mark.parametrize("password", ["", "\n", OSH, f"{OSH}\r\n"])
def test_password_that_everybody_knows_is_refused(connected: Directory, password: str) -> None:
    salt = b"salt"
    known = b64encode(salt + sha256(salt + password.encode()).digest()).decode()
    with pytest.raises(Refused) as refused:
        connected.amqp_passwords.replace(known, by=DESK)
    assert (refused.value.slug, refused.value.errors[0].pointer) == ("invalid-submission", "/password_hash")
    assert connected.amqp_passwords.waiting(by=GATEWAY) == ""
