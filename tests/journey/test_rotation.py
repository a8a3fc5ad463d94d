"""Each key of a hub is replaced while referrals go round: nothing is refused, and no case is unreadable."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from admin.key_rotation import KeyPlaces, retire_custody, retire_log, rotate_custody, rotate_log, rotate_token
from admin.manifest_files import add_key, current_key_file, remove_key
from contracts.jose import decoded
from contracts.records import plain
from kopuro_client import ClientError, Kopuro, generate_key
from kopuro_client.commands import ExitCode, main
from kopuro_client.tlog.keys import VerifierKey
from kopuro_client.tlog.note import SignedNote
from runtime.private_keys import private_keys
from sandbox.broker import PrivateBroker
from sandbox.demo.participants import DemoError
from sandbox.hub_files import HUB, SERVICES
from services.audit.log.adapters.signing_key import load_log_key
from tests.journey.conftest import running_hub
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.support.partners import ask_for_token
from tests.support.signed_requests import send

REFERRAL = "wage-claim-osh-moscow"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, broker: PrivateBroker) -> Iterator[RunningHub]:
    """A hub of its own, because its keys are replaced. The vault replaces its transit keys by itself."""
    settings = {"KOPURO_TRANSIT_KEY_SECONDS": "10"}
    with running_hub(tmp_path_factory.mktemp("rotation"), broker, settings=settings) as running:
        yield running


class Loops:
    """Closes one referral after the other in a thread: without a pause while one is awaited.

    closed: their number; faults: what went wrong.
    """

    def __init__(self, hub: RunningHub) -> None:
        self._hub = hub
        self._stopping = threading.Event()
        self._awaited = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.closed = 0
        self.faults: list[str] = []

    def __enter__(self) -> Loops:
        self._thread.start()
        self.await_more(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._awaited.set()
        self._thread.join(60)

    def await_more(self, number: int) -> None:
        """Wait until this many more loops are closed, or one has failed."""
        wanted = self.closed + number
        self._awaited.set()
        until(lambda: self.closed >= wanted or bool(self.faults), f"{number} closed loops", within=90)
        self._awaited.clear()
        assert self.faults == []

    def _run(self) -> None:
        while not self._stopping.is_set() and not self.faults:
            try:
                _loop(self._hub, {"name": f"person {self.closed}"})
            except (ClientError, DemoError, AssertionError) as fault:
                self.faults.append(repr(fault))
            else:
                self.closed += 1
                self._awaited.wait(2)  # leaves the processors to the other tests


def _loop(hub: RunningHub, case: dict[str, Any]) -> None:
    whole = {**plain(hub.network.referral(REFERRAL).case), **case}
    sender, referral_id = hub.submit(REFERRAL, case=whole)
    acceptor, offer_id = hub.next_offer(sender, referral_id)
    acceptor.hub.accept(offer_id)
    acceptor.await_message("case.released", referral_id)
    assert acceptor.hub.case(referral_id)["name"] == case["name"]
    acceptor.hub.complete(referral_id, "resolved")
    sender.await_message("referral.completed", referral_id)


@pytest.mark.timeout(300)  # restarts services under load
def test_every_key_is_replaced_under_load_without_a_refusal(hub: RunningHub, tmp_path: Path) -> None:
    places = _places(hub)
    waiting = {**plain(hub.network.referral(REFERRAL).case), "name": "sealed before the rotation"}
    earlier_log_key = load_log_key(places.log, HUB).verifier_key
    transit_keys, restarts_of_audit = _transit_keys(hub), hub.restarts("audit")
    pinned = VerifierKey.parse(earlier_log_key)
    with Loops(hub) as loops:
        held, token_key = hub.token("auditor"), rotate_token(places).public["kid"]
        # The directory announces a new key ten seconds before it signs with it.
        _replace_custody_key(hub, places, loops, waiting)
        _replace_client_secret(hub, loops)
        _await_token_key(hub, loops, held, token_key)
        _replace_sealing_keys(hub, loops)
        _replace_log_key(hub, places, loops)
        _replace_signing_keys(hub, loops)
        until(lambda: not transit_keys & _transit_keys(hub), "the end of the first transit keys", within=60)
    assert loops.faults == []
    for service in SERVICES:
        metrics = hub.operations(service, "/metrics").text
        refused = re.findall(r"^kopuro_messages_not_authentic_total\S* (\S+)$", metrics, re.MULTILINE)
        assert sum(map(float, refused)) == 0, service
    _verify_log(hub, tmp_path / "earlier", earlier_log_key)
    _verify_log(hub, tmp_path / "new", load_log_key(places.log, HUB).verifier_key)

    # Nothing is sealed to the earlier custody key any more.
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(hours=25)
    retire_custody(places, now=tomorrow)
    assert len(private_keys(places.custody)) == 1
    retire_log(places)
    _loop(hub, {"name": "after the earlier keys are gone"})
    _verify_log(hub, tmp_path / "new", load_log_key(places.log, HUB).verifier_key)
    # The earlier key no longer signs, and the process that began with it is the same.
    present = VerifierKey.parse(load_log_key(places.log, HUB).verifier_key)
    _until_signed_by(hub, [present], [pinned])
    assert hub.restarts("audit") == restarts_of_audit


def _replace_custody_key(hub: RunningHub, places: KeyPlaces, loops: Loops, waiting: dict[str, Any]) -> None:
    sender, referral_id = hub.submit(REFERRAL, case=waiting)
    asked, offer_id = hub.next_offer(sender, referral_id)
    before = private_keys(places.custody)[0]["kid"]
    rotated = rotate_custody(places, now=dt.datetime.now(dt.UTC))
    # The clients of the loops know the earlier key for an hour; this one has read the new document.
    fresh = _client(hub, sender.id)
    assert fresh.discovery.custody_key["kid"] == rotated.public["kid"] != before
    newer = fresh.submit(hub.facts(REFERRAL), case={**waiting, "name": "sealed after it"})["id"]
    loops.await_more(2)
    asked.hub.accept(offer_id)
    asked.await_message("case.released", referral_id)
    assert asked.hub.case(referral_id)["name"] == waiting["name"]
    asked.hub.complete(referral_id, "resolved")
    acceptor, offer_id = hub.next_offer(sender, newer)
    acceptor.hub.accept(offer_id)
    acceptor.await_message("case.released", newer)
    assert acceptor.hub.case(newer)["name"] == "sealed after it"
    acceptor.hub.complete(newer, "resolved")


def _await_token_key(hub: RunningHub, loops: Loops, held: str, key: str) -> None:
    """held: a token of the earlier key. key: the id of the new one."""

    def is_signing() -> bool:
        segment = hub.token("operator").partition(".")[0]
        header = json.loads(decoded(segment))
        return bool(header["kid"] == key)

    until(is_signing, "a token of the new key", within=60)
    # Tokens of both keys are good at every service.
    for token in (held, hub.token("auditor")):
        answer = send(hub.address("audit"), "GET", "/v1/history?limit=1", token=token, secret=None)
        assert answer.status_code == 200, answer.text
    loops.await_more(2)


def _replace_client_secret(hub: RunningHub, loops: Loops) -> None:
    who = hub.network.referral(REFERRAL).sender
    entry = hub.people["organizations"][who]
    secret = secrets.token_urlsafe(32)
    answer = send(
        hub.address("directory"),
        "POST",
        f"/v1/credentials/{entry['client_id']}/rotate",
        token=hub.token(who),
        secret=entry["client_secret"],
        json={"secret_sha256": hashlib.sha256(secret.encode()).hexdigest()},
    )
    assert answer.status_code == 200, answer.text
    for one in (secret, entry["client_secret"]):
        assert ask_for_token(hub.address("directory"), entry["client_id"], one).status_code == 200
    loops.await_more(1)


def _replace_sealing_keys(hub: RunningHub, loops: Loops) -> None:
    """Replace the key of the organisation that the loops' cases go to first."""
    sender, referral_id = hub.submit(REFERRAL)
    acceptor, offer_id = hub.next_offer(sender, referral_id)
    before, after = hub.people["organizations"][acceptor.id]["sealing_key"], generate_key()
    # First the client that opens with both, then the new key.
    acceptor.hub = _client(hub, acceptor.id, sealing_key=after, previous_keys=(before,))
    acceptor.hub.publish_key(after, old_key=before)
    loops.await_more(2)
    acceptor.hub.decline(offer_id, "language")
    sender.hub.withdraw(referral_id, "entered_in_error")


def _replace_log_key(hub: RunningHub, places: KeyPlaces, loops: Loops) -> None:
    rotated = rotate_log(places)
    assert rotated.reader == "audit"
    loops.await_more(2)
    keys = load_log_key(places.log, HUB)
    _until_signed_by(hub, [VerifierKey.parse(one.verifier.format()) for one in (keys.signer, *keys.earlier)])


def _until_signed_by(
    hub: RunningHub, wanted: Sequence[VerifierKey], unwanted: Sequence[VerifierKey] = ()
) -> None:
    """Wait for a published checkpoint that all of these keys, and none of the others, have signed."""

    def signed() -> bool:
        note = SignedNote.parse((hub.files.published_log / "checkpoint").read_bytes())
        return len(note.signatures_by(wanted)) == len(wanted) and not note.signatures_by(unwanted)

    until(signed, "a checkpoint of these keys", within=60)


def _replace_signing_keys(hub: RunningHub, loops: Loops) -> None:
    """Replace the keys with which intake and routing sign. No service is restarted."""
    directory = hub.files.manifest.parent
    for service in ("intake", "routing"):
        used = current_key_file(directory, service)
        before = json.loads(used.read_text(encoding="utf-8"))["kid"]
        _, new = add_key(directory, service)
        after = json.loads(new.read_text(encoding="utf-8"))["kid"]
        copy = used.with_suffix(".new")
        copy.write_bytes(new.read_bytes())
        copy.replace(used)
        until(partial(_signs_with, hub, service, after), f"the new key of {service}", within=60)
        # The loops in which the earlier key signed are closed.
        loops.await_more(3)
        remove_key(directory, service, before)
    # Their new messages are accepted, so they sign with the new keys.
    loops.await_more(2)


def _signs_with(hub: RunningHub, service: str, kid: str) -> bool:
    return f"signing with the key {kid} from now on" in hub.files.log(service).read_text(encoding="utf-8")


def _transit_keys(hub: RunningHub) -> set[str]:
    """Return the ids of the transit keys that are not destroyed."""
    with closing(sqlite3.connect(f"file:{hub.files.vault_keys}?mode=ro", uri=True)) as keys:
        return {row[0] for row in keys.execute("SELECT id FROM transit_keys")}


def _verify_log(hub: RunningHub, state: Path, key: str) -> None:
    arguments = ["verify", "log", str(hub.files.published_log), "--log-key", key, "--state", str(state)]
    assert main(arguments) == ExitCode.OK


def _client(hub: RunningHub, who: str, **keys: Any) -> Kopuro:
    entry = hub.people["organizations"][who]
    return Kopuro.discover(
        hub.files.discovery_address(),
        entry["client_id"],
        entry["client_secret"],
        **{"sealing_key": entry["sealing_key"], **keys},
    )


def _places(hub: RunningHub) -> KeyPlaces:
    return KeyPlaces(
        custody=hub.files.key("custody"),
        token=hub.files.key("token"),
        log=hub.files.key("log"),
        discovery=hub.files.discovery,
        published_log=hub.files.published_log,
        hub=HUB,
        environments={
            service: {"KOPURO_DATABASE_URL": hub.databases[service], "KOPURO_AMQP_URI": hub.broker or ""}
            for service in ("intake", "vault")
        },
    )
