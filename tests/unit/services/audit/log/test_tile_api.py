"""Tiles over HTTP: caching, compression and ranges."""

from __future__ import annotations

import gzip

import pytest

from contracts.errors import Refused
from kopuro_client.tlog.tiles import split_entries
from runtime.web.request import Request
from runtime.web.response import Response
from services.audit.log import tile_api
from tests.unit.services.audit.logs import LogOnDatabase, events


@pytest.fixture
def database_url(sqlite_database: str) -> str:
    return sqlite_database


@pytest.fixture
def published(audit: LogOnDatabase) -> LogOnDatabase:
    audit.publish(events(300))
    return audit


def get(audit: LogOnDatabase, path: str, **headers: str) -> Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(method="GET", route="/tile/<path>", path_params={"path": path}, headers=sent)
    return tile_api.tile(audit.published, request)


def test_tile_response_is_immutable(published: LogOnDatabase) -> None:
    answer = get(published, "0/000")
    assert (answer.status, len(answer.body)) == (200, 8192)
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    again = get(published, "0/000", if_none_match=f'"other", W/{answer.headers["ETag"]}')
    assert (again.status, again.body) == (304, b"")
    assert get(published, "0/000", if_none_match='"other"').status == 200
    assert get(published, "0/001.p/44").headers["ETag"] != answer.headers["ETag"]


def test_entry_bundle_is_compressed_on_request(published: LogOnDatabase) -> None:
    plain = get(published, "entries/000")
    packed = get(published, "entries/000", accept_encoding="br, gzip;q=0.5")
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(split_entries(plain.body, "entries")) == 256
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert "Content-Encoding" not in get(published, "entries/000", accept_encoding="gzip;q=0").headers


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-31", 0, 32),
        ("bytes=8160-", 8160, 8192),
        ("bytes=-32", 8160, 8192),
        ("bytes=32-99999", 32, 8192),
    ],
)
def test_tile_range_request_returns_the_part(
    published: LogOnDatabase, wanted: str, start: int, stop: int
) -> None:
    whole = get(published, "0/000")
    part = get(published, "0/000", range=wanted)
    assert (part.status, part.body) == (206, whole.body[start:stop])
    assert part.headers["Content-Range"] == f"bytes {start}-{stop - 1}/8192"
    assert part.headers["ETag"] == whole.headers["ETag"]


def test_unsatisfiable_range_is_refused_and_unsupported_one_ignored(published: LogOnDatabase) -> None:
    beyond = get(published, "0/000", range="bytes=8192-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, "bytes */8192")
    for wish in ("bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes=5-2", "x"):
        assert get(published, "0/000", range=wish).status == 200
    assert get(published, "0/000", range="bytes=0-1", if_range='"other"').status == 200


def test_every_width_of_a_partial_tile_exists(audit: LogOnDatabase) -> None:
    """Otherwise the widths that exist would reveal how many entries each publication had."""
    for count in (3, 1, 5, 260):
        audit.publish(events(count))
    hashes, leaves = get(audit, "0/001.p/13").body, split_entries(get(audit, "entries/001.p/13").body, "")
    for width in range(1, 14):
        assert get(audit, f"0/001.p/{width}").body == hashes[: 32 * width]
        assert split_entries(get(audit, f"entries/001.p/{width}").body, "") == leaves[:width]
    for width in (14, 255):
        with pytest.raises(Refused):
            get(audit, f"0/001.p/{width}")


def test_no_width_of_a_full_tile_exists_even_if_its_file_does(published: LogOnDatabase) -> None:
    published.publication.put([("tile/0/000.p/7", bytes(224))])
    for width in range(1, 256):
        with pytest.raises(Refused):
            get(published, f"0/000.p/{width}")


def test_earlier_width_keeps_its_content(audit: LogOnDatabase) -> None:
    audit.publish(events(3))
    earlier = [get(audit, path) for path in ("0/000.p/3", "entries/000.p/3")]
    audit.publish(events(7))
    again = [get(audit, path) for path in ("0/000.p/3", "entries/000.p/3")]
    assert [(one.body, one.headers["ETag"]) for one in again] == [
        (one.body, one.headers["ETag"]) for one in earlier
    ]


@pytest.mark.parametrize(
    "path", ["0/001", "0/001.p/45", "0/000.p/3", "1/001", "3/000", "entries/002", "../checkpoint", "0/0", ""]
)
def test_unpublished_tile_is_not_found(published: LogOnDatabase, path: str) -> None:
    with pytest.raises(Refused) as refused:
        get(published, path)
    assert refused.value.slug == "not-found"


def test_tile_of_unpublished_entries_is_not_found(published: LogOnDatabase) -> None:
    published.append(events(1))
    with pytest.raises(Refused):
        get(published, "entries/001.p/45")
