"""Watched employers, and reports about employers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, cast

from kopuro_client.arguments import idempotency_key as check_idempotency_key
from kopuro_client.arguments import text, texts
from kopuro_client.errors import InvalidArgumentError, SealingError
from kopuro_client.paging import following
from kopuro_client.records import Page, WatchedEmployer, WatchOptIn, WatchRecipient, WatchReport
from kopuro_client.resources.connected import Connected
from kopuro_client.sealing import seal
from kopuro_client.submissions import new_idempotency_key


class Watch(Connected):
    """Reads the watched employers, and reports employers for the organisation."""

    def watched_page(
        self,
        *,
        country: str | None = None,
        region: str | None = None,
        name: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Page[WatchedEmployer]:
        """Return a page of the employers that at least two unrelated organisations report."""
        params = {"country": country, "region": region, "name": name, "after": after, "limit": limit}
        page = self._connection.page(self._at("directory", "watched"), params)
        return cast("Page[WatchedEmployer]", page)

    def watched(self, watched_id: str) -> WatchedEmployer:
        """Return one watched employer. Raises RefusedError `not-found`, even if it is not watched now."""
        return cast(WatchedEmployer, self._connection.get(self._at("directory", "watched", watched_id)))

    def reply_for_employer(self, watched_id: str, text: str) -> WatchedEmployer:
        """Record an employer's reply, as a coordinator, in place of an earlier one."""
        url = self._at("directory", "watched", watched_id, "reply")
        return cast(WatchedEmployer, self._connection.put(url, {"text": text}))

    def watch_recipients(self) -> Iterator[WatchRecipient]:
        """Yield the organisations that receive watch reports, with their sealing keys."""
        url = self._at("directory", "watch", "recipients")
        return following(
            lambda after: cast("Page[WatchRecipient]", self._connection.page(url, {"after": after}))
        )

    def report_employer(
        self,
        employer: Mapping[str, Any],
        *,
        practices: Sequence[str],
        first_month: str,
        last_month: str,
        evidence: str,
        to: Collection[str] = (),
        idempotency_key: str | None = None,
    ) -> WatchReport:
        """Report an employer: its name, kind, country, region and registration_number.

        evidence: a text, sealed here to each recipient. to: the recipients; by default all that opted in.
        Raises SealingError if one of them, or every organisation, has not opted in.
        """
        if idempotency_key is not None:
            check_idempotency_key(idempotency_key)
        if not text(evidence, "the evidence").strip():
            raise InvalidArgumentError("the evidence is empty")
        keys = {one["organization"]: one["sealing_key"] for one in self.watch_recipients()}
        chosen = texts(to, "the recipients")
        missing = sorted(set(chosen) - keys.keys())
        if missing:
            raise SealingError(f"{', '.join(missing)} does not receive watch reports")
        if not keys:
            raise SealingError("no organisation has opted in to watch reports")
        body = {
            "employer": dict(employer),
            "practices": list(practices),
            "first_month": first_month,
            "last_month": last_month,
            "evidence": [
                {"organization": name, "sealed": seal({"text": evidence}, key)}
                for name, key in keys.items()
                if not chosen or name in chosen
            ],
        }
        key = idempotency_key or new_idempotency_key()
        url = self._at("directory", "watch", "reports")
        return cast(WatchReport, self._connection.post(url, body, idempotency_key=key))

    def watch_reports(self, *, after: str | None = None, limit: int | None = None) -> Page[WatchReport]:
        """Return a page of the organisation's own reports, oldest first."""
        url = self._at("directory", "watch", "reports")
        return cast("Page[WatchReport]", self._connection.page(url, {"after": after, "limit": limit}))

    def retract_watch_report(self, report_id: str) -> WatchReport:
        """Take the organisation's own report back; a repetition changes nothing."""
        url = self._at("directory", "watch", "reports", report_id, "retract")
        return cast(WatchReport, self._connection.post(url, {}, repeatable=True))

    def watch_opt_in(self, *, receives: bool) -> WatchOptIn:
        """Opt the organisation in to watch reports, or out."""
        url = self._at("directory", "watch", "opt-in")
        return cast(WatchOptIn, self._connection.put(url, {"receives": receives}))
