"""Changes that the hub's operator makes during an attack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from tests.journey.running_hub import RunningHub


def change_record(hub: RunningHub, organization: str, **changes: Any) -> Mapping[str, Any]:
    """Change members of a record as an operator; return the record before."""
    address = f"{hub.address('directory')}/v1/organizations/{organization}"
    authorization = {"Authorization": f"Bearer {hub.token('operator')}"}
    read = httpx.get(address, headers=authorization)
    assert read.status_code == 200, read.text
    changed = httpx.put(
        address,
        json={**read.json(), **changes},
        headers={**authorization, "If-Match": read.headers["ETag"]},
    )
    assert changed.status_code == 200, changed.text
    before: Mapping[str, Any] = read.json()
    return before


@contextmanager
def changed_record(hub: RunningHub, organization: str, **changes: Any) -> Iterator[None]:
    """Change members of a record for the block."""
    before = change_record(hub, organization, **changes)
    try:
        yield
    finally:
        change_record(hub, organization, **{name: before[name] for name in changes})
