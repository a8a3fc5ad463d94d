"""The history resources: search, the timeline of a referral, its bundle, a single entry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from contracts import base64_text
from contracts.identifiers import ORGANIZATION_PATTERN, UUID_PATTERN
from contracts.responses.history import Entry, ReadersPage, TreeHead
from contracts.responses.history import HistoryPage as HistoryResponse
from contracts.vocabularies import codes
from runtime.access.reads import Reader
from runtime.web.paging import NUMBER, encode_cursor, limit_of, position_of
from runtime.web.parameters import invalid_parameter
from runtime.web.request import Request
from runtime.web.response import Response
from services.audit.log.ports import SEARCHED as FACETS
from services.audit.log.ports import Head, StoredLeaf, leaf_hash
from services.audit.parameters import entry_number
from services.audit.reports.bundle_file import bundle_file, head_document
from services.audit.reports.handlers.history import History
from services.audit.reports.search_parameters import position_parameter, require_type, time_range

_SCOPE: Final = "history"
_READERS: Final = "readers"
# Search parameters are recorded in the log, so their patterns admit codes and ids but no person's name.
_FORMS: Final = {
    "referral": re.compile(UUID_PATTERN),
    "organization": re.compile(ORGANIZATION_PATTERN),
    "type": re.compile(r"kopuro(\.[a-z0-9_]+){1,9}\.v[1-9][0-9]*"),
    "actor": re.compile(r"[a-z0-9/._-]+"),
    "need": re.compile(r"[a-z_]+(\.[a-z_]+)?"),
    "region": re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?"),
    "origin": re.compile(r"[A-Z]{2}"),
    "corridor": re.compile(r"[A-Z]{2}-[A-Z]{2}"),
    "outcome": re.compile(r"[a-z_]+"),
}
_EXPECTED: Final = {
    "referral": "a UUID",
    "organization": "an organisation id such as `kg.osh-aid`",
    "type": "a fact type such as `kopuro.offer.opened.v1`",
    "actor": "a service such as `/kg/routing`, or the id of a person or an organisation",
    "need": "a code of the needs vocabulary",
    "region": "an ISO 3166 code such as `KG` or `KG-O`",
    "origin": "an ISO 3166-1 country code such as `KG`",
    "corridor": "two ISO 3166-1 country codes such as `KG-RU`",
    "outcome": "a code of the outcomes vocabulary",
}
_LONGEST: Final = 200
_VOCABULARIES: Final = {"need": "needs", "region": "regions", "outcome": "outcomes"}


def described_forms() -> Iterator[tuple[str, re.Pattern[str], str]]:
    """Return each search parameter but the times, with its form and what it must be."""
    for name in sorted(_FORMS):
        yield name, _FORMS[name], _EXPECTED[name]


def search(history: History, request: Request) -> Response:
    """Return one page of the entries that match the query."""
    return _page(history, request, request.query_params)


def timeline(history: History, request: Request) -> Response:
    """Return one page of a referral's history."""
    referral = request.path_params["referral_id"]
    return _page(history, request, {**request.query_params, "referral": referral})


def bundle(history: History, request: Request, oversight: frozenset[str]) -> Response:
    """Return a referral's history with its proofs as a file.

    oversight: the roles that read everything; any other principal gets the entries that it may see as a party
    to the referral. Raises Refused `invalid-parameter`, `not-found`, `bundle-too-large`.
    """
    referral = request.path_params["referral_id"]
    exported = history.export(
        Reader.of(request.principal),
        referral,
        as_party=request.principal.roles.isdisjoint(oversight),
    )
    name = f'attachment; filename="{referral}.kopuro-bundle.json"'
    return Response.of(bundle_file(exported), headers={"Content-Disposition": name})


def readers(history: History, request: Request, oversight: frozenset[str]) -> Response:
    """Return one page of the recorded reads of a referral, oldest first.

    oversight: the roles that read everything; any other principal reads as a party to the referral. Raises
    Refused `invalid-parameter`, `not-found`, `bundle-too-large`.
    """
    referral = request.path_params["referral_id"]
    position = position_of(request.query_params, _READERS, (NUMBER,))
    items, following = history.readers(
        Reader.of(request.principal),
        referral,
        start=position[0] if position else 0,
        limit=limit_of(request.query_params),
        as_party=request.principal.roles.isdisjoint(oversight),
    )
    cursor = None if following is None else encode_cursor(_READERS, (following,))
    return Response.of(ReadersPage(referral_id=referral, items=tuple(items), next=cursor))


def entry(history: History, request: Request) -> Response:
    """Return one leaf byte for byte, its hash, and the head that it commits to."""
    index = entry_number(request.path_params, "index")
    stored = history.entry(Reader.of(request.principal), index)
    return Response.of(
        Entry(
            index=stored.index,
            leaf=stored.leaf.decode(),
            leaf_hash=base64_text.encoded(leaf_hash(stored.leaf)),
            head=head_document(stored.head),
        )
    )


def _page(history: History, request: Request, query: Mapping[str, str]) -> Response:
    for name, form in _FORMS.items():
        if name in query and (len(query[name]) > _LONGEST or not form.fullmatch(query[name])):
            raise invalid_parameter(name, f"must be {_EXPECTED[name]}.")
    for name, vocabulary in _VOCABULARIES.items():
        if name in query and query[name] not in codes(vocabulary):
            raise invalid_parameter(name, f"must be {_EXPECTED[name]}.")
    if "type" in query:
        require_type(query["type"])
    search = replace(
        time_range(query),
        referral_id=query.get("referral"),
        organization=query.get("organization"),
        type=query.get("type"),
        facets=tuple((name, query[name]) for name in FACETS if name in query),
    )
    page = history.page(
        Reader.of(request.principal), search, position_parameter(query, _SCOPE), limit_of(query)
    )
    following = page.following
    return Response.of(
        HistoryResponse(
            items=tuple(_item(stored) for stored in page.leaves),
            next=None if following is None else encode_cursor(_SCOPE, (following.start, following.size)),
            checkpoint=_tree_head(page.head),
        )
    )


def _item(stored: StoredLeaf) -> dict[str, Any]:
    # Read from leaf and head, which the tree proves, and never from the search columns.
    return {"index": stored.index, **stored.fields}


def _tree_head(head: Head) -> TreeHead:
    origin = head.checkpoint.decode().partition("\n")[0]
    return TreeHead(origin=origin, size=head.size, root=base64_text.encoded(head.frontier.root()))
