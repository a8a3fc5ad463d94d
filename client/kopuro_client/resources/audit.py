"""The audit log: history, bundles, stories, exports, statistics and checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, cast

from kopuro_client.arguments import mapping, texts
from kopuro_client.errors import DefectError
from kopuro_client.paging import following
from kopuro_client.records import (
    CountedReferral,
    ExportPage,
    HistoryPage,
    Page,
    ReadersPage,
    StatisticsTable,
    StoryDocument,
)
from kopuro_client.resources.connected import Connected
from kopuro_client.responses import json_objects

# The most on a page of an export: the hub puts 8 Mi characters of content on it, which may be commas.
_MOST_SEPARATORS: Final = 12_000_000


class Audit(Connected):
    """Reads the audit log and what is made from it."""

    def history(
        self,
        *,
        referral: str | None = None,
        organization: str | None = None,
        event_type: str | None = None,
        since: str | None = None,
        until: str | None = None,
        after: str | None = None,
        limit: int | None = None,
        actor: str | None = None,
        need: str | None = None,
        region: str | None = None,
        origin: str | None = None,
        corridor: str | None = None,
        outcome: str | None = None,
    ) -> HistoryPage:
        """Return a page of the audit log's entries, with the tree head that they were read from.

        since, until: RFC 3339. actor: a service (`/kg/routing`), an organisation or a reader. need, region,
        origin, corridor (`KG-RU`): only referrals submitted with these; a group of needs and a country
        include all their members.
        """
        params = {
            "referral": referral,
            "organization": organization,
            "type": event_type,
            "from": since,
            "to": until,
            "actor": actor,
            "need": need,
            "region": region,
            "origin": origin,
            "corridor": corridor,
            "outcome": outcome,
            "after": after,
            "limit": limit,
        }
        return cast(HistoryPage, self._connection.page(self._at("audit", "history"), params))

    def bundle(self, referral: str) -> bytes:
        """Return a referral's history with its proofs, a file that `kopuro_client.tlog.Bundle` verifies."""
        return self._connection.content(self._at("audit", "history", referral, "bundle"))

    def readers(self, referral: str, *, after: str | None = None, limit: int | None = None) -> ReadersPage:
        """Return who read the facts of a referral: staff, and the acceptor that fetched the case.

        A party gets the reads of its own referral. Each call is itself recorded. Raises Refused `not-found`.
        """
        params = {"after": after, "limit": limit}
        url = self._at("audit", "history", referral, "readers")
        return cast(ReadersPage, self._connection.page(url, params))

    def story(self, referral: str, *, language: str = "en", format: str = "text") -> str:
        """Return a referral's history as text.

        language: en, ru, ky, tg, uz, uz-Cyrl or kk; format: text, markdown or html.
        """
        url = self._at("audit", "history", referral, "story")
        return self._connection.content(url, {"language": language, "format": format}).decode(
            errors="replace"
        )

    def story_document(self, referral: str, *, language: str = "en") -> StoryDocument:
        """Return a referral's history as a JSON document of sentences.

        language: en, ru, ky, tg, uz, uz-Cyrl or kk.
        """
        url = self._at("audit", "history", referral, "story")
        return cast(StoryDocument, self._connection.get(url, {"language": language, "format": "json"}))

    def export_page(
        self,
        *,
        since: str | None = None,
        until: str | None = None,
        event_type: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> ExportPage:
        """Return a page of the published log with the salts and data that open its entries.

        Pages are much larger than those of `history`.
        """
        params = {"from": since, "to": until, "type": event_type, "after": after, "limit": limit}
        content = self._connection.content(self._at("audit", "export"), params)
        *entries, last = list(json_objects(content, most=_MOST_SEPARATORS)) or [{}]
        if not {"next", "size"} <= last.keys() or not isinstance(last.get("checkpoint"), str):
            raise DefectError("the hub's export is truncated")
        return cast(ExportPage, {"entries": entries, **last})

    def statistics(
        self, by: Iterable[str], *, since: str | None = None, until: str | None = None, exact: bool = False
    ) -> StatisticsTable:
        """Count referrals by one or two dimensions.

        Small classes are combined and small figures withheld, both marked, so that the table is safe to
        publish. exact: show every figure; for auditors and coordinators.
        """
        params = self._statistics_params(by, since, until, exact=exact)
        return cast(StatisticsTable, self._connection.get(self._at("audit", "statistics"), params))

    def statistics_csv(
        self, by: Iterable[str], *, since: str | None = None, until: str | None = None, exact: bool = False
    ) -> str:
        """Return the statistics as CSV.

        An empty cell of a dimension means the sum over it; a withheld count is the word `withheld`.
        """
        params = self._statistics_params(by, since, until, exact=exact)
        return self._connection.csv(self._at("audit", "statistics"), params)

    @staticmethod
    def _statistics_params(
        by: Iterable[str], since: str | None, until: str | None, *, exact: bool
    ) -> dict[str, str | None]:
        named = ",".join(texts(by, "the dimensions"))
        return {"by": named, "from": since, "to": until, "exact": "true" if exact else None}

    def counted(
        self,
        values: Mapping[str, str],
        *,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
    ) -> Iterator[CountedReferral]:
        """Iterate over the referrals that a figure counts, with their log entries, as an auditor."""
        url = self._at("audit", "statistics", "entries")
        params = {**mapping(values, "the values"), "from": since, "to": until, "limit": limit}
        return following(
            lambda after: cast(
                "Page[CountedReferral]", self._connection.page(url, {**params, "after": after})
            )
        )

    def checkpoint(self) -> str:
        """Return the log's latest checkpoint, a signed note (C2SP tlog-checkpoint)."""
        return self._connection.text(self.discovery.address("audit", "checkpoint"))

    def log_key(self) -> str:
        """Return the verifier key that the hub publishes for its log.

        Compare it with the key that you got from another source.
        """
        return self._connection.text(self._at("audit", "log-key")).strip()
