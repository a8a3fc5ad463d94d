"""Two hubs cosign each other's logs with the partner command."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest

from sandbox.broker import PrivateBroker
from services.audit.log.adapters.signing_key import load_log_key
from tests.journey.command_process import CommandProcess
from tests.services.audited_hub import REFERRAL, AuditedHub, accepted
from tests.support.hub_keys import signed_event
from tests.support.kopuro_forks import Kopuro

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

POLICY = "policy.json"


class Side:
    """A hub and the witness that its operator runs for other hubs."""

    def __init__(self, country: str, broker: PrivateBroker, directory: Path, kopuro: Kopuro) -> None:
        directory.mkdir()
        self._kopuro = kopuro
        self._country = country
        self.directory = directory
        self.policy = directory / POLICY
        self.policy.write_text("{}")
        self.hub = AuditedHub(
            broker.add_vhost(f"{country}-{secrets.token_hex(6)}"),
            f"sqlite:///{directory / 'audit.sqlite'}",
            directory,
            hub=country,
            environment={"KOPURO_WITNESS_POLICY": str(self.policy)},
        )
        self.log_key = load_log_key(directory / "log_key.json", country).verifier_key
        self.hub.answer_as_the_directory()

    def publish(self, count: int) -> None:
        events = [accepted(hub=self._country) for _ in range(count)]
        # A connection of its own: an idle one is closed while processes start.
        with closing(self.hub.broker.publisher()) as publisher:
            publisher.publish([signed_event(event) for event in events])
        self.hub.until_logged(events)

    def until_cosigned(self) -> None:
        """Return whether a sufficiently cosigned checkpoint covers every entry."""
        self.hub.until(lambda: 0 < len(self.hub.logged()) == self.cosigned_size())

    def cosigned_size(self) -> int:
        answer = httpx.get(self.hub.service.url + "/cosigned-checkpoint")
        return int(answer.text.split("\n")[1]) if answer.status_code == 200 else 0

    def verify(self, *arguments: str, policy: Path | None = None) -> str:
        """Return the verdict of `kopuro verify`, which must succeed."""
        state = ["--state", str(self.directory / f"state-{secrets.token_hex(3)}")]
        trusted = ["--log-key", self.log_key, "--policy", str(policy or self.policy)]
        ran = _run(self._kopuro, "verify", *arguments, *trusted, *state)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout


def _run(kopuro: Kopuro, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [kopuro.program, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


@contextmanager
def witness(name: str, log_keys: Sequence[str], directory: Path, kopuro: Kopuro) -> Iterator[dict[str, str]]:
    """Run `kopuro witness serve`; yield its policy record."""
    directory.mkdir()
    key = directory / "witness.key"
    verifier = _run(kopuro, "witness", "key", "generate", str(key), "--name", name).stdout.strip()
    known = [word for log_key in log_keys for word in ("--log-key", log_key)]
    place = ("--state", str(directory / "state"), "--listen", "127.0.0.1:0")
    with CommandProcess(directory / "said", "witness", "serve", "--key", str(key), *known, *place) as running:
        running.until_said(f"answers as {verifier}")
        (url,) = re.findall(r"^http://127\.0\.0\.1:\d+", running.out)
        yield {"name": name, "vkey": verifier, "url": url}


def test_two_hubs_cosign_each_others_logs(broker: PrivateBroker, kopuro: Kopuro, tmp_path: Path) -> None:
    with ExitStack() as running, ExitStack() as library_open:
        kg, kz = (Side(country, broker, tmp_path / country, kopuro) for country in ("kg", "kz"))
        for side in (kg, kz):
            running.callback(side.hub.close)
        of_kg = running.enter_context(witness("kg.example/witness", [kz.log_key], tmp_path / "of-kg", kopuro))
        of_kz = running.enter_context(witness("kz.example/witness", [kg.log_key], tmp_path / "of-kz", kopuro))
        library = library_open.enter_context(
            witness("library.example/witness", [kg.log_key, kz.log_key], tmp_path / "library", kopuro)
        )
        for side, neighbour in ((kg, of_kz), (kz, of_kg)):
            side.policy.write_text(json.dumps({"witnesses": [neighbour, library], "threshold": 2}))
            running.enter_context(side.hub.service)
            side.hub.service.until_ready()

        for side, count in ((kg, 30), (kz, 20)):
            side.publish(count)
            side.until_cosigned()
            said = side.verify("log", side.hub.service.url)
            assert f"the log kopuro/{'kg' if side is kg else 'kz'} matches its signed checkpoint at" in said
            assert "2 of 2 witnesses cosigned it" in said
            bundle = side.directory / "case.json"
            bundle.write_bytes(side.hub.get(f"/v1/history/{REFERRAL}/bundle").content)
            assert "2 of 2 witnesses cosigned it" in side.verify("bundle", str(bundle))
        # A hub's cosignature does not count for its own log: each policy names the other hub as the witness.
        ran = _run(
            kopuro, "verify", "log", kg.hub.service.url, "--log-key", kg.log_key, "--policy", str(kz.policy)
        )
        assert ran.returncode == 9
        assert "Verification failed" in ran.stdout

        # One of the two stops cosigning: the log grows, and the sufficiently cosigned size stays the same.
        seen = kg.cosigned_size()
        library_open.close()
        kg.publish(10)
        kg.hub.until(lambda: cosigned_by(kg, of_kz["name"]) == len(kg.hub.logged()) > seen)
        assert kg.cosigned_size() == seen
        assert f"witnesses have seen the first {seen:,}" in kg.verify("log", kg.hub.service.url)
        # With a threshold of one, the newest checkpoint is sufficiently cosigned.
        enough = tmp_path / "enough.json"
        enough.write_text(json.dumps({"witnesses": [of_kz, library], "threshold": 1}))
        assert "1 of 2 witnesses cosigned it" in kg.verify("log", kg.hub.service.url, policy=enough)
        complaint = f"no cosignature from {library['name']}"
        kg.hub.until(lambda: complaint in kg.hub.service.log.read_text())


def cosigned_by(side: Side, witness: str) -> int:
    """Return the size of the published checkpoint if this witness cosigned it, otherwise 0."""
    note = httpx.get(side.hub.service.url + "/checkpoint").text
    return int(note.split("\n")[1]) if f"\n— {witness} " in note else 0
