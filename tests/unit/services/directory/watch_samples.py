"""Sample reports about invented employers."""

from __future__ import annotations

import datetime as dt
from typing import Any

from contracts.codes import EmployerKind, EmployerPractice
from contracts.employer import Allegation, Employer
from services.directory.domain.watch_report import WatchReport

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
SALT = "A" * 43
UNION, INSPECTORATE, NGO = "ru.builders-union", "ru.labour-inspectorate", "kg.osh-legal-aid"


def employer(name: str = "Stroy Invented", **changes: Any) -> Employer:
    """An employer in Moscow without a registration number."""
    return Employer(
        **{"name": name, "kind": EmployerKind.employer, "country": "RU", "region": "RU-MOW", **changes}
    )


def report(reporter: str, of: Employer | None = None, **changes: Any) -> WatchReport:
    """A report of today for wages withheld in January."""
    allegation = Allegation(
        employer=of or employer(),
        practices=changes.pop("practices", (EmployerPractice.wages_withheld,)),
        first_month=changes.pop("first_month", "2026-01"),
        last_month=changes.pop("last_month", "2026-01"),
    )
    values = {"id": f"{reporter} {changes.get('reported_at', '')}", "reported_at": NOON, **changes}
    return WatchReport(
        **{
            "reporter": reporter,
            "allegation": allegation,
            "recipients": (UNION, INSPECTORATE),
            "salt": SALT,
            **values,
        }
    )
