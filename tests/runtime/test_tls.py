"""TLS to a real RabbitMQ and a real PostgreSQL whose certificates a private CA signs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from admin.dead_letter_commands import dead_letters
from admin.read_only_engine import open_read_only
from admin.service_database import service_database
from contracts.topology import hub_topology
from kopuro_client.errors import InvalidArgumentError
from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.storage.database import Database, DatabaseUnavailable
from runtime.storage.migrate import upgrade
from runtime.tls import TlsFiles
from tests.processes import RunningService
from tests.support.certificates import Issued, PrivateCa
from tests.support.tls_servers import TlsBroker, TlsPostgres, tls_broker, tls_postgres


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def ca(place: Path) -> PrivateCa:
    return PrivateCa(place)


@pytest.fixture(scope="module")
def client(ca: PrivateCa) -> Issued:
    return ca.issue("client", host="kg.intake")


@pytest.fixture(scope="module")
def broker(place: Path, ca: PrivateCa) -> Iterator[TlsBroker]:
    with tls_broker(place, ca) as running:
        yield running


@pytest.fixture(scope="module")
def database(ca: PrivateCa) -> Iterator[TlsPostgres]:
    with tls_postgres(ca.issue("database")) as running:
        yield running


@pytest.fixture
def files(ca: PrivateCa, client: Issued) -> TlsFiles:
    return TlsFiles(ca=ca.file, certificate=client.certificate, key=client.key)


def refusal(uri: str, tls: TlsFiles | None) -> str:
    with pytest.raises(BrokerUnavailable) as caught:
        RabbitBroker(uri, tls=tls).declare(hub_topology())
    return str(caught.value)


def test_broker_with_private_ca_and_client_certificate_is_used(broker: TlsBroker, files: TlsFiles) -> None:
    RabbitBroker(broker.uri(), tls=files).declare(hub_topology())


def test_broker_of_unknown_ca_is_refused(broker: TlsBroker, files: TlsFiles, tmp_path: Path) -> None:
    other = PrivateCa(tmp_path, "other")
    untrusted = "its certificate is not signed by a CA that this process trusts"
    assert untrusted in refusal(broker.uri(), None)
    assert untrusted in refusal(broker.uri(), TlsFiles(ca=other.file))


def test_broker_without_client_certificate_says_so(broker: TlsBroker, ca: PrivateCa) -> None:
    # The broker's alert is lost if the connection has ended before it is read.
    assert "requires a client certificate" in refusal(broker.uri(), TlsFiles(ca=ca.file))


def test_broker_with_certificate_of_another_host_is_refused(broker: TlsBroker, files: TlsFiles) -> None:
    assert "its certificate is for another host name" in refusal(broker.uri("localhost"), files)


def test_uri_parameters_cannot_switch_verification_off(broker: TlsBroker, files: TlsFiles) -> None:
    uri = broker.uri("localhost") + "?ssl_cert_reqs=none&ssl_check_hostname=false"
    assert "its certificate is for another host name" in refusal(uri, files)


def test_broker_with_expired_certificate_is_refused(
    broker: TlsBroker, ca: PrivateCa, files: TlsFiles
) -> None:
    broker.present(ca.issue("broker-expired", days=-1))
    try:
        assert "its certificate has expired" in refusal(broker.uri(), files)
    finally:
        broker.present(ca.issue("broker-renewed"))
    # A renewed certificate needs no restart.
    RabbitBroker(broker.uri(), tls=files).declare(hub_topology())


def test_plain_port_is_named_as_such(broker: TlsBroker, files: TlsFiles) -> None:
    uri = broker.node.uri.replace("amqp://", "amqps://")
    assert "it does not speak TLS on this port" in refusal(uri, files)


def read(url: str, tls: TlsFiles | None) -> bool:
    """Read over TLS; return whether the connection uses it."""
    database = Database.open(url, tls=tls)
    try:
        with database.read() as transaction:
            connection: Any = transaction.connection.dbapi_connection
            assert connection.info.dbname
            return bool(connection.info.ssl_in_use)
    finally:
        database.close()


def database_refusal(url: str, tls: TlsFiles | None) -> str:
    with pytest.raises(DatabaseUnavailable) as caught:
        read(url, tls)
    return caught.value.reason()


def test_database_with_private_ca_is_used_over_tls(database: TlsPostgres, ca: PrivateCa) -> None:
    assert read(database.url, TlsFiles(ca=ca.file))


def test_url_cannot_weaken_verification_of_database(database: TlsPostgres, tmp_path: Path) -> None:
    other = PrivateCa(tmp_path, "other")
    reason = database_refusal(database.url + "?sslmode=disable", TlsFiles(ca=other.file))
    assert "certificate verify failed" in reason
    assert "KOPURO_DATABASE_CA" in reason


def test_database_with_certificate_of_another_host_is_refused(database: TlsPostgres, ca: PrivateCa) -> None:
    # `localhost` may be ::1 first, where the server does not listen: the reason names both attempts.
    url = database.url.replace("127.0.0.1", "localhost")
    assert "does not match host name" in database_refusal(url, TlsFiles(ca=ca.file))


def test_database_with_expired_certificate_is_refused(database: TlsPostgres, ca: PrivateCa) -> None:
    database.present(ca.issue("database-expired", days=-1))
    try:
        assert "has expired" in database_refusal(database.url, TlsFiles(ca=ca.file))
    finally:
        database.present(ca.issue("database-renewed"))


def test_operators_commands_use_the_same_files(
    broker: TlsBroker,
    database: TlsPostgres,
    files: TlsFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    RabbitBroker(broker.uri(), tls=files).declare(hub_topology())
    monkeypatch.setenv("KOPURO_AMQP_URI", broker.uri())
    assert "is not signed by a CA" in CliRunner().invoke(dead_letters, ["list"]).output
    for name, file in (("CA", files.ca), ("CERTIFICATE", files.certificate), ("CERTIFICATE_KEY", files.key)):
        monkeypatch.setenv(f"KOPURO_BROKER_{name}", str(file))
    assert CliRunner().invoke(dead_letters, ["list"]).exit_code == 0

    monkeypatch.setenv("KOPURO_DATABASE_CA", str(files.ca))
    with service_database(database.url) as opened, opened.read() as transaction:
        assert transaction.execute(text("SELECT 1")).scalar_one() == 1
    with open_read_only(database.url).connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    monkeypatch.setenv("KOPURO_DATABASE_CA", str(tmp_path))
    with pytest.raises(InvalidArgumentError, match="KOPURO_DATABASE_CA does not name a file"):
        open_read_only(database.url)


def test_service_uses_tls_to_broker_and_database(
    broker: TlsBroker, database: TlsPostgres, files: TlsFiles, tmp_path: Path
) -> None:
    RabbitBroker(broker.uri(), tls=files).declare(hub_topology())
    opened = Database.open(database.url, tls=TlsFiles(ca=files.ca))
    upgrade("services.intake", opened)
    opened.close()
    environment = {
        "KOPURO_BROKER_CA": str(files.ca),
        "KOPURO_BROKER_CERTIFICATE": str(files.certificate),
        "KOPURO_BROKER_CERTIFICATE_KEY": str(files.key),
        "KOPURO_DATABASE_CA": str(files.ca),
    }
    with RunningService(
        "services.intake",
        tmp_path,
        amqp_uri=broker.uri(),
        database_url=database.url,
        environment=environment,
    ) as service:
        service._await(lambda: readiness(service)["checks"]["broker"] == "ok", "reach the broker")
        assert readiness(service)["warnings"]["database"] == "ok"


def test_service_says_why_it_refuses_the_broker(broker: TlsBroker, tmp_path: Path) -> None:
    environment = {"KOPURO_BROKER_CA": str(PrivateCa(tmp_path, "other").file)}
    database_url = f"sqlite:///{tmp_path}/intake.sqlite"
    opened = Database.open(database_url)
    upgrade("services.intake", opened)
    opened.close()
    with RunningService(
        "services.intake",
        tmp_path,
        amqp_uri=broker.uri(),
        database_url=database_url,
        environment=environment,
    ) as service:
        refused = "its certificate is not signed by a CA that this process trusts"
        service._await(lambda: refused in service.log.read_text(), "say why it refuses the broker")


def readiness(service: RunningService) -> dict[str, dict[str, str]]:
    answer: dict[str, dict[str, str]] = httpx.get(service.operations_url + "/readyz").json()
    return answer
