"""Intake's HTTP resources: parse, call, render."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

from contracts.codes import ReferralStatus
from contracts.errors import PointerError, Refused, Unavailable
from contracts.identifiers import UUID_PATTERN
from contracts.queries import AskReferrals
from contracts.records import load
from contracts.referral import ReferralSubmission
from runtime.clock import Clock
from runtime.identifiers import new_id
from runtime.telemetry import trace
from runtime.web import paging
from runtime.web.answer import Answer
from runtime.web.request import Request, parse_json
from services.intake.domain.admission import Admission, Speaker, claim_of
from services.intake.domain.submission import Completion, Decline, Note, Nothing, Progress, Withdrawal
from services.intake.handlers import Handlers, Result

PARTNERS = frozenset({"partner"})
OVERSIGHT = frozenset({"coordinator", "auditor", "operator"})

# The longest sealed text the contract allows, and room for the facts beside it.
SEALED_LIMIT = 1_048_576 + 64 * 1024
BATCH_LIMIT = 8 * 1024 * 1024
MAXIMUM_LINES = 1000
_TURN = 20  # lines, some 3 ms
_REFERRALS = "referrals"
_KEY = "/idempotency_key"  # of a line of a batch

T = TypeVar("T")


class Door:
    """What every resource needs: the use cases, the clock, and the name this service speaks under."""

    def __init__(self, handlers: Handlers, source: str, clock: Clock) -> None:
        self.handlers = handlers
        self._source = source
        self._clock = clock

    def speaker(self, request: Request) -> Speaker:
        """The caller, speaking now."""
        return Speaker(
            organization=request.principal.id,
            source=self._source,
            now=self._clock.now(),
            traceparent=str(here) if (here := trace.current()) else None,
            new_id=new_id,
        )


def submit(door: Door, request: Request) -> Answer:
    """`POST /v1/referrals`."""
    submission = load(ReferralSubmission, request.json())
    claim = claim_of(request.principal.id, request.headers.get("idempotency-key"), request.body)
    return _referral_answer(door.handlers.submit_referral(door.speaker(request), submission, claim))


def submit_batch(door: Door, request: Request) -> Answer:
    """`POST /v1/referrals:batch`: NDJSON in, a result for each line out, in the same order.

    An empty line is counted and has no result.
    """
    lines = request.body.split(b"\n", MAXIMUM_LINES)
    if len(lines) > MAXIMUM_LINES and lines.pop().strip():
        raise Refused("body-too-large", f"A batch has at most {MAXIMUM_LINES} lines.")
    speaker = door.speaker(request)
    prepared: dict[int, Admission | Result] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            prepared[number] = _prepare_line(door.handlers, speaker, line)
        if number % _TURN == 0:
            time.sleep(0)  # others are served between the lines of a long batch
    admitted = iter(door.handlers.admit_all([p for p in prepared.values() if isinstance(p, Admission)]))
    return Answer.ndjson(
        _line_result(number, next(admitted) if isinstance(p, Admission) else p)
        for number, p in prepared.items()
    )


def accept(door: Door, request: Request) -> Answer:
    """`POST /v1/offers/{id}/accept`."""
    _body(Nothing, request)
    return _submitted(door.handlers.accept(door.speaker(request), _id(request)))


def decline(door: Door, request: Request) -> Answer:
    """`POST /v1/offers/{id}/decline`."""
    why = _body(Decline, request)
    return _submitted(door.handlers.decline(door.speaker(request), _id(request), why))


def withdraw(door: Door, request: Request) -> Answer:
    """`POST /v1/referrals/{id}/withdraw`."""
    return _said(door, request, Withdrawal, door.handlers.withdraw)


def progress(door: Door, request: Request) -> Answer:
    """`POST /v1/referrals/{id}/progress`."""
    return _said(door, request, Progress, door.handlers.report_progress)


def complete(door: Door, request: Request) -> Answer:
    """`POST /v1/referrals/{id}/complete`."""
    return _said(door, request, Completion, door.handlers.complete)


def note(door: Door, request: Request) -> Answer:
    """`POST /v1/referrals/{id}/notes`."""
    return _said(door, request, Note, door.handlers.pass_note)


def revoke_consent(door: Door, request: Request) -> Answer:
    """`POST /v1/referrals/{id}/consent/revoke`."""
    _body(Nothing, request)
    return _submitted(door.handlers.revoke_consent(door.speaker(request), _id(request)))


def show(door: Door, request: Request) -> Answer:
    """`GET /v1/referrals/{id}`."""
    oversight = bool(request.principal.roles & OVERSIGHT)
    return Answer.json(door.handlers.referral(_id(request), request.principal.id, oversight=oversight))


def listing(door: Door, request: Request) -> Answer:
    """`GET /v1/referrals`."""
    limit = paging.limit_of(request.query_params)
    status = request.query_params.get("status")
    if status is not None and status not in set(ReferralStatus):
        raise Refused("invalid-parameter", f"`status` is one of {', '.join(ReferralStatus)}.")
    after = None
    if cursor := request.query_params.get("after"):
        (after,) = paging.decode_cursor(_REFERRALS, cursor, (str,))
    items = door.handlers.referral_list(
        AskReferrals(
            viewer=request.principal.id,
            oversight=bool(request.principal.roles & OVERSIGHT),
            limit=limit + 1,
            status=status,
            after=after,
        )
    )
    following = paging.encode_cursor(_REFERRALS, (items[limit - 1]["id"],)) if len(items) > limit else None
    return Answer.json({"items": items[:limit], "next": following})


def _prepare_line(handlers: Handlers, speaker: Speaker, line: bytes) -> Admission | Result:
    try:
        document = parse_json(line)
        key = document.pop("idempotency_key", None) if isinstance(document, dict) else None
        if key is not None and not isinstance(key, str):
            where = PointerError(pointer=_KEY, detail="Not a text.")
            raise Refused("invalid-submission", f"Please correct {_KEY}.", errors=(where,))
        submission = load(ReferralSubmission, document)
        claim = claim_of(speaker.organization, key, line, pointer=_KEY)
        return handlers.prepare_referral(speaker, submission, claim)
    except (Refused, Unavailable) as error:
        return error


def _line_result(number: int, result: Result) -> dict[str, Any]:
    if isinstance(result, Refused | Unavailable):
        problem = result.problem()
        return {"line": number, "status": problem["status"], "problem": problem}
    return {"line": number, "status": 202, "id": result}


def _said(door: Door, request: Request, kind: type[T], use_case: Callable[[Speaker, str, T], str]) -> Answer:
    said = _body(kind, request)
    return _submitted(use_case(door.speaker(request), _id(request), said))


def _body(kind: type[T], request: Request) -> T:
    return load(kind, request.json() if request.body.strip() else {})


def _id(request: Request) -> str:
    found = request.path_params["id"]
    if re.fullmatch(UUID_PATTERN, found) is None:
        raise Refused("not-found", "There is no such thing: its id would be a UUID in lower case.")
    return found


def _referral_answer(referral_id: str) -> Answer:
    return Answer.json(
        {"id": referral_id, "status": "requested"},
        status=202,
        headers={"Location": f"/v1/referrals/{referral_id}"},
    )


def _submitted(submission_id: str) -> Answer:
    return Answer.json({"id": submission_id, "status": "submitted"}, status=202)
