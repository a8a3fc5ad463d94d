"""A database URL names SQLite, or PostgreSQL by psycopg2; a refusal never repeats it."""

from __future__ import annotations

import pytest

from runtime.environment import Environment, database_url
from runtime.storage.database import Database
from runtime.storage.database_url import UnusableDatabaseUrl, parsed_database_url

WRONG_DRIVER = r"must begin with postgresql\+psycopg2:// or sqlite:///"
OTHER_DATABASE = "is not a SQLite or PostgreSQL URL"
NO_URL = "is not an SQLAlchemy URL"

REFUSED = {
    "hunter4": NO_URL,
    "postgresql+psycopg2://db:hunter4/intake": NO_URL,
    "mysql://intake:hunter4@db/intake": OTHER_DATABASE,
    "hunter4://db/intake": OTHER_DATABASE,
    # SQLAlchemy takes psycopg 3 for this one.
    "postgresql://intake:hunter4@db/intake": WRONG_DRIVER,
    "postgresql+psycopg://intake:hunter4@db/intake": WRONG_DRIVER,
    "postgresql+hunter4://intake@db/intake": WRONG_DRIVER,
    "sqlite+aiosqlite:////var/lib/hunter4.sqlite": WRONG_DRIVER,
}


@pytest.mark.parametrize(
    "url",
    ["sqlite:////var/lib/intake.sqlite", "sqlite+pysqlite:////a", "postgresql+psycopg2://a:b@db:5432/c"],
)
def test_usable_url_is_parsed(url: str) -> None:
    assert parsed_database_url(url).render_as_string(hide_password=False) == url


@pytest.mark.parametrize("url", REFUSED)
def test_url_without_a_usable_driver_is_refused(url: str) -> None:
    with pytest.raises(UnusableDatabaseUrl, match=f"^{REFUSED[url]}$"):
        Database.open(url)


@pytest.mark.parametrize("url", REFUSED)
def test_setting_without_a_usable_driver_is_a_problem(url: str) -> None:
    given = Environment({"KOPURO_DATABASE_URL": url})
    given.required("KOPURO_DATABASE_URL", database_url, "")
    assert given.problems == [f"KOPURO_DATABASE_URL {REFUSED[url]}".replace("\\", "")]
