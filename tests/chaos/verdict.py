"""Checks of the public API and the audit log after a chaos run."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.chaos.chaos_run import MARKERS, ChaosResult
from tests.chaos.kills import RECOVERY_SECONDS
from tests.chaos.partners import patient
from tests.journey.traces import traces
from tests.support.partners import Partner

_FACTS = (
    "referral.submitted",
    "offer.accepted",
    "case.released",
    "referral.completed",
    "referral.withdrawn",
    "referral.unplaced",
    "offer.expired",
)
# An offer may outlive its deadline by a moment, and by as long as a killed hub takes to recover.
_LATEST = dt.timedelta(seconds=RECOVERY_SECONDS)


@dataclass(kw_only=True)
class Verdict:
    """rows: the report. violations: broken promises; none when the hub kept them all."""

    rows: list[tuple[str, str]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def expect(self, rule: str, offenders: Sequence[Any]) -> None:
        """Record a violated rule and its subjects."""
        self.rows.append((rule, "kept" if not offenders else f"broken {len(offenders)} times"))
        self.violations += [f"{rule}: {offender}" for offender in offenders[:10]]


def judge(after: ChaosResult) -> Verdict:
    """Check all rules."""
    verdict, diary = Verdict(), after.diary
    statuses = _statuses(after)
    log = _log(after)
    times = {fact: Counter(entry["referral_id"] for entry in log[fact]) for fact in _FACTS}
    admitted = diary.submitted.keys()

    verdict.rows += [
        ("seed", str(after.plan.seed)),
        ("referrals", f"{len(admitted)} in {after.seconds:.0f} s ({len(admitted) / after.seconds:.0f}/s)"),
        ("ended", ", ".join(f"{n} {status}" for status, n in sorted(Counter(statuses.values()).items()))),
        ("offers read", f"{len(diary.offers)}, {len(log['offer.expired'])} expired"),
        ("answers refused", f"{len(diary.refused)}"),
    ]
    verdict.expect("none is lost", sorted(admitted - statuses.keys()))
    verdict.expect("none is invented", sorted(statuses.keys() - admitted))
    ends = {"completed", "withdrawn", "unplaced", "entered_in_error"}
    verdict.expect("each has ended", [f"{r} {s}" for r, s in statuses.items() if s not in ends])
    verdict.expect("each is in the log once", [r for r in admitted if times["referral.submitted"][r] != 1])
    for fact in ("offer.accepted", "case.released", "referral.completed"):
        wrong = [
            f"{r} {n} times" for r, n in times[fact].items() if n != 1 or statuses.get(r) != "completed"
        ] + [f"{r} never" for r, s in statuses.items() if s == "completed" and not times[fact][r]]
        verdict.expect(f"{fact} once, where completed", wrong)
    ids = Counter(entry["message_id"] for entries in log.values() for entry in entries)
    verdict.expect("no entry twice", [i for i, n in ids.items() if n > 1])
    verdict.expect("no message about one thing twice", [k for k, v in diary.messages.items() if len(v) > 1])
    verdict.expect("nothing acknowledged comes again", diary.again)
    _deadlines(verdict, after)
    verdict.expect("no trace of a case", traces(after.hub, MARKERS, further=[after.broker.files.root]))
    slow = [kill for kill in after.kills if max(kill.ready, kill.offered) > RECOVERY_SECONDS]
    verdict.expect(f"recovered within {RECOVERY_SECONDS:.0f} s of each kill", slow)
    if after.kills:
        longest = max(kill.offered for kill in after.kills)
        verdict.rows.append(("kills", f"{len(after.kills)}, slowest recovery {longest:.1f} s"))
    return verdict


def _deadlines(verdict: Verdict, after: ChaosResult) -> None:
    diary = after.diary
    early, late, overtaken = [], [], 0
    for offer, opened in diary.offers.items():
        end = diary.offer_ends.get(offer)
        if end is None:
            continue
        deadline, ended = (dt.datetime.fromisoformat(t) for t in (opened["data"]["deadline"], end["time"]))
        if end["type"] == "kopuro.offer.expired.v1":
            early += [offer] if ended < deadline else []
            overtaken += diary.answers[offer] != "silence"
        late += [offer] if ended > deadline + _LATEST else []
    verdict.expect("no offer expires early", early)
    verdict.expect(f"every offer ends within {RECOVERY_SECONDS:.0f} s of its deadline", late)
    verdict.rows.append(("answered offers that still expired", str(overtaken)))


def _statuses(after: ChaosResult) -> dict[str, str]:
    items = _pages(patient(after.hub, "coordinator"), "intake", "/v1/referrals", {})
    return {item["id"]: item["status"] for item in items}


def _log(after: ChaosResult) -> Mapping[str, list[Mapping[str, Any]]]:
    auditor = patient(after.hub, "auditor")
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for fact in _FACTS:
        found[fact] = _pages(auditor, "audit", "/v1/history", {"type": f"kopuro.{fact}.v1"})
    return found


def _pages(door: Partner, service: str, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
    items: list[Mapping[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        answer = door.ask("GET", service, f"{path}?{urlencode({**query, 'limit': '200', **after})}")
        page = answer.raise_for_status().json()
        items += page["items"]
        if page["next"] is None:
            return items
        after = {"after": page["next"]}
