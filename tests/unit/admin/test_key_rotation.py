"""The command `kopuro admin rotate`, on the files of a new hub and real databases."""

from __future__ import annotations

import datetime as dt
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from admin import sealed_to
from admin.key_rotation import (
    CHANGE_FILE,
    TOKENS_EXPIRE,
    RotationRefused,
    places_in,
    retire_custody,
    rotate_custody,
)
from admin.private_files import OwnerLock
from kopuro_client.commands import ExitCode, main
from kopuro_client.tlog.keys import VerifierKey
from kopuro_client.tlog.note import SignedNote
from runtime.private_keys import private_keys
from runtime.storage.database import Database, sqlite_url
from services.audit.log.adapters.signing_key import load_log_key
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.head import LogKey
from services.audit.log.domain.merkle import Frontier
from services.audit.log.handlers.published_log import CHECKPOINT, COSIGNED
from services.vault.adapters.tables import CUSTODIES, SEALED_CASES

NOW = dt.datetime.now(dt.UTC)


@dataclass
class Hub:
    """A new hub on SQLite. waiting: messages in each queue of the broker, which does not run."""

    directory: Path
    waiting: dict[str, int]

    def rotate(self, key: str, *options: str) -> int:
        return main(["admin", "rotate", key, str(self.directory), *options])

    def kids(self, name: str) -> list[str]:
        return [key["kid"] for key in private_keys(self.directory / f"{name}.json")]

    @property
    def announced(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.directory / "discovery.json").read_text())
        return document

    def log_key(self) -> LogKey:
        return load_log_key(self.directory / "log.json", "kg")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    addresses = [
        *("--hub", "kg", "--broker", "amqp://127.0.0.1:1/kopuro", "--url", "http://{service}.example"),
        *("--database", f"sqlite:///{tmp_path}/{{service}}.sqlite", "--operator", "aigul"),
    ]
    made = Hub(tmp_path / "hub", {})
    assert main(["admin", "init", str(made.directory), *addresses]) == ExitCode.OK

    def counts(_: Mapping[str, str], queues: Sequence[str]) -> Mapping[str, int]:
        return {queue: made.waiting.get(queue, 0) for queue in queues}

    monkeypatch.setattr(sealed_to, "queue_counts", counts)
    monkeypatch.setattr(sealed_to, "_LOOKS", 0)
    return made


@pytest.mark.usefixtures("any_umask")
def test_custody_key_is_added_announced_and_kept_for_a_day(hub: Hub) -> None:
    (before,) = hub.kids("custody")
    (hub.directory / "discovery.json").chmod(0o644)
    assert hub.rotate("custody") == ExitCode.OK
    after, earlier = hub.kids("custody")
    assert earlier == before
    assert hub.announced["custody_key"]["kid"] == after
    assert "d" not in hub.announced["custody_key"]
    (kept,) = hub.announced["earlier_custody_keys"]
    assert kept["kid"] == before
    left = dt.datetime.fromisoformat(kept["accepted_until"]) - dt.datetime.now(dt.UTC)
    assert dt.timedelta(hours=23) < left <= dt.timedelta(hours=24)
    files = (hub.directory / name for name in ("custody.json", "discovery.json"))
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o644]


def test_prepared_custody_key_is_announced_by_the_next_run(hub: Hub) -> None:
    (before,) = hub.kids("custody")
    assert hub.rotate("custody", "--prepare") == ExitCode.OK
    assert hub.announced["custody_key"]["kid"] == before
    assert hub.rotate("custody", "--prepare") == ExitCode.OK
    prepared, _ = hub.kids("custody")
    assert hub.rotate("custody", "--overlap-hours", "0") == ExitCode.OK
    assert hub.kids("custody") == [prepared, before]
    assert hub.announced["custody_key"]["kid"] == prepared
    (ended,) = hub.announced["earlier_custody_keys"]
    assert ended["kid"] == before
    assert dt.datetime.fromisoformat(ended["accepted_until"]) <= dt.datetime.now(dt.UTC)


@pytest.mark.parametrize("hours", [0, 2])
def test_custody_key_is_not_retired_while_intake_finishes_its_last_requests(hub: Hub, hours: int) -> None:
    places, now, overlap = places_in(hub.directory), dt.datetime.now(dt.UTC), dt.timedelta(hours=hours)
    rotate_custody(places, now=now, overlap=overlap)
    with pytest.raises(RotationRefused, match="admitted until"):
        retire_custody(places, now=now + overlap + dt.timedelta(seconds=30))
    assert len(hub.kids("custody")) == 2


def test_two_rotations_at_one_time_lose_no_key(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    other = OwnerLock(hub.directory / ".rotation.lock")
    assert other.take()
    for key in ("custody", "token", "log"):
        assert hub.rotate(key) == ExitCode.REFUSED
        assert "another rotation is in progress" in capsys.readouterr().err
        assert len(hub.kids(key)) == 1
    other.release()
    assert hub.rotate("custody") == ExitCode.OK


def test_custody_key_is_not_retired_while_cases_are_admitted_for_it(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    (before,) = hub.kids("custody")
    assert hub.rotate("custody") == ExitCode.OK
    assert hub.rotate("custody", "--retire") == ExitCode.REFUSED
    assert f"sealed to the key {before} are admitted until" in capsys.readouterr().err
    assert hub.rotate("custody", "--prepare") == ExitCode.OK
    assert hub.rotate("custody", "--retire") == ExitCode.REFUSED
    assert "not announced yet" in capsys.readouterr().err
    assert len(hub.kids("custody")) == 3


def test_custody_key_is_not_retired_while_a_case_may_be_sealed_to_it(hub: Hub) -> None:
    for service in ("intake", "vault"):
        assert main(["admin", "migrate", service, "--env", str(hub.directory / "env")]) == ExitCode.OK
    assert hub.rotate("custody") == ExitCode.OK
    present, before = hub.kids("custody")
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(hours=24, minutes=1)
    places = places_in(hub.directory)

    hub.waiting["vault.sealed.parked"] = 1
    with pytest.raises(RotationRefused, match=r"1 in vault\.sealed\.parked"):
        retire_custody(places, now=tomorrow)
    hub.waiting.clear()
    database = Database.open(sqlite_url(hub.directory.parent / "vault.sqlite"))
    with database.write() as transaction:
        for kid in (before, present):
            case = {"referral_id": kid[:36], "wrapped_key": "w", "ciphertext": "c"}
            transaction.execute(insert(SEALED_CASES).values(case))
            custody = {"referral_id": kid[:36], "state": "held", "kid": kid, "changed_at": NOW}
            transaction.execute(insert(CUSTODIES).values(custody))
    with pytest.raises(RotationRefused, match=rf"1 in custody, of the referral {before[:36]}\."):
        retire_custody(places, now=tomorrow)
    many = [f"0{number:035}" for number in range(11)]
    with database.write() as transaction:
        for id_ in many:
            transaction.execute(insert(SEALED_CASES).values({**case, "referral_id": id_}))
            transaction.execute(insert(CUSTODIES).values({**custody, "referral_id": id_, "kid": before}))
    with pytest.raises(
        RotationRefused, match=f"12 in custody, of the referrals .*{many[0]}, .* and 2 others"
    ):
        retire_custody(places, now=tomorrow)
    with database.write() as transaction:
        transaction.execute(SEALED_CASES.delete().where(SEALED_CASES.c.referral_id == many[0]))
    with pytest.raises(RotationRefused, match=r", .* and 1 other\."):
        retire_custody(places, now=tomorrow)
    with database.write() as transaction:
        transaction.execute(SEALED_CASES.delete().where(SEALED_CASES.c.referral_id.in_(many)))
    with database.write() as transaction:
        transaction.execute(SEALED_CASES.delete().where(SEALED_CASES.c.referral_id == before[:36]))
    database.close()
    retire_custody(places, now=tomorrow)
    assert hub.kids("custody") == [present]
    assert "earlier_custody_keys" not in hub.announced


def test_token_key_is_retired_once_its_tokens_have_expired(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    (before,) = hub.kids("token")
    assert hub.rotate("token") == ExitCode.OK
    after, earlier = hub.kids("token")
    assert earlier == before
    assert hub.rotate("token") == ExitCode.REFUSED
    assert "retire it first" in capsys.readouterr().err
    assert hub.rotate("token", "--retire") == ExitCode.REFUSED
    assert "are valid until" in capsys.readouterr().err
    past = (dt.datetime.now(dt.UTC) - TOKENS_EXPIRE).timestamp()
    os.utime(hub.directory / "token.json", (past, past))
    assert hub.rotate("token", "--retire") == ExitCode.OK
    assert hub.kids("token") == [after]


def test_stolen_token_key_is_replaced_at_once(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    before = hub.kids("token")
    assert hub.rotate("token", "--at-once") == ExitCode.OK
    said = capsys.readouterr().err
    assert "every token of the earlier key is invalid" in said
    assert "retire" not in said, "no earlier key is left"
    (after,) = hub.kids("token")
    assert after not in before


@pytest.mark.usefixtures("any_umask")
def test_both_log_keys_sign_until_the_new_one_has_signed_what_is_published(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    before = hub.log_key()
    published = places_in(hub.directory).published_log
    published.mkdir(exist_ok=True)
    for name in (CHECKPOINT, COSIGNED):
        (published / name).write_bytes(before.sign(Frontier(), Chronology(), NOW).checkpoint)

    assert hub.rotate("log") == ExitCode.OK
    during = hub.log_key()
    pinned = [VerifierKey.parse(key.verifier_key) for key in (before, during)]
    signed = SignedNote.parse(during.sign(Frontier(), Chronology(), NOW).checkpoint)
    assert all(signed.signatures_by([key]) for key in pinned)
    assert during.read(before.sign(Frontier(), Chronology(), NOW).checkpoint).size == 0
    statement = SignedNote.parse((hub.directory / CHANGE_FILE).read_bytes())
    assert statement.text == f"kopuro/kg\nlog key change\n{during.verifier_key}\n"
    assert all(statement.signatures_by([key]) for key in pinned)
    assert stat.S_IMODE((hub.directory / CHANGE_FILE).stat().st_mode) == 0o644

    assert hub.rotate("log") == ExitCode.REFUSED
    (published / CHECKPOINT).write_text(str(signed))
    assert hub.rotate("log", "--retire") == ExitCode.REFUSED
    assert "has not signed the published checkpoints" in capsys.readouterr().err
    (published / COSIGNED).write_text(str(signed))
    assert hub.rotate("log", "--retire") == ExitCode.OK
    assert hub.log_key().verifier_key == during.verifier_key
    assert hub.log_key().earlier == ()


@pytest.mark.parametrize(
    "options", [("token", "--prepare"), ("custody", "--at-once"), ("log", "--overlap-hours", "1")]
)
def test_option_of_another_key_is_a_usage_error(hub: Hub, options: tuple[str, ...]) -> None:
    assert hub.rotate(*options) == ExitCode.USAGE
