"""GET of a referral's story: checked parameters in, a document out."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

import orjson

from contracts.errors import Refused
from contracts.identifiers import UUID_PATTERN
from runtime.web.request import Request
from runtime.web.response import Response
from services.audit.log.ports import OpenedLeaf
from services.audit.reports.domain.story import Told, tell
from services.audit.reports.handlers.history import History
from services.audit.reports.story_text import RENDERERS
from services.audit.reports.story_words import LANGUAGES, words_of

PARAMETERS: Final = frozenset({"language", "format"})
_REFERRAL: Final = re.compile(UUID_PATTERN)
# A page that somebody saves and opens: nothing in it may run or fetch.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def story(history: History, request: Request, oversight: frozenset[str]) -> Response:
    """`?language=en|ru|ky|tg|uz|uz-Cyrl|kk&format=text|markdown|html|json`.

    oversight: the roles that read everything; any other principal reads as a party to the referral. Raises
    Refused `invalid-parameter`, `not-found`, `bundle-too-large`.
    """
    query = request.query_params
    language, form = query.get("language", "en"), query.get("format", "text")
    if language not in LANGUAGES:
        raise Refused("invalid-parameter", f"`language` is one of {', '.join(LANGUAGES)}.")
    if form not in RENDERERS:
        raise Refused("invalid-parameter", f"`format` is one of {', '.join(RENDERERS)}.")
    referral_id = request.path_params["referral_id"]
    if not _REFERRAL.fullmatch(referral_id):
        raise Refused("invalid-parameter", "`referral` does not have the form of one.")
    leaves = history.opened(
        request.principal.id,
        referral_id,
        {"story": language},
        as_party=request.principal.roles.isdisjoint(oversight),
    )
    media_type, rendered = RENDERERS[form]
    told = tell(referral_id, [_told(leaf) for leaf in leaves], words_of(language))
    headers = {
        "Content-Type": media_type,
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
    }
    return Response(200, rendered(told).encode(), headers)


def _told(leaf: OpenedLeaf) -> Told:
    said = orjson.loads(leaf.leaf)
    data = leaf.data if isinstance(leaf.data, dict) else None
    return Told(index=leaf.index, time=dt.datetime.fromisoformat(said["time"]), type=said["type"], data=data)
