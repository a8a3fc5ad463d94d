"""NDJSON doors: a submission on each line, a result for each line, in the same order.

A bad line is refused by itself; the good ones are admitted together, in one transaction. An empty line is
counted and has no result.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from contracts.errors import KopuroError, PointerError, Refused, Unavailable
from contracts.identifiers import UUID_PATTERN
from contracts.records import load
from contracts.referral import ReferralSubmission
from runtime.web.answer import Answer
from runtime.web.request import parse_json
from services.intake.domain.admission import Admission, Claim, Speaker, claim_of
from services.intake.domain.statement import STATEMENTS
from services.intake.handlers import Handlers, Result, Spoken

BODY_LIMIT = 8 * 1024 * 1024
MAXIMUM_LINES = 1000
_TURN = 20  # lines, some 3 ms
_KEY = "idempotency_key"

T = TypeVar("T")


def submit_referrals(handlers: Handlers, speaker: Speaker, body: bytes) -> Answer:
    """A line is a referral as `POST /v1/referrals` takes it, and may carry an `idempotency_key`."""

    def prepare(line: bytes) -> Admission | str:
        document, claim = _document(speaker.organization, line)
        return handlers.prepare_referral(speaker, load(ReferralSubmission, document, now=speaker.now), claim)

    return _admit(handlers, _each(body, prepare))


def submit_statements(handlers: Handlers, speaker: Speaker, body: bytes) -> Answer:
    """A line is `{"submit": name, "offer_id" or "referral_id": subject, …the fields of its body}`."""
    spoken = _each(body, lambda line: _statement(speaker, line))
    understood = [one for one in spoken.values() if isinstance(one, Spoken)]
    prepared = iter(handlers.prepare_statements(speaker, understood))
    return _admit(
        handlers, {n: next(prepared) if isinstance(one, Spoken) else one for n, one in spoken.items()}
    )


def _each(body: bytes, parse: Callable[[bytes], T]) -> dict[int, T | KopuroError]:
    """What each line comes to, by its number from 1. Raises Refused for too many lines."""
    lines = body.split(b"\n", MAXIMUM_LINES)
    if len(lines) > MAXIMUM_LINES and lines.pop().strip():
        raise Refused("body-too-large", f"A batch has at most {MAXIMUM_LINES} lines.")
    parsed: dict[int, T | KopuroError] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                parsed[number] = parse(line)
            except (Refused, Unavailable) as error:
                parsed[number] = error
        if number % _TURN == 0:
            time.sleep(0)  # others are served between the lines of a long batch
    return parsed


def _admit(handlers: Handlers, prepared: Mapping[int, Admission | Result]) -> Answer:
    admitted = iter(handlers.admit_all([p for p in prepared.values() if isinstance(p, Admission)]))
    return Answer.ndjson(
        _result(number, next(admitted) if isinstance(p, Admission) else p) for number, p in prepared.items()
    )


def _result(number: int, result: Result) -> dict[str, Any]:
    if isinstance(result, Refused | Unavailable):
        problem = result.problem()
        return {"line": number, "status": problem["status"], "problem": problem}
    return {"line": number, "status": 202, "id": result}


def _document(organization: str, line: bytes) -> tuple[Any, Claim | None]:
    document = parse_json(line)
    key = document.pop(_KEY, None) if isinstance(document, dict) else None
    if key is not None and not isinstance(key, str):
        raise _incorrect(_KEY, "Not a text.")
    return document, claim_of(organization, key, line, pointer=f"/{_KEY}")


def _statement(speaker: Speaker, line: bytes) -> Spoken:
    document, claim = _document(speaker.organization, line)
    name = document.pop("submit", None) if isinstance(document, dict) else None
    kind = STATEMENTS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise _incorrect("submit", f"One of {', '.join(STATEMENTS)}.")
    where = "offer_id" if kind.about_offer else "referral_id"
    subject = document.pop(where, None)
    if not isinstance(subject, str) or re.fullmatch(UUID_PATTERN, subject) is None:
        raise _incorrect(where, "Not a UUID in lower case.")
    return Spoken(said=load(kind, document, now=speaker.now), subject=subject, claim=claim)


def _incorrect(name: str, detail: str) -> Refused:
    where = PointerError(pointer=f"/{name}", detail=detail)
    return Refused("invalid-submission", f"Please correct /{name}.", errors=(where,))
