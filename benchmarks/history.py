"""Synthetic history: closed referrals of a year in the databases of all services.

Copied from loops that were just closed for real (`recording`), evenly over the days, up to an hour ago. Rows
that services delete after thirty days exist for the last thirty. All referrals belong to the one sender and
the receivers that are measured afterwards: the worst case for every query of one organisation. Seeded: the
same recording and the same moment give the same history. The hub must be idle meanwhile.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.bulk import Bulk, Row, bulk
from benchmarks.history_log import LogWriter, date_revisions_back
from benchmarks.loop_template import DAY, SECOND, LoopInstance
from benchmarks.recording import Recording, RowTemplate, ServiceTemplate
from benchmarks.shapes import FORGOTTEN_AFTER, tables

_FORGOTTEN_AFTER: Final = FORGOTTEN_AFTER.days * DAY
_OVER_BEFORE_NOW: Final = 3_600 * SECOND
# Loops per flush. A loop's last row is some hours after its first.
_CHUNK: Final = 2_000
# A submission, an acceptance, a report, a completion.
_KEYS_A_LOOP: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticHistory:
    """A history to generate. referrals: count; days: their time span; now: in microseconds."""

    referrals: int
    now: int
    days: int = 365
    seed: int = 2026

    @property
    def begin(self) -> int:
        return self.now - self.days * DAY

    @property
    def forgotten_before(self) -> int:
        return self.now - _FORGOTTEN_AFTER

    def instances(self, kinds: int, longest: int) -> Iterator[tuple[int, LoopInstance]]:
        """Yield the template number (below `kinds`) and the instance of each referral, in order.

        The same in every process. longest: the maximum duration of a loop in microseconds.
        """
        chance = random.Random(self.seed)  # noqa: S311 - reproducible
        step = (self.now - _OVER_BEFORE_NOW - longest - self.begin) / max(1, self.referrals)
        for number in range(self.referrals):
            # Whole milliseconds, the precision of ids.
            moment = (self.begin + int(number * step)) // 1000 * 1000
            yield chance.randrange(kinds), LoopInstance(moment=moment, twist=chance.getrandbits(62))

    def referral_ids(self, recording: Recording, count: int) -> list[str]:
        """Return about `count` referral ids, spread over the whole history."""
        templates = [loop["intake"] for loop in recording]
        slots = [one.rows[0].columns[0] for one in templates]
        every = max(1, self.referrals // count)
        instances = enumerate(self.instances(len(templates), longest_of(templates)))
        return [
            templates[k].template.values(instance)[slots[k]]
            for number, (k, instance) in instances
            if number % every == 0
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The storage of a service."""

    url: str
    # audit only: publication directory, signing key file, hub, and the URL of the directory's database.
    published: Path | None = None
    key: Path | None = None
    hub: str = ""
    directory: str = ""


def write_history(
    history: SyntheticHistory,
    recording: Recording,
    places: Mapping[str, Place],
    tell: Callable[[str], None],
) -> None:
    """Fill all databases, two at a time: the log takes as long as all the others together."""
    order = sorted(places, key=lambda service: service != "audit")
    with ProcessPoolExecutor(max_workers=2) as pool:
        running = {
            pool.submit(
                fill, service, history, [loop[service] for loop in recording], places[service]
            ): service
            for service in order
        }
        for done in as_completed(running):
            done.result()
            tell(f"history of {history.referrals:,} referrals: {running[done]} is filled")


def fill(service: str, history: SyntheticHistory, templates: Sequence[ServiceTemplate], place: Place) -> None:
    """Write one service's part of the history."""
    log = None
    if service == "audit":
        assert place.published is not None
        assert place.key is not None
        log = LogWriter(place.url, place.published, place.key, place.hub)
        date_revisions_back(place.directory, log.initialize(history.begin))
    with bulk(place.url) as into:
        _Filling(service, history, templates, into, log).run()
    if log is not None:
        log.conclude()


def longest_of(templates: Sequence[ServiceTemplate]) -> int:
    """Return the duration in microseconds of the longest instance of these templates."""
    nowhere = LoopInstance(moment=0, twist=0)
    return max(one.template.loop.moved(one.template.loop.end, nowhere) for one in templates)


class _Filling:
    def __init__(
        self,
        service: str,
        history: SyntheticHistory,
        templates: Sequence[ServiceTemplate],
        into: Bulk,
        log: LogWriter | None,
    ) -> None:
        self._history = history
        self._templates = templates
        self._into = into
        self._log = log
        self._tables = tables(service)
        self._makes_keys = service == "intake"
        self._numbers: dict[str, int] = defaultdict(int)
        # Rows that still need a row number, by table: (moment, values).
        self._waiting: dict[str, list[tuple[int, Row]]] = defaultdict(list)
        self._rows: dict[str, list[Row]] = defaultdict(list)
        self._observed: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._service = service

    def run(self) -> None:
        chance = random.Random(self._history.seed + 1)  # noqa: S311 - see above
        number = 0
        for number, (kind, instance) in enumerate(
            self._history.instances(len(self._templates), longest_of(self._templates)), start=1
        ):
            if number % _CHUNK == 0:
                self._flush(instance.moment)
            self._write_instance(self._templates[kind], instance, chance)
        self._flush(self._history.now)
        if self._service == "routing":
            self._observe()

    def _write_instance(self, one: ServiceTemplate, instance: LoopInstance, chance: random.Random) -> None:
        old = instance.moment + longest_of([one]) < self._history.forgotten_before
        if old and not one.entries and all(row.forgotten is not None for row in one.rows):
            return
        values = one.template.values(instance)
        for row in one.rows:
            if row.forgotten is None or values[row.forgotten] >= self._history.forgotten_before:
                self._take(row, values)
        if self._log is not None:
            self._log.take(one.entries, values, chance)
        if self._makes_keys and not old:
            self._make_keys(values[one.rows[0].columns[0]], values[one.rows[0].columns[1]], instance, chance)
        if self._service == "routing":
            self._count_answers(one, values)

    def _take(self, row: RowTemplate, values: list[Any]) -> None:
        taken = tuple([values[slot] for slot in row.columns])
        if row.order is None:
            self._rows[row.table].append(taken)
        else:
            self._waiting[row.table].append((values[row.order], taken))

    def _flush(self, until: int) -> None:
        """Write the rows before `until`: no later loop adds earlier ones."""
        for name, waiting in self._waiting.items():
            waiting.sort(key=lambda row: row[0])
            ready = 0
            while ready < len(waiting) and waiting[ready][0] < until:
                ready += 1
            first = self._numbers[name] + 1
            self._rows[name] += [(first + n, *row) for n, (_, row) in enumerate(waiting[:ready])]
            self._numbers[name] += ready
            del waiting[:ready]
        for name, rows in self._rows.items():
            if rows:
                self._into.add(self._tables[name], rows)
                rows.clear()
        if self._log is not None:
            self._log.flush(self._into, until)

    def _make_keys(self, referral: str, sender: str, instance: LoopInstance, chance: random.Random) -> None:
        for _ in range(_KEYS_A_LOOP):
            key = f"{chance.getrandbits(128):032x}"
            fingerprint, understood = (f"{chance.getrandbits(256):064x}" for _ in range(2))
            self._rows["idempotency_keys"].append(
                (sender, key, fingerprint, understood, referral, instance.moment)
            )

    def _count_answers(self, one: ServiceTemplate, values: list[Any]) -> None:
        names = [column.name for column in self._tables["offers"].columns]
        for row in one.rows:
            if row.table == "offers":
                offer = dict(zip(names, (values[slot] for slot in row.columns), strict=True))
                seen = self._observed[offer["organization"]]
                seen[0] += 1
                seen[1] += (offer["closed_at"] - offer["opened_at"]) // SECOND

    def _observe(self) -> None:
        # answered, expired, answer_seconds, last_asked, returned
        rows = [(who, count, 0, seconds, None, 0) for who, (count, seconds) in self._observed.items()]
        self._into.add(self._tables["observations"], rows)
