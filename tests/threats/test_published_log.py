"""An outsider reads everything that the log publishes, and a declined candidate what it is given."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from contracts.errors import Refused
from contracts.records import plain
from runtime.access.reads import Reader
from runtime.identifiers import new_id
from runtime.storage.database import Database
from runtime.web.request import Request
from services.audit.log import tile_api
from services.audit.log.adapters.directory_publication import DirectoryPublication
from services.audit.reports.bundle_file import bundle_file
from tests.journey.running_hub import RunningHub
from tests.unit.client.tlog import independent_reader
from tests.unit.services.audit.logs import NOON, LogOnDatabase, auditor, event, new_key

FIRST, SECOND = new_id(), new_id()
SENDER, DECLINED, ACCEPTED = "kg.osh-legal-aid", "ru.moscow-union", "ru.kazan-centre"
EXACT = NOON + dt.timedelta(seconds=17, microseconds=123_456)
SENDERS = {"sender": SENDER, "facts": {"region": "RU-MOW", "needs": ["legal"]}}

_TIME = re.compile(rb"\d\d:\d\d:\d\d(?:\.\d+)?")


def step(fact: str, organization: str | None = None, *, referral: str = FIRST) -> Any:
    data = {"referral_id": referral, **SENDERS}
    if organization is not None:
        data["organization"] = organization
    return event(f"kopuro.{fact}.v1", partition_key=referral, data=data, time=EXACT)


EVENTS = [
    step("referral.submitted"),
    step("offer.opened", DECLINED),
    step("offer.declined", DECLINED),
    step("offer.opened", ACCEPTED),
    step("offer.accepted", ACCEPTED),
    step("referral.submitted", referral=SECOND),
]


@pytest.fixture
def log(database: Database, tmp_path: Path) -> LogOnDatabase:
    publication = DirectoryPublication(tmp_path / "log")
    made = LogOnDatabase(database=database, key=new_key(), publication=publication)
    made.check()
    made.append(EVENTS, now=EXACT)
    made.publisher.turn()
    return made


@pytest.fixture
def published(log: LogOnDatabase, tmp_path: Path) -> Path:
    assert log.published.size == len(EVENTS)
    return tmp_path / "log"


def forms(text: str) -> list[bytes]:
    """Return the forms in which an id could stand in a file."""
    found = [text.encode(), text.encode().hex().encode(), base64.b64encode(text.encode())]
    found.append(sha256(text.encode()).hexdigest().encode())
    if re.fullmatch(r"[0-9a-f-]{36}", text):
        found += [UUID(text).bytes, UUID(text).hex.encode(), base64.b64encode(UUID(text).bytes)]
        # The first six bytes of a UUIDv7 are a time in milliseconds.
        found += [UUID(text).bytes[:6], UUID(text).hex[:12].encode()]
    return found


def check_names_nobody(content: bytes, secrets: list[str]) -> None:
    for secret in secrets:
        for form in forms(secret):
            assert form not in content, secret
    assert b"kopuro." not in content
    for time in _TIME.findall(content):
        assert time.endswith(b":00")
        assert b"." not in time


def test_outsider_finds_no_id_and_no_exact_time_in_any_published_byte(published: Path) -> None:
    ids = [FIRST, SECOND, SENDER, DECLINED, ACCEPTED, *(message.id for message in EVENTS)]
    files = [file for file in published.rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"checkpoint"}
    for file in files:
        check_names_nobody(file.read_bytes(), ids)
    assert len(independent_reader.leaves_in(published)) == len(EVENTS)


def test_leaves_of_one_referral_have_no_value_in_common(published: Path) -> None:
    leaves = [json.loads(leaf) for leaf in independent_reader.leaves_in(published)]
    for member in ("data", "head", "tag"):
        assert len({leaf[member] for leaf in leaves}) == len(EVENTS)
    assert {len(leaf) for leaf in independent_reader.leaves_in(published)} == {245}


def test_guessed_head_is_not_confirmed_without_its_salt(log: LogOnDatabase, published: Path) -> None:
    """The guess is right in every byte: only the salt is missing."""
    bundle = plain(bundle_file(log.history.export(auditor("ann"), FIRST)))
    leaf = independent_reader.leaves_in(published)[1]
    head = bundle["entries"][1]["head"]
    committed = json.loads(leaf)["head"]
    true_salt = base64.b64decode(head["salt"])
    guess = independent_reader.canonical(head["value"])
    domain = "kopuro-entry/3 head\n"
    assert independent_reader.committed(domain, true_salt, guess) == committed
    other_salts = [base64.b64decode(entry["head"]["salt"]) for entry in bundle["entries"][2:]]
    for salt in (b"", bytes(32), UUID(FIRST).bytes * 2, *other_salts):
        assert independent_reader.committed(domain, salt, guess) != committed


def test_tag_is_not_confirmed_with_a_known_referral_id(published: Path) -> None:
    leaves = independent_reader.leaves_in(published)
    for key in (FIRST.encode(), UUID(FIRST).bytes, sha256(FIRST.encode()).digest()):
        assert independent_reader.of_referral(leaves, FIRST, key) == []


def test_outsider_learns_no_size_of_an_earlier_publication(log: LogOnDatabase) -> None:
    """It probes every width of the newest tiles, which do not reveal how many entries a step had."""
    for count in (1, 3, 2, 5, 4):
        log.publish([step("offer.opened", DECLINED) for _ in range(count)])
    size = log.published.size
    assert size == len(EVENTS) + 15

    def exists(path: str) -> bool:
        request = Request(method="GET", route="/tile/<path>", path_params={"path": path})
        try:
            return tile_api.tile(log.published, request).status == 200
        except Refused:
            return False

    for kind in ("0", "entries"):
        found = [width for width in range(1, 256) if exists(f"{kind}/000.p/{width}")]
        assert found == list(range(1, size + 1))


def organization(name: str) -> Reader:
    return Reader(id=name, client_id=f"{name}-client", roles=("partner",))


def bundle_of(log: LogOnDatabase, name: str) -> Mapping[str, Any]:
    exported = log.history.export(organization(name), FIRST, as_party=True)
    found: Mapping[str, Any] = plain(bundle_file(exported))
    return found


def test_declined_candidate_opens_its_own_entries_only(log: LogOnDatabase, published: Path) -> None:
    bundle = bundle_of(log, DECLINED)
    assert bundle["referral_key"] is None
    assert [read.index for read in independent_reader.read_bundle(bundle)] == [1, 2]
    assert ACCEPTED not in json.dumps(bundle)
    # Its contents recognise no other leaf: not even the commitment to the key that its heads name.
    leaves = independent_reader.leaves_in(published)
    named = bytes.fromhex(bundle["entries"][0]["head"]["value"]["referral_key"][7:])
    assert independent_reader.of_referral(leaves, FIRST, named) == []


def test_sender_opens_every_step_without_the_key(log: LogOnDatabase) -> None:
    bundle = bundle_of(log, SENDER)
    assert bundle["referral_key"] is None
    assert [read.index for read in independent_reader.read_bundle(bundle)] == [0, 1, 2, 3, 4]


def test_organization_that_is_not_a_party_gets_no_bundle(log: LogOnDatabase) -> None:
    with pytest.raises(Refused, match="no entries of this referral"):
        bundle_of(log, "kz.almaty-help")


def test_tiles_of_a_running_hub_name_nobody(hub: RunningHub) -> None:
    """Without a token, on the log that starting the sample network has written."""
    with httpx.Client(base_url=hub.address("audit"), timeout=20) as outsider:
        size = int(outsider.get("/checkpoint").raise_for_status().text.split("\n")[1])
        assert size
        for number in range(-(-size // 256)):
            width = min(256, size - number * 256)
            path = f"/tile/entries/{number:03}"
            tile = outsider.get(path if width == 256 else f"{path}.p/{width}")
            if tile.status_code == 404:  # the log has filled the partial tile meanwhile
                tile = outsider.get(path)
            check_names_nobody(tile.raise_for_status().content, list(hub.people["organizations"]))
