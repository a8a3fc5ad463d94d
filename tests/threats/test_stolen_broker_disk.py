"""A thief copies the hub's disks, the broker's too, after an erasure, and has the custody key."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from contracts.errors import Refused
from contracts.facts import TransitSeal
from contracts.records import plain
from runtime import transit_seal
from services.vault.adapters.custody_key import CustodyKeyInMemory
from services.vault.domain.sealed import SealedCase
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until

REFERRAL = "wage-claim-osh-moscow"
CASES = 5
_BASE64 = rb"[A-Za-z0-9_-]+"
_JWE = re.compile(rb"eyJ" + rb"\.".join([_BASE64] * 5))
_IN_TRANSIT = re.compile(
    rb'"referral_id":"([0-9a-f-]{36})"[^{}]*"case":"(' + rb"\.".join([_BASE64] * 3) + rb")"
    rb'","transit":\{"kid":"(' + _BASE64 + rb')","key":"(' + _BASE64 + rb')"'
)


# The thief; the transit and case keys that there were; the canaries; a backup of the vault's database.
Stolen = tuple["Thief", dict[str, bytes], dict[str, bytes], set[str], Path]


class Thief:
    """Has every file of the hub, and the custody key."""

    def __init__(self, hub: RunningHub) -> None:
        self._root = hub.files.directory
        self._key_store = hub.files.vault_keys
        self._custody = CustodyKeyInMemory.read(hub.files.key("custody"))

    def files(self) -> Iterator[bytes]:
        for file in self._root.rglob("*"):
            if file.is_file() and file.name != "owner.lock":
                try:
                    yield file.read_bytes()
                except FileNotFoundError:  # the broker removes segments
                    continue

    def secrets(self, kind: str) -> dict[str, bytes]:
        """Return the vault's own keys that exist now."""
        with closing(sqlite3.connect(f"file:{self._key_store}?mode=ro", uri=True)) as keys:
            return dict(keys.execute(f"SELECT id, secret FROM {kind}_keys").fetchall())  # noqa: S608

    def opened(self, transit_keys: dict[str, bytes]) -> set[str]:
        """Return the narratives of all cases that open, with these transit keys and the custody key."""
        found = set()
        for content in self.files():
            wholes = [match.group().decode() for match in _JWE.finditer(content)]
            for referral, rest, kid, key in _IN_TRANSIT.findall(content):
                secret = transit_keys.get(kid.decode())
                if secret is not None:
                    seal = TransitSeal(kid=kid.decode(), key=key.decode())
                    with suppress(transit_seal.TransitUnopened):  # a record that the broker's file cuts
                        whole = transit_seal.open_sealed(seal, rest.decode(), secret, referral.decode())
                        wholes.append(whole)
            found |= {case["narrative"] for whole in wholes if (case := self._open(whole)) is not None}
        return found

    def holding(self, secrets: set[bytes]) -> int:
        """Return how many files contain one of the secrets."""
        return sum(any(secret in content for secret in secrets) for content in self.files())

    def _open(self, whole: str) -> dict[str, str] | None:
        try:
            opened: dict[str, str] = json.loads(self._custody.open(SealedCase.split(whole)))
        except Refused:
            return None
        return opened


@pytest.fixture(scope="module")
def stolen(hub: RunningHub) -> Iterator[Stolen]:
    """Cases that were stored and then erased; the keys and a backup from before; the canaries."""
    thief = Thief(hub)
    sample = hub.network.referral(REFERRAL)
    sender = hub.organization(sample.sender)
    canaries = {f"canary {number} of a stolen disk" for number in range(CASES)}
    # Collected while they exist: the hub replaces them every few seconds.
    before = thief.secrets("transit")
    submitted = []
    for narrative in sorted(canaries):
        sealed = sender.hub.seal({**plain(sample.case), "narrative": narrative})
        submitted.append(sender.hub.submit(hub.facts(REFERRAL), sealed=sealed)["id"])
        before |= thief.secrets("transit")
    database = hub.files.database("vault")

    def held() -> bool:
        before.update(thief.secrets("transit"))
        with closing(sqlite3.connect(database)) as vault:
            rows = vault.execute("SELECT referral_id FROM sealed_cases").fetchall()
        return set(submitted) <= {row[0] for row in rows}

    until(held, "the cases in custody")
    # Theirs alone: other tests of this hub have cases that have not ended.
    with closing(sqlite3.connect(database)) as vault:
        rows = vault.execute("SELECT referral_id, key_id FROM sealed_cases").fetchall()
    secrets = thief.secrets("case")
    case_keys = {key_id: secrets[key_id] for referral_id, key_id in rows if referral_id in submitted}
    assert len(case_keys) == CASES
    # The attack works while the keys exist: the thief reads the messages from the broker's files.
    assert canaries <= thief.opened(before)
    backup = hub.files.directory / "stolen-backup.sqlite"
    with closing(sqlite3.connect(database)) as vault, closing(sqlite3.connect(backup)) as copy:
        vault.backup(copy)
    for number, referral in enumerate(submitted):
        if number % 2 == 0:
            sender.hub.revoke_consent(referral)
            continue
        acceptor, offer_id = hub.next_offer(sender, referral)
        acceptor.hub.accept(offer_id)
        acceptor.await_message("case.released", referral)
        acceptor.hub.complete(referral, "resolved")
    destroyed = before.keys()
    until(lambda: not thief.secrets("transit").keys() & destroyed, "the end of the transit keys", within=60)
    until(lambda: not thief.secrets("case").keys() & case_keys.keys(), "the end of the case keys")
    yield thief, before, case_keys, canaries, backup
    backup.unlink()


def test_custody_key_opens_no_erased_case_from_any_file_of_the_hub(
    stolen: Stolen,
) -> None:
    thief, before, _, canaries, _ = stolen
    assert not canaries & thief.opened(thief.secrets("transit"))
    # The messages are still there: only the destroyed keys would open them.
    assert canaries & thief.opened(before)


def test_destroyed_keys_are_in_no_file_of_the_hub(
    stolen: Stolen,
) -> None:
    thief, before, case_keys, _, _ = stolen
    until(
        lambda: thief.holding({*case_keys.values(), *before.values()}) == 0,
        "the last copy of a destroyed key",
    )


def test_custody_key_opens_no_erased_case_from_an_earlier_backup(
    stolen: Stolen,
) -> None:
    thief, _, case_keys, _, backup = stolen
    with closing(sqlite3.connect(backup)) as copy:
        rows = copy.execute("SELECT wrapped_key, key_id FROM sealed_cases").fetchall()
    assert all(key_id is not None and "." not in wrapped_key for wrapped_key, key_id in rows)
    assert case_keys.keys() <= {key_id for _, key_id in rows}
    assert not case_keys.keys() & thief.secrets("case").keys()
