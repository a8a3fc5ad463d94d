from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import Unavailable
from services.intake.adapters.custody import AnnouncedCustodyKeys
from tests.support.settable_clock import SettableClock

NOON = dt.datetime(2026, 3, 21, 12, tzinfo=dt.UTC)


def announce(file: Path, kid: str, *, at: int, **members: Any) -> None:
    file.write_text(json.dumps({"hub": "kg", "custody_key": {"kid": kid}, **members}))
    os.utime(file, ns=(at, at))


def announced_in(file: Path, clock: SettableClock | None = None) -> AnnouncedCustodyKeys:
    return AnnouncedCustodyKeys(file, clock or SettableClock(NOON))


def test_replaced_discovery_document_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "discovery.json"
    announce(file, "first", at=1)
    kids = announced_in(file)
    assert set(kids()) == {"first"}
    announce(file, "second", at=2)
    assert set(kids()) == {"second"}


def test_earlier_key_is_accepted_until_its_time(tmp_path: Path) -> None:
    file, clock = tmp_path / "discovery.json", SettableClock(NOON)
    earlier = [{"kid": "first", "accepted_until": "2026-03-22T12:00:00+00:00"}]
    announce(file, "second", at=1, earlier_custody_keys=earlier)
    kids = announced_in(file, clock)
    assert set(kids()) == {"first", "second"}
    clock.time += dt.timedelta(hours=23, minutes=59)
    assert set(kids()) == {"first", "second"}
    clock.time += dt.timedelta(minutes=1)
    assert set(kids()) == {"second"}


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        "{}",
        '{"custody_key": null}',
        '{"custody_key": {"kid": "a"}, "earlier_custody_keys": [{"kid": "b"}]}',
        '{"custody_key": {"kid": "a"}, "earlier_custody_keys": '
        '[{"kid": "b", "accepted_until": "2026-01-01T00:00:00"}]}',
    ],
)
def test_custody_key_not_announced_is_unavailable(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "discovery.json"
    if text is not None:
        file.write_text(text)
    kids = announced_in(file)
    with pytest.raises(Unavailable):
        kids()
    assert kids.unready() == "The hub has not announced its custody key yet."
    announce(file, "first", at=1)
    assert kids.unready() is None
