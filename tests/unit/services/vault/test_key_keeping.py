"""The vault's own keys: rotation, destruction, and the crash points that `key_keeping` names."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from contracts.envelope import Event
from contracts.facts import (
    CaseErased,
    Fact,
    SealedCaseReleased,
    SealedCaseSubmitted,
    SealedNoteReleased,
    SealedNoteSubmitted,
    TransitKeyClosed,
    TransitKeyDestroyed,
    TransitKeyPublished,
)
from kopuro_client.sealing import public_key, seal
from runtime import transit_seal
from runtime.settings import SettingsError
from runtime.storage.change_poll import LONGEST_SECONDS
from services.vault.adapters.tables import SEALED_CASES
from services.vault.domain.quiet_window import WaitingForVault
from services.vault.key_keeping import ORPHANED
from services.vault.ports import KeyKind
from tests.unit.services.vault.test_handlers import CLOSING
from tests.unit.services.vault.workbench import (
    ACCEPTOR,
    CASE,
    NOTHING_WAITS,
    NOW,
    PERIOD,
    REFERRAL,
    SENDER,
    Workbench,
    acceptance,
    delivery,
    event,
    only,
    sealed_case,
)

HOUR = dt.timedelta(hours=1)
OTHER = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a02"


@pytest.fixture
def vault(database_url: str) -> Iterator[Workbench]:
    bench = Workbench(database_url)
    bench.keeping.run()
    yield bench
    bench.close()


def published(vault: Workbench) -> list[TransitKeyPublished]:
    return [e.data for e in vault.sent() if isinstance(e.data, TransitKeyPublished)]


def in_transit(vault: Workbench, key: TransitKeyPublished, *, referral: str = REFERRAL) -> Event[Fact]:
    """Return a case as intake sends it."""
    whole = seal(CASE, public_key(vault.custody))
    sealed, rest = transit_seal.seal(whole, key.x, referral)
    message = sealed_case(whole, referral=referral)
    assert isinstance(message.data, SealedCaseSubmitted)
    return replace(message, data=replace(message.data, case=rest, transit=sealed))


def closed(key: TransitKeyPublished, messages: int) -> Event[Fact]:
    return event(TransitKeyClosed(kid=key.kid, messages=messages))


def secrets(vault: Workbench, kind: KeyKind) -> list[str]:
    return vault.own_keys.made_before(kind, dt.datetime.max.replace(tzinfo=dt.UTC))


def rotate(vault: Workbench) -> tuple[TransitKeyPublished, TransitKeyPublished]:
    """Return the first key and its successor."""
    vault.clock.time += PERIOD
    vault.keeping.run()
    first, second = published(vault)
    return first, second


def test_case_sealed_in_transit_is_released(vault: Workbench) -> None:
    (key,) = published(vault)
    vault.receive(in_transit(vault, key), acceptance())
    assert only(SealedCaseReleased, vault.sent()).organization == ACCEPTOR


def test_note_sealed_in_transit_is_forwarded_whole(vault: Workbench) -> None:
    (key,) = published(vault)
    vault.receive(in_transit(vault, key), acceptance())
    whole = seal({"note": "n"}, public_key(vault.keys.private[ACCEPTOR]))
    sealed, rest = transit_seal.seal(whole, key.x, REFERRAL)
    vault.receive(event(SealedNoteSubmitted(referral_id=REFERRAL, author=SENDER, note=rest, transit=sealed)))
    assert only(SealedNoteReleased, vault.sent()).note == whole


def test_key_is_replaced_after_its_period_and_not_before(vault: Workbench) -> None:
    vault.clock.time += PERIOD - dt.timedelta(seconds=1)
    vault.keeping.run()
    assert len(published(vault)) == 1
    first, second = rotate(vault)
    assert first.published_at < second.published_at
    assert secrets(vault, KeyKind.transit) == sorted([first.kid, second.kid])


def test_key_is_destroyed_when_every_message_was_read(vault: Workbench) -> None:
    first, second = rotate(vault)
    vault.receive(in_transit(vault, first), closed(first, 1))
    vault.clock.time += PERIOD / 12
    vault.keeping.run()
    assert only(TransitKeyDestroyed, vault.sent()) == TransitKeyDestroyed(kid=first.kid, messages=1)
    assert secrets(vault, KeyKind.transit) == [second.kid]


def test_key_of_a_message_that_has_not_come_is_kept_and_opens_it(vault: Workbench) -> None:
    first, _ = rotate(vault)
    vault.receive(in_transit(vault, first), closed(first, 2))
    for _ in range(3):
        vault.clock.time += PERIOD
        vault.keeping.run()
    assert first.kid in secrets(vault, KeyKind.transit)
    vault.receive(in_transit(vault, first, referral=OTHER), acceptance(referral=OTHER))
    assert only(SealedCaseReleased, vault.sent()).referral_id == OTHER
    vault.keeping.run()
    assert first.kid not in secrets(vault, KeyKind.transit)


def test_dead_letter_keeps_its_key_and_takes_effect_when_it_is_replayed(vault: Workbench) -> None:
    first, _ = rotate(vault)
    message = in_transit(vault, first)
    secret = vault.own_keys.get(KeyKind.transit, [first.kid])
    vault.own_keys.destroy(KeyKind.transit, [first.kid])  # the effect of a lost file
    vault.receive(message)
    assert vault.dead_letters() == 1
    vault.own_keys.add(KeyKind.transit, secret, NOW)
    vault.receive(closed(first, 1))
    vault.waiting = replace(NOTHING_WAITS, dead_letters=1)
    vault.clock.time += PERIOD
    vault.keeping.run()
    assert first.kid in secrets(vault, KeyKind.transit)
    vault.receive(message, acceptance())
    assert only(SealedCaseReleased, vault.sent()).referral_id == REFERRAL


def test_redelivered_message_is_counted_once(vault: Workbench) -> None:
    first, _ = rotate(vault)
    message = in_transit(vault, first)
    vault.receive(message)
    vault.receive(message)
    vault.receive(closed(first, 2))
    vault.clock.time += PERIOD / 2
    vault.keeping.run()
    assert first.kid in secrets(vault, KeyKind.transit)


def test_second_count_of_a_closed_key_is_ignored(vault: Workbench) -> None:
    first, _ = rotate(vault)
    vault.receive(closed(first, 1))
    vault.receive(closed(first, 0))
    vault.clock.time += PERIOD / 2
    vault.keeping.run()
    assert first.kid in secrets(vault, KeyKind.transit)


def test_key_of_a_discarded_message_is_destroyed_after_a_day_in_which_nothing_waited(
    vault: Workbench,
) -> None:
    first, second = rotate(vault)
    vault.receive(closed(first, 1), in_transit(vault, second))
    vault.clock.time += dt.timedelta(hours=22)
    # The vault counts every second; here every four minutes.
    for _ in range(16):
        vault.clock.time += dt.timedelta(minutes=4)
        vault.keeping.run()
    assert first.kid in secrets(vault, KeyKind.transit)
    for _ in range(16):
        vault.clock.time += dt.timedelta(minutes=4)
        vault.keeping.run()
    assert first.kid not in secrets(vault, KeyKind.transit)


def test_key_of_a_discarded_message_is_destroyed_on_a_hub_that_is_never_quiet(vault: Workbench) -> None:
    """In every second some message is in the queue or among the retries, but never the same one."""
    first, second = rotate(vault)
    vault.receive(closed(first, 1), in_transit(vault, second))
    vault.clock.time += dt.timedelta(hours=24)
    for number in range(32):
        vault.clock.time += dt.timedelta(minutes=4)
        busy = replace(NOTHING_WAITS, oldest_retry=vault.clock.time - dt.timedelta(minutes=10))
        vault.waiting = busy if number == 5 else replace(busy, queued=7)
        vault.keeping.run()
    assert first.kid not in secrets(vault, KeyKind.transit)


@pytest.mark.parametrize(
    "waiting",
    [
        replace(NOTHING_WAITS, queued=1),
        replace(NOTHING_WAITS, dead_letters=1),
        replace(NOTHING_WAITS, oldest_retry=NOW),
        None,
    ],
)
def test_key_is_kept_while_an_earlier_message_waits_or_the_broker_is_unavailable(
    vault: Workbench, waiting: WaitingForVault | None
) -> None:
    first, second = rotate(vault)
    vault.receive(closed(first, 1), in_transit(vault, second))
    vault.waiting = waiting
    vault.clock.time += dt.timedelta(days=3)
    for _ in range(20):
        vault.clock.time += dt.timedelta(minutes=4)
        vault.keeping.run()
    assert first.kid in secrets(vault, KeyKind.transit)
    assert "transit key" in (vault.keeping.alarm() or "")


def test_message_of_an_earlier_build_is_read_without_transit_seal(vault: Workbench) -> None:
    vault.receive(sealed_case(seal(CASE, public_key(vault.custody))), acceptance())
    assert only(SealedCaseReleased, vault.sent()).organization == ACCEPTOR


# The keys of cases


def test_each_case_has_its_own_key_which_closing_destroys(vault: Workbench) -> None:
    (key,) = published(vault)
    vault.receive(in_transit(vault, key), in_transit(vault, key, referral=OTHER))
    assert len(secrets(vault, KeyKind.case)) == 2
    vault.receive(event(CLOSING))
    vault.keeping.run()
    assert len(secrets(vault, KeyKind.case)) == 1
    vault.receive(acceptance(referral=OTHER))
    assert only(SealedCaseReleased, vault.sent()).referral_id == OTHER


def test_destroyed_key_is_in_no_file_of_the_key_store(vault: Workbench) -> None:
    (key,) = published(vault)
    vault.receive(in_transit(vault, key))
    (secret,) = vault.own_keys.get(KeyKind.case, secrets(vault, KeyKind.case)).values()

    def held() -> list[Path]:
        files = vault.key_file.parent.iterdir()
        return [file for file in files if secret in file.read_bytes()]

    assert held()
    vault.receive(event(CLOSING))
    vault.keeping.run()
    assert not held()


def test_case_of_an_earlier_build_gets_a_key_and_is_released(vault: Workbench) -> None:
    vault.receive(sealed_case(whole := seal(CASE, public_key(vault.custody))))
    plain = {"wrapped_key": ".".join(whole.split(".")[:2]), "key_id": None}
    with vault.database.write() as transaction:
        transaction.execute(update(SEALED_CASES).values(**plain))
    with vault.database.read() as transaction:
        assert vault.store.sealed(transaction, [REFERRAL])[REFERRAL].whole() == whole
    vault.new_keeping().run()
    with vault.database.read() as transaction:
        row: Any = transaction.execute(select(SEALED_CASES)).one()
        assert vault.store.sealed(transaction, [REFERRAL])[REFERRAL].whole() == whole
    assert row.key_id is not None
    assert row.wrapped_key != plain["wrapped_key"]
    vault.receive(acceptance())
    assert only(SealedCaseReleased, vault.sent()).referral_id == REFERRAL


def test_case_without_its_key_is_dead_lettered_on_acceptance_and_kept(vault: Workbench) -> None:
    vault.receive(sealed_case(seal(CASE, public_key(vault.custody))))
    lost = vault.own_keys.get(KeyKind.case, secrets(vault, KeyKind.case))
    vault.own_keys.destroy(KeyKind.case, lost)
    accepted = acceptance()
    vault.receive(accepted)
    assert (vault.dead_letters(), vault.sealed_cases()) == (1, 1)
    vault.own_keys.add(KeyKind.case, lost, NOW)
    vault.receive(accepted)
    assert only(SealedCaseReleased, vault.sent()).referral_id == REFERRAL


def test_waiting_case_without_its_key_holds_up_no_other(vault: Workbench) -> None:
    key = vault.keys.published.pop(ACCEPTOR)
    for referral in (REFERRAL, OTHER):
        vault.receive(sealed_case(seal(CASE, public_key(vault.custody)), referral=referral))
        if referral == REFERRAL:
            vault.own_keys.destroy(KeyKind.case, secrets(vault, KeyKind.case))
        vault.receive(acceptance(referral=referral))
    vault.keys.published[ACCEPTOR] = key
    vault.release_waiting()
    assert only(SealedCaseReleased, vault.sent()).referral_id == OTHER


def test_missing_key_store_of_a_database_with_cases_stops_the_start(vault: Workbench) -> None:
    with pytest.raises(SettingsError, match="KOPURO_VAULT_KEYS"):
        vault.new_keeping(is_new=True).start(lambda function: None)


# The crash points, in the order of `key_keeping`


class Crash(Exception):
    """The process ends here."""


def crash(*_: object, **__: object) -> None:
    raise Crash


def test_key_made_and_not_published_is_published_later(
    vault: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.clock.time += PERIOD
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(vault.transit_keys, "add", crash)
        vault.keeping.run()
    assert len(secrets(vault, KeyKind.transit)) == 2
    vault.new_keeping().run()
    vault.clock.time += HOUR / 4
    vault.new_keeping().run()
    assert {key.kid for key in published(vault)} == set(secrets(vault, KeyKind.transit))


def test_message_to_a_key_that_the_restored_database_does_not_know_is_read(vault: Workbench) -> None:
    (key,) = published(vault)
    with vault.database.write() as transaction:
        vault.transit_keys.remove(transaction, key.kid)
    vault.clock.time += HOUR / 4
    vault.new_keeping().run()
    vault.receive(in_transit(vault, key), acceptance())
    assert only(SealedCaseReleased, vault.sent()).referral_id == REFERRAL


def test_redelivered_case_after_a_lost_acknowledgement_is_stored_once(vault: Workbench) -> None:
    (key,) = published(vault)
    message = in_transit(vault, key)
    vault.sealed_messages.process([delivery(message)])
    vault.sealed_messages.process([delivery(message)])
    assert (vault.sealed_cases(), vault.dead_letters(), len(secrets(vault, KeyKind.case))) == (1, 0, 1)


def test_case_key_without_a_case_is_counted_and_kept(
    vault: Workbench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (key,) = published(vault)
    message = in_transit(vault, key)
    with monkeypatch.context() as patch:
        patch.setattr(vault.store, "put", crash)
        vault.receive(message)  # the keys are stored, the transaction is rolled back
    assert vault.sealed_cases() == 0
    orphans = secrets(vault, KeyKind.case)
    assert orphans
    vault.receive(message, acceptance())
    assert only(SealedCaseReleased, vault.sent()).referral_id == REFERRAL
    vault.clock.time += ORPHANED + HOUR
    vault.new_keeping().run()
    with vault.database.read() as transaction:
        (used,) = transaction.execute(select(SEALED_CASES.c.key_id)).scalars()
    assert set(secrets(vault, KeyKind.case)) == {*orphans, used}
    (warning,) = [r for r in caplog.records if r.message == "case keys without a case in the database"]
    assert warning.__dict__["keys"] == len(orphans)


def test_key_of_a_dead_letter_outlives_a_restore_of_the_database(vault: Workbench) -> None:
    first, _ = rotate(vault)
    late = in_transit(vault, first)  # a dead letter, which is replayed in the end
    with vault.database.write() as transaction:  # a database from before the first key
        for key in published(vault):
            vault.transit_keys.remove(transaction, key.kid)
    vault.clock.time += HOUR
    restored = vault.new_keeping()
    restored.run()
    # Intake has forgotten its count of the first key, or never knew it.
    vault.receive(closed(first, 0))
    for _ in range(2):  # the first run makes a key, so that the one in question is not the newest
        vault.clock.time += HOUR
        restored.run()
    assert first.kid in secrets(vault, KeyKind.transit)
    vault.receive(late, acceptance())
    assert only(SealedCaseReleased, vault.sent()).referral_id == REFERRAL


def test_vault_on_an_empty_database_destroys_no_case_key(vault: Workbench) -> None:
    (key,) = published(vault)
    vault.receive(in_transit(vault, key))
    (stored,) = secrets(vault, KeyKind.case)
    with vault.database.write() as transaction:  # an older database, or another one, lacks the case
        transaction.execute(SEALED_CASES.delete())
    vault.clock.time += ORPHANED + HOUR
    vault.new_keeping().run()
    assert secrets(vault, KeyKind.case) == [stored]


def test_key_of_an_erased_case_is_destroyed_after_a_crash(vault: Workbench) -> None:
    (key,) = published(vault)
    vault.receive(in_transit(vault, key), event(CLOSING))
    assert only(CaseErased, vault.sent()).referral_id == REFERRAL
    assert secrets(vault, KeyKind.case)  # the process ends before the next run
    vault.new_keeping().run()
    assert secrets(vault, KeyKind.case) == []


def test_destruction_that_was_not_recorded_is_recorded_later(
    vault: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = rotate(vault)
    vault.receive(in_transit(vault, first), closed(first, 1))
    vault.clock.time += PERIOD / 12
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(vault.transit_keys, "remove", crash)
        vault.keeping.run()
    assert first.kid not in secrets(vault, KeyKind.transit)
    vault.new_keeping().run()
    assert only(TransitKeyDestroyed, vault.sent()).kid == first.kid


def test_lost_newest_key_is_replaced_at_the_next_start(vault: Workbench) -> None:
    (key,) = published(vault)
    vault.own_keys.destroy(KeyKind.transit, [key.kid])
    vault.new_keeping().run()
    assert len(published(vault)) == 2


@pytest.mark.usefixtures("any_umask")
def test_key_store_file_is_private(vault: Workbench) -> None:
    for file in vault.key_file.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
    with closing(sqlite3.connect(vault.key_file)) as keys:
        assert keys.execute("SELECT count(*) FROM transit_keys").fetchone() == (1,)


def test_next_turn_is_needed_without_a_commit_only_when_a_key_is_due_or_spent(vault: Workbench) -> None:
    soon = dt.timedelta(seconds=LONGEST_SECONDS)
    assert vault.keeping.turn() is False
    vault.clock.time += PERIOD - soon - dt.timedelta(seconds=1)
    assert vault.keeping.turn() is False
    vault.clock.time += dt.timedelta(seconds=1)
    assert vault.keeping.turn() is True, "the next key is due before a turn without a reason"
    vault.clock.time += soon
    assert vault.keeping.turn() is True, "a key was made"
    assert len(published(vault)) == 2
    assert vault.keeping.turn() is True, "the first key waits for a quiet time"
