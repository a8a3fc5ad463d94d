"""Services on offer, also as HSDS objects."""

from __future__ import annotations

from contracts import vocabularies
from contracts.responses.directory import OfferedService
from contracts.responses.form import extended
from runtime.web.paging import NAME, NUMBER
from runtime.web.parameters import invalid_parameter
from runtime.web.request import Request
from runtime.web.response import Response
from services.directory import hsds
from services.directory.api.responses import page
from services.directory.handlers import DirectoryHandlers


def services(handlers: DirectoryHandlers, request: Request) -> Response:
    """List offered services by `need` (or group) and `region` (or country)."""
    need, region = _code(request, "need", "needs"), _code(request, "region", "regions")
    return Response.of(
        page(
            request,
            "services",
            (NAME, NAME),
            lambda after, limit: handlers.listings.services(need, region, after, limit),
            lambda offered: (offered.organization, offered.service.id),
            lambda offered: extended(OfferedService, offered.service, organization=offered.organization),
        )
    )


def service_at_locations(handlers: DirectoryHandlers, request: Request) -> Response:
    """List offered services once for each area, as HSDS objects."""
    return Response.of(
        page(
            request,
            "service_areas",
            (NAME, NAME, NAME),
            handlers.listings.areas,
            lambda offered: (offered.organization, offered.service.id, offered.area),
            hsds.service_at_location,
        )
    )


def taxonomy_terms(request: Request) -> Response:
    """List the needs with their labels, as HSDS objects."""
    terms = list(enumerate(hsds.taxonomy_terms(), start=1))
    return Response.of(
        page(
            request,
            "taxonomy_terms",
            (NUMBER,),
            lambda after, limit: terms[after[0] : after[0] + limit],
            lambda numbered: (numbered[0],),
            lambda numbered: numbered[1],
        )
    )


def _code(request: Request, name: str, vocabulary: str) -> str | None:
    code = request.query_params.get(name)
    if code is not None and code not in vocabularies.codes(vocabulary):
        raise invalid_parameter(name, f"is not a code of the vocabulary `{vocabulary}`.")
    return code
