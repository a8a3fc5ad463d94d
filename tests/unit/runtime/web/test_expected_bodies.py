"""Bodies that an operation does not declare: of another media type, or where it takes none."""

from __future__ import annotations

import pytest

from contracts.errors import Refused
from runtime.web.operation import JSON, MERGE_PATCH, NDJSON, Body, Operation, nothing
from tests.support.resources import resources

NONE = Operation(summary="Takes no body", responses={204: nothing("Done.")})


def taking(media_type: str) -> Operation:
    return Operation(
        summary="Takes a body", responses={204: nothing("Done.")}, body=Body(schema={}, media_type=media_type)
    )


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/json; charset=utf-16", "application/x-www-form-urlencoded", "json", NDJSON],
)
def test_body_of_another_media_type_is_refused(content_type: str) -> None:
    with pytest.raises(Refused) as refusal:
        taking(JSON).require_expected(b"{}", content_type)
    assert (refusal.value.slug, refusal.value.status) == ("unsupported-media-type", 415)


@pytest.mark.parametrize(
    ("media_type", "content_type"),
    [
        (JSON, ""),
        (JSON, "application/json"),
        (JSON, "Application/JSON; charset=UTF-8"),
        (JSON, 'application/json;charset="utf-8"'),
        (JSON, "application/merge-patch+json"),
        (MERGE_PATCH, "application/merge-patch+json; charset=UTF-8"),
        (NDJSON, ""),
        (NDJSON, "application/x-ndjson"),
        (NDJSON, "application/ndjson; charset=utf-8"),
        ("application/x-www-form-urlencoded", "text/plain"),
    ],
)
def test_body_of_the_declared_media_type_or_without_one_is_taken(media_type: str, content_type: str) -> None:
    taking(media_type).require_expected(b"{}", content_type)


def test_batch_of_another_media_type_is_refused() -> None:
    with pytest.raises(Refused, match="must be application/x-ndjson"):
        taking(NDJSON).require_expected(b"{}", "text/csv")


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", '"utf-16"'])
@pytest.mark.parametrize("media_type", [JSON, NDJSON, MERGE_PATCH])
def test_body_in_another_charset_is_refused(media_type: str, charset: str) -> None:
    with pytest.raises(Refused, match="in UTF-8"):
        taking(media_type).require_expected(b"{}", f"{media_type}; charset={charset}")


@pytest.mark.parametrize("body", [b'{"consumer":"nightly"}', b"[]", b"null", b"x"])
def test_body_where_none_is_declared_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        NONE.require_expected(body, "application/json")
    assert (refusal.value.slug, refusal.value.status) == ("invalid-parameter", 400)


@pytest.mark.parametrize("body", [b"", b"{}", b" {}\n"])
def test_empty_body_or_object_is_accepted_where_none_is_declared(body: bytes) -> None:
    NONE.require_expected(body, "text/plain")


def test_router_knows_the_operation_of_every_resource() -> None:
    found = resources()
    assert [name for name, one in found.items() if one.route().operation is not one.operation] == []
    acknowledge = found["delivery POST /v1/mailbox/<message_id>/acknowledge"].route().operation
    assert acknowledge is not None
    assert acknowledge.body is None
