"""The participants: two senders, several kinds of receivers, their keys, and cases sealed once for all."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from contracts.codes import OrganizationKind
from contracts.facts import AgreementChanged, OrganizationChanged
from contracts.organization import Organization, SealingKey
from contracts.records import plain, read
from kopuro_client.sealing import generate_key, public_key, seal
from runtime.messaging.replica import ReplicaRecord
from tests.unit.services.routing.samples import agreement, organization

SENDERS = ("kg.sender", "uz.sender")
RECEIVERS = ("ru.one", "ru.two", "ru.three", "ru.four", "ru.consulate", "ru.agency")
KINDS: Mapping[str, OrganizationKind] = {
    "ru.consulate": OrganizationKind.consular_representative,
    "ru.agency": OrganizationKind.state_body,
}
COORDINATOR = "kg.coordinator"
WAGES, SHELTER = "legal.wage_claim", "basic_needs.shelter"
_CASE = {"name": "Адинай", "phones": ["+996555000111"], "narrative": "Зарплата за три месяца."}


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """custody: the vault's private key. cases: sealed to the custody key, or to an organisation's.
    notes: by the receiver to whose key they are sealed.

    unreadable: has the custody key's name in its header, and cannot be opened with it.
    """

    organizations: Mapping[str, Organization]
    records: Mapping[str, ReplicaRecord]
    # Of all vetted organisations.
    memorandum: ReplicaRecord
    custody: dict[str, Any]
    custody_kid: str
    case: str
    cases: Mapping[str, str]
    unreadable: str
    notes: Mapping[str, str]


@functools.cache
def the_network() -> Network:
    """The same for every story of this process; the keys decide nothing."""
    custody = dict(generate_key())
    organizations: dict[str, Organization] = {}
    for name in (*SENDERS, *RECEIVERS):
        key = read(SealingKey, dict(public_key(generate_key())))
        known = organization(name, sealing_key=key, kind=KINDS.get(name, OrganizationKind.ngo))
        organizations[name] = replace(known, services=()) if name in SENDERS else known
    records = {
        name: ReplicaRecord(
            type=OrganizationChanged.type,
            key=name,
            change=n,
            data={"revision": 1, "organization": plain(known)},
        )
        for n, (name, known) in enumerate(organizations.items(), 1)
    }
    memorandum = plain(agreement(effective_from=dt.date(2021, 1, 1)))
    case = seal(_CASE, public_key(custody))
    head, _, tail = case.rpartition(".")
    return Network(
        organizations=organizations,
        records=records,
        memorandum=ReplicaRecord(
            type=AgreementChanged.type, key="network", change=len(records) + 1, data={"agreement": memorandum}
        ),
        custody=custody,
        custody_kid=public_key(custody)["kid"],
        case=case,
        cases={n: seal(_CASE, plain(o.sealing_key)) for n, o in organizations.items() if o.sealing_key},
        unreadable=f"{head}.{'A' * len(tail)}",
        notes={
            n: seal({"text": "Встретили."}, plain(o.sealing_key))
            for n, o in organizations.items()
            if o.sealing_key
        },
    )


def agreements(begins: Mapping[str, dt.date]) -> list[ReplicaRecord]:
    """Return the agreements of a story: one of each of these receivers from its day on, one of all others."""
    network = the_network()
    if not begins:
        return [network.memorandum]
    at_once = agreement(
        parties=tuple(name for name in network.organizations if name not in begins),
        effective_from=dt.date(2021, 1, 1),
    )
    later = [
        agreement(id=f"with-{number}", parties=(*SENDERS, name), effective_from=day)
        for number, (name, day) in enumerate(sorted(begins.items()))
    ]
    return [
        ReplicaRecord(type=AgreementChanged.type, key=one.id, change=change, data={"agreement": plain(one)})
        for change, one in enumerate((at_once, *later), network.memorandum.change)
    ]
