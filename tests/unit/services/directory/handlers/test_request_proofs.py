"""Request proofs: where two persons decide, a token alone changes nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from contracts.errors import Refused
from kopuro_client.request_proof import RequestSigner
from runtime.access.tokens import Principal
from runtime.storage.database import Database
from services.directory.adapters.register import SqlRegister
from services.directory.domain.approval import Policy
from services.directory.domain.client import Client, Role
from services.directory.domain.precondition import ANY_REVISION
from services.directory.domain.request_proof import ProvableRequest
from tests.support import migrated
from tests.unit.services.directory.samples import Directory, issue

SECRET, OTHER, NEW = "a" * 43, "b" * 43, "n" * 43
ROOT = "https://hub.example"
PATH = "/v1/approvals/01930f6f-0a00-7000-8000-00000000a003/approve"
REQUEST = ProvableRequest(method="POST", path=PATH, token="the.bearer.token", body=b"{}")
CALLER = Principal(id="kg.aigul", roles=frozenset({"operator"}), client_id="aigul")


@pytest.fixture
def guarded(database_url: str) -> Iterator[Directory]:
    """A directory where two persons decide, with two operators; one has used its secret."""
    database = Database.open(database_url)
    migrated.upgrade("services.directory", database)
    loader = Directory(database)
    issue(loader, "kg.aigul", "aigul", SECRET, Role.operator)
    issue(loader, "kg.bakyt", "bakyt", OTHER, Role.operator)
    directory = Directory(database, policy=Policy.two_person)
    directory.clock.time = dt.datetime.now(dt.UTC)
    directory.tokens.issue("aigul", SECRET)
    yield directory
    database.close()


def proof(secret: str = SECRET, path: str = PATH, **parts: Any) -> str:
    given: dict[str, Any] = {"token": REQUEST.token, "body": REQUEST.body, **parts}
    return RequestSigner(ROOT, secret).proof("POST", ROOT + path, **given)


def refusal(directory: Directory, text: str | None, caller: Principal = CALLER) -> str:
    with pytest.raises(Refused) as refused:
        directory.proofs.check(caller, REQUEST, text)
    assert refused.value.status == 403
    return refused.value.slug


def test_late_registration_of_a_replaced_secret_changes_no_key(guarded: Directory) -> None:
    with guarded.database.read() as transaction:
        before = SqlRegister().standing(transaction, Client, ["aigul"])["aigul"].entry
    issue(Directory(guarded.database), CALLER.id, "aigul", NEW, Role.operator, precondition=ANY_REVISION)
    guarded.tokens.issue("aigul", NEW)
    guarded.proofs.register_key(before, SECRET, before.secret_sha256)
    guarded.proofs.check(CALLER, REQUEST, proof(NEW))


def test_request_signed_by_its_client_is_accepted_once(guarded: Directory) -> None:
    signed = proof()
    guarded.proofs.check(CALLER, REQUEST, signed)
    assert refusal(guarded, signed) == "invalid-proof"
    guarded.proofs.check(CALLER, REQUEST, proof())


def test_token_alone_and_proof_of_something_else_are_refused(guarded: Directory) -> None:
    assert refusal(guarded, None) == "proof-required"
    for wrong in (proof(OTHER), proof(path="/v1/keys"), proof(token="x"), proof(body=b"[]"), ""):
        assert refusal(guarded, wrong) == "invalid-proof"


def test_client_that_never_showed_its_secret_proves_nothing(guarded: Directory) -> None:
    bakyt = Principal(id="kg.bakyt", roles=CALLER.roles, client_id="bakyt")
    assert refusal(guarded, proof(OTHER), bakyt) == "invalid-proof"
    guarded.tokens.issue("bakyt", OTHER)
    guarded.proofs.check(bakyt, REQUEST, proof(OTHER))


def test_wrong_secret_registers_no_key(guarded: Directory) -> None:
    with pytest.raises(Refused):
        guarded.tokens.issue("bakyt", SECRET)
    bakyt = Principal(id="kg.bakyt", roles=CALLER.roles, client_id="bakyt")
    assert refusal(guarded, proof(SECRET), bakyt) == "invalid-proof"


def test_key_of_a_replaced_secret_proves_nothing(guarded: Directory) -> None:
    loader = Directory(guarded.database)
    issue(loader, "kg.aigul", "aigul", OTHER, Role.operator, precondition=ANY_REVISION)
    assert refusal(guarded, proof(SECRET)) == "invalid-proof"
    guarded.tokens.issue("aigul", OTHER)
    assert refusal(guarded, proof(SECRET)) == "invalid-proof"
    guarded.proofs.check(CALLER, REQUEST, proof(OTHER))


def test_used_proof_is_remembered_as_long_as_it_is_valid(guarded: Directory) -> None:
    signed, now = proof(), guarded.clock.time
    guarded.clock.time = now - dt.timedelta(minutes=4)  # the client's clock is ahead
    guarded.proofs.check(CALLER, REQUEST, signed)
    guarded.clock.time = now + dt.timedelta(minutes=4)
    guarded.proofs.check(CALLER, REQUEST, proof())  # forgets what is over
    assert refusal(guarded, signed) == "invalid-proof"


def test_proof_is_optional_but_checked_where_one_person_decides(guarded: Directory) -> None:
    alone = Directory(guarded.database)
    alone.clock.time = guarded.clock.time
    alone.proofs.check(CALLER, REQUEST, None)
    alone.proofs.check(CALLER, REQUEST, proof())
    assert refusal(alone, proof(OTHER)) == "invalid-proof"
