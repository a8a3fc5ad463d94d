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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol

from runtime.clock import Clock
from runtime.storage.database import Database
from services.audit.domain.cosignature import cosigned_at
from services.audit.domain.merkle import prove_consistency
from services.audit.domain.note import NoteError, Signature, open_note
from services.audit.domain.witness_policy import STALE_AFTER, Witness, WitnessPolicy
from services.audit.handlers.published_log import Published, PublishedLog
from services.audit.ports import PublicationRecord, Witnesses, WitnessUnreachable, WitnessWord

_log = logging.getLogger(__name__)

# A log at rest is cosigned anew this often: the word that nothing has changed must not grow old.
RENEWED_AFTER: Final = dt.timedelta(minutes=10)
_LONGEST_PAUSE: Final = dt.timedelta(minutes=1)
_FIRST_PAUSE: Final = dt.timedelta(seconds=1)


class WitnessRefused(Exception):
    """The witness answered, and not with a cosignature of ours. The text says what it said."""


class WitnessFigures(Protocol):
    """What operators are shown of each witness."""

    def show(self, witness: str, *, size: int, age: dt.timedelta | None, stale: bool) -> None:
        """size: of the last tree that it cosigned; age: of that word, None when there was none."""
        ...


@dataclass(kw_only=True, slots=True)
class _Standing:
    """What this process knows of one witness. asked_first: since when it should have answered."""

    witness: Witness
    asked_first: dt.datetime
    word: WitnessWord | None = None
    not_before: dt.datetime | None = None
    pause: dt.timedelta = field(default=_FIRST_PAUSE)

    def age(self, now: dt.datetime) -> dt.timedelta:
        return now - (self.asked_first if self.word is None else self.word.time)

    def is_due(self, size: int, now: dt.datetime) -> bool:
        if self.not_before is not None and now < self.not_before:
            return False
        return self.word is None or self.word.size < size or now - self.word.time >= RENEWED_AFTER


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
    ) -> None:
        """publishes: whether this process is the one that publishes."""
        self._policy = policy
        self._witnesses = witnesses
        self._database = database
        self._record = record
        self._published = published
        self._publishes = publishes
        self._figures = figures
        self._clock = clock
        self._standings: list[_Standing] = []

    def turn(self) -> None:
        """Asks every witness whose word is due. Raises Unavailable for troubles of our own only."""
        target = self._published.current
        # An empty log has nothing to be consistent with, and a witness may refuse its checkpoint.
        if target is None or target.size == 0 or not self._publishes():
            return
        now = self._clock.now()
        if not self._standings:
            self._standings = self._remembered(now)
        due = [standing for standing in self._standings if standing.is_due(target.size, now)]
        if due:
            with ThreadPoolExecutor(max_workers=len(due)) as pool:
                words = list(pool.map(lambda standing: self._word(standing, target), due))
            fresh = [word for word in words if word is not None]
            with self._database.write() as transaction:
                self._record.keep(transaction, fresh)
            self._publish(target)
        self._show()

    def stale(self) -> list[str]:
        """The names of the witnesses that have been silent for too long."""
        now = self._clock.now()
        return [s.witness.name for s in self._standings if s.age(now) > STALE_AFTER]

    def alarm(self) -> str | None:
        """For operators: None while every witness is heard of."""
        stale = self.stale()
        return f"no cosignature for more than an hour from {', '.join(stale)}" if stale else None

    def _remembered(self, now: dt.datetime) -> list[_Standing]:
        with self._database.read() as transaction:
            words = {word.witness: word for word in self._record.words(transaction)}
        return [
            _Standing(witness=witness, asked_first=now, word=words.get(witness.name))
            for witness in self._policy.witnesses
        ]

    def _word(self, standing: _Standing, target: Published) -> WitnessWord | None:
        witness = standing.witness
        try:
            word = self._ask(witness, 0 if standing.word is None else standing.word.size, target)
        except (WitnessUnreachable, WitnessRefused) as error:
            standing.not_before = self._clock.now() + standing.pause
            standing.pause = min(standing.pause * 2, _LONGEST_PAUSE)
            _log.warning("no cosignature from %s", witness.name, extra={"reason": str(error)})
            return None
        standing.word, standing.not_before, standing.pause = word, None, _FIRST_PAUSE
        return word

    def _ask(self, witness: Witness, old_size: int, target: Published) -> WitnessWord:
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
        return WitnessWord(witness=witness.name, size=target.size, signature=signature, time=time)

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
        now = self._clock.now()
        for standing in self._standings:
            word = standing.word
            self._figures.show(
                standing.witness.name,
                size=0 if word is None else word.size,
                age=None if word is None else now - word.time,
                stale=standing.age(now) > STALE_AFTER,
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
