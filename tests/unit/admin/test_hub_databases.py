"""Which databases and which hub an operator's command opens, by its options and variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from admin.environment_files import write_environment
from admin.hub_databases import EMBEDDED_HUB, database_of, hub_databases, hub_of
from admin.routing.databases import decision_databases
from kopuro_client.errors import InvalidArgumentError
from sandbox.hub_files import HUB
from tests.support.certificates import PrivateCa

OTHER_HUB = {"KOPURO_HUB": "kz", "KOPURO_DATABASE_URL": "sqlite:////nowhere/of-another-hub.sqlite"}


def test_refusal_without_databases_names_every_option() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^give --env or --data-dir, or set "):
        hub_databases(None, None, {})


def test_database_of_one_service_needs_no_file_of_another(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("sqlite:///here", encoding="utf-8")
    write_environment(tmp_path / "routing.env", {"KOPURO_DATABASE_URL_FILE": str(tmp_path / "url")})
    assert database_of("routing", None, tmp_path, None, OTHER_HUB).url == "sqlite:///here"
    with pytest.raises(InvalidArgumentError, match=r"directory\.env cannot be read"):
        database_of("directory", None, tmp_path, None, OTHER_HUB)


def test_hub_of_a_named_folder_wins_over_the_variable_of_another_hub(tmp_path: Path) -> None:
    write_environment(tmp_path / "routing.env", {"KOPURO_HUB": "uz"})
    assert hub_of("routing", None, tmp_path, None, OTHER_HUB) == "uz"
    assert hub_of("routing", None, None, tmp_path, OTHER_HUB) == EMBEDDED_HUB == HUB
    assert hub_of("routing", None, None, None, OTHER_HUB) == "kz"
    assert hub_of("routing", None, None, None, {}) == EMBEDDED_HUB
    for env_dir, data_dir in ((tmp_path, None), (None, tmp_path), (None, None)):
        assert hub_of("routing", "tj", env_dir, data_dir, OTHER_HUB) == "tj"


def test_databases_of_a_template_are_opened_with_the_files_for_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = str(PrivateCa(tmp_path).file)
    monkeypatch.setenv("KOPURO_DATABASE_TEMPLATE", "postgresql+psycopg://hub@localhost/{service}")
    monkeypatch.setenv("KOPURO_DATABASE_CA", ca)
    found = decision_databases(None, None)
    assert sorted(found) == ["directory", "routing"]
    for service, place in found.items():
        assert place.url.endswith(f"/{service}")
        assert place.tls is not None
        assert str(place.tls.ca) == ca
