"""The gate: a valid token of a live client, a permitted role, an organisation that may use the hub."""

from __future__ import annotations

import datetime as dt

import pytest
from joserfc.jwk import OKPKey

from contracts.codes import OrganizationKind, Vetting
from contracts.errors import Refused
from contracts.facts import ClientChanged, OrganizationChanged, TokenKeyChanged
from contracts.organization import Organization
from contracts.records import plain
from runtime.access.access_records import AccessRecords
from runtime.access.gate import Gate
from runtime.access.signer import TokenSigner
from runtime.access.tokens import Principal
from runtime.messaging.replica import ReplicaRecord

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

NOON = dt.datetime(2026, 3, 21, 12, tzinfo=dt.UTC)
OSH = "kg.osh-legal-aid"
PARTNERS = frozenset({"partner"})
SIGNER = TokenSigner(OKPKey.generate_key("Ed25519", private=True).as_dict(private=True), "kopuro:kg")


class Noon:
    def now(self) -> dt.datetime:
        return NOON


class Hub:
    """A service's gate and the records that it follows. narrowed: how often callers lost a right."""

    def __init__(self) -> None:
        self.narrowed = 0
        self.records = AccessRecords(self._narrowed, patience=0)
        self.gate = Gate(self.records.verifier("kg", Noon()), self.records.is_excluded)
        key = TokenKeyChanged(revision=1, key=SIGNER.public_jwk())
        self.records.absorb([record(SIGNER.kid, key)])

    def _narrowed(self) -> None:
        self.narrowed += 1

    def absorb(self, *facts: ClientChanged | OrganizationChanged) -> None:
        self.records.absorb([record(_key(fact), fact) for fact in facts])


def _key(fact: ClientChanged | OrganizationChanged) -> str:
    return fact.client_id if isinstance(fact, ClientChanged) else fact.organization.id


def record(key: str, fact: ClientChanged | OrganizationChanged | TokenKeyChanged) -> ReplicaRecord:
    return ReplicaRecord(type=fact.type, key=key, change=1, data=plain(fact))


def client(
    client_id: str = "desk", *, principal: str = OSH, live: bool = True, roles: tuple[str, ...] = ("partner",)
) -> ClientChanged:
    return ClientChanged(revision=1, client_id=client_id, principal=principal, roles=roles, live=live)


def organization(vetting: Vetting = Vetting.vetted, *, active: bool = True) -> OrganizationChanged:
    entry = Organization(
        id=OSH, name="Osh", kind=OrganizationKind.ngo, country="KG", vetting=vetting, active=active
    )
    return OrganizationChanged(revision=1, organization=entry)


def bearer(client_id: str = "desk", *, who: str = OSH, roles: frozenset[str] = PARTNERS) -> str:
    principal = Principal(id=who, roles=roles, client_id=client_id)
    return f"Bearer {SIGNER.issue(principal, now=NOON)}"


@pytest.fixture
def hub() -> Hub:
    hub = Hub()
    hub.absorb(organization(), client())
    return hub


def refused(hub: Hub, authorization: str) -> str:
    with pytest.raises(Refused) as caught:
        hub.gate.admit(authorization, PARTNERS)
    return caught.value.slug


def test_token_of_live_client_is_admitted(hub: Hub) -> None:
    admitted = hub.gate.admit(bearer(), PARTNERS)
    assert (admitted.id, admitted.roles, admitted.client_id) == (OSH, PARTNERS, "desk")
    assert admitted.token_id
    assert not admitted.excluded


@pytest.mark.parametrize(
    "forged",
    [
        bearer(""),
        bearer("unknown"),
        bearer("desk", who="kg.batken-library"),
        bearer("desk", roles=frozenset({"operator"})),
        bearer("desk", roles=frozenset({"partner", "auditor"})),
    ],
    ids=["no client", "unknown client", "another's client", "another role", "one role more"],
)
def test_token_that_no_client_was_issued_is_refused(hub: Hub, forged: str) -> None:
    assert refused(hub, forged) == "invalid-token"


@pytest.mark.parametrize(
    "after",
    [client(live=False), client(principal="kg.batken-library"), client(roles=("auditor",))],
    ids=["revoked", "another principal", "another role"],
)
def test_admitted_token_is_refused_after_its_client_changed(hub: Hub, after: ClientChanged) -> None:
    token = bearer()
    hub.gate.admit(token, PARTNERS)
    hub.absorb(after)
    assert hub.narrowed == 1
    assert refused(hub, token) == "invalid-token"


def test_token_of_client_with_one_more_role_stays_valid(hub: Hub) -> None:
    hub.absorb(client(roles=("partner", "coordinator")), client("other"))
    assert hub.narrowed == 0
    assert hub.gate.admit(bearer(), PARTNERS).roles == PARTNERS


EXCLUDED = [
    organization(Vetting.suspended),
    organization(Vetting.left),
    organization(active=False),
]


@pytest.mark.parametrize("excluded", EXCLUDED, ids=["suspended", "left", "inactive"])
def test_excluded_organization_is_refused_until_readmitted(hub: Hub, excluded: OrganizationChanged) -> None:
    token = bearer()
    hub.absorb(excluded)
    assert hub.narrowed == 1
    assert refused(hub, token) == "forbidden"
    hub.absorb(excluded)
    assert hub.narrowed == 1
    hub.absorb(organization())
    assert hub.narrowed == 1
    assert not hub.gate.admit(token, PARTNERS).excluded


@pytest.mark.parametrize("excluded", EXCLUDED, ids=["suspended", "left", "inactive"])
def test_open_resource_admits_excluded_organization_as_such(hub: Hub, excluded: OrganizationChanged) -> None:
    hub.absorb(excluded)
    assert hub.gate.admit(bearer(), PARTNERS, open_to_excluded=True).excluded


def test_applicant_is_admitted(hub: Hub) -> None:
    hub.absorb(organization(Vetting.applied))
    assert not hub.gate.admit(bearer(), PARTNERS).excluded


def test_coordinator_of_excluded_organization_is_refused_but_operator_is_admitted(hub: Hub) -> None:
    hub.absorb(
        organization(Vetting.suspended),
        client("desk", roles=("coordinator",)),
        client("root", roles=("operator",)),
    )
    staff = frozenset({"coordinator", "operator"})
    with pytest.raises(Refused):
        hub.gate.admit(bearer("desk", roles=frozenset({"coordinator"})), staff)
    assert not hub.gate.admit(bearer("root", roles=frozenset({"operator"})), staff).excluded


def test_withdrawn_key_is_reported_and_its_tokens_are_refused(hub: Hub) -> None:
    withdrawn = TokenKeyChanged(revision=2, key=SIGNER.public_jwk(), withdrawn=True)
    hub.records.absorb([record(SIGNER.kid, withdrawn)])
    assert hub.narrowed == 1
    assert refused(hub, bearer()) == "invalid-token"
