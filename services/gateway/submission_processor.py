"""Carries submissions from the broker to the hub, and the answers to the organisations' mailboxes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from itertools import groupby
from typing import Any, Final

import orjson

from contracts.errors import Defect, PointerError, RateLimited, Refused, Unavailable
from contracts.idempotency_key import require_well_formed
from contracts.jose import LONGEST_SEALED
from runtime.turn import Turn
from runtime.web.operation import Body
from runtime.web.request import parse_json
from services.gateway.domain.kept_problem import kept_problem
from services.gateway.gateway_metrics import GatewayMetrics
from services.gateway.ports import HubClient, NotAdmitted, Result, SubmissionAnswer

_log = logging.getLogger(__name__)

# The limit for a referral over HTTP.
LONGEST_BODY: Final = LONGEST_SEALED + 64 * 1024
MOST_VALUES: Final = 1000
# The most bytes in one request to intake, below its limit of 8 MiB.
MOST_BYTES: Final = 6 * 1024 * 1024
REFERRAL: Final = "referral"
_KEY: Final = "idempotency_key"
_JSON_BODY: Final = Body()


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A submission. organization: the owner of the queue, to whose exchange nobody else may publish.

    user_id, message_id, content_type, content_encoding, expiration: its properties; None: absent. All others,
    and its headers, have no effect and are not kept.
    dropped: the digest of a body above LONGEST_BODY, which is not kept: `body` is empty. None: it is kept.
    """

    organization: str
    body: bytes
    user_id: str | None
    message_id: str | None
    content_type: str | None = None
    content_encoding: str | None = None
    expiration: str | None = None
    dropped: str | None = None


class Verdict(StrEnum):
    """How a submission is settled at the broker.

    answered: its answer is in the mailbox. retried: the hub was unavailable. paced: the organisation has used
    up its rate; nothing was recorded, and the submission is processed again later. dead_letter: the hub does
    not admit the organisation, which therefore cannot be answered, or the hub fails on this very submission.
    """

    answered = "answered"
    retried = "retried"
    paced = "paced"
    dead_letter = "parked"  # the label of the metric


@dataclass(frozen=True, kw_only=True, slots=True)
class _Prepared:
    place: int
    message_id: str | None
    digest: str
    line: bytes = b""
    is_referral: bool = False
    problem: dict[str, Any] | None = None


class SubmissionProcessor:
    """Submits what organisations publish. One instance; one greenlet at a time for each organisation."""

    def __init__(self, hub: HubClient, metrics: GatewayMetrics) -> None:
        self._hub = hub
        self._metrics = metrics
        # Organisation -> seconds until the hub takes more of it, as of its last `process`.
        self.paces: dict[str, float] = {}

    def process(self, received: Sequence[Received]) -> list[Verdict]:
        """Return a verdict for each message, in order. One organisation's messages keep their order.

        An answered message may be acknowledged: its result and its answer are durable. Any other one may be
        processed again without taking effect twice.
        """
        verdicts = [Verdict.retried] * len(received)
        by_organization: dict[str, list[_Prepared]] = {}
        turn = Turn()
        for place, message in enumerate(received):
            by_organization.setdefault(message.organization, []).append(_prepared(place, message))
            turn.end_if_over()  # twenty long submissions take some 160 ms
        for organization, prepared in by_organization.items():
            self.paces.pop(organization, None)
            for place, verdict in self._process(organization, prepared).items():
                verdicts[place] = verdict
        for verdict in verdicts:
            self._metrics.submission(verdict)
        return verdicts

    def _process(self, organization: str, prepared: Sequence[_Prepared]) -> dict[int, Verdict]:
        verdicts = {one.place: Verdict.retried for one in prepared}
        try:
            for group in _groups(prepared):
                done = self._done(organization, group)
                verdicts |= done
                if len(done) < len(group):
                    break  # later ones wait: the order stays
        except RateLimited as error:
            self.paces[organization] = error.retry_after
        except Unavailable as error:
            _log.warning("submissions wait for the hub", extra={"reason": str(error)})
        except NotAdmitted:
            left = [place for place, verdict in verdicts.items() if verdict is Verdict.retried]
            _log.warning(
                "submissions became dead letters", extra={"organization": organization, "count": len(left)}
            )
            verdicts |= dict.fromkeys(left, Verdict.dead_letter)
        if organization in self.paces:
            left = [place for place, verdict in verdicts.items() if verdict is Verdict.retried]
            verdicts |= dict.fromkeys(left, Verdict.paced)
        return verdicts

    def _done(self, organization: str, group: Sequence[_Prepared]) -> dict[int, Verdict]:
        """Submit a group and store its answers; return what is done, by place, in order."""
        try:
            answers = self._answers(organization, group)
            if answers:
                self._hub.answer(organization, list(answers.values()))
            return dict.fromkeys(answers, Verdict.answered)
        except Defect as defect:
            if len(group) == 1:
                _log.error("submission became a dead letter", extra={"reason": str(defect)})
                return {group[0].place: Verdict.dead_letter}
        # One by one, so that only the submission on which the hub fails becomes a dead letter.
        done: dict[int, Verdict] = {}
        for one in group:
            single = self._done(organization, [one])
            if not single:
                break
            done |= single
        return done

    def _answers(self, organization: str, group: Sequence[_Prepared]) -> dict[int, SubmissionAnswer]:
        """Return the answers of a group by place, without those for which the hub was unavailable."""
        lines = [one.line for one in group if one.problem is None]
        results = iter(self._hub.submit(organization, lines, referrals=group[0].is_referral) if lines else ())
        answers: dict[int, SubmissionAnswer] = {}
        for one in group:
            result = Result(problem=one.problem) if one.problem is not None else next(results)
            if result.is_unavailable:
                if result.retry_after is not None:
                    self.paces[organization] = result.retry_after
                break
            answers[one.place] = SubmissionAnswer(
                message_id=one.message_id,
                body=one.digest,
                submission_id=result.submission_id,
                problem=None if result.problem is None else kept_problem(result.problem),
            )
        return answers


def _groups(prepared: Sequence[_Prepared]) -> Iterator[list[_Prepared]]:
    """Split into runs that one request can carry: of one kind, and at most MOST_BYTES."""
    for _, run in groupby(prepared, key=lambda one: (one.problem is None, one.is_referral)):
        group: list[_Prepared] = []
        size = 0
        for one in run:
            if group and size + len(one.line) > MOST_BYTES:
                yield group
                group, size = [], 0
            group.append(one)
            size += len(one.line)
        yield group


def _prepared(place: int, message: Received) -> _Prepared:
    """Return the submission as a line for intake, or with the problem that refuses it."""
    digest = digest_of(message.body) if message.dropped is None else message.dropped
    message_id = None
    try:
        message_id = _message_id(message)
        if message.user_id != message.organization:
            raise Refused("forbidden", "The property user_id must be the id of your organisation.")
        _require_readable(message)
        if message.dropped is not None or len(message.body) > LONGEST_BODY:
            raise Refused("body-too-large", f"A submission has at most {LONGEST_BODY} bytes.")
        document = parse_json(message.body, most_values=MOST_VALUES)
        if not isinstance(document, dict):
            raise Refused("invalid-submission", "A submission is a JSON object.")
        if _KEY in document:
            where = PointerError(pointer=f"/{_KEY}", detail="Over AMQP the property message_id is the key.")
            raise Refused("invalid-submission", f"Correct /{_KEY}.", errors=(where,))
    except Refused as refused:
        return _Prepared(place=place, message_id=message_id, digest=digest, problem=refused.problem())
    is_referral = document.get("submit") == REFERRAL
    if is_referral:
        del document["submit"]
    line = orjson.dumps({**document, _KEY: message_id})
    return _Prepared(place=place, message_id=message_id, digest=digest, line=line, is_referral=is_referral)


def digest_of(body: bytes) -> str:
    """Return the digest that names what was submitted in its answer."""
    return sha256(body).hexdigest()


def _require_readable(message: Received) -> None:
    """Raise Refused for a body that is not plain JSON, and for a submission that could expire unanswered."""
    try:
        _JSON_BODY.require_media_type(message.content_type or "")
    except Refused as refused:
        raise Refused(
            refused.slug, "The property content_type must be application/json, in UTF-8, or absent."
        ) from None
    if message.content_encoding not in (None, "", "identity", "utf-8"):
        raise Refused(
            "unsupported-content-encoding",
            "The property content_encoding must be absent, identity or utf-8: send the body uncompressed.",
        )
    if message.expiration is not None:
        raise Refused(
            "invalid-parameter",
            "The property expiration must be absent: a submission that expires at the broker gets no answer.",
        )


def _message_id(message: Received) -> str:
    if message.message_id is None:
        raise Refused("invalid-parameter", "A submission needs the property message_id, its idempotency key.")
    require_well_formed(message.message_id, where=" (the property message_id)")
    return message.message_id
