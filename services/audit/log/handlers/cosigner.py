"""Collects the witnesses' cosignatures, in rounds: all are asked about the same checkpoint.

Were each asked about whatever is newest, k of n might never have signed the same one. What a witness has
signed is written down before it is published; when the process dies in between, the witness is asked again,
and its answer is the same word with a later time.

Source: https://c2sp.org/tlog-witness.
"""

from __future__ import annotations

import base64
import datetime as dt
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from runtime.clock import Clock
from runtime.storage.database import Database
from services.audit.log.domain.cosignature import cosigned_at
from services.audit.log.domain.merkle import prove_consistency
from services.audit.log.domain.note import NoteError, Signature, open_note
from services.audit.log.domain.published import Published
from services.audit.log.domain.witness_policy import STALE_AFTER, Witness, WitnessPolicy
from services.audit.log.handlers.published_log import PublishedLog
from services.audit.log.ports import Cosignature, PublicationRecord, Witnesses, WitnessUnreachable

_log = logging.getLogger(__name__)

# A log at rest is cosigned anew this often: the word that nothing has changed must not grow old.
RENEWED_AFTER: Final = dt.timedelta(minutes=10)
# How long a round waits for its witnesses; who is later is heard in the next round. A process that stops
# waits for the round under way.
ROUND_SECONDS: Final = 3.5
# By so much a witness's clock may differ from ours: an answer takes some seconds, its time is in whole ones.
CLOCKS_AGREE_WITHIN: Final = dt.timedelta(seconds=10)
_LONGEST_PAUSE: Final = 60.0
_FIRST_PAUSE: Final = 1.0


class WitnessRefused(Exception):
    """The witness answered, and not with a cosignature of ours. The text says what it said."""


class WitnessFigures(Protocol):
    """What operators are shown of each witness."""

    def show(self, witness: str, *, size: int, age: dt.timedelta | None, stale: bool) -> None:
        """size: of the last tree that it cosigned; age: of that word, None when there was none."""
        ...


class _Question:
    """A witness being asked, in a thread of its own. answer: None until it is there."""

    def __init__(self, ask: Callable[[], Cosignature]) -> None:
        self.answer: Cosignature | Exception | None = None
        self.answered = threading.Event()
        self._ask = ask
        threading.Thread(target=self._run, name="witness", daemon=True).start()

    def _run(self) -> None:
        try:
            self.answer = self._ask()
        except Exception as error:  # noqa: BLE001 - for the round to judge
            self.answer = error
        finally:
            self.answered.set()


@dataclass(kw_only=True, slots=True)
class _Standing:
    """What this process knows of one witness. Its times are of a clock that nobody sets.

    since: when it was last heard, or else when it should first have answered. ahead: its clock against
    ours. trouble: why it gave no cosignature when it was last asked.
    """

    witness: Witness
    since: float
    word: Cosignature | None = None
    not_before: float = 0.0
    pause: float = _FIRST_PAUSE
    question: _Question | None = None
    ahead: dt.timedelta = dt.timedelta()
    trouble: str | None = None

    def age(self, now: float) -> dt.timedelta:
        return dt.timedelta(seconds=now - self.since)

    def is_due(self, size: int, now: float) -> bool:
        if self.question is not None or now < self.not_before:
            return False
        return self.word is None or self.word.size < size or self.age(now) >= RENEWED_AFTER

    def is_stale(self, now: float) -> bool:
        return self.age(now) > STALE_AFTER

    def hear(self, word: Cosignature, now: float, wall: dt.datetime) -> None:
        ahead = word.time - wall
        self.ahead = ahead if abs(ahead) > CLOCKS_AGREE_WITHIN else dt.timedelta()
        self.word, self.since, self.trouble = word, now, None
        self.not_before, self.pause = 0.0, _FIRST_PAUSE

    def miss(self, reason: str, now: float) -> None:
        self.trouble = reason
        self.not_before = now + self.pause
        self.pause = min(self.pause * 2, _LONGEST_PAUSE)


class Cosigner:
    """`turn` is one round. Not called twice at a time."""

    def __init__(
        self,
        *,
        policy: WitnessPolicy,
        witnesses: Witnesses,
        database: Database,
        record: PublicationRecord,
        published: PublishedLog,
        publishes: Callable[[], bool],
        figures: WitnessFigures,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """publishes: whether this process is the one that publishes. monotonic: seconds, for waiting."""
        self._policy = policy
        self._witnesses = witnesses
        self._database = database
        self._record = record
        self._published = published
        self._publishes = publishes
        self._figures = figures
        self._clock = clock
        self._monotonic = monotonic
        self._standings: list[_Standing] = []

    def turn(self) -> None:
        """Asks every witness whose word is due. Raises Unavailable for troubles of our own only."""
        target = self._published.current
        # An empty log has nothing to be consistent with, and a witness may refuse its checkpoint.
        if target is None or target.size == 0 or not self._publishes():
            return
        now = self._monotonic()
        if not self._standings:
            self._standings = self._remembered(now)
        due = [standing for standing in self._standings if standing.is_due(target.size, now)]
        for standing in due:
            standing.question = _Question(partial(self._ask, standing.witness, standing.word, target))
        self._await([standing.question for standing in due if standing.question is not None])
        fresh, trouble = self._collect()
        if fresh:
            with self._database.write() as transaction:
                self._record.keep_cosignatures(transaction, fresh)
            self._publish(target)
        self._show()
        if trouble is not None:
            raise trouble

    def stale(self) -> list[str]:
        """The names of the witnesses that have been silent for too long."""
        now = self._monotonic()
        return [s.witness.name for s in self._standings if s.is_stale(now)]

    def alarm(self) -> str | None:
        """For operators: None while every witness answers, by a clock that agrees with ours."""
        now = self._monotonic()
        alarms = []
        if stale := self.stale():
            alarms.append(f"no cosignature for more than an hour from {', '.join(stale)}")
        for standing in self._standings:
            name = standing.witness.name
            if standing.trouble is not None and not standing.is_stale(now):
                alarms.append(f"no cosignature from {name} when it was last asked: {standing.trouble}")
            if standing.ahead:
                seconds = standing.ahead.total_seconds()
                where = "ahead of" if seconds > 0 else "behind"
                alarms.append(f"the clock of {name} is {abs(seconds):.0f} s {where} ours")
        return "; ".join(alarms) or None

    def _remembered(self, now: float) -> list[_Standing]:
        with self._database.read() as transaction:
            words = {word.witness: word for word in self._record.cosignatures(transaction)}
        standings = []
        wall = self._clock.now()
        for witness in self._policy.witnesses:
            word = words.get(witness.name)
            age = 0.0 if word is None else max(0.0, (wall - word.time).total_seconds())
            standings.append(_Standing(witness=witness, since=now - age, word=word))
        return standings

    def _await(self, questions: list[_Question]) -> None:
        deadline = time.monotonic() + ROUND_SECONDS
        for question in questions:
            question.answered.wait(max(0.0, deadline - time.monotonic()))

    def _collect(self) -> tuple[list[Cosignature], Exception | None]:
        """The words that have come, in this round or late in an earlier one, and a trouble of our own."""
        fresh: list[Cosignature] = []
        trouble: Exception | None = None
        now, wall = self._monotonic(), self._clock.now()
        for standing in self._standings:
            if standing.question is None:
                continue
            if not standing.question.answered.is_set():
                if standing.trouble is None:
                    standing.trouble = "it has not answered yet"
                continue
            answer, standing.question = standing.question.answer, None
            if isinstance(answer, Cosignature):
                standing.hear(answer, now, wall)
                fresh.append(answer)
            elif isinstance(answer, WitnessUnreachable | WitnessRefused):
                standing.miss(str(answer), now)
                name = standing.witness.name
                _log.warning("no cosignature from %s", name, extra={"reason": str(answer)})
            else:
                trouble = answer
        return fresh, trouble

    def _ask(self, witness: Witness, last: Cosignature | None, target: Published) -> Cosignature:
        old_size = 0 if last is None else last.size
        status, answer = self._submit(witness, old_size, target)
        if status == 409:
            known = _size(answer)
            if known == old_size:
                raise WitnessRefused(f"it has seen another tree of {known} entries: a fork, or a lost log")
            if known > target.size:
                raise WitnessRefused(f"it has seen {known} entries, and {target.size} are published")
            status, answer = self._submit(witness, known, target)
        if status != 200:
            raise WitnessRefused(f"it answered {status}")
        signature = _cosignature(witness, target, answer)
        try:
            time = cosigned_at(signature)
        except ValueError as error:
            raise WitnessRefused(str(error)) from None
        return Cosignature(witness=witness.name, size=target.size, signature=signature, time=time)

    def _submit(self, witness: Witness, old_size: int, target: Published) -> tuple[int, bytes]:
        if old_size > target.size:
            # Our own note of it is ahead of what is published: let the witness say where it stands.
            old_size = 0
        proof = prove_consistency(old_size, target.size, self._published.node)
        hashes = (base64.b64encode(digest).decode("ascii") for digest in proof)
        lines = "".join(f"{line}\n" for line in (f"old {old_size}", *hashes, ""))
        return self._witnesses.add_checkpoint(witness.url, lines.encode() + target.note)

    def _publish(self, target: Published) -> None:
        words = [
            standing.word
            for standing in self._standings
            if standing.word is not None and standing.word.size == target.size
        ]
        if words:
            counts = self._policy.counts(word.witness for word in words)
            self._published.cosign(
                target.size, [word.signature for word in words], target.note, counts=counts
            )

    def _show(self) -> None:
        now = self._monotonic()
        for standing in self._standings:
            word = standing.word
            self._figures.show(
                standing.witness.name,
                size=0 if word is None else word.size,
                age=None if word is None else standing.age(now),
                stale=standing.is_stale(now),
            )


def _size(answer: bytes) -> int:
    text = answer.decode("ascii", "replace").removesuffix("\n")
    if not text.isdigit() or len(text) > 19:
        raise WitnessRefused("its 409 names no size")
    return int(text)


def _cosignature(witness: Witness, target: Published, answer: bytes) -> Signature:
    text = target.checkpoint.format().encode()
    try:
        # Lines of keys that the policy does not know are skipped.
        return open_note(text + b"\n" + answer, [witness.verifier]).verified[0]
    except NoteError as error:
        raise WitnessRefused(f"its answer is no cosignature of its own: {error}") from None
