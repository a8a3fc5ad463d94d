"""Statements: an organisation's month with its proofs, in one file that can be verified offline.

    {"format": "kopuro-proved-statement/1", "origin", "log_key",
     "statement": the figures, format `kopuro-statement/1`,
     "issued": the id of the message that commits to the statement, or null,
     "decisions": [{"decision_id", "message_id", "referral_id", "outcome",
                    "salt": base64, "index", "size", "path": [base64, ...]} or
                   {"decision_id", "message_id" or null, "unproven": "erased" or "earlier_build"}, ...],
     "proofs": [{"checkpoint": the signed note, "entries": [as in a bundle, ...]}, ...]}

A decision's leaf is under the root that the entry of its message commits to, and the entry is in the log. The
bytes are documented in docs/auditing.md, "The statement of an organisation".
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from kopuro_client.tlog import base64_text
from kopuro_client.tlog.entries import SALT_BYTES, canonical_json, read_json
from kopuro_client.tlog.errors import ContentError, MalformedError, ProofError
from kopuro_client.tlog.keys import VerifierKey
from kopuro_client.tlog.policy import AcceptedCheckpoint, TrustPolicy
from kopuro_client.tlog.proved_entry import ProvedEntry, member, only, verify_entry
from kopuro_client.tlog.tree import leaf_hash, verify_inclusion

FORMAT: Final = "kopuro-proved-statement/1"
CONTENT_FORMAT: Final = "kopuro-statement/1"
ASKED: Final = "asked"
# Why a decision may have no leaf.
REASONS: Final = ("erased", "earlier_build")

_WHAT: Final = "the statement"
_ORGANIZATION: Final = re.compile(r"[a-z]{2}\.[a-z0-9]+(-[a-z0-9]+)*")
_DOMAIN: Final = b"kopuro-candidate/1\n"
_DECISIONS: Final = "kopuro.decisions.recorded.v1"
_ISSUED: Final = "kopuro.statement.issued.v1"
# A hub issues within hours of the month's end; the verifier's clock may be wrong by less than the rest.
_ISSUED_WITHIN: Final = dt.timedelta(days=1)
_WEEK: Final = dt.timedelta(weeks=1)
_CONTENT: Final = (
    "format",
    "organization",
    "month",
    "from",
    "to",
    "weeks",
    "complete",
    "considered",
    "passed_over",
    "passed_over_by_reason",
    "asked",
    "answered",
    "accepted",
    "declined",
    "silent",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedStatement:
    """The result of a verification. accepted: the checkpoint with the largest tree.

    proved: the decisions that asked the organisation and are in the log; referrals: what they were about, in
    their order; erased, earlier: those without a leaf, by reason; unlisted: the offers without a decision in
    the file; issued: whether the log commits to the figures. If not, the month is not over and nothing shows
    that the figures are right.
    """

    accepted: AcceptedCheckpoint
    proved: int
    referrals: tuple[str, ...]
    erased: int
    earlier: int
    unlisted: int
    issued: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ProvedStatement:
    """A parsed statement. Its parts have the right form; proofs and signatures are not verified yet."""

    origin: str
    log_key: VerifierKey
    statement: Mapping[str, Any]
    issued: str | None
    decisions: tuple[Mapping[str, Any], ...]
    proofs: tuple[Mapping[str, Any], ...]

    @classmethod
    def parse(cls, content: bytes) -> ProvedStatement:
        """Parse a statement file. Raises MalformedError."""
        document = read_json(content, what=_WHAT)
        if document.get("format") != FORMAT:
            raise MalformedError(f"the file is not a statement in the format {FORMAT}")
        only(
            document, "format", "origin", "log_key", "statement", "issued", "decisions", "proofs", what=_WHAT
        )
        statement = member(document, "statement", dict, what=_WHAT)
        only(statement, *_CONTENT, what=_WHAT)
        if statement["format"] != CONTENT_FORMAT:
            raise MalformedError(f"the figures are not in the format {CONTENT_FORMAT}")
        # It is printed in the result, where a line break would begin a result of its own.
        if _ORGANIZATION.fullmatch(member(statement, "organization", str, what=_WHAT)) is None:
            raise MalformedError("the statement's /statement/organization is not the id of an organisation")
        issued = document["issued"]
        if issued is not None and not isinstance(issued, str):
            raise MalformedError("the statement's field issued is not a message's id")
        return cls(
            origin=member(document, "origin", str, what=_WHAT),
            log_key=VerifierKey.parse(member(document, "log_key", str, what=_WHAT)),
            statement=statement,
            issued=issued,
            decisions=_objects(document, "decisions"),
            proofs=_objects(document, "proofs"),
        )

    def verify(self, policy: TrustPolicy, *, now: dt.datetime | None = None) -> VerifiedStatement:
        """Verify every signature, proof and sum.

        now: by default the present time. The figures of a month that is over must have been issued.
        Raises UntrustedError, ProofError, ContentError, MalformedError. It does not show that the file has
        every decision that asked the organisation (which knows its offers), nor how often it was considered:
        an auditor compares that (docs/auditing.md).
        """
        accepted, entries = self._entries(policy)
        self._check_sums()
        since, until = _month(self.statement)
        complete = _complete(self.statement, since, until)
        is_over = (dt.datetime.now(dt.UTC) if now is None else now) >= until + _ISSUED_WITHIN
        if self.issued is None and (complete or is_over):
            raise ContentError(
                f"the month {self.statement['month']} is over and the file does not show that the hub has "
                "issued its figures; get the statement again"
            )
        seen: set[str] = set()
        referrals: list[str] = []
        unproven: list[str] = []
        for number, item in enumerate(self.decisions, start=1):
            decision = member(item, "decision_id", str, what=_WHAT)
            if decision in seen:
                raise ContentError(f"decision {decision} is counted twice (item {number})")
            seen.add(decision)
            if "unproven" in item:
                unproven.append(_reason(item, decision, entries))
            else:
                referrals.append(self._verify_decision(item, decision, entries, since, until))
        asked = member(self.statement, "asked", int, what=_WHAT)
        if len(seen) > asked:
            raise ContentError(f"the statement counts {asked} offers and lists {len(seen)} decisions")
        if self.issued is not None:
            self._verify_issued(self.issued, entries)
        return VerifiedStatement(
            accepted=accepted,
            proved=len(referrals),
            referrals=tuple(referrals),
            erased=unproven.count("erased"),
            earlier=unproven.count("earlier_build"),
            unlisted=asked - len(seen),
            issued=self.issued is not None,
        )

    def _entries(self, policy: TrustPolicy) -> tuple[AcceptedCheckpoint, Mapping[str, ProvedEntry]]:
        """Return the newest checkpoint, and the verified entries by their message."""
        if not self.proofs:
            raise MalformedError("the statement has no checkpoint")
        found: dict[str, ProvedEntry] = {}
        checkpoints: list[AcceptedCheckpoint] = []
        for part in self.proofs:
            only(part, "checkpoint", "entries", what=_WHAT)
            accepted = policy.accept(member(part, "checkpoint", str, what=_WHAT))
            if accepted.checkpoint.origin != self.origin:
                raise ContentError("the statement and its checkpoint name different logs")
            checkpoints.append(accepted)
            for entry in _objects(part, "entries"):
                proved = verify_entry(entry, accepted.checkpoint, what=_WHAT)
                fields = proved.fields
                message = fields.get("message_id")
                if fields.get("actor") != f"/{fields.get('hub')}/routing" or not isinstance(message, str):
                    raise ContentError(f"entry {proved.index} was not written by routing")
                if not proved.opened or not isinstance(proved.data, dict):
                    raise ContentError(f"entry {proved.index} has no content")
                if message in found:
                    raise ContentError(f"entry {proved.index} is in the statement twice")
                found[message] = proved
        sizes: dict[int, bytes] = {}
        for one in checkpoints:
            if sizes.setdefault(one.checkpoint.size, one.checkpoint.root) != one.checkpoint.root:
                raise ContentError(f"the log has signed two trees of size {one.checkpoint.size}")
        return max(checkpoints, key=lambda one: one.checkpoint.size), found

    def _verify_decision(
        self,
        item: Mapping[str, Any],
        decision: str,
        entries: Mapping[str, ProvedEntry],
        since: dt.datetime,
        until: dt.datetime,
    ) -> str:
        """Return the referral that the decision was about. Raises ContentError, MalformedError."""
        only(
            item,
            "decision_id",
            "message_id",
            "referral_id",
            "outcome",
            "salt",
            "index",
            "size",
            "path",
            what=_WHAT,
        )
        entry = entries.get(member(item, "message_id", str, what=_WHAT))
        if entry is None or entry.fields.get("type") != _DECISIONS:
            raise ContentError(f"decision {decision} has no entry of the log that commits to it")
        if not since <= _moment(entry.fields.get("time")) < until:
            raise ContentError(f"decision {decision} was not made in the statement's month")
        if item["outcome"] != ASKED:
            raise ContentError(f"decision {decision} did not ask the organisation")
        root = _root(entry, decision)
        salt = base64_text.decode(
            member(item, "salt", str, what=_WHAT), what=f"the salt of decision {decision}"
        )
        if len(salt) != SALT_BYTES:
            raise ContentError(f"the salt of decision {decision} does not have {SALT_BYTES} bytes")
        referral = member(item, "referral_id", str, what=_WHAT)
        leaf = canonical_json(
            {
                "organization": self.statement["organization"],
                "outcome": item["outcome"],
                "referral_id": referral,
            }
        )
        index, size = (member(item, name, int, what=_WHAT) for name in ("index", "size"))
        path = [
            base64_text.decode(one if isinstance(one, str) else "", what=f"the path of decision {decision}")
            for one in member(item, "path", list, what=_WHAT)
        ]
        try:
            verify_inclusion(leaf_hash(_DOMAIN + salt + leaf), index, size, path, root)
        except ProofError as error:
            raise ContentError(
                f"decision {decision}: the log (entry {entry.index}) does not say that it asked the "
                f"organisation about referral {referral}"
            ) from error
        return referral

    def _verify_issued(self, message: str, entries: Mapping[str, ProvedEntry]) -> None:
        entry = entries.get(message)
        if entry is None or entry.fields.get("type") != _ISSUED:
            raise ContentError("the log has no entry about the statement")
        digest = "sha256:" + sha256(canonical_json(dict(self.statement))).hexdigest()
        committed = {name: self.statement[name] for name in ("organization", "month")} | {"digest": digest}
        if entry.data != committed:
            raise ContentError(f"the figures are not those that were issued (entry {entry.index})")

    def _check_sums(self) -> None:
        """Raises ContentError if a figure is not the sum of its parts."""
        figures = self.statement
        exact = {name: _count(figures, name) for name in ("asked", "answered", "accepted", "silent")}
        declined = member(figures, "declined", dict, what=_WHAT)
        parts = [_count(declined, name) for name in declined]
        if exact["answered"] != exact["accepted"] + sum(parts):
            raise ContentError("the answers are not the sum of what was accepted and declined")
        considered, over = _sum(figures, "considered"), _sum(figures, "passed_over")
        if considered != (None if over[0] is None else over[0] + exact["asked"], over[1] + exact["asked"]):
            raise ContentError("considered is not the sum of asked and passed over")
        reasons = member(figures, "passed_over_by_reason", dict, what=_WHAT)
        if sum(_sum(reasons, name)[1] for name in reasons) != over[1]:
            raise ContentError("passed over is not the sum of its reasons")


def _root(entry: ProvedEntry, decision: str) -> bytes:
    """Return the root that the entry commits to for the decision's candidates."""
    root = _committed(entry, decision)
    if root is None:
        raise ContentError(
            f"entry {entry.index} has no commitment to the organisations that decision {decision} asked"
        )
    return root


def _committed(entry: ProvedEntry, decision: str) -> bytes | None:
    listed = entry.data.get("decisions")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and one.get("decision_id") == decision:
            text = one.get("candidates")
            if isinstance(text, str) and text.startswith("sha256:"):
                try:
                    return bytes.fromhex(text.removeprefix("sha256:"))
                except ValueError:
                    break
    return None


def _reason(item: Mapping[str, Any], decision: str, entries: Mapping[str, ProvedEntry]) -> str:
    only(item, "decision_id", "message_id", "unproven", what=_WHAT)
    reason, message = item["unproven"], item["message_id"]
    if reason not in REASONS:
        raise ContentError(f"decision {decision} has no proof and no known reason for that")
    entry = entries.get(message) if isinstance(message, str) else None
    if reason == "earlier_build" and entry is not None and _committed(entry, decision) is not None:
        raise ContentError(
            f"decision {decision} is marked as of an earlier build, but the log (entry {entry.index}) "
            "commits to the organisations that it asked"
        )
    return str(reason)


def _objects(document: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], ...]:
    return tuple(one if isinstance(one, dict) else {} for one in member(document, name, list, what=_WHAT))


def _count(figures: Mapping[str, Any], name: str) -> int:
    count = member(figures, name, int, what=_WHAT)
    if count < 0:
        raise MalformedError(f"the statement's figure {name} is negative")
    return count


def _sum(figures: Mapping[str, Any], name: str) -> tuple[int | None, int]:
    """Return the count, None if it is withheld, and the least that it is."""
    figure = member(figures, name, dict, what=_WHAT)
    only(figure, "count", "withheld", "at_least", what=_WHAT)
    least = _count(figure, "at_least")
    expected: Sequence[Any] = (None, True) if figure["withheld"] is True else (least, False)
    if (figure["count"], figure["withheld"]) != tuple(expected):
        raise ContentError(f"the figure {name} contradicts itself")
    return figure["count"], least


def _month(statement: Mapping[str, Any]) -> tuple[dt.datetime, dt.datetime]:
    """Return when the month begins and ends: it is the ISO weeks whose Thursday lies in it."""
    text = member(statement, "month", str, what=_WHAT)
    try:
        first = dt.datetime.strptime(text, "%Y-%m").replace(tzinfo=dt.UTC)
        ends = [_monday(first), _monday((first + dt.timedelta(days=32)).replace(day=1))]
    except (ValueError, OverflowError):
        raise MalformedError("the statement's month is not a month such as 2026-10") from None
    for name, expected in zip(("from", "to"), ends, strict=True):
        if _moment(member(statement, name, str, what=_WHAT)) != expected:
            raise ContentError(f"the statement's {name} is not that of its month")
    return ends[0], ends[1]


def _complete(statement: Mapping[str, Any], since: dt.datetime, until: dt.datetime) -> bool:
    """Return whether the statement has every week of its month.

    Raises ContentError if its weeks are not of the month, or contradict `complete`.
    """
    mondays = [since + number * _WEEK for number in range((until - since) // _WEEK)]
    every = [f"{year:04}-W{week:02}" for year, week, _ in (one.isocalendar() for one in mondays)]
    weeks = member(statement, "weeks", list, what=_WHAT)
    if not weeks or weeks != [week for week in every if week in weeks]:
        raise ContentError("the statement's weeks are not those of its month")
    complete = member(statement, "complete", bool, what=_WHAT)
    if complete != (weeks == every):
        raise ContentError("the statement's field complete contradicts its list of weeks")
    return complete


def _monday(first: dt.datetime) -> dt.datetime:
    """Return the Monday of the week with the month's first Thursday. first: the month's first day."""
    return first + dt.timedelta(days=(3 - first.weekday()) % 7 - 3)


def _moment(text: Any) -> dt.datetime:
    try:
        moment = dt.datetime.fromisoformat(text)
    except (ValueError, TypeError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise MalformedError("a time of the statement is not an RFC 3339 time")
    return moment
