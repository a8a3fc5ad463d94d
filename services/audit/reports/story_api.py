"""The story resource: a referral's history as a document for people."""

from __future__ import annotations

import datetime as dt
from typing import Final

from runtime.access.reads import Reader
from runtime.turn import in_turns
from runtime.web.languages import in_language, wanted_language
from runtime.web.parameters import invalid_parameter
from runtime.web.request import Request
from runtime.web.response import Response
from services.audit.log.ports import OpenedLeaf
from services.audit.reports.domain.story import StoryEntry, build_story
from services.audit.reports.handlers.history import History
from services.audit.reports.story_text import RENDERERS
from services.audit.reports.story_words import LANGUAGES, words_of

# People save and open the HTML page: it must not run scripts or fetch anything.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def story(history: History, request: Request, oversight: frozenset[str]) -> Response:
    """Answer `?language=en|ru|ky|tg|uz|uz-Cyrl|kk&format=text|markdown|html|json`.

    Without `language`, the language is the one of LANGUAGES that `Accept-Language` prefers.
    oversight: the roles that read everything; any other principal reads as a party to the referral. Raises
    Refused `invalid-parameter`, `not-found`, `bundle-too-large`.
    """
    query = request.query_params
    language = wanted_language(request, LANGUAGES)
    form = query.get("format", "text")
    if form not in RENDERERS:
        raise invalid_parameter("format", f"must be one of {', '.join(RENDERERS)}.")
    referral_id = request.path_params["referral_id"]
    leaves = history.opened(
        Reader.of(request.principal),
        referral_id,
        {"story": language},
        as_party=request.principal.roles.isdisjoint(oversight),
    )
    media_type, render = RENDERERS[form]
    document = build_story(
        referral_id, [_story_entry(leaf) for leaf in in_turns(leaves)], words_of(language), each=in_turns
    )
    headers = {
        "Content-Type": media_type,
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
    }
    return in_language(Response(200, render(document).encode(), headers), language)


def _story_entry(leaf: OpenedLeaf) -> StoryEntry:
    fields = leaf.fields
    data = leaf.data if isinstance(leaf.data, dict) else None
    return StoryEntry(
        index=leaf.index, time=dt.datetime.fromisoformat(fields["time"]), type=fields["type"], data=data
    )
