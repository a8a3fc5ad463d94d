"""Load driver: partners submit referrals, answer offers, report and complete; every step is timed.

All partners are tasks of one event loop. The driver uses the batch endpoints; if they return 404, it sends
single requests over several connections.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from benchmarks.keepalive import Link, Links, Rejected
from benchmarks.story import SampleReferral
from benchmarks.systems import System
from benchmarks.timings import Timings

OFFERED = "kopuro.offer.opened.v1"
ACCEPTED = "kopuro.offer.accepted.v1"
PROGRESSED = "kopuro.referral.progressed.v1"
COMPLETED = "kopuro.referral.completed.v1"
# Facts after which a loop would never close.
_REFUSALS = frozenset(
    {
        "kopuro.answer.refused.v1",
        "kopuro.submission.refused.v1",
        "kopuro.referral.failed.v1",
        "kopuro.referral.unplaced.v1",
    }
)

_CONNECTIONS = 12
# Tokens are valid for 15 minutes, less than a soak.
_TOKENS_RENEWED_EVERY = 300.0
_PAGE = 200
_WAIT_SECONDS = 5
_LONGEST_BATCH = 500
EARLY_SECONDS = 0.02
# Referrals per second; above it, referrals are submitted in batches.
HIGHEST_SINGLE_RATE = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """A receiver's submission about its offer or about the referral."""

    what: str
    referral: str
    offer: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def about(self) -> Mapping[str, str]:
        return {"offer_id": self.offer} if self.offer else {"referral_id": self.referral}

    @property
    def path(self) -> str:
        return (
            f"/v1/offers/{self.offer}/accept" if self.offer else f"/v1/referrals/{self.referral}/{self.what}"
        )


class Driver:
    """Acts as the sender and all acceptors of a sample referral. An async context manager."""

    def __init__(self, system: System, sample: SampleReferral) -> None:
        doors = system.doors()
        self._system = system
        tokens = {who: system.token(who) for who in (sample.sender, *sample.acceptors)}
        self._story = sample
        self._work_begins_with = system.work_begins_with
        self._intake = {who: Links(doors.intake, token, _CONNECTIONS) for who, token in tokens.items()}
        self._acknowledging = {who: Links(doors.delivery, token, 2) for who, token in tokens.items()}
        self._mailboxes = {who: Link(doors.delivery, token) for who, token in tokens.items()}
        self._tasks: set[asyncio.Task[None]] = set()
        self._watching: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._changed = asyncio.Event()
        self._batches = {"referrals": True, "submissions": True}
        self.timings = Timings()
        self.early_answers = 0

    async def __aenter__(self) -> Driver:
        for who in (self._story.sender, *self._story.acceptors):
            self._watching.add(self._spawn(self._keep_mailbox(who)))
        self._watching.add(self._spawn(self._renew_tokens()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for links in (*self._intake.values(), *self._acknowledging.values()):
            links.close()
        for link in self._mailboxes.values():
            link.close()

    async def _renew_tokens(self) -> None:
        while True:
            await asyncio.sleep(_TOKENS_RENEWED_EVERY)
            for who, mailbox in self._mailboxes.items():
                token = await asyncio.to_thread(self._system.token, who)
                for links in (mailbox, self._intake[who], self._acknowledging[who]):
                    links.bear(token)

    @property
    def closed(self) -> int:
        """Return the number of loops whose completion has reached the sender's mailbox."""
        return len(self.timings.closed)

    @property
    def submitted(self) -> int:
        return len(self.timings.submitted)

    async def submit(self, count: int, *, as_batch: bool, at: float | None = None) -> None:
        """Submit referrals and wait for their admission. Raises Rejected.

        at: the time when they were due, if earlier, so that waiting for a connection counts.
        """
        begun = at if at is not None else time.monotonic()
        intake = self._intake[self._story.sender]
        if as_batch and self._batches["referrals"]:
            body = b"\n".join([self._story.body] * count)
            async with intake.one() as link:
                status, answer = await link.ask("POST", "/v1/referrals:batch", body)
            if status not in (404, 405):
                for line in _lines(status, answer):
                    self.timings.submitted[line["id"]] = begun
                return
            self._batches["referrals"] = False
        await asyncio.gather(*(self._submit_one(intake, begun) for _ in range(count)))

    async def keep_in_flight(self, count: int, *, until: float, batch: int) -> None:
        """Keep `count` referrals open until a time of the monotonic clock."""
        promised = self.submitted
        tasks: set[asyncio.Task[None]] = set()

        async def submit(size: int) -> None:
            await self.submit(size, as_batch=True)

        while time.monotonic() < until:
            self._check()
            room = min(batch, count - (promised - self.closed))
            # Small batches are inefficient: wait for a larger one.
            if room < min(batch, count // 4) or len(tasks) >= _CONNECTIONS:
                await self._change(0.05)
                tasks = {task for task in tasks if not task.done() or task.result() is not None}
                continue
            promised += room
            tasks.add(asyncio.create_task(submit(room)))
        await asyncio.gather(*tasks)

    async def offer_load(self, rate: float, *, seconds: float) -> None:
        """Submit at a fixed rate, independent of responses.

        Single requests up to HIGHEST_SINGLE_RATE; above, a batch every 100 ms.
        """
        size = 1 if rate <= HIGHEST_SINGLE_RATE else round(rate / 10)
        start = time.monotonic()
        tasks = []
        for number in range(round(rate * seconds / size)):
            due = start + number * size / rate
            while (left := due - time.monotonic()) > 0:
                await asyncio.sleep(left)
            self._check()
            tasks.append(asyncio.create_task(self.submit(size, as_batch=size > 1, at=due)))
        await asyncio.gather(*tasks)

    async def all_closed(self, timeout: float) -> None:
        """Wait until every submitted loop is closed and all steps have arrived in all mailboxes.

        Raises TimeoutError with the number of open loops.
        """
        deadline = time.monotonic() + timeout
        # Wait for the last acknowledgement too: the next driver must not receive these messages.
        while (left := self.timings.unfinished()) or self._tasks - self._watching:
            self._check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(left)} of {self.submitted} loops are not closed")
            await self._change(0.05)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error
            self._changed.set()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _change(self, timeout: float) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _submit_one(self, intake: Links, begun: float) -> None:
        answer = await intake.done("POST", "/v1/referrals", self._story.body)
        referral = orjson.loads(answer)["id"]
        self.timings.submitted[referral] = begun
        self.timings.admitted[referral] = time.monotonic()

    async def _keep_mailbox(self, who: str) -> None:
        link, after = self._mailboxes[who], ""
        while True:
            path = f"/v1/mailbox?limit={_PAGE}&wait={_WAIT_SECONDS}{after}"
            page = orjson.loads(await link.done("GET", path))
            if not page["items"]:
                continue
            # Peers and earlier builds call the resume cursor `next`.
            after = f"&after={page.get('resume') or page['next']}"
            self._read(who, page["items"], time.monotonic())
            self._spawn(self._acknowledge(who, [item["id"] for item in page["items"]]))

    def _read(self, who: str, items: Sequence[Mapping[str, Any]], now: float) -> None:
        submissions: list[Submission] = []
        for item in items:
            kind, data = item["type"], item["data"]
            if kind in _REFUSALS:
                raise Rejected(f"{kind} in the mailbox of {who}: {data}")
            referral = data.get("referral_id", "")  # receipts are about many
            if who == self._story.sender:
                if kind == COMPLETED:
                    self.timings.closed[referral] = now
                    self._changed.set()
                continue
            if kind == OFFERED:
                self.timings.offered[referral] = now
                self.timings.answered[referral] = now
                submissions.append(Submission(what="accept", referral=referral, offer=data["offer_id"]))
            elif kind == ACCEPTED:
                self.timings.accepted[referral] = now
            elif kind == PROGRESSED:
                self.timings.progressed[referral] = now
            elif kind == COMPLETED:
                self.timings.completed[referral] = now
            if kind == self._work_begins_with:
                self.timings.reported[referral] = now
                submissions.append(
                    Submission(what="progress", referral=referral, details={"status": "in_progress"})
                )
                submissions.append(
                    Submission(what="complete", referral=referral, details={"outcome": "resolved"})
                )
        for start in range(0, len(submissions), _LONGEST_BATCH):
            self._spawn(self._send(who, submissions[start : start + _LONGEST_BATCH]))

    async def _send(self, who: str, submissions: Sequence[Submission]) -> None:
        left = list(submissions)
        while left:
            left = await (self._send_batch if self._batches["submissions"] else self._send_singly)(who, left)
            if left:
                # The offer reached the mailbox before intake knew it.
                self.early_answers += len(left)
                await asyncio.sleep(EARLY_SECONDS)

    async def _send_batch(self, who: str, submissions: Sequence[Submission]) -> list[Submission]:
        """Submit a batch; return the answers that came too early. Without batch endpoint, send singly."""
        body = b"\n".join(
            orjson.dumps({"submit": one.what, **one.about, **one.details}) for one in submissions
        )
        async with self._intake[who].one() as link:
            status, answer = await link.ask("POST", "/v1/submissions:batch", body)
        if status in (404, 405):
            self._batches["submissions"] = False
            return await self._send_singly(who, submissions)
        lines = _lines(status, answer, early=404)
        return [submissions[line["line"] - 1] for line in lines if line["status"] == 404]

    async def _send_singly(self, who: str, submissions: Sequence[Submission]) -> list[Submission]:
        """Send single requests, in order per referral; return the answers that came too early."""
        by_referral: dict[str, list[Submission]] = {}
        for one in submissions:
            by_referral.setdefault(one.referral, []).append(one)
        early = await asyncio.gather(*(self._send_in_order(who, one) for one in by_referral.values()))
        return [one for some in early for one in some]

    async def _send_in_order(self, who: str, submissions: Sequence[Submission]) -> list[Submission]:
        for number, one in enumerate(submissions):
            async with self._intake[who].one() as link:
                status, answer = await link.ask("POST", one.path, orjson.dumps(one.details))
            if status == 404 and one.what == "accept":
                return list(submissions[number:])
            if status >= 300:
                raise Rejected(f"POST {one.path}: {status} {answer[:300].decode(errors='replace')}")
        return []

    async def _acknowledge(self, who: str, ids: list[str]) -> None:
        await self._acknowledging[who].done("POST", "/v1/mailbox:acknowledge", orjson.dumps({"ids": ids}))


def _lines(status: int, answer: bytes, *, early: int | None = None) -> list[Mapping[str, Any]]:
    """Return the NDJSON lines of a batch response. Raises Rejected for a failure other than `early`."""
    if status >= 300:
        raise Rejected(f"a batch: {status} {answer[:300].decode(errors='replace')}")
    lines = [orjson.loads(line) for line in answer.splitlines() if line]
    for line in lines:
        if line["status"] >= 300 and line["status"] != early:
            raise Rejected(f"a line of a batch: {line}")
    return lines
