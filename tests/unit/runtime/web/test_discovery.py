from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from contracts.errors import Unavailable
from runtime.web import published_contracts
from runtime.web.discovery import discovery
from runtime.web.published_contracts import LINKS


def test_discovery_serves_the_current_document(tmp_path: Path) -> None:
    file = tmp_path / "discovery.json"
    with pytest.raises(Unavailable):
        discovery(file)
    file.write_text('{"hub": "kg"')  # the file is being written in place
    with pytest.raises(Unavailable):
        discovery(file)
    for hub in ("kg", "ru"):
        file.write_text(f'{{"hub": "{hub}"}}')
        assert orjson.loads(discovery(file).body) == {"hub": hub, "documents": dict(LINKS)}
    file.write_text("[]")
    with pytest.raises(Unavailable):
        discovery(file)


def test_discovery_links_the_published_contracts_that_are_installed() -> None:
    for made, media_type in (
        (published_contracts.openapi(), "application/json"),
        (published_contracts.asyncapi(), "application/json"),
        (published_contracts.reference(), "text/html; charset=utf-8"),
    ):
        assert made.headers["Content-Type"] == media_type
        assert len(made.body) > 10_000
    assert set(LINKS.values()) == {"/openapi.json", "/asyncapi.json", "/reference"}
