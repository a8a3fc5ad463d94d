from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from runtime.settings import Address, Settings, SettingsError

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


def test_facts_are_kept_for_ninety_days_by_default() -> None:
    assert Settings.from_environment(GOOD).facts_kept == timedelta(days=90)
    assert Settings.from_environment({**GOOD, "KOPURO_FACTS_DAYS": "0"}).facts_kept == timedelta(0)
    assert faults({**GOOD, "KOPURO_FACTS_DAYS": "-1"}) == ["KOPURO_FACTS_DAYS is not a whole number of days"]


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
