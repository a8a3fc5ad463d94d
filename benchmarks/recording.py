"""Recording of closed loops: runs them one at a time on a real hub and makes a template of each."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from benchmarks.journey import close_loops
from benchmarks.kopuro_hub import KopuroHub
from benchmarks.loop_template import Loop, LoopTemplate
from benchmarks.quiescence import wait_until_quiescent
from benchmarks.shapes import SHAPES, Shape, tables
from benchmarks.usage import commits
from contracts.canonical import canonical_json
from contracts.commitment import SALT_BYTES
from runtime.storage.columns import Instant
from services.audit.log.domain.entry import organizations_of
from services.audit.log.domain.facets import facets_of

# Placeholder in a head for the commitment to the referral's key, which differs with every referral.
REFERRAL_KEY: Final = "sha256:" + "0" * 64
_OF_THE_DIRECTORY: Final = ".directory"


@dataclass(frozen=True, kw_only=True, slots=True)
class RowTemplate:
    """A row. columns: without the row number; order, forgotten: slots of the template."""

    table: str
    columns: tuple[int, ...]
    order: int | None
    forgotten: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryTemplate:
    """One entry of the log. All fields but the last three are slots of the template."""

    order: int
    time: int
    head: int
    data: int
    canonical: int
    message_id: int
    referral_id: int
    type: str
    organizations: tuple[str, ...]
    facets: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceTemplate:
    """The rows and log entries that one loop left in one service."""

    template: LoopTemplate
    rows: tuple[RowTemplate, ...]
    entries: tuple[EntryTemplate, ...] = ()


# Keyed by loop, then by service.
Recording = Sequence[Mapping[str, ServiceTemplate]]


def record_loops(hub: KopuroHub, count: int) -> Recording:
    """Record loops on a started hub on SQLite without other load. Raises TimeoutError and a loop's errors."""
    begins = []
    for _ in range(count):
        begins.append(_now())
        close_loops(hub, 1)
        wait_until_quiescent(lambda: _written(hub))
    begins.append(_now())
    # The last receipts are fetched by the next loop's driver.
    close_loops(hub, 1)
    wait_until_quiescent(lambda: _written(hub))
    over = _now()
    databases = {service: sqlite3.connect(path) for service, path in hub.databases().items()}
    try:
        return [
            _Look(databases, Window(begin=begin, end=end), over).recorded()
            for begin, end in itertools.pairwise(begins)
        ]
    finally:
        for database in databases.values():
            database.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """The period of one loop, in which no other was open."""

    begin: int
    end: int


class _Look:
    """Reads the rows that one loop left in the databases."""

    def __init__(self, databases: Mapping[str, sqlite3.Connection], window: Window, over: int) -> None:
        """over: the end of the whole recording."""
        self._databases = databases
        self._window = window
        submitted = "SELECT referral_id, submitted_at FROM submissions WHERE submitted_at BETWEEN ? AND ?"
        ((self._referral, begin),) = databases["intake"].execute(submitted, (window.begin, window.end))
        self._loop = Loop(begin=begin, end=over)

    def recorded(self) -> dict[str, ServiceTemplate]:
        """Return the templates by service."""
        return {service: self._service(service) for service in SHAPES}

    def _service(self, service: str) -> ServiceTemplate:
        template = LoopTemplate(self._loop)
        rows = [row for shape in SHAPES[service] for row in self._rows(template, service, shape)]
        entries = self._entries(template) if service == "audit" else []
        return ServiceTemplate(template=template, rows=tuple(rows), entries=tuple(entries))

    def _rows(self, template: LoopTemplate, service: str, shape: Shape) -> Iterator[RowTemplate]:
        table = tables(service)[shape.table]
        numbered = table.autoincrement_column
        columns = [column for column in table.columns if column is not numbered]
        # Rows are in the order of writing: the moment of a later row is not earlier.
        reached = 0
        for row in self._found(service, shape, [column.name for column in columns]):
            by_name = dict(zip([column.name for column in columns], row, strict=True))
            reached = max(reached, by_name[shape.moment] if shape.moment else 0)
            if shape.forgotten is not None and by_name[shape.forgotten] is None:
                raise ValueError(f"{service}: a row of {shape.table} is not finished: {shape.forgotten}")
            yield RowTemplate(
                table=shape.table,
                columns=tuple(
                    template.moment(value)
                    if isinstance(column.type, Instant) and value
                    else template.take(None if column.name in shape.blank else value)
                    for column, value in zip(columns, row, strict=True)
                ),
                order=template.moment(reached) if shape.numbered else None,
                forgotten=template.moment(by_name[shape.forgotten]) if shape.forgotten else None,
            )

    def _found(self, service: str, shape: Shape, names: Sequence[str]) -> list[Any]:
        listed = ", ".join(f'"{name}"' for name in names)
        of: list[Any] = [self._referral]
        where = f'"{shape.referral}" = ?'
        if shape.referral is None:
            # Messages about directory changes are not part of a loop.
            where, of = f'"{shape.moment}" BETWEEN ? AND ?', [self._window.begin, self._window.end]
            if shape.table == "inbox":
                where += f" AND consumer NOT LIKE '%{_OF_THE_DIRECTORY}'"
        question = f'SELECT {listed} FROM "{shape.table}" WHERE {where} ORDER BY rowid'  # noqa: S608
        return self._databases[service].execute(question, of).fetchall()

    def _entries(self, template: LoopTemplate) -> Iterator[EntryTemplate]:
        rows = self._databases["audit"].execute(
            "SELECT type, time, head, message_id, data FROM entries JOIN openings USING (leaf_index)"
            " WHERE referral_id = ? ORDER BY leaf_index",
            (self._referral,),
        )
        reached = 0
        for type_, time_, head, message_id, text in rows:
            data = orjson.loads(text)
            said = orjson.loads(head[SALT_BYTES:])
            # The history is written in order of time: a later entry has no earlier moment.
            reached = max(reached, time_)
            yield EntryTemplate(
                order=template.moment(reached),
                time=template.moment(time_),
                head=template.take(canonical_json({**said, "referral_key": REFERRAL_KEY}).decode()),
                data=template.take(text),
                canonical=template.take(canonical_json(data)),
                message_id=template.take(message_id),
                referral_id=template.take(self._referral),
                type=type_,
                organizations=organizations_of(data),
                facets=facets_of(type_, said["actor"], data),
            )


def _written(hub: KopuroHub) -> list[int]:
    return [commits(path) for path in hub.databases().values()]


def _now() -> int:
    return time.time_ns() // 1000
