"""The layouts of the tables of the benchmark of matching: laid out for its question, and normalised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks import matching_normalized_schema, matching_schema, matching_sql
from benchmarks.matching_network import GeneratedNetwork
from benchmarks.matching_normalized_sql import normalized
from benchmarks.matching_schema import Row
from benchmarks.matching_sql import Evidence
from benchmarks.matching_tailored_sql import TAILORED_EVIDENCE


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """One layout. schema: its name in a database. note: what its name adds to the database system's.

    tables: the columns and the primary key of each. indexes: the columns of each further one, by table.
    rows_of: returns the rows of each table. evidence: by database system.
    """

    schema: str
    note: str
    tables: Mapping[str, tuple[str, str]]
    rows_of: Callable[[GeneratedNetwork], Mapping[str, list[Row]]]
    evidence: Callable[[str], Evidence]
    indexes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def name_on(self, system: str) -> str:
        """Return the name of a database of this system with these tables."""
        return f"{system}{self.note}"

    def statements(self, system: str) -> Mapping[str, str]:
        """Return the statements by name, for "SQLite" or "PostgreSQL"."""
        return matching_sql.statements(system, self.evidence(system))

    def index_statements(self) -> Iterator[str]:
        """Yield the statements that create the further indexes."""
        for table, indexes in self.indexes.items():
            for columns in indexes:
                name = "_".join((table, *columns.split(", ")))
                yield f"CREATE INDEX {name} ON {table} ({columns})"


TAILORED: Final = Layout(
    schema="tailored",
    note="",
    tables=matching_schema.TABLES,
    rows_of=matching_schema.rows_of,
    evidence=lambda _: TAILORED_EVIDENCE,
)
NORMALIZED: Final = Layout(
    schema="normalized",
    note=", normalised",
    tables=matching_normalized_schema.TABLES,
    indexes=matching_normalized_schema.INDEXES,
    rows_of=matching_normalized_schema.rows_of,
    evidence=normalized,
)
LAYOUTS: Final = (TAILORED, NORMALIZED)
