"""The lists of the directory that all partners read."""

from __future__ import annotations

from typing import Final

from runtime.access.caller_limits import Share
from runtime.entrypoints.resource import Resource
from services.directory.service import DirectoryService

# Short, or of the caller's own organisation only.
_SHORT: Final = {"/v1/taxonomy_terms", "/v1/credentials", "/v1/approvals"}


def test_pages_of_long_lists_count_as_reports() -> None:
    # 16 reads of one caller at a time, each with 200 records, kept others waiting for a fifth of a second.
    paged = {
        route.template: route.counted_in
        for name in dir(DirectoryService)
        for entrypoint in getattr(getattr(DirectoryService, name), "nameko_entrypoints", ())
        if isinstance(entrypoint, Resource)
        and (route := entrypoint.route()).method == "GET"
        and "limit" in route.query
    }
    assert {path for path, share in paged.items() if share is not Share.report} == _SHORT
