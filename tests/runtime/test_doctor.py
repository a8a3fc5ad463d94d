"""`kopuro admin doctor` on real files, databases and a real broker with TLS: faults are made, and named."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
import stat
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import amqp
import pytest
from sqlalchemy import text

from admin.backup.hub_places import hub_places
from admin.backup.quiet import in_transit
from admin.backup.take import dead_letters, mark_of
from admin.doctor.observe_servers import database_state
from admin.environment_files import read_environment, write_environment
from contracts.topology import OPERATIONS, SERVICES, hub_topology
from kopuro_client.commands import ExitCode, main
from runtime.storage.database import Database
from runtime.storage.migrate import upgrade
from services.audit.log.adapters.signing_key import load_log_key
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.merkle import Frontier, leaf_hash
from services.delivery.webhooks.adapters.key_file_seal import KeyFileSeal
from services.delivery.webhooks.adapters.sql_endpoints import SqlEndpoints
from services.vault.adapters.key_store import SqliteKeyStore
from services.vault.ports import KeyKind
from tests.support.certificates import PrivateCa
from tests.support.tls_servers import TlsBroker, tls_broker
from tests.support.umask import umask

READY = {"ready": True, "checks": {"broker": "ok"}, "warnings": {"clocks": "ok"}}


class Ready(BaseHTTPRequestHandler):
    """Answers as a service that is ready."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(READY).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""


@pytest.fixture(scope="module", autouse=True)
def any_account_may_access_new_files() -> Iterator[None]:
    """The commands give each file a mode of its own, so the doctor has nothing to report about modes."""
    with umask(0):
        yield


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> PrivateCa:
    return PrivateCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, ca: PrivateCa) -> Iterator[TlsBroker]:
    with tls_broker(tmp_path_factory.mktemp("doctor"), ca, hub="kg") as running:
        yield running


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, ca: PrivateCa, broker: TlsBroker) -> Iterator[Path]:
    """A hub as `init` and `migrate` make it, whose services say that they are ready."""
    place = tmp_path_factory.mktemp("hub")
    server = HTTPServer(("127.0.0.1", 0), Ready)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    addresses = [
        *("--hub", "kg", "--broker", f"amqps://127.0.0.1:{broker.port}/kopuro", "--broker-ca", str(ca.file)),
        *("--database", f"sqlite:///{place}/{{service}}.sqlite", "--url", "https://{service}.example"),
    ]
    assert main(["admin", "init", str(place / "hub"), *addresses]) == ExitCode.OK
    client = ca.issue("client", host="kg.intake")
    for service in (*SERVICES, OPERATIONS):
        file = place / "hub" / "env" / f"{service}.env"
        changed = {
            "KOPURO_AMQP_URI": broker.uri(user=service),
            "KOPURO_OPERATIONS_ADDRESS": f"127.0.0.1:{server.server_port}",
            "KOPURO_BROKER_CERTIFICATE": str(client.certificate),
            "KOPURO_BROKER_CERTIFICATE_KEY": str(client.key),
        }
        write_environment(file, {**read_environment(file), **changed})
    assert main(["admin", "migrate", "--all", "--env", str(place / "hub" / "env")]) == ExitCode.OK
    yield place / "hub"
    server.shutdown()
    server.server_close()


def findings(
    hub: Path, capsys: pytest.CaptureFixture[str], *, definitions: Path | None = None
) -> dict[str, list[str]]:
    """Return the subjects of the faults by check, without the clock of the machine that runs the tests."""
    capsys.readouterr()
    line = ["admin", "doctor", "--env", str(hub / "env"), "--json"]
    code = main(line if definitions is None else [*line, "--definitions", str(definitions)])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    found: dict[str, list[str]] = {}
    items: list[dict[str, Any]] = json.loads(out)["items"]
    assert code == (1 if any(item["severity"] == "fault" for item in items) else 0)
    for item in items:
        if item["severity"] == "fault" and item["subject"] != "this machine":
            found.setdefault(item["check"], []).append(item["subject"])
    return found


@pytest.fixture
def gateway(hub: Path, broker: TlsBroker, ca: PrivateCa) -> Iterator[Path]:
    """The hub with a gateway at the same broker, as `kopuro admin amqp init` writes its files."""
    addresses = ("--broker", f"amqps://127.0.0.1:{broker.port}", "--management", "https://127.0.0.1:1")
    where = (str(hub / "gateway"), "--env", str(hub / "env"), "--discovery", str(hub / "discovery.json"))
    options = (*addresses, "--broker-ca", str(ca.file), "--hub", "kg")
    assert main(["admin", "amqp", "init", *where, *options]) == ExitCode.OK
    file, intake = (hub / "env" / f"{name}.env" for name in ("gateway", "intake"))
    same = read_environment(intake)
    names = ("KOPURO_OPERATIONS_ADDRESS", "KOPURO_BROKER_CERTIFICATE", "KOPURO_BROKER_CERTIFICATE_KEY")
    # The test's broker has no gateway: another user stands for its own.
    changed = {"KOPURO_AMQP_URI": broker.uri(user="intake"), **{name: same[name] for name in names}}
    write_environment(file, {**read_environment(file), **changed})
    yield hub
    file.unlink()
    shutil.rmtree(hub / "gateway")


class Alarmed(BaseHTTPRequestHandler):
    """Answers as a management API that has every binding, of a broker with a memory alarm."""

    def do_GET(self) -> None:
        is_check = self.path == "/api/health/checks/alarms"
        # RabbitMQ 3.10.8 answers with this body.
        alarm = {"status": "failed", "reason": "There are alarms", "alarms": [{"resource": "memory"}]}
        self.send_response(503 if is_check else 200)
        self.end_headers()
        self.wfile.write(json.dumps(alarm if is_check else BINDINGS).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""


BINDINGS = [
    {
        "source": one.source,
        "destination": one.destination,
        "destination_type": "exchange" if one.to_exchange else "queue",
        "routing_key": one.key,
        "arguments": dict(one.arguments),
    }
    for one in hub_topology().bindings
]


@pytest.fixture
def alarmed() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Alarmed)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://watch:pw@127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@contextlib.contextmanager
def variables(hub: Path, service: str, **changed: str) -> Iterator[None]:
    file = hub / "env" / f"{service}.env"
    before = read_environment(file)
    write_environment(file, {**before, **changed})
    try:
        yield
    finally:
        write_environment(file, before)


@contextlib.contextmanager
def kept(file: Path) -> Iterator[None]:
    """Restore the file's content and mode at the end of the block, also of one that fails."""
    content, mode = file.read_bytes(), stat.S_IMODE(file.stat().st_mode)
    try:
        yield
    finally:
        file.write_bytes(content)
        file.chmod(mode)


def test_gateway_that_is_set_up_rightly_has_no_fault(
    gateway: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert findings(gateway, capsys) == {}


def test_faults_of_the_gateway_are_named(gateway: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = gateway / "gateway" / "gateway.json"
    key.chmod(0o640)
    with variables(
        gateway,
        "gateway",
        KOPURO_BROKER_MANAGEMENT_URI="",
        KOPURO_OPERATIONS_ADDRESS="127.0.0.1:1",
        KOPURO_AMQP_URI=read_environment(gateway / "env" / "gateway.env")["KOPURO_AMQP_URI"].replace(
            "kg.intake:", "kg.intake:x"
        ),
    ):
        found = findings(gateway, capsys)
    assert found == {
        "settings": ["gateway"],
        "key-file-mode": [f"gateway: {key}"],
        "broker-login": ["gateway"],
        "service": ["gateway"],
    }


def test_new_hub_has_no_fault(hub: Path, broker: TlsBroker, capsys: pytest.CaptureFixture[str]) -> None:
    definitions = broker.node.files.definitions
    assert findings(hub, capsys, definitions=definitions) == {}


def test_faults_of_files_are_named(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = hub / "service-intake.json"
    with kept(key):
        key.chmod(0o640)
        assert list(findings(hub, capsys)) == ["key-file-mode"]
    discovery = hub / "discovery.json"
    with kept(discovery):
        document = discovery.read_text()
        discovery.write_text(document.replace('"kid": "', '"kid": "x'))
        assert findings(hub, capsys) == {"custody-key": [str(discovery)]}
        discovery.write_text("{")
        assert findings(hub, capsys) == {"discovery": [str(discovery)]}
        discovery.write_text(document.replace("https://intake", "http://intake"))
        assert findings(hub, capsys) == {"discovery-tls": [str(discovery)]}
    manifest = hub / "manifest.jws"
    with kept(manifest):
        manifest.write_text(manifest.read_text().replace(".", ".x", 1))
        assert list(findings(hub, capsys)) == ["manifest"]
    with kept(manifest):
        manifest.chmod(0o666)
        assert list(findings(hub, capsys)) == ["public-file-mode"]
    with variables(hub, "vault", KOPURO_SERVICE_KEY=str(key)):
        assert findings(hub, capsys) == {"service-key": ["vault"]}
    with variables(hub, "vault", KOPURO_CUSTODY_KEY=str(hub / "lost.json")):
        assert list(findings(hub, capsys)) == ["settings", "file"]


def hub_files(hub: Path) -> dict[str, tuple[str, Path]]:
    """Return the key and policy files that a service reads with a reader of its own, by variable."""
    return {
        "KOPURO_CUSTODY_KEY": ("vault", hub / "custody.json"),
        "KOPURO_TOKEN_SIGNING_KEY": ("directory", hub / "token.json"),
        "KOPURO_LOG_SIGNING_KEY": ("audit", hub / "log.json"),
        "KOPURO_WITNESS_POLICY": ("audit", hub / "witnesses.json"),
        "KOPURO_POLICY": ("routing", hub / "policy.json"),
        "KOPURO_VAULT_KEYS": ("vault", hub / "vault-keys.sqlite"),
        "KOPURO_WEBHOOK_KEY": ("delivery", hub / "webhook.key"),
        "KOPURO_GATEWAY_KEY": ("gateway", hub / "gateway" / "gateway.json"),
    }


@contextlib.contextmanager
def refused(gateway: Path, names: Iterable[str], content: str) -> Iterator[list[str]]:
    """Write this into the files of these variables inside the block. Yields the subjects of the faults."""
    subjects = []
    with contextlib.ExitStack() as stack:
        for variable in names:
            service, file = hub_files(gateway)[variable]
            subjects.append(f"{service}: {file}")
            stack.callback(_restore, file, file.read_bytes() if file.is_file() else None)
            file.write_text(content)
            file.chmod(0o600)
            stack.enter_context(variables(gateway, service, **{variable: str(file)}))
        yield subjects


def _restore(file: Path, kept: bytes | None) -> None:
    file.unlink()
    if kept is not None:
        file.write_bytes(kept)
        file.chmod(0o600)


@pytest.mark.parametrize("content", ["{}", "[]", "nonsense", '{"kty": "OKP", "crv": "Ed25519", "d": 1}'])
def test_every_file_that_its_service_refuses_is_named(
    gateway: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    """All files at once: a run of the command takes 1 s of CPU time."""
    with refused(gateway, hub_files(gateway), content) as subjects:
        found = findings(gateway, capsys)
    assert {check: sorted(named) for check, named in found.items()} == {"key-file": sorted(subjects)}


def test_key_file_without_keys_that_the_database_needs_is_named(
    hub: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    url = read_environment(hub / "env" / "vault.env")["KOPURO_DATABASE_URL"]
    database = Database.open(url)
    own, other = (SqliteKeyStore(tmp_path / f"{name}.sqlite") for name in ("own", "other"))
    now = dt.datetime.now(dt.UTC)
    own.add(KeyKind.case, {"k1": b"secret"}, now)
    other.add(KeyKind.case, {"k2": b"secret"}, now)
    with database.write() as transaction:
        transaction.execute(
            text(
                "INSERT INTO sealed_cases (referral_id, wrapped_key, ciphertext, key_id)"
                " VALUES ('r1', 'x', 'x', 'k1')"
            )
        )
    for name, expected in {
        "own": {},
        "other": {"key-file": [f"vault: {tmp_path}/other.sqlite"]},
        "missing": {"key-file": [f"vault: {tmp_path}/missing.sqlite"]},
    }.items():
        with variables(hub, "vault", KOPURO_VAULT_KEYS=str(tmp_path / f"{name}.sqlite")):
            assert findings(hub, capsys) == expected
    assert not (tmp_path / "missing.sqlite").exists()
    with database.write() as transaction:
        transaction.execute(text("DELETE FROM sealed_cases"))
    database.close()
    own.close()
    other.close()


def test_webhook_key_that_opens_no_secret_of_the_database_is_named(
    hub: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    database = Database.open(read_environment(hub / "env" / "delivery.env")["KOPURO_DATABASE_URL"])
    own, other, missing = (tmp_path / f"{name}.key" for name in ("own", "other", "missing"))
    _, sealed = KeyFileSeal.from_file(own).make("e1")
    KeyFileSeal.from_file(other)
    with database.write() as transaction:
        SqlEndpoints().add_secret(transaction, "e1", sealed, dt.datetime.now(dt.UTC))
    for file, expected in {
        own: {},
        other: {"key-file": [f"delivery: {other}"]},
        missing: {"key-file": [f"delivery: {missing}"]},
    }.items():
        with variables(hub, "delivery", KOPURO_WEBHOOK_KEY=str(file)):
            assert findings(hub, capsys) == expected
    assert not missing.exists()
    with database.write() as transaction:
        transaction.execute(text("DELETE FROM webhook_secrets"))
    database.close()


def test_discovery_document_that_only_one_service_names_is_examined(
    hub: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = tmp_path / "discovery.json"
    other.write_text("{}")
    with variables(hub, "vault", KOPURO_DISCOVERY=str(other)):
        assert set(findings(hub, capsys)["discovery"]) == {str(other)}


def test_service_without_its_hub_is_named_and_no_document_blamed(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with variables(hub, "intake", KOPURO_HUB=""):
        assert findings(hub, capsys) == {"settings": ["intake"]}


def test_public_half_in_place_of_a_service_key_is_named(
    hub: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    key = json.loads((hub / "service-vault.json").read_text())
    public = tmp_path / "public.json"
    public.write_text(json.dumps({name: value for name, value in key.items() if name != "d"}))
    public.chmod(0o600)
    with variables(hub, "vault", KOPURO_SERVICE_KEY=str(public)):
        assert findings(hub, capsys) == {"service-key": ["vault"]}


def test_misspelt_variable_is_named_with_the_one_that_is_meant(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with variables(hub, "intake", KOPURO_CONECTIONS_PER_ADRESS="5"):
        main(["admin", "doctor", "--env", str(hub / "env")])
    out, _ = capsys.readouterr()
    assert "the service ignores KOPURO_CONECTIONS_PER_ADRESS: is KOPURO_CONNECTIONS_PER_ADDRESS meant?" in out
    assert out.count("unknown-variable") == 1


def test_settings_that_no_service_starts_with_are_named(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with variables(hub, "vault", KOPURO_HTTP_ADDRESS="nonsense", KOPURO_CUSTODY_KEY=""):
        assert findings(hub, capsys)["settings"] == ["vault", "vault"]


def test_passwords_in_files_are_read(hub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = read_environment(hub / "env" / "vault.env")["KOPURO_AMQP_URI"]
    (tmp_path / "amqp-uri").write_text(uri + "\n")
    with variables(hub, "vault", KOPURO_AMQP_URI="", KOPURO_AMQP_URI_FILE=str(tmp_path / "amqp-uri")):
        assert findings(hub, capsys) == {}


def test_faults_of_the_broker_are_named(
    hub: Path, broker: TlsBroker, ca: PrivateCa, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with variables(hub, "vault", KOPURO_AMQP_URI=broker.uri(user="intake")):
        assert findings(hub, capsys) == {"broker-user": ["vault"]}
    good = broker.uri(user="vault")
    wrong = good.replace(good.split(":")[2].split("@")[0], "another-password")
    with variables(hub, "vault", KOPURO_AMQP_URI=wrong):
        assert findings(hub, capsys) == {"broker-login": ["vault"]}
    wrong_operations = good.replace("kg.vault", "kg.operations")
    with variables(hub, "operations", KOPURO_AMQP_URI=wrong_operations):
        assert findings(hub, capsys) == {"broker-login": ["operations"]}
    with variables(hub, "vault", KOPURO_BROKER_MANAGEMENT_URI="http://watch:pw@127.0.0.1:1"):
        assert findings(hub, capsys) == {"management-plugin": ["vault"]}

    document = json.loads(broker.node.files.definitions.read_text())
    for permission in document["permissions"]:
        if permission["user"] == "kg.vault":
            permission["write"] = ".*"
    document["permissions"].append({"user": "guest", "configure": ".*", "write": ".*", "read": ".*"})
    (tmp_path / "exported.json").write_text(json.dumps(document))
    found = findings(hub, capsys, definitions=tmp_path / "exported.json")
    assert found == {"broker-rights": ["kg.vault"], "broker-guest": ["broker"]}
    document["users"].append({"name": "stranger", "tags": ["administrator"]})
    document["permissions"].append({"user": "stranger", "configure": ".*", "write": ".*", "read": ".*"})
    (tmp_path / "exported.json").write_text(json.dumps(document))
    main(["admin", "doctor", "--env", str(hub / "env"), "--definitions", str(tmp_path / "exported.json")])
    assert (
        "warning: stranger: stranger is not one of the hub's users, and is an administrator of the broker "
        "and has rights in the hub's virtual host [broker-stranger]"
    ) in capsys.readouterr()[0]
    expired = ca.issue("doctor-client-expired", host="kg.vault", days=-1)
    with variables(
        hub,
        "vault",
        KOPURO_BROKER_CERTIFICATE=str(expired.certificate),
        KOPURO_BROKER_CERTIFICATE_KEY=str(expired.key),
    ):
        assert findings(hub, capsys)["certificate-expiry"] == [str(expired.certificate)]
    with variables(hub, "intake", KOPURO_AMQP_URI="amqp://kg.intake:pw@broker.invalid"):
        assert "tls-off" in findings(hub, capsys)

    broker.present(ca.issue("doctor-expired", days=-1))
    found = findings(hub, capsys)
    broker.present(ca.issue("doctor-renewed"))
    assert found["tls"] == ["broker"]
    assert "broker" not in found
    with variables(hub, "vault", KOPURO_AMQP_URI=good.replace("/kopuro", "/lost")):
        assert findings(hub, capsys) == {"broker-vhost": ["vault"]}
    another = ca.issue("doctor-other-ca")
    with variables(hub, "vault", KOPURO_BROKER_CA=str(another.certificate)):
        assert set(findings(hub, capsys)) == {"tls"}
    with variables(hub, "vault", KOPURO_AMQP_URI="amqps://kg.vault:pw@127.0.0.1:1/kopuro"):
        assert findings(hub, capsys) == {"broker": ["vault"]}


def test_backup_of_a_hub_of_processes_sees_its_databases_and_queues(hub: Path) -> None:
    places = hub_places(hub / "env", None, {})
    mark = mark_of(places)
    assert in_transit(mark) == []
    assert set(mark.services) == set(SERVICES)
    assert len(mark.queues) > len(SERVICES)
    assert dead_letters(places) == 0


def test_alarm_of_the_broker_is_named(hub: Path, capsys: pytest.CaptureFixture[str], alarmed: str) -> None:
    with variables(hub, "vault", KOPURO_BROKER_MANAGEMENT_URI=alarmed):
        assert findings(hub, capsys) == {"broker-alarm": ["broker"]}


def test_missing_queue_is_named(hub: Path, broker: TlsBroker, capsys: pytest.CaptureFixture[str]) -> None:
    identity = broker.node.identity
    with amqp.Connection(
        f"127.0.0.1:{identity.amqp_port}",
        userid=identity.user,
        password=identity.password,
        virtual_host="kopuro",
    ) as connection:
        connection.channel().queue_delete("audit.log")
    assert set(findings(hub, capsys)) == {"topology"}


def test_faults_of_databases_are_named(hub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def found() -> dict[str, list[str]]:
        return {check: who for check, who in findings(hub, capsys).items() if check != "topology"}

    with variables(hub, "routing", KOPURO_DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite"):
        assert found() == {"schema": ["routing"]}
    intakes = read_environment(hub / "env" / "intake.env")["KOPURO_DATABASE_URL"]
    with variables(hub, "routing", KOPURO_DATABASE_URL=intakes):
        assert found() == {"schema": ["routing"]}
    with variables(hub, "routing", KOPURO_DATABASE_URL=f"sqlite:///{tmp_path}/nowhere/x.sqlite"):
        assert found() == {"database": ["routing"]}
    database = Database.open(read_environment(hub / "env" / "intake.env")["KOPURO_DATABASE_URL"])
    with database.write() as transaction:
        transaction.execute(
            text(
                "INSERT INTO outbox (message_id, exchange, routing_key, partition_key, headers, body)"
                " VALUES ('0190b8f5-0000-7000-8000-000000000000', 'x', 'x', 'x', '{}', '')"
            )
        )
    assert found() == {"outbox": ["intake"]}
    with database.write() as transaction:
        transaction.execute(text("DELETE FROM outbox"))
    database.close()


def test_database_older_than_the_published_log_is_named(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variables_of_audit = read_environment(hub / "env" / "audit.env")
    key = load_log_key(Path(variables_of_audit["KOPURO_LOG_SIGNING_KEY"]), "kg")
    frontier = Frontier().append(leaf_hash(b"an entry"))
    head = key.sign(frontier, Chronology(), dt.datetime.now(dt.UTC))
    directory = Path(variables_of_audit["KOPURO_LOG_DIRECTORY"])
    directory.mkdir()
    (directory / "checkpoint").write_bytes(head.checkpoint)
    # A running audit writes here: doctor must not touch it.
    half_written = directory / ".incoming" / "1-0"
    half_written.parent.mkdir()
    half_written.touch()
    assert findings(hub, capsys)["log-fork"] == ["audit"]
    with variables(hub, "audit", KOPURO_LOG_SIGNING_KEY=str(hub / "token.json")):
        assert findings(hub, capsys)["log"] == ["audit"]
    assert half_written.exists()
    shutil.rmtree(directory)


def test_silent_service_and_one_that_is_not_ready_are_named(
    hub: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(READY, "checks", {"publication": "No checkpoint is published yet."})
    assert findings(hub, capsys)["ready-publication"] == [", ".join(SERVICES)]
    monkeypatch.setitem(READY, "checks", {"broker": "ok"})
    with variables(hub, "routing", KOPURO_OPERATIONS_ADDRESS="127.0.0.1:1"):
        assert findings(hub, capsys)["service"] == ["routing"]


def test_postgresql_states_its_version_and_clock(postgres_database: str) -> None:
    database = Database.open(postgres_database)
    upgrade("services.intake", database)
    database.close()
    state = database_state("intake", {"KOPURO_DATABASE_URL": postgres_database})
    assert state.fault is None
    assert state.version is not None
    assert state.version[0] >= 15
    assert abs(state.clock_ahead) < dt.timedelta(seconds=2)
