"""Sample applications to join the network."""

from __future__ import annotations

import datetime as dt
from typing import Any

from contracts.application import Application, ApplicationRequest
from contracts.codes import ApplicationState
from contracts.records import load
from services.directory.domain.application import KeptApplication, reference_digest

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
APPLICANT = "kg.talas-advice"


def application_record(**changes: Any) -> dict[str, Any]:
    """An application as JSON."""
    return {
        "name": "Talas Advice (invented)",
        "kind": "ngo",
        "country": "KG",
        "languages": ["ky", "ru"],
        "description": "Advice on wages\nand documents.",
        "contact": {"name": "A. Invented", "email": "office@talas.example", "telephone": "+996 312 000000"},
        "website": "https://talas.example/about",
        "proposed_id": APPLICANT,
        **changes,
    }


def request(**changes: Any) -> ApplicationRequest:
    """An application as it is submitted."""
    return load(ApplicationRequest, application_record(**changes))


def content(**changes: Any) -> Application:
    """An application as it is kept."""
    return load(Application, application_record(**changes))


def kept(application_id: str = "1", **changes: Any) -> KeptApplication:
    """An application that waits."""
    values: dict[str, Any] = {
        "id": application_id,
        "state": ApplicationState.waiting,
        "content": content(),
        "salt": "A" * 43,
        "reference_sha256": reference_digest(f"reference of {application_id}"),
        "submitted_at": NOON,
        "expires_at": NOON + dt.timedelta(days=90),
    }
    return KeptApplication(**{**values, **changes})
