"""`kopuro up`: started, stopped, killed and interrupted, without loss and without leftover processes."""

from __future__ import annotations

import json
import random
import secrets
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contracts.records import plain
from kopuro_client import Kopuro
from sandbox import network
from sandbox.broker import PrivateBroker
from sandbox.hub_files import PUBLIC_SERVICES
from tests.journey.command_process import KOPURO, KOPURO_WITH_FORKS, CommandProcess, processes_of
from tests.journey.waiting import until
from tests.long_run import LONG
from tests.support.kopuro_forks import Kopuro as KopuroForks
from tests.support.umask import umask

# The issue asks for 30 s; a machine that is busy with something else gets twice that.
READY_WITHIN = 60.0
STOPPED_WITHIN = 15.0
SENDER, CANDIDATE = "kg.suusar-hotline", "ru.tyumen-oil-road-help"
KEY = "consulate-forbidden"

READY = '{"discovery": '
INTERRUPTED = 130
STEPS = (
    "",
    "creating keys and credentials",
    "starting a private RabbitMQ",
    "migrating the databases",
    "loading the directory",
    "starting the services",
)
# Those that start processes are always among the interrupted ones.
MOMENTS = STEPS if LONG else STEPS[::2] + STEPS[-1:]


@dataclass(frozen=True, kw_only=True, slots=True)
class Interrupted:
    """A start that Ctrl-C ended after `step`."""

    step: str
    code: int
    err: str


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of the hub that all starts share; its name has characters with a meaning in URLs."""
    return tmp_path_factory.mktemp("up") / "half full? 50%20#1 Ош"


@pytest.fixture(scope="module")
def interrupted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Sequence[Interrupted]:
    """Starts from one directory, each interrupted at another step and without a process left.

    The umask lets every account read and write what is created without a mode of its own.
    """
    said = tmp_path_factory.mktemp("interrupted")
    chance = random.Random(20)
    ended = []
    for step in MOMENTS:
        with umask(0), _up(data, said) as up:
            if step:
                up.until_said(step)
            time.sleep(chance.uniform(0, 0.4))  # varies the moment of the interrupt
            up.interrupt()
            code = up.end(within=STOPPED_WITHIN)
            ended.append(Interrupted(step=step, code=code, err=up.err))
        # Erlang's helper processes end a moment after the broker was killed.
        until(lambda: not processes_of(data.parent), f"the end of every process after {step}", within=5)
    return ended


@pytest.mark.timeout(300)
def test_interrupted_start_leaves_nothing_running(interrupted: Sequence[Interrupted]) -> None:
    for one in interrupted:
        # Before its first output the interpreter is importing, and reports the interrupt itself.
        if one.step:
            assert (one.code, "Traceback" in one.err) == (INTERRUPTED, False), one


# Two starts of a whole hub. After a kill everything is left to the files; a stop leaves them in order.
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("interrupted", "open_umask")
@pytest.mark.parametrize("end", ["kill", pytest.param("stop", marks=pytest.mark.long_run)])
def test_hub_keeps_its_data(data: Path, kopuro: KopuroForks, tmp_path: Path, end: str) -> None:
    with _up(data, tmp_path) as first:
        ready = _ready(first)
        assert ready["data_dir"] == str(data)
        _refuses_a_second_hub(data, kopuro, tmp_path)
        _has_no_fault(data, kopuro, tmp_path)
        referral_id = _submit(data, ready)
        letter = _offer(data, ready, referral_id)
        if end == "kill":
            first.kill()
        else:
            _stop(first)
    # The kernel kills them a moment after their parent.
    until(lambda: not processes_of(data.parent), "the end of every process", within=10)

    with _up(data, tmp_path, program=KOPURO_WITH_FORKS) as second:
        assert _ready(second) == ready
        assert _offer(data, ready, referral_id) == letter
        with _client(data, ready, CANDIDATE) as candidate:
            candidate.accept(letter["data"]["offer_id"])
            until(lambda: _has(candidate, "kopuro.case.released.v1", referral_id), "the case")
            assert candidate.case(referral_id)["name"] == network.load().referral(KEY).case.name
            candidate.complete(referral_id, "resolved")
        until(lambda: _status(data, ready, referral_id) == "completed", "the closed loop")
        second.interrupt()
        assert second.end(within=STOPPED_WITHIN) == 0
    assert processes_of(data.parent) == {}
    assert list(data.parent.iterdir()) == [data]
    for database in (data / "data").glob("*.sqlite*"):
        assert stat.S_IMODE(database.stat().st_mode) == 0o600


def test_empty_hub_has_staff_credentials_only(tmp_path: Path, broker: PrivateBroker) -> None:
    data = tmp_path / "data"
    vhost = f"empty-{secrets.token_hex(6)}"
    environment = {"KOPURO_AMQP_URI": broker.add_vhost(vhost)}
    try:
        with _up(data, tmp_path, "--empty", environment=environment, program=KOPURO_WITH_FORKS) as up:
            ready = _ready(up)
            people = json.loads((data / "credentials.json").read_text(encoding="utf-8"))
            assert people["organizations"] == {}
            with _client(data, ready, "operator") as operator:
                assert list(operator.organizations()) == []
            with _client(data, ready, "auditor") as auditor:
                assert [e for e in auditor.history()["items"] if e["referral_id"] is not None] == []
            _stop(up)
        assert not (data / "broker").exists()
        assert processes_of(data) == {}
    finally:
        broker.remove_vhost(vhost)


def _stop(up: CommandProcess) -> None:
    """Stop the hub by SIGTERM."""
    asked_to_stop = time.monotonic()
    up.terminate()
    assert up.end(within=STOPPED_WITHIN) == 0
    print(f"stopped after {time.monotonic() - asked_to_stop:.1f} s")  # noqa: T201 - a figure
    assert up.out.count("\n") == 1


def _up(
    data: Path,
    tmp_path: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
    program: Sequence[str] = (KOPURO,),
) -> CommandProcess:
    return CommandProcess(
        tmp_path / "said",
        *("up", "--data-dir", str(data), "--json", *options),
        environment=environment,
        program=program,
    )


def _ready(up: CommandProcess) -> dict[str, Any]:
    """Return the only line on stdout."""
    taken = up.until_said(READY, within=READY_WITHIN)
    print(f"ready after {taken:.1f} s")  # noqa: T201 - a figure for readers of the output
    (line,) = up.out.splitlines()
    ready: dict[str, Any] = json.loads(line)
    assert set(ready) == {"discovery", "data_dir"}
    credentials = Path(ready["data_dir"]) / "credentials.json"
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    return ready


def _refuses_a_second_hub(data: Path, kopuro: KopuroForks, tmp_path: Path) -> None:
    with _up(data, tmp_path, program=[kopuro.program]) as second:
        assert second.end(within=20) == 1
        assert second.out == ""
        assert f"{data} is in use by another hub" in second.err
        assert "Traceback" not in second.err


def _has_no_fault(data: Path, kopuro: KopuroForks, tmp_path: Path) -> None:
    line = ("admin", "doctor", "--data-dir", str(data))
    with CommandProcess(tmp_path / "said", *line, program=[kopuro.program]) as doctor:
        assert doctor.end(within=60) == 0, doctor.out
        assert "0 faults" in doctor.out + doctor.err
    for file in (data / "env").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def _submit(data: Path, ready: Mapping[str, Any]) -> str:
    sample = network.load().referral(KEY)
    with _client(data, ready, SENDER) as sender:
        assert set(PUBLIC_SERVICES) <= set(sender.discovery.services)
        return sender.submit(plain(sample.facts), case=plain(sample.case))["id"]


def _offer(data: Path, ready: Mapping[str, Any], referral_id: str) -> dict[str, Any]:
    """Return the offer in the candidate's mailbox without acknowledging it."""
    with _client(data, ready, CANDIDATE) as candidate:
        return until(lambda: _has(candidate, "kopuro.offer.opened.v1", referral_id), "the offer")


def _has(hub: Kopuro, kind: str, referral_id: str) -> dict[str, Any] | None:
    for message in hub.mailbox()["items"]:
        if message["type"] == kind and message["data"]["referral_id"] == referral_id:
            return dict(message)
    return None


def _status(data: Path, ready: Mapping[str, Any], referral_id: str) -> str:
    with _client(data, ready, SENDER) as sender:
        return sender.referral(referral_id)["status"]


def _client(data: Path, ready: Mapping[str, Any], who: str) -> Kopuro:
    people = json.loads((data / "credentials.json").read_text(encoding="utf-8"))
    entry = people["organizations"].get(who) or people[who]
    return Kopuro.discover(
        ready["discovery"], entry["client_id"], entry["client_secret"], sealing_key=entry.get("sealing_key")
    )
