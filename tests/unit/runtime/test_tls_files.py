"""The files for TLS that settings name, and the words for a failed handshake."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from runtime.storage import migrate
from runtime.tls import BROKER, DATABASE, TlsFiles, UnusableTlsFiles, handshake_fault, tls_files, variables
from services.directory import load
from tests.support.certificates import PrivateCa


def test_no_variable_means_no_files() -> None:
    assert tls_files(BROKER, {"KOPURO_BROKER_CA": " ", "KOPURO_DATABASE_CA": "/etc/ca.pem"}) is None


def test_each_server_has_variables_of_its_own() -> None:
    assert set(variables(BROKER).values()).isdisjoint(variables(DATABASE).values())


def test_encrypted_key_is_refused_without_a_prompt(tmp_path: Path) -> None:
    issued = PrivateCa(tmp_path).issue("client")
    key = serialization.load_pem_private_key(issued.key.read_bytes(), password=None)
    issued.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hunter2"),
        )
    )
    named = {
        "KOPURO_BROKER_CERTIFICATE": str(issued.certificate),
        "KOPURO_BROKER_CERTIFICATE_KEY": str(issued.key),
    }
    with pytest.raises(UnusableTlsFiles, match="unencrypted private key"):
        tls_files(BROKER, named)


def test_host_name_and_chain_are_verified_with_any_files(tmp_path: Path) -> None:
    for files in (TlsFiles(), TlsFiles(ca=PrivateCa(tmp_path).file)):
        context = files.context()
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert files.amqp_options("broker.example")["server_hostname"] == "broker.example"
        assert files.amqp_options("broker.example")["cert_reqs"] is ssl.CERT_REQUIRED
        assert files.libpq_options()["sslmode"] == "verify-full"


def test_unknown_handshake_failure_keeps_its_reason() -> None:
    assert handshake_fault(ConnectionRefusedError()) is None
    unknown = ssl.SSLError(1, "[SSL: NO_SHARED_CIPHER] no shared cipher (_ssl.c:1)")
    unknown.reason = "NO_SHARED_CIPHER"
    assert handshake_fault(unknown) == "the TLS handshake failed (NO_SHARED_CIPHER)"


@pytest.mark.parametrize("error", [ssl.SSLEOFError(), ConnectionResetError(), BrokenPipeError()])
def test_connection_that_ends_without_an_alert_hints_at_a_client_certificate(error: OSError) -> None:
    fault = handshake_fault(error, over_tls=True)
    assert fault == "it ended the connection, perhaps because it requires a client certificate"


def test_connection_without_tls_that_ends_has_no_fault_of_tls() -> None:
    assert handshake_fault(ConnectionResetError()) is None


def test_migration_and_load_name_unusable_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("KOPURO_DATABASE_URL", "postgresql+psycopg2://127.0.0.1:1/x")
    monkeypatch.setenv("KOPURO_DATABASE_CA", str(tmp_path / "nowhere.pem"))
    for main, arguments in (
        (migrate.main, ["services.intake"]),
        (load.main, ["--agreements", str(tmp_path / "agreements.json")]),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert "KOPURO_DATABASE_CA does not name a file" in capsys.readouterr().err


def test_ca_without_identifiers_of_keys_is_trusted_on_every_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_in_python_3_13(*, cafile: str) -> ssl.SSLContext:
        context = create(cafile=cafile)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    create = ssl.create_default_context
    monkeypatch.setattr("runtime.tls.ssl.create_default_context", as_in_python_3_13)
    ca = PrivateCa(tmp_path)
    issued = ca.issue("server", host="broker.example")
    ours, theirs = TlsFiles(ca=ca.file).context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(issued.certificate, issued.key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.wrap_bio(to_client, to_server, server_hostname="broker.example")
    server = theirs.wrap_bio(to_server, to_client, server_side=True)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()
    client.do_handshake()  # raises SSLCertVerificationError for a certificate that is not trusted
