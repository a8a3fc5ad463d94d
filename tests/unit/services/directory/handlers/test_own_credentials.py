"""Self-service of a client's owner: rotation, keys, and the end of all tokens."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from contracts.errors import Refused
from contracts.facts import ClientChanged, CredentialIssued, CredentialTokensRevoked
from kopuro_client.request_proof import RequestSigner
from runtime.access.tokens import Principal, TokenVerifier
from services.directory import admission
from services.directory.domain.approval import Approval, Decider, Policy
from services.directory.domain.client import OVERLAP, Client, Role, client, digest
from services.directory.domain.precondition import ANY_REVISION
from services.directory.domain.request_proof import ProvableRequest
from tests.support.client_assertions import Key, assertion, new_key, public_set
from tests.support.settable_clock import SettableClock
from tests.unit.services.directory.samples import (
    DESK,
    ISSUER,
    NOON,
    OPERATOR,
    OSH,
    Directory,
    issue,
    organization,
)

SECRET, NEW, THIRD = "a" * 43, "n" * 43, "t" * 43
_OPERATOR = Principal(id=OPERATOR.id, roles=frozenset({"operator"}), client_id="operator")
STRANGER = Principal(id="kg.other", roles=frozenset({"partner"}), client_id="other")
REQUEST = ProvableRequest(method="POST", path="/v1/keys", token="a.token", body=b"{}")


@pytest.fixture
def filled(directory: Directory) -> Directory:
    directory.entries.put_organization(OPERATOR, organization())
    issue(directory, OSH, "desk", SECRET)
    directory.clock.time = dt.datetime.now(dt.UTC)
    return directory


def verifier(directory: Directory) -> TokenVerifier:
    keys = {"keys": [directory.signer.public_jwk()]}
    return TokenVerifier(lambda: keys, "kopuro:kg", directory.clock, clients=directory.access.client)


def slug(call: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refused:
        call()
    return refused.value.slug


def proof(secret: str) -> str:
    return RequestSigner(ISSUER, secret).proof("POST", f"{ISSUER}/v1/keys", token="a.token", body=b"{}")


def test_rotation_refuses_neither_tokens_nor_secrets_nor_proofs_of_either_secret(filled: Directory) -> None:
    token = filled.tokens.issue("desk", SECRET)
    filled.own_credentials.rotate("desk", digest(NEW), by=DESK)
    for secret in (SECRET, NEW, SECRET):
        assert filled.tokens.issue("desk", secret)
        filled.proofs.check(DESK, REQUEST, proof(secret))
    assert verifier(filled).verify(token).id == OSH
    filled.clock.time += OVERLAP
    assert slug(lambda: filled.tokens.issue("desk", SECRET)) == "invalid-client"
    assert filled.tokens.issue("desk", NEW)


def test_rotation_is_announced_with_the_end_of_the_secret_before(filled: Directory) -> None:
    filled.own_credentials.rotate("desk", digest(NEW), by=DESK)
    told = filled.events()[-1].data
    assert isinstance(told, CredentialIssued)
    assert (told.organization, told.by, told.replaced) == (OSH, OSH, True)
    assert told.previous_until == filled.clock.time + OVERLAP


def test_repeated_rotation_makes_no_revision_and_return_to_the_retiring_secret_is_refused(
    filled: Directory,
) -> None:
    first = filled.own_credentials.rotate("desk", digest(NEW), by=DESK)
    assert filled.own_credentials.rotate("desk", digest(NEW), by=DESK) == first
    assert slug(lambda: filled.own_credentials.rotate("desk", digest(SECRET), by=DESK)) == "conflict"


def test_second_rotation_leaves_the_time_of_the_first_secret(filled: Directory) -> None:
    filled.own_credentials.rotate("desk", digest(NEW), by=DESK)
    filled.clock.time += dt.timedelta(seconds=1)
    filled.own_credentials.rotate("desk", digest(THIRD), by=DESK)  # a thief's second one
    assert filled.tokens.issue("desk", SECRET)
    assert filled.tokens.issue("desk", THIRD)
    assert slug(lambda: filled.tokens.issue("desk", NEW)) == "invalid-client"
    filled.clock.time += OVERLAP
    assert slug(lambda: filled.tokens.issue("desk", SECRET)) == "invalid-client"


def test_foreign_and_revoked_clients_are_not_found(filled: Directory) -> None:
    own, keys = filled.own_credentials, admission.key_set({"keys": []})
    for change in (
        lambda: own.rotate("desk", digest(NEW), by=STRANGER),
        lambda: own.replace_keys("desk", keys, by=STRANGER),
        lambda: own.revoke_tokens("desk", by=STRANGER, operator=False),
        lambda: own.rotate("nobody", digest(NEW), by=DESK),
    ):
        assert slug(change) == "not-found"
    filled.credentials.revoke("desk", by=OSH, client="desk", operator=False)
    assert slug(lambda: own.rotate("desk", digest(NEW), by=DESK)) == "not-found"
    assert slug(lambda: own.revoke_tokens("desk", by=DESK, operator=True)) == "not-found"


@pytest.mark.parametrize("client_id", ["office", f"{OSH}.amqp"])
def test_client_changes_neither_secret_nor_keys_of_another_client_of_its_organization(
    filled: Directory, client_id: str
) -> None:
    issue(filled, OSH, client_id, THIRD)
    before = filled.credentials.page(OSH, "", 10)
    stolen = admission.key_set(public_set(new_key()))
    own = filled.own_credentials
    assert slug(lambda: own.replace_keys(client_id, stolen, by=DESK)) == "forbidden"
    assert slug(lambda: own.rotate(client_id, digest(NEW), by=DESK)) == "forbidden"
    assert filled.credentials.page(OSH, "", 10) == before
    filled.own_credentials.revoke_tokens(client_id, by=replace(DESK, client_id=client_id), operator=False)


def test_keys_live_beside_the_secret_and_the_last_credential_stays(filled: Directory) -> None:
    key = new_key()
    filled.own_credentials.replace_keys("desk", admission.key_set(public_set(key)), by=DESK)
    assert filled.tokens.issue("desk", SECRET)
    assert filled.tokens.issue_for(assertion(key, "desk", ISSUER, filled.clock.time))
    told = filled.events()[-1].data
    assert isinstance(told, CredentialIssued)
    assert told.keys == ("k-1",)
    issued = filled.credentials.issue(
        OPERATOR.id,
        client_id="desk",
        principal=OSH,
        roles=(Role.partner,),
        jwks=admission.key_set(public_set(key)),
        precondition=ANY_REVISION,
    )
    assert issued
    empty = admission.key_set({"keys": []})
    assert slug(lambda: filled.own_credentials.replace_keys("desk", empty, by=DESK)) == "conflict"


def put_keys(directory: Directory, *keys: Key) -> None:
    directory.own_credentials.replace_keys("desk", admission.key_set(public_set(*keys)), by=DESK)


def token_by(directory: Directory, key: Key) -> str:
    return directory.tokens.issue_for(assertion(key, "desk", ISSUER, directory.clock.time))


def test_removal_of_a_key_ends_its_own_tokens_only(filled: Directory) -> None:
    old, new = new_key(kid="old"), new_key(kid="new")
    put_keys(filled, old)
    ended = token_by(filled, old)
    put_keys(filled, old, new)
    kept = [token_by(filled, new), filled.tokens.issue("desk", SECRET)]
    assert verifier(filled).verify(ended).id == OSH
    put_keys(filled, new)
    assert slug(lambda: verifier(filled).verify(ended)) == "invalid-token"
    for token in kept:
        assert verifier(filled).verify(token).id == OSH
    told = [event.data for event in filled.events() if isinstance(event.data, ClientChanged)][-1]
    assert told.ended_keys == (old.thumbprint(),)


def test_key_that_is_left_out_once_it_has_expired_ends_no_token(filled: Directory) -> None:
    old, new = new_key(kid="old"), new_key(kid="new")
    ends = int(filled.clock.time.timestamp()) + 60
    keys = public_set(old, new)
    keys["keys"][0]["exp"] = ends
    filled.own_credentials.replace_keys("desk", admission.key_set(keys), by=DESK)
    tokens = [token_by(filled, old), token_by(filled, new), filled.tokens.issue("desk", SECRET)]
    filled.clock.time += dt.timedelta(seconds=61)
    put_keys(filled, new)
    for token in tokens:
        assert verifier(filled).verify(token).id == OSH


def test_removed_key_that_returns_makes_no_old_token_valid(filled: Directory) -> None:
    old, new = new_key(kid="old"), new_key(kid="new")
    put_keys(filled, old, new)
    token = token_by(filled, old)
    put_keys(filled, new)
    put_keys(filled, old, new)
    assert slug(lambda: verifier(filled).verify(token)) == "invalid-token"
    assert verifier(filled).verify(token_by(filled, old)).id == OSH


def test_replacement_by_an_operator_ends_secrets_keys_and_tokens_at_once(filled: Directory) -> None:
    key = new_key()
    filled.own_credentials.replace_keys("desk", admission.key_set(public_set(key)), by=DESK)
    filled.own_credentials.rotate("desk", digest(NEW), by=DESK)
    token = filled.tokens.issue("desk", NEW)
    filled.clock.time += dt.timedelta(seconds=2)
    issue(filled, OSH, "desk", THIRD, precondition=ANY_REVISION)
    for secret in (SECRET, NEW):
        assert slug(lambda secret=secret: filled.tokens.issue("desk", secret)) == "invalid-client"  # type: ignore[misc]
    signed = assertion(key, "desk", ISSUER, filled.clock.time)
    assert slug(lambda: filled.tokens.issue_for(signed)) == "invalid-client"
    assert slug(lambda: verifier(filled).verify(token)) == "invalid-token"
    assert verifier(filled).verify(filled.tokens.issue("desk", THIRD)).id == OSH


def test_revocation_of_tokens_ends_those_before_and_spares_those_after(filled: Directory) -> None:
    filled.clock.time = NOON.replace(microsecond=400_000)
    before = filled.tokens.issue("desk", SECRET)
    filled.own_credentials.revoke_tokens("desk", by=DESK, operator=False)
    # In the same second: times in tokens are whole seconds.
    after = filled.tokens.issue("desk", SECRET)
    assert slug(lambda: verifier(filled).verify(before)) == "invalid-token"
    assert verifier(filled).verify(after).id == OSH
    changed, told = (event.data for event in filled.events()[-2:])
    moment = NOON + dt.timedelta(seconds=1)
    assert isinstance(changed, ClientChanged)
    assert changed.not_before == moment
    assert told == CredentialTokensRevoked(
        client_id="desk", principal=OSH, not_before=moment, by=OSH, organization=OSH
    )


def test_each_revocation_within_a_second_is_published(filled: Directory) -> None:
    filled.clock.time = NOON.replace(microsecond=400_000)
    filled.own_credentials.revoke_tokens("desk", by=DESK, operator=False)
    filled.own_credentials.revoke_tokens("desk", by=_OPERATOR, operator=True)
    told = [event.data for event in filled.events() if isinstance(event.data, CredentialTokensRevoked)]
    assert [one.by for one in told] == [OSH, OPERATOR.id]


def test_token_requested_during_the_revocation_is_refused(filled: Directory) -> None:
    filled.tokens.issue("desk", SECRET)  # registers the key of the secret
    requested: list[str] = []

    class AtTheRevocation(SettableClock):
        """Lets a request come after the revocation has read its time, and before it commits."""

        def now(self) -> dt.datetime:
            taken = self.time
            filled.clock.time = taken + dt.timedelta(seconds=3)
            requested.append(filled.tokens.issue("desk", SECRET))
            return taken

    filled.own_credentials._ledger.clock = AtTheRevocation(filled.clock.time)
    filled.own_credentials.revoke_tokens("desk", by=DESK, operator=False)
    (token,) = requested
    assert slug(lambda: verifier(filled).verify(token)) == "invalid-token"
    assert verifier(filled).verify(filled.tokens.issue("desk", SECRET)).id == OSH


def test_clock_that_was_ahead_neither_saves_a_token_nor_locks_its_client_out(filled: Directory) -> None:
    filled.clock.time = NOON + dt.timedelta(days=1)
    ahead = filled.tokens.issue("desk", SECRET)
    filled.own_credentials.revoke_tokens("desk", by=DESK, operator=False)
    filled.clock.time = NOON
    assert verifier(filled).verify(filled.tokens.issue("desk", SECRET)).id == OSH
    filled.own_credentials.revoke_tokens("desk", by=DESK, operator=False)
    filled.clock.time = NOON + dt.timedelta(days=1, seconds=5)
    assert slug(lambda: verifier(filled).verify(ahead)) == "invalid-token"


def test_revocation_of_an_organizations_tokens_ends_those_of_all_its_clients(filled: Directory) -> None:
    issue(filled, OSH, "branch", NEW)
    tokens = [filled.tokens.issue("desk", SECRET), filled.tokens.issue("branch", NEW)]
    filled.clock.time += dt.timedelta(seconds=2)
    revoked = filled.own_credentials.revoke_tokens_of(OSH, by=OPERATOR.id)
    assert [standing.entry.id for standing in revoked] == ["branch", "desk"]
    for token in tokens:
        assert slug(lambda token=token: verifier(filled).verify(token)) == "invalid-token"  # type: ignore[misc]
    assert slug(lambda: filled.own_credentials.revoke_tokens_of("kg.nobody", by=OPERATOR.id)) == "not-found"


def test_token_of_request_that_revocation_overtakes_is_refused(
    filled: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()
    filled.own_credentials.replace_keys("desk", admission.key_set(public_set(key)), by=DESK)
    principal_of = filled.tokens._principal

    def after_revocation(client: Client) -> Principal:
        filled.clock.time += dt.timedelta(seconds=2)
        filled.own_credentials.revoke_tokens("desk", by=DESK, operator=False)
        filled.clock.time += dt.timedelta(seconds=2)
        return principal_of(client)

    monkeypatch.setattr(filled.tokens, "_principal", after_revocation)
    shown = filled.tokens.issue("desk", SECRET)
    signed = filled.tokens.issue_for(assertion(key, "desk", ISSUER, filled.clock.time))
    assert slug(lambda: verifier(filled).verify(shown)) == "invalid-token"
    assert slug(lambda: verifier(filled).verify(signed)) == "invalid-token"


@pytest.mark.parametrize("text", ["", "\n", "\r\n", "desk", "desk\n", OSH, f"{OSH}\n"])
def test_digest_of_a_text_that_everybody_knows_is_refused_and_changes_nothing(
    filled: Directory, text: str
) -> None:
    before = filled.events()
    for call in (
        lambda: filled.own_credentials.rotate("desk", digest(text), by=DESK),
        lambda: filled.credentials.issue(
            OPERATOR.id,
            client_id="desk",
            principal=OSH,
            roles=(Role.partner,),
            secret_sha256=digest(text),
            precondition=ANY_REVISION,
        ),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert refused.value.slug == "invalid-submission"
        assert [(error.pointer, error.detail) for error in refused.value.errors] == [
            ("/secret_sha256", "The digest is that of an empty string or of the client's own name.")
        ]
    assert filled.events() == before
    assert filled.tokens.issue("desk", SECRET)


def test_client_ends_itself_and_clients_registered_after_it_and_no_earlier_one(filled: Directory) -> None:
    """A thief of one client cannot lock its owner out."""
    issue(filled, OSH, "phone", NEW)
    credentials, own = filled.credentials, filled.own_credentials
    phone = replace(DESK, client_id="phone")
    revoke = partial(credentials.revoke, "desk", by=OSH, client="phone", operator=False)
    assert slug(revoke) == "forbidden"
    assert slug(partial(own.revoke_tokens, "desk", by=phone, operator=False)) == "forbidden"
    # Another secret does not make a client later.
    issue(filled, OSH, "desk", NEW[::-1] + "x", precondition=ANY_REVISION)
    assert own.revoke_tokens("phone", by=DESK, operator=False).entry.live
    assert own.revoke_tokens("phone", by=phone, operator=False).entry.live
    assert not credentials.revoke("phone", by=OSH, client="desk", operator=False).entry.live
    assert not credentials.revoke("desk", by=OPERATOR.id, client="operator", operator=True).entry.live


def test_order_of_clients_does_not_depend_on_the_clock(filled: Directory) -> None:
    """It was set back between the two registrations."""
    filled.clock.time -= dt.timedelta(days=400)
    issue(filled, OSH, "phone", NEW)
    assert slug(partial(filled.credentials.revoke, "desk", by=OSH, client="phone", operator=False)) == (
        "forbidden"
    )
    assert not filled.credentials.revoke("phone", by=OSH, client="desk", operator=False).entry.live


def test_root_client_that_operators_name_comes_before_earlier_ones(filled: Directory) -> None:
    """The first client of an earlier build may be the one that is in use."""
    credentials = filled.credentials
    for name, secret in (("phone", NEW), ("safe", THIRD)):
        issue(filled, OSH, name, secret)
    known = len(filled.events())
    named = credentials.name_root("safe", by=OPERATOR.id)
    assert not isinstance(named, Approval)
    assert named.entry.root
    told = [event.data for event in filled.events()[known:] if isinstance(event.data, CredentialIssued)]
    assert [(one.client_id, one.organization, one.root) for one in told] == [("safe", OSH, True)]
    assert slug(partial(credentials.revoke, "safe", by=OSH, client="desk", operator=False)) == "forbidden"
    # The others keep their order.
    assert slug(partial(credentials.revoke, "desk", by=OSH, client="phone", operator=False)) == "forbidden"
    # Another secret changes nothing about it, nor does a loaded file.
    issue(filled, OSH, "safe", THIRD[::-1] + "x", precondition=ANY_REVISION)
    loaded = client(client_id="safe", principal=OSH, roles=(Role.partner,), secret=SECRET)
    filled.entries.enter(Client, [loaded], by="load")
    assert not credentials.revoke("desk", by=OSH, client="safe", operator=False).entry.live


def test_another_root_client_takes_the_place_of_the_first_one(filled: Directory) -> None:
    credentials = filled.credentials
    issue(filled, OSH, "phone", NEW)
    credentials.name_root("phone", by=OPERATOR.id)
    known = len(filled.events())
    credentials.name_root("phone", by=OPERATOR.id)
    assert len(filled.events()) == known
    credentials.name_root("desk", by=OPERATOR.id)
    roots = [one.entry.id for one in credentials.page(OSH, "", 10) if one.entry.root]
    assert roots == ["desk"]
    told = [event.data for event in filled.events()[known:] if isinstance(event.data, CredentialIssued)]
    assert [(one.client_id, one.root) for one in told] == [("desk", True)]
    assert slug(partial(credentials.revoke, "desk", by=OSH, client="phone", operator=False)) == "forbidden"


def test_root_client_needs_two_persons_and_its_organization_is_notified(filled: Directory) -> None:
    issue(filled, OSH, "phone", NEW)
    guarded = Directory(filled.database, policy=Policy.two_person)
    asked = guarded.credentials.name_root("phone", by=OPERATOR.id)
    assert isinstance(asked, Approval)
    assert (asked.kind, asked.subject, asked.organization) == ("root_client", OSH, OSH)
    owner = Decider(id=OSH, roles=frozenset({"partner"}), client="desk")
    for cannot in (Decider(id=OPERATOR.id, roles=frozenset({"operator"})), owner):
        assert slug(partial(guarded.approvals.approve, asked.id, cannot)) == "forbidden"
    assert slug(partial(guarded.approvals.refuse, asked.id, owner)) == "forbidden"
    # Another client is named first: the request is stale.
    other = guarded.credentials.name_root("desk", by="kg.third")
    assert isinstance(other, Approval)
    second = Decider(id="kg.second", roles=frozenset({"operator"}))
    guarded.approvals.approve(other.id, second)
    assert slug(partial(guarded.approvals.approve, asked.id, second)) == "conflict"
    again = guarded.credentials.name_root("phone", by=OPERATOR.id)
    assert isinstance(again, Approval)
    guarded.approvals.approve(again.id, second)
    (root,) = [one.entry for one in guarded.credentials.page(OSH, "", 10) if one.entry.root]
    assert root.id == "phone"
    (told,) = [
        event.data
        for event in guarded.events()
        if isinstance(event.data, CredentialIssued) and event.data.root and event.data.client_id == "phone"
    ]
    assert (told.organization, told.by, told.approved_by) == (OSH, OPERATOR.id, "kg.second")


def test_only_a_live_client_of_an_organization_in_other_hands_than_the_gateways_becomes_root(
    filled: Directory,
) -> None:
    issue(filled, OSH, f"{OSH}.amqp", NEW)
    issue(filled, "kg.ann", "ann", THIRD, Role.auditor)
    name = filled.credentials.name_root
    assert slug(partial(name, f"{OSH}.amqp", by=OPERATOR.id)) == "conflict"
    filled.credentials.revoke("desk", by=OPERATOR.id, operator=True)
    for unfit in ("ann", "nobody", "desk"):
        assert slug(partial(name, unfit, by=OPERATOR.id)) == "not-found"


def test_clients_of_one_loaded_file_do_not_end_each_other(filled: Directory) -> None:
    loaded = [
        client(client_id=name, principal=OSH, roles=(Role.partner,), secret=secret)
        for name, secret in (("phone", NEW), ("tablet", THIRD))
    ]
    filled.entries.enter(Client, loaded, by="load")
    for one, other in (("phone", "tablet"), ("tablet", "phone")):
        revoke = partial(filled.credentials.revoke, other, by=OSH, client=one, operator=False)
        assert slug(revoke) == "forbidden"
    assert not filled.credentials.revoke("tablet", by=OSH, client="desk", operator=False).entry.live
