from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from runtime.settings import Address, Settings, SettingsError
from runtime.tls import TlsFiles
from tests.support.certificates import PrivateCa

GOOD = {
    "KOPURO_AMQP_URI": "amqp://intake:hunter2@127.0.0.1:5672//",
    "KOPURO_DATABASE_URL": "postgresql+psycopg2://intake:hunter2@127.0.0.1/intake",
    "KOPURO_HTTP_ADDRESS": "127.0.0.1:8001",
    "KOPURO_OPERATIONS_ADDRESS": "127.0.0.1:9001",
    "KOPURO_HUB": "kg",
    "KOPURO_DISCOVERY": "/run/kopuro/discovery.json",
    "KOPURO_SERVICE_KEY": __file__,
    "KOPURO_MANIFEST": __file__,
    "KOPURO_HUB_KEY": __file__,
}


def faults(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(environ)
    return caught.value.problems


def test_full_environment_is_read(tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.touch()
    settings = Settings.from_environment({**GOOD, "KOPURO_POLICY": str(policy)})
    assert settings.http_address == Address(host="127.0.0.1", port=8001)
    assert str(settings.operations_address) == "127.0.0.1:9001"
    assert settings.discovery == Path("/run/kopuro/discovery.json")
    assert settings.policy == policy
    assert settings.custody_key is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_sandbox_is_possible_on_loopback(host: str) -> None:
    assert not Settings.from_environment(GOOD).sandbox
    made = {**GOOD, "KOPURO_SANDBOX": "true", "KOPURO_HTTP_ADDRESS": f"{host}:8001"}
    assert Settings.from_environment(made).sandbox
    assert not Settings.from_environment({**made, "KOPURO_SANDBOX": "false"}).sandbox


@pytest.mark.parametrize("address", ["0.0.0.0:8001", "10.0.0.7:8001", "kopuro.example:8001", "127.0.0.1.x:1"])
def test_service_that_others_can_reach_does_not_start_as_a_sandbox(address: str) -> None:
    found = faults({**GOOD, "KOPURO_SANDBOX": "true", "KOPURO_HTTP_ADDRESS": address})
    assert found == ["KOPURO_SANDBOX is true, but KOPURO_HTTP_ADDRESS is not on loopback"]


@pytest.mark.parametrize("days", ["0", "29", "3651", "-1", "30.5", "many", "00031"])
def test_days_of_the_mailbox_are_limited(days: str) -> None:
    assert Settings.from_environment(GOOD).messages_kept == timedelta(days=30)
    assert Settings.from_environment({**GOOD, "KOPURO_MAILBOX_DAYS": "3650"}).messages_kept.days == 3650
    found = faults({**GOOD, "KOPURO_MAILBOX_DAYS": days})
    assert found == ["KOPURO_MAILBOX_DAYS is not a whole number of days from 30 to 3650"]


@pytest.mark.parametrize("days", ["0", "29", "3651", "-1", "many"])
def test_days_of_watch_reports_are_limited(days: str) -> None:
    assert Settings.from_environment(GOOD).watch_reports_kept == timedelta(days=730)
    assert Settings.from_environment({**GOOD, "KOPURO_WATCH_REPORT_DAYS": "30"}).watch_reports_kept.days == 30
    found = faults({**GOOD, "KOPURO_WATCH_REPORT_DAYS": days})
    assert found == ["KOPURO_WATCH_REPORT_DAYS is not a whole number of days from 30 to 3650"]


@pytest.mark.parametrize("days", ["0", "6", "366", "-1", "many"])
def test_days_of_applications_are_limited(days: str) -> None:
    settings = Settings.from_environment({**GOOD, "KOPURO_APPLICATION_DAYS": "7"})
    assert settings.application_decided_within == timedelta(days=7)
    assert settings.application_traces_kept == timedelta(days=30)
    found = faults({**GOOD, "KOPURO_APPLICATION_DAYS": days})
    assert found == ["KOPURO_APPLICATION_DAYS is not a whole number of days from 7 to 365"]


@pytest.mark.parametrize("number", ["-1", "10001", "some", "1.5"])
def test_number_of_applications_is_limited(number: str) -> None:
    assert Settings.from_environment(GOOD).most_applications == 200
    assert Settings.from_environment({**GOOD, "KOPURO_APPLICATIONS": "0"}).most_applications == 0
    found = faults({**GOOD, "KOPURO_APPLICATIONS": number})
    assert found == ["KOPURO_APPLICATIONS is not a whole number from 0 to 10000"]


def test_missing_variables_are_listed_at_once() -> None:
    assert faults({}) == [f"{name} is not set" for name in GOOD]


def test_blank_variable_counts_as_missing() -> None:
    assert faults({**GOOD, "KOPURO_HUB": " "}) == ["KOPURO_HUB is not set"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KOPURO_AMQP_URI", "http://hunter2@127.0.0.1"),
        ("KOPURO_BROKER_MANAGEMENT_URI", "amqp://watch:hunter2@127.0.0.1"),
        ("KOPURO_BROKER_MANAGEMENT_URI", "http://hunter2@127.0.0.1"),
        ("KOPURO_DATABASE_URL", "hunter2"),
        ("KOPURO_DATABASE_URL", "mysql://hunter2@127.0.0.1/x"),
        ("KOPURO_HTTP_ADDRESS", "8001"),
        ("KOPURO_HTTP_ADDRESS", "127.0.0.1:0"),
        ("KOPURO_OPERATIONS_ADDRESS", "127.0.0.1:70000"),
        ("KOPURO_HUB", "KG"),
        ("KOPURO_CUSTODY_KEY", "/nowhere/hunter2"),
        ("KOPURO_SERVICE_KEY", "/nowhere/hunter2"),
        ("KOPURO_MANIFEST", "/nowhere/hunter2"),
        ("KOPURO_HUB_KEY", "/nowhere/hunter2"),
    ],
)
def test_invalid_variable_is_named_without_its_value(name: str, value: str) -> None:
    (fault,) = faults({**GOOD, name: value})
    assert fault.startswith(f"{name} ")
    assert "hunter2" not in fault


def test_settings_repr_omits_passwords() -> None:
    management = "http://kg.watch:hunter2@127.0.0.1:15672"
    settings = Settings.from_environment({**GOOD, "KOPURO_BROKER_MANAGEMENT_URI": management})
    assert settings.broker_management_uri == management
    assert "hunter2" not in repr(settings)


def test_retention_is_unlimited_by_default() -> None:
    assert Settings.from_environment(GOOD).retention is None
    assert Settings.from_environment({**GOOD, "KOPURO_RETENTION_DAYS": "30"}).retention == timedelta(days=30)
    for wrong in ("-1", "1.5", "soon", "9" * 6):
        assert faults({**GOOD, "KOPURO_RETENTION_DAYS": wrong}) == [
            "KOPURO_RETENTION_DAYS is not a whole number of days"
        ]


def test_log_gets_no_cover_by_default() -> None:
    assert Settings.from_environment(GOOD).cover == 0
    assert Settings.from_environment({**GOOD, "KOPURO_LOG_COVER_PER_MINUTE": "60"}).cover == 60
    for wrong in ("-1", "1.5", "many", "9" * 5):
        assert faults({**GOOD, "KOPURO_LOG_COVER_PER_MINUTE": wrong}) == [
            "KOPURO_LOG_COVER_PER_MINUTE is not a whole number up to 9999"
        ]


def test_approval_policy_is_two_person_unless_it_says_otherwise() -> None:
    assert Settings.from_environment(GOOD).approvals == "two-person"
    assert Settings.from_environment({**GOOD, "KOPURO_APPROVALS": "one-person"}).approvals == "one-person"
    assert faults({**GOOD, "KOPURO_APPROVALS": "nobody"}) == [
        "KOPURO_APPROVALS is neither two-person nor one-person"
    ]


@pytest.mark.parametrize("name", ["KOPURO_CONNECTIONS", "KOPURO_CONNECTIONS_PER_ADDRESS"])
def test_connection_limits_are_optional_positive_numbers(name: str) -> None:
    field = name.removeprefix("KOPURO_").lower()
    assert getattr(Settings.from_environment(GOOD), field) is None
    assert getattr(Settings.from_environment({**GOOD, name: "300"}), field) == 300
    for wrong in ("0", "-1", "many", "3.5"):
        assert faults({**GOOD, name: wrong}) == [f"{name} is not a positive whole number"]


def test_digest_is_off_unless_its_period_is_named() -> None:
    assert Settings.from_environment(GOOD).digest is None
    assert Settings.from_environment({**GOOD, "KOPURO_DIGEST": "week"}).digest == "week"
    assert faults({**GOOD, "KOPURO_DIGEST": "hour"}) == ["KOPURO_DIGEST is neither `day` nor `week`"]


def test_traces_are_off_unless_a_receiver_is_named() -> None:
    off = Settings.from_environment(GOOD)
    assert (off.traces_endpoint, off.traces_ratio) == (None, 1.0)
    endpoint = "http://127.0.0.1:4318/v1/traces"
    on = Settings.from_environment(
        {**GOOD, "KOPURO_TRACES_ENDPOINT": endpoint, "KOPURO_TRACES_RATIO": "0.05"}
    )
    assert (on.traces_endpoint, on.traces_ratio) == (endpoint, 0.05)


@pytest.mark.parametrize(
    "wrong", ["127.0.0.1:4318", "http://127.0.0.1:4318", "http://user:secret@host/v1/traces", "ftp://h/x"]
)
def test_receiver_of_traces_is_a_url_with_a_path_and_no_secret(wrong: str) -> None:
    (fault,) = faults({**GOOD, "KOPURO_TRACES_ENDPOINT": wrong})
    assert fault.startswith("KOPURO_TRACES_ENDPOINT is not")
    assert "secret" not in fault


@pytest.mark.parametrize("wrong", ["0", "1.5", "-1", "half", "1e-3", "nan"])
def test_ratio_of_traces_is_above_zero_and_up_to_one(wrong: str) -> None:
    assert faults({**GOOD, "KOPURO_TRACES_RATIO": wrong}) == [
        "KOPURO_TRACES_RATIO is not a decimal number above 0 and up to 1"
    ]


def test_facts_are_kept_for_ninety_days_by_default() -> None:
    assert Settings.from_environment(GOOD).facts_kept == timedelta(days=90)
    assert Settings.from_environment({**GOOD, "KOPURO_FACTS_DAYS": "0"}).facts_kept == timedelta(0)
    assert faults({**GOOD, "KOPURO_FACTS_DAYS": "-1"}) == ["KOPURO_FACTS_DAYS is not a whole number of days"]


def test_tls_files_are_read_for_each_server(tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    client = ca.issue("client", host="kg.intake")
    settings = Settings.from_environment(
        {
            **GOOD,
            "KOPURO_AMQP_URI": "amqps://intake:hunter2@broker.example//",
            "KOPURO_BROKER_CA": str(ca.file),
            "KOPURO_BROKER_CERTIFICATE": str(client.certificate),
            "KOPURO_BROKER_CERTIFICATE_KEY": str(client.key),
            "KOPURO_DATABASE_CA": str(ca.file),
        }
    )
    assert settings.broker_tls == TlsFiles(ca=ca.file, certificate=client.certificate, key=client.key)
    assert settings.database_tls == TlsFiles(ca=ca.file)


def test_unusable_tls_files_are_named(tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    one, other = ca.issue("one"), ca.issue("other")
    amqps = {**GOOD, "KOPURO_AMQP_URI": "amqps://intake:hunter2@broker.example//"}
    assert faults({**amqps, "KOPURO_BROKER_CA": str(tmp_path)}) == ["KOPURO_BROKER_CA does not name a file"]
    assert faults({**amqps, "KOPURO_BROKER_CA": str(one.key)}) == [
        "KOPURO_BROKER_CA does not name a file with certificates in PEM"
    ]
    assert faults({**amqps, "KOPURO_BROKER_CERTIFICATE": str(one.certificate)}) == [
        "KOPURO_BROKER_CERTIFICATE is set, but KOPURO_BROKER_CERTIFICATE_KEY is not"
    ]
    mixed = {"KOPURO_DATABASE_CERTIFICATE": one.certificate, "KOPURO_DATABASE_CERTIFICATE_KEY": other.key}
    assert faults({**GOOD, **{name: str(file) for name, file in mixed.items()}}) == [
        "KOPURO_DATABASE_CERTIFICATE and KOPURO_DATABASE_CERTIFICATE_KEY do not name a certificate in PEM "
        "and its unencrypted private key"
    ]


def test_tls_files_without_tls_in_the_address_are_refused(tmp_path: Path) -> None:
    ca = str(PrivateCa(tmp_path).file)
    assert faults({**GOOD, "KOPURO_BROKER_CA": ca}) == [
        "KOPURO_BROKER_CA is set, but KOPURO_AMQP_URI does not use TLS"
    ]
    sqlite = {**GOOD, "KOPURO_DATABASE_URL": "sqlite:////srv/x.sqlite", "KOPURO_DATABASE_CA": ca}
    assert faults(sqlite) == ["KOPURO_DATABASE_CA is set, but KOPURO_DATABASE_URL does not use TLS"]


def test_tls_parameters_in_the_amqp_uri_are_refused() -> None:
    (fault,) = faults({**GOOD, "KOPURO_AMQP_URI": "amqps://broker.example//?ssl_cert_reqs=none"})
    assert fault.startswith("KOPURO_AMQP_URI has parameters for TLS: set KOPURO_BROKER_CA")


def test_settings_with_passwords_are_read_from_files(tmp_path: Path) -> None:
    uri, url = tmp_path / "uri", tmp_path / "url"
    uri.write_text("amqp://intake:hunter3@broker:5672/kopuro\n", encoding="utf-8")
    url.write_text("postgresql+psycopg2://intake:hunter4@database/intake\n", encoding="utf-8")
    named = {"KOPURO_AMQP_URI_FILE": str(uri), "KOPURO_DATABASE_URL_FILE": str(url)}
    others = {name: value for name, value in GOOD.items() if f"{name}_FILE" not in named}

    settings = Settings.from_environment({**others, **named})

    assert settings.amqp_uri == "amqp://intake:hunter3@broker:5672/kopuro"
    assert settings.database_url == "postgresql+psycopg2://intake:hunter4@database/intake"


def test_unusable_secret_files_are_named_without_their_content(tmp_path: Path) -> None:
    url = tmp_path / "url"
    url.write_bytes(b"hunter\xff")
    others = {name: value for name, value in GOOD.items() if name != "KOPURO_DATABASE_URL"}

    problems = faults(
        {**others, "KOPURO_AMQP_URI_FILE": str(url), "KOPURO_DATABASE_URL_FILE": str(url)}
        | {"KOPURO_BROKER_MANAGEMENT_URI_FILE": str(tmp_path / "none")}
    )

    assert problems == [
        "KOPURO_AMQP_URI and KOPURO_AMQP_URI_FILE are both set",
        "KOPURO_DATABASE_URL_FILE cannot be read (UnicodeDecodeError)",
        "KOPURO_BROKER_MANAGEMENT_URI_FILE cannot be read (FileNotFoundError)",
        "KOPURO_DATABASE_URL is not set",
    ]


def test_no_proxy_is_trusted_unless_its_network_is_listed() -> None:
    assert Settings.from_environment(GOOD).proxies == ()
    settings = Settings.from_environment({**GOOD, "KOPURO_PROXIES": "127.0.0.1/32, fd00::/8, 192.0.2.7"})
    assert [str(network) for network in settings.proxies] == ["127.0.0.1/32", "fd00::/8", "192.0.2.7/32"]
    for wrong in ("proxy.example", "192.0.2.7/24", "*"):
        assert faults({**GOOD, "KOPURO_PROXIES": wrong}) == [
            "KOPURO_PROXIES is not a comma-separated list of networks"
        ]


def test_webhooks_reach_public_networks_only_unless_others_are_listed() -> None:
    settings = Settings.from_environment(GOOD)
    assert (settings.webhook_key, settings.webhook_networks, settings.webhook_refused) == (None, (), ())
    given = {
        **GOOD,
        "KOPURO_WEBHOOK_NETWORKS": "127.0.0.1/32, fd00::/8",
        "KOPURO_WEBHOOK_REFUSED": "127.0.0.1:9001,10.0.0.1:15672",
    }
    settings = Settings.from_environment(given)
    assert [str(network) for network in settings.webhook_networks] == ["127.0.0.1/32", "fd00::/8"]
    assert [str(address) for address in settings.webhook_refused] == ["127.0.0.1:9001", "10.0.0.1:15672"]
    assert faults({**GOOD, "KOPURO_WEBHOOK_NETWORKS": "everywhere"}) == [
        "KOPURO_WEBHOOK_NETWORKS is not a comma-separated list of networks"
    ]
    assert faults({**GOOD, "KOPURO_WEBHOOK_REFUSED": "9001"}) == [
        "KOPURO_WEBHOOK_REFUSED is not a comma-separated list of host:port"
    ]
