"""NDJSON batches: one submission a line, one result a line, in the same order.

An invalid line is refused on its own; the valid lines are admitted together, up to 200 in one transaction.
When the database fails between two of these, the lines that follow are answered 503. An empty line counts
towards the line numbers but has no result. A line without an `idempotency_key` of its own is identified by
the batch's `Idempotency-Key` and the line number.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from contracts.errors import PointerError, Refused, Unavailable
from contracts.identifiers import UUID_PATTERN
from contracts.jose import LONGEST_SEALED
from contracts.records import load
from contracts.referral import ReferralSubmission
from contracts.responses.referrals import LineResult
from runtime.turn import Turn
from runtime.web.request import parse_json
from runtime.web.response import Response
from services.intake.commits import Result
from services.intake.domain.admission import (
    MAXIMUM_LINES,
    Caller,
    Claim,
    Prepared,
    Refusal,
    claim_of,
    claim_of_line,
    require_batch_key,
)
from services.intake.domain.command import COMMANDS
from services.intake.handlers import Command, IntakeHandlers, refusal

BODY_LIMIT = 8 * 1024 * 1024
LONGEST_LINE = LONGEST_SEALED + 64 * 1024  # bytes: as much as a referral of its own (`api.SEALED_LIMIT`)
MOST_VALUES = 1000  # of one line; a referral with every list at its longest has some 400
_KEY = "idempotency_key"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BatchBody:
    """The body of a batch. key: the request's Idempotency-Key, or None."""

    body: bytes
    key: str | None

    @classmethod
    def of(cls, body: bytes, key: str | None) -> BatchBody:
        """Raises Refused for a malformed key."""
        return cls(body, require_batch_key(key))


@dataclass(frozen=True, slots=True)
class _Line:
    caller: Caller
    number: int
    text: bytes
    batch_key: str | None
    is_referral: bool

    def read(self, parse: Callable[[Any, Claim | None], T]) -> T | Refusal:
        """Return `parse` of the line's document and claim, or the line's refusal."""
        # The batch's key applies until the line's own key has been read.
        claim = self._claim(None)
        try:
            if len(self.text) > LONGEST_LINE:
                raise Refused("body-too-large", f"A line has at most {LONGEST_LINE} bytes.")
            document = parse_json(self.text, most_values=MOST_VALUES, lines_before=self.number - 1)
            key = document.pop(_KEY, None) if isinstance(document, dict) else None
            if key is not None and not isinstance(key, str):
                raise _incorrect(_KEY, "Must be a string.")
            claim = self._claim(key)
            return parse(document, claim)
        except Refused as error:
            return refusal(self.caller, error, claim, is_referral=self.is_referral)

    def _claim(self, key: str | None) -> Claim | None:
        if key is None and self.batch_key is not None:
            return claim_of_line(self.caller.organization, self.batch_key, self.number, self.text)
        return claim_of(self.caller.organization, key, self.text, pointer=f"/{_KEY}")


def submit_referrals(handlers: IntakeHandlers, caller: Caller, batch: BatchBody) -> Response:
    """Submit one referral a line: the body of `POST /v1/referrals`, optionally with an `idempotency_key`."""

    def prepare(document: Any, claim: Claim | None) -> Prepared:
        return handlers.prepare_referral(caller, load(ReferralSubmission, document, now=caller.now), claim)

    return _respond(handlers, _each(caller, batch, prepare, are_referrals=True))


def submit_commands(handlers: IntakeHandlers, caller: Caller, batch: BatchBody) -> Response:
    """Submit one command a line: `{"submit": name, "offer_id" or "referral_id": subject, …body fields}`."""

    def parse(document: Any, claim: Claim | None) -> Command:
        return _command(document, claim, caller.now)

    parsed = _each(caller, batch, parse, are_referrals=False)
    commands = [line for line in parsed.values() if isinstance(line, Command)]
    prepared = iter(handlers.prepare_commands(caller, commands))
    return _respond(
        handlers, {n: next(prepared) if isinstance(line, Command) else line for n, line in parsed.items()}
    )


def _each(
    caller: Caller, batch: BatchBody, parse: Callable[[Any, Claim | None], T], *, are_referrals: bool
) -> dict[int, T | Refusal]:
    """Return each line's result of `parse` by line number, from 1. Raises Refused for too many lines."""
    lines = batch.body.split(b"\n", MAXIMUM_LINES)
    if len(lines) > MAXIMUM_LINES and lines.pop().strip():
        raise Refused("body-too-large", f"A batch has at most {MAXIMUM_LINES} lines.")
    parsed: dict[int, T | Refusal] = {}
    turn = Turn()
    for number, text in enumerate(lines, start=1):
        if text.strip():
            parsed[number] = _Line(caller, number, text, batch.key, are_referrals).read(parse)
        turn.end_if_over()
    return parsed


def _respond(handlers: IntakeHandlers, prepared: Mapping[int, Prepared]) -> Response:
    results = handlers.commits.answer_all(list(prepared.values()))
    return Response.lines(_result(number, result) for number, result in zip(prepared, results, strict=True))


def _result(number: int, result: Result) -> LineResult:
    if isinstance(result, Refused | Unavailable):
        problem = result.problem()
        return LineResult(line=number, status=problem["status"], problem=problem)
    assert isinstance(result, str)  # every other error was raised
    return LineResult(line=number, status=202, id=result)


def _command(document: Any, claim: Claim | None, now: dt.datetime) -> Command:
    name = document.pop("submit", None) if isinstance(document, dict) else None
    kind = COMMANDS.get(name) if isinstance(name, str) else None
    if kind is None:
        known = ", ".join(COMMANDS)
        raise _incorrect(
            "submit",
            f"Must be one of {known}; over AMQP also referral (over HTTP, POST /v1/referrals:batch).",
        )
    where = "offer_id" if kind.about_offer else "referral_id"
    subject = document.pop(where, None)
    if not isinstance(subject, str) or re.fullmatch(UUID_PATTERN, subject) is None:
        raise _incorrect(where, "Must be a lower-case UUID.")
    return Command(body=load(kind, document, now=now), subject=subject, claim=claim)


def _incorrect(name: str, detail: str) -> Refused:
    where = PointerError(pointer=f"/{name}", detail=detail)
    return Refused("invalid-submission", f"Correct /{name}.", errors=(where,))
