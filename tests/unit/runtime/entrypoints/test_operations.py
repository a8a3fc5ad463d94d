"""The figures of checks and warnings."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry

from runtime.entrypoints.operations import OperationsApplication


def test_warning_is_a_figure_while_it_is_given() -> None:
    reasons: dict[str, str | None] = {"disk": "50 MiB are free", "database": None}
    registry = CollectorRegistry()
    application: Any = SimpleNamespace(
        registry=registry,
        stopping=False,
        readiness=[("database", lambda: reasons["database"])],
        warnings=[("disk", lambda: reasons["disk"])],
    )
    operations = OperationsApplication(application)

    def figures() -> tuple[float | None, ...]:
        return tuple(
            registry.get_sample_value(name, {"check": check})
            for name, check in (("kopuro_unready", "database"), ("kopuro_warned", "disk"))
        )

    assert figures() == (0.0, 0.0)
    operations.look(warnings=False)
    assert figures() == (0.0, 0.0)
    operations.look(warnings=True)
    assert figures() == (0.0, 1.0)
    reasons |= {"disk": None, "database": "away"}
    operations.look(warnings=True)
    assert figures() == (1.0, 0.0)
