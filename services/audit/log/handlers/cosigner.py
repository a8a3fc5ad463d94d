"""Collection of witness cosignatures, in rounds: each round requests the same checkpoint from all witnesses.

If each witness were asked for the newest checkpoint, k of n might never sign the same one. Cosignatures are
stored before they are published. When the process dies in between, it asks again and gets a cosignature of
the same checkpoint with a later time.

Source: https://c2sp.org/tlog-witness.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from contracts import base64_text
from runtime.clock import Clock
from runtime.storage.database import Database
from services.audit.log.domain.cosignature import cosigned_at
from services.audit.log.domain.merkle import prove_consistency
from services.audit.log.domain.note import NoteError, Signature, open_note
from services.audit.log.domain.published import PublishedCheckpoint
from services.audit.log.domain.witness_policy import STALE_AFTER, Witness, WitnessPolicy
from services.audit.log.handlers.published_log import PublishedLog
from services.audit.log.ports import Cosignature, PublicationRecord, Witnesses, WitnessUnreachable

_log = logging.getLogger(__name__)

# An idle log is cosigned again this often, so that its cosignatures stay recent.
RENEWED_AFTER: Final = dt.timedelta(minutes=10)
# How long a round waits for its witnesses; later responses count in the next round. A stopping process
# waits for the current round.
ROUND_SECONDS: Final = 3.5
# Tolerated difference of a witness's clock: a response takes some seconds, and its time is in whole seconds.
CLOCKS_AGREE_WITHIN: Final = dt.timedelta(seconds=10)
_LONGEST_PAUSE: Final = 60.0
_FIRST_PAUSE: Final = 1.0


class WitnessRefused(Exception):
    """The witness responded without a valid cosignature. The text says how."""


class WitnessDisputes(WitnessRefused):
    """The witness cosigned a tree that the published log does not continue."""


class WitnessFigures(Protocol):
    """Metrics of the witnesses."""

    def show(self, witness: str, *, size: int, age: dt.timedelta | None, stale: bool, disputes: bool) -> None:
        """Set the metrics. size: of the last cosigned tree; age: of that cosignature, None if there is none.

        disputes: whether its last response contradicts the log.
        """
        ...


class _Request:
    """A request to a witness, in its own thread. result: None until finished."""

    def __init__(self, ask: Callable[[], Cosignature]) -> None:
        self.result: Cosignature | Exception | None = None
        self.finished = threading.Event()
        self._ask = ask
        threading.Thread(target=self._run, name="witness", daemon=True).start()

    def _run(self) -> None:
        try:
            self.result = self._ask()
        except Exception as error:  # noqa: BLE001 - the round handles it
            self.result = error
        finally:
            self.finished.set()


@dataclass(kw_only=True, slots=True)
class _WitnessState:
    """The state of one witness in this process. Times are monotonic seconds.

    since: the time of the last cosignature, or of the first request. ahead: how far its clock is ahead of
    ours. trouble: why the last request failed. disputes: whether it failed because the witness cosigned
    another history; only a cosignature ends that.
    """

    witness: Witness
    since: float
    cosignature: Cosignature | None = None
    not_before: float = 0.0
    pause: float = _FIRST_PAUSE
    request: _Request | None = None
    ahead: dt.timedelta = dt.timedelta()
    trouble: str | None = None
    disputes: bool = False

    def age(self, now: float) -> dt.timedelta:
        return dt.timedelta(seconds=now - self.since)

    def is_due(self, size: int, now: float) -> bool:
        if self.request is not None or now < self.not_before:
            return False
        return self.cosignature is None or self.cosignature.size < size or self.age(now) >= RENEWED_AFTER

    def is_stale(self, now: float) -> bool:
        return self.age(now) > STALE_AFTER

    def succeed(self, cosignature: Cosignature, now: float, wall: dt.datetime) -> None:
        ahead = cosignature.time - wall
        self.ahead = ahead if abs(ahead) > CLOCKS_AGREE_WITHIN else dt.timedelta()
        self.cosignature, self.since, self.trouble = cosignature, now, None
        self.disputes = False
        self.not_before, self.pause = 0.0, _FIRST_PAUSE

    def fail(self, reason: str, now: float) -> None:
        self.trouble = reason
        self.not_before = now + self.pause
        self.pause = min(self.pause * 2, _LONGEST_PAUSE)


class Cosigner:
    """Collects cosignatures. `turn` is one round and is never called concurrently."""

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
        """publishes: whether this process is the publisher. monotonic: seconds, for waiting."""
        self._policy = policy
        self._witnesses = witnesses
        self._database = database
        self._record = record
        self._published = published
        self._publishes = publishes
        self._figures = figures
        self._clock = clock
        self._monotonic = monotonic
        self._states: list[_WitnessState] = []
        self._reported: str | None = None
        # By witness: the newest one that could not be stored or published at once. Nobody asks for it again.
        self._unpublished: dict[str, Cosignature] = {}

    def turn(self) -> None:
        """Request cosignatures that are due. Raises Unavailable only for failures on this side."""
        target = self._published.current
        # Witnesses may refuse the checkpoint of an empty log: there is no consistency to prove.
        if target is None or target.size == 0 or not self._publishes():
            return
        now = self._monotonic()
        if not self._states and self._policy.witnesses:
            self._states = self._initial_states(now)
        due = [state for state in self._states if state.is_due(target.size, now)]
        for state in due:
            state.request = _Request(partial(self._ask, state.witness, state.cosignature, target))
        self._await([state.request for state in due if state.request is not None])
        fresh, trouble = self._collect()
        self._unpublished |= {cosignature.witness: cosignature for cosignature in fresh}
        if self._unpublished:
            with self._database.write() as transaction:
                self._record.keep_cosignatures(transaction, list(self._unpublished.values()))
            self._publish(target)
            self._unpublished = {}
        self._report_disputes()
        self._show()
        if trouble is not None:
            raise trouble

    def stale(self) -> list[str]:
        """Return the names of the witnesses without a recent cosignature."""
        now = self._monotonic()
        return [s.witness.name for s in self._states if s.is_stale(now)]

    def alarm(self) -> str | None:
        """Return the warning for operators; None while every witness responds and its clock agrees."""
        now = self._monotonic()
        alarms = []
        if disputed := self._disputed():
            alarms.append(disputed)
        if stale := self.stale():
            alarms.append(f"no cosignature for more than an hour from {', '.join(stale)}")
        for state in self._states:
            name = state.witness.name
            if state.trouble is not None and not state.is_stale(now):
                alarms.append(f"no cosignature from {name} at the last request: {state.trouble}")
            if state.ahead:
                seconds = state.ahead.total_seconds()
                where = "ahead of" if seconds > 0 else "behind"
                alarms.append(f"the clock of {name} is {abs(seconds):.0f} s {where} ours")
        return "; ".join(alarms) or None

    def _disputed(self) -> str | None:
        """Return the alarm when two witnesses, or the only one, contradict the log.

        A single one of several may have lost its own record; independent witnesses rarely make the same
        error.
        """
        names = [state.witness.name for state in self._states if state.disputes]
        if len(names) < min(2, max(1, len(self._states))):
            return None
        return (
            f"{len(names)} of {len(self._states)} witnesses ({', '.join(names)}) cosigned another history "
            "than the published log: it was forked, or restored from an old backup"
        )

    def _report_disputes(self) -> None:
        disputed = self._disputed()
        if disputed is not None and disputed != self._reported:
            _log.error("witnesses contradict the published log", extra={"reason": disputed})
        self._reported = disputed

    def _initial_states(self, now: float) -> list[_WitnessState]:
        with self._database.read() as transaction:
            cosignatures = {
                cosignature.witness: cosignature for cosignature in self._record.cosignatures(transaction)
            }
        states = []
        wall = self._clock.now()
        for witness in self._policy.witnesses:
            cosignature = cosignatures.get(witness.name)
            age = 0.0 if cosignature is None else max(0.0, (wall - cosignature.time).total_seconds())
            states.append(_WitnessState(witness=witness, since=now - age, cosignature=cosignature))
        return states

    def _await(self, requests: list[_Request]) -> None:
        deadline = time.monotonic() + ROUND_SECONDS
        for request in requests:
            request.finished.wait(max(0.0, deadline - time.monotonic()))

    def _collect(self) -> tuple[list[Cosignature], Exception | None]:
        """Return new cosignatures, late ones of earlier rounds included, and a failure on this side."""
        fresh: list[Cosignature] = []
        trouble: Exception | None = None
        now, wall = self._monotonic(), self._clock.now()
        for state in self._states:
            if state.request is None:
                continue
            if not state.request.finished.is_set():
                if state.trouble is None:
                    state.trouble = "it has not answered yet"
                continue
            result, state.request = state.request.result, None
            if isinstance(result, Cosignature):
                state.succeed(result, now, wall)
                fresh.append(result)
            elif isinstance(result, WitnessUnreachable | WitnessRefused):
                state.fail(str(result), now)
                state.disputes = state.disputes or isinstance(result, WitnessDisputes)
                name = state.witness.name
                _log.warning("no cosignature from %s", name, extra={"reason": str(result)})
            else:
                trouble = result
        return fresh, trouble

    def _ask(self, witness: Witness, last: Cosignature | None, target: PublishedCheckpoint) -> Cosignature:
        old_size = 0 if last is None else last.size
        status, answer = self._submit(witness, old_size, target)
        if status == 409:
            known = _size(answer)
            if known == old_size:
                raise WitnessDisputes(f"it knows a different tree of {known} entries: a fork or a lost log")
            if known > target.size:
                raise WitnessDisputes(f"it knows {known} entries, but only {target.size} are published")
            status, answer = self._submit(witness, known, target)
        if status == 422:
            raise WitnessDisputes(
                "it responded with status 422: the log does not continue the tree it cosigned"
            )
        if status != 200:
            raise WitnessRefused(f"it responded with status {status}")
        signature = _cosignature(witness, target, answer)
        try:
            time = cosigned_at(signature)
        except ValueError as error:
            raise WitnessRefused(str(error)) from None
        return Cosignature(witness=witness.name, size=target.size, signature=signature, time=time)

    def _submit(self, witness: Witness, old_size: int, target: PublishedCheckpoint) -> tuple[int, bytes]:
        if old_size > target.size:
            # Our record is ahead of the published log: let the witness report its size.
            old_size = 0
        proof = prove_consistency(old_size, target.size, self._published.node)
        hashes = (base64_text.encoded(digest) for digest in proof)
        lines = "".join(f"{line}\n" for line in (f"old {old_size}", *hashes, ""))
        return self._witnesses.add_checkpoint(witness.url, lines.encode() + target.note)

    def _publish(self, target: PublishedCheckpoint) -> None:
        cosignatures = [
            state.cosignature
            for state in self._states
            if state.cosignature is not None and state.cosignature.size == target.size
        ]
        if cosignatures:
            counts = self._policy.counts(cosignature.witness for cosignature in cosignatures)
            self._published.cosign(
                target.size,
                [cosignature.signature for cosignature in cosignatures],
                target.note,
                counts=counts,
            )

    def _show(self) -> None:
        now = self._monotonic()
        for state in self._states:
            cosignature = state.cosignature
            self._figures.show(
                state.witness.name,
                size=0 if cosignature is None else cosignature.size,
                age=None if cosignature is None else state.age(now),
                stale=state.is_stale(now),
                disputes=state.disputes,
            )


def _size(answer: bytes) -> int:
    text = answer.decode("ascii", "replace").removesuffix("\n")
    if not text.isdigit() or len(text) > 19:
        raise WitnessRefused("its 409 response contains no size")
    return int(text)


def _cosignature(witness: Witness, target: PublishedCheckpoint, answer: bytes) -> Signature:
    text = target.checkpoint.format().encode()
    try:
        # Lines of unknown keys are skipped.
        return open_note(text + b"\n" + answer, [witness.verifier]).verified[0]
    except NoteError as error:
        raise WitnessRefused(f"its response is not a valid cosignature: {error}") from None
