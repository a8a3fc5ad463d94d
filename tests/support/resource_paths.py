"""Paths of the services' resources, with ids of the form that each resource states."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

SAMPLE_IDS: Final[Mapping[str, str]] = {
    "uuid": "018f0000-0000-7000-8000-000000000001",
    "organization": "kg.osh-legal-aid",
    "slug": "legal-advice",
    "client": "kg.osh-legal-aid.Desk_2",
    "number": "17",
    "path": "0/000",
}
_VARIABLE: Final = re.compile(r"<(\w+):(\w+)>")


def path_of(url: str, **values: str) -> str:
    """Return the path of a route's URL. values: of its ids; each other id gets a sample of its form."""
    return _VARIABLE.sub(lambda found: values.get(found[2], SAMPLE_IDS[found[1]]), url)
