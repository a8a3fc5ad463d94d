"""Traces: what happened to a submission, a message or a referral."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar, cast

from kopuro_client.arguments import text
from kopuro_client.errors import (
    ClientError,
    DefectError,
    InvalidArgumentError,
    RefusedError,
    TransportError,
    UnavailableError,
)
from kopuro_client.records import (
    AdmittedSubmission,
    MessageState,
    Offer,
    Organization,
    Referral,
    StoryDocument,
)
from kopuro_client.resources.connected import Connected
from kopuro_client.tracing.evidence import Logged, TraceRecords, moment_of, short_fact
from kopuro_client.tracing.trace import Trace

T = TypeVar("T")

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEY: Final = re.compile(r"[ -~]{1,255}")


class Traces(Connected):
    """Composes traces from what intake, routing, delivery and audit say."""

    def trace(self, id_or_key: str, *, organization: str | None = None, language: str = "en") -> Trace:
        """Return what happened to a submission, a message, an offer or a referral, and whose turn it is.

        id_or_key: the id of one of these, or the Idempotency-Key of a submission or a batch. organization:
        for staff, the organisation that used the key. A party sees only what it may know otherwise; each
        answer of a service is recorded as usual when staff read it. language: of the sentences, en, ru, ...

        A service that does not answer about a referral is named in the trace. Raises InvalidArgumentError for
        a text that is neither an id nor a key, AuthenticationError, and RefusedError, UnavailableError,
        TransportError or DefectError if nothing was found and a service refused or did not answer.
        """
        asked = text(id_or_key, "the id or key")
        if not _KEY.fullmatch(asked):
            raise InvalidArgumentError("an id is a UUID, and a key has 1 to 255 printable ASCII characters")
        asking = _Asking()
        found = _Found()
        if _UUID.fullmatch(asked.lower()):
            found = self._of_id(asking, asked.lower())
        if found.referral is None and not found.messages:
            found = self._of_key(asking, asked, organization) or found
        if found.referral is None and found.messages:
            # A message of the mailbox that is about no referral.
            messages = list(found.messages)
            known = asking.evidence(viewer=_viewer([], messages), messages=found.messages)
            return Trace.of(asked, None, found.ids, known)
        if found.referral is None and asking.error is not None:
            raise asking.error
        if found.referral is None:
            return Trace.of(asked, None, frozenset(), asking.evidence())
        evidence = self.with_standing(self._evidence(asking, found, language))
        return Trace.of(asked, found.referral, found.ids, evidence)

    def with_standing(self, evidence: TraceRecords) -> TraceRecords:
        """Return the evidence with the standing of an acceptor that was suspended.

        Without an answer of the directory the standing stays unknown.
        """
        if not isinstance(evidence, TraceRecords):
            raise InvalidArgumentError(f"the evidence must be TraceRecords, not {type(evidence).__name__}")
        acceptor = evidence.acceptor_suspended
        if acceptor is None:
            return evidence
        try:
            record = cast(Organization, self._read("directory", "organizations", acceptor))
        except (RefusedError, UnavailableError, TransportError, DefectError):
            return evidence
        is_excluded = record["vetting"] != "vetted" or not record["active"]
        return replace(evidence, is_acceptor_excluded=is_excluded)

    def _of_id(self, asking: _Asking, id_: str) -> _Found:
        """Return the referral that an id leads to."""
        submissions = self._submissions(asking, id=id_)
        if submissions:
            ids = {one["id"] for one in submissions if one["id"] == id_ != one["referral_id"]}
            return _Found(submissions[0]["referral_id"], frozenset(ids))
        messages = self._messages(asking, id_)
        if messages:
            ids = {one["message_id"] for one in messages if one["message_id"] == id_}
            return _Found(messages[0]["referral_id"], frozenset(ids), messages=tuple(messages))
        referral = self._referral(asking, id_)
        if referral is not None:
            return _Found(referral["id"], frozenset(), referral)
        offer = asking.of("intake", lambda: cast(Offer, self._read("intake", "offers", id_)))
        return _Found() if offer is None else _Found(offer["referral_id"], frozenset())

    def _of_key(self, asking: _Asking, key: str, organization: str | None) -> _Found | None:
        """Return the referral of the first submission under a key, and the ids of all of it."""
        submissions = self._submissions(asking, key=key, organization=organization)
        if not submissions:
            return None
        referral = submissions[0]["referral_id"]
        ids = {one["id"] for one in submissions if one["referral_id"] == referral}
        return _Found(referral, frozenset(ids))

    def _evidence(self, asking: _Asking, found: _Found, language: str) -> TraceRecords:
        referral_id = cast(str, found.referral)
        submissions = self._submissions(asking, id=referral_id)
        messages = self._messages(asking, referral_id)
        referral = found.view or self._referral(asking, referral_id)
        params: dict[str, str | None] = {"format": "json", "language": language}
        story = asking.of(
            "audit",
            lambda: cast(
                StoryDocument,
                self._read("audit", "history", referral_id, "story", params=params),
            ),
        )
        note = asking.of(
            "audit", lambda: self._connection.text(self.discovery.address("audit", "checkpoint"))
        )
        sentences = [] if story is None else story["events"]["sentences"]
        return asking.evidence(
            viewer=_viewer(submissions, messages),
            submissions=tuple(submissions),
            referral=referral,
            messages=tuple(messages),
            entries=tuple(
                Logged(
                    index=one["index"],
                    time=moment_of(one["time"]),
                    fact=short_fact(one["type"]),
                    sentence=one["text"],
                )
                for one in sentences
                if "type" in one
            ),
            log_size=None if note is None else _size(note),
        )

    def _submissions(self, asking: _Asking, **params: str | None) -> list[AdmittedSubmission]:
        # It refuses nobody who may ask, so a refusal, unlike an empty page, says nothing about the id.
        page = asking.of(
            "intake", lambda: self._read("intake", "submissions", params=params), may_be_absent=False
        )
        return [] if page is None else cast("list[AdmittedSubmission]", page["items"])

    def _messages(self, asking: _Asking, id_: str) -> list[MessageState]:
        page = asking.of("delivery", lambda: self._read("delivery", "deliveries", id_))
        return [] if page is None else cast("list[MessageState]", page["items"])

    def _referral(self, asking: _Asking, referral_id: str) -> Referral | None:
        if "intake" in asking.silent:
            return None
        # Intake queries routing over the broker. It has responded itself, so routing is unavailable.
        return asking.of("routing", lambda: cast(Referral, self._read("intake", "referrals", referral_id)))

    def _read(self, service: str, *path: str, params: dict[str, str | None] | None = None) -> dict[str, Any]:
        # Once: a trace of a hub in trouble must not wait for each of its services in turn.
        return self._connection.get(self._at(service, *path), params, repeatable=False)


@dataclass(frozen=True, slots=True)
class _Found:
    """referral: its id, None if there is none. ids: of what was asked for.

    view, messages: what was read already.
    """

    referral: str | None = None
    ids: frozenset[str] = frozenset()
    view: Referral | None = None
    messages: tuple[MessageState, ...] = ()


@dataclass(slots=True)
class _Asking:
    """Asks one service after the other, and remembers which ones did not answer."""

    silent: set[str] = field(default_factory=set)
    error: ClientError | None = None  # the first one

    def of(self, service: str, ask: Callable[[], T], *, may_be_absent: bool = True) -> T | None:
        """Return the service's answer, None if it refuses or does not answer.

        may_be_absent: 404 means that there is nothing that the caller may see, and is not an error.
        """
        if service in self.silent:
            return None
        try:
            return ask()
        except RefusedError as error:
            # Some resources are closed to a role: staff have no offers of their own.
            if not may_be_absent:
                self.error = self.error or error
            return None
        except (UnavailableError, TransportError, DefectError) as error:
            self.silent.add(service)
            self.error = self.error or error
            return None

    def evidence(self, *, viewer: str | None = None, **known: Any) -> TraceRecords:
        """Return what is known now, with the services that did not answer."""
        return TraceRecords(
            viewer=viewer, now=dt.datetime.now(dt.UTC), silent=frozenset(self.silent), **known
        )


def _viewer(submissions: list[AdmittedSubmission], messages: list[MessageState]) -> str | None:
    """Return the organisation that asks, as the hub names it; None for staff, which own neither."""
    own = [one["organization"] for one in (*submissions, *messages) if one["own"]]
    return own[0] if own else None


def _size(checkpoint: str) -> int | None:
    """Return the size of the tree that a checkpoint signs: the second line (C2SP tlog-checkpoint)."""
    lines = checkpoint.splitlines()
    return int(lines[1]) if len(lines) > 1 and lines[1].isdecimal() else None
