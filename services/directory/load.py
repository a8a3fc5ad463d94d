"""Load the directory from files:

    KOPURO_DATABASE_URL=... python -m services.directory.load
        --organizations F --agreements F --credentials F

Each file is a JSON list of records as in the HTTP API; a credential is
`{"client_id", "client_secret", "principal", "roles": [...]}`. Nothing is loaded unless every record of every
file is valid and refers only to existing organisations. A record in a file replaces the directory's record,
but a published sealing key stays if the file has none. Unchanged records make no revision, so loading is
idempotent. The service may be running or stopped; the events wait in its outbox.

Exit status: 0 loaded, 1 a file or the database cannot be used, 2 usage error.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

from contracts.byte_order_mark import without_mark
from contracts.errors import Refused
from contracts.organization import Agreement, Organization
from runtime.clock import SystemClock
from runtime.storage.command_database import open_database
from runtime.storage.database import Database, DatabaseUnavailable
from runtime.web.request import parse_json
from services.directory import admission
from services.directory.adapters.register import SqlRegister
from services.directory.domain.agreement_overlap import overlap_fault
from services.directory.domain.approval import Policy
from services.directory.domain.client import Client
from services.directory.domain.entry import DirectoryEntry, Subject
from services.directory.domain.lookalikes import KnownIds
from services.directory.domain.references import wrong_references
from services.directory.domain.separation import (
    is_staff,
    wrong_change,
    wrong_client_id,
    wrong_new_organization,
    wrong_separation,
)
from services.directory.handlers.change_rates import ChangeRates
from services.directory.handlers.entries import Entries
from services.directory.offline import offline_approvals, offline_ledger

LOADER = "load"  # `changed_by` in the revisions


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One error in a file. index: of the record, None for the whole file."""

    file: Path
    index: int | None
    pointer: str
    detail: str

    def __str__(self) -> str:
        where = "" if self.index is None else f"[{self.index}]"
        return f"{self.file}{where}{self.pointer and f' {self.pointer}'}: {self.detail}"


def read_entries(file: Path, admit: Callable[[object], Any], faults: list[Fault]) -> list[Any]:
    """Return the entries in a file; append its errors to `faults`."""
    try:
        records = parse_json(without_mark(file.read_bytes()), most_values=None, called="The file")
    except OSError:
        faults.append(Fault(file=file, index=None, pointer="", detail="The file cannot be read."))
        return []
    except Refused as refused:
        faults += _faults_of(refused, file, None)
        return []
    if not isinstance(records, list):
        faults.append(Fault(file=file, index=None, pointer="", detail="Not a JSON list of records."))
        return []
    entries: dict[str, Any] = {}
    for index, record in enumerate(records):
        try:
            entry = admit(record)
            if entry.id in entries:
                detail = "Another record in this file has the same id."
                faults.append(Fault(file=file, index=index, pointer="", detail=detail))
            entries[entry.id] = entry
        except Refused as refused:
            faults += _faults_of(refused, file, index)
    return list(entries.values())


def _faults_of(refused: Refused, file: Path, index: int | None) -> list[Fault]:
    """Return each fault that the refusal names; the refusal itself if it names none."""
    if not refused.errors:
        return [Fault(file=file, index=index, pointer="", detail=refused.detail)]
    return [Fault(file=file, index=index, pointer=e.pointer, detail=e.detail) for e in refused.errors]


def wrong_entries_in(
    database: Database, files: Mapping[str, Path], read: Sequence[tuple[str, Sequence[DirectoryEntry]]]
) -> list[Fault]:
    """Return unknown references, cycles of parents, overlapping agreements, and wrong clients.

    A client is wrong if it breaks the separation of roles, or if its id has the form of another kind's or
    looks like another one. A new organisation whose id looks like another one is refused too.

    An organisation is known if it is in the files or in the database.
    """
    register = SqlRegister()
    known = {entry.id: entry for _, entries in read for entry in entries if isinstance(entry, Organization)}
    with database.read() as transaction:

        def lookup(organization: str) -> Organization | None:
            if organization in known:
                return known[organization]
            found = register.standing(transaction, Organization, [organization]).get(organization)
            return None if found is None else found.entry

        faults = [
            Fault(file=files[name], index=index, pointer=error.pointer, detail=error.detail)
            for name, entries in read
            for index, entry in enumerate(entries)
            for error in wrong_references(entry, lookup)
        ]
        faults += _overlaps(register, transaction, files, read)
        faults += _lookalikes(register, transaction, files, read)
        registered = (standing.entry for standing in register.every(transaction, Subject.client))
        staff = {c.principal: c for c in registered if isinstance(c, Client) and c.live and is_staff(c)}
        for name, entries in read:
            for index, entry in enumerate(entries):
                if (
                    isinstance(entry, Organization)
                    and entry.id in staff
                    and not register.standing(transaction, Organization, [entry.id])
                    and (broken := wrong_new_organization([staff[entry.id]])) is not None
                ):
                    faults.append(Fault(file=files[name], index=index, pointer="/id", detail=broken))
        for name, entries in read:
            clients = [entry for entry in entries if isinstance(entry, Client)]
            if not clients:
                continue
            others: dict[str, list[Client]] = {}
            replaced = {client.id for client in clients}
            stored = register.clients_of(transaction, [client.principal for client in clients])
            present = register.standing(transaction, Client, [client.id for client in clients])
            for client in (*clients, *(known for known in stored if known.id not in replaced)):
                others.setdefault(client.principal, []).append(client)
            for index, client in enumerate(clients):
                broken = wrong_separation(
                    client, others[client.principal], lambda principal: lookup(principal) is not None
                )
                if broken is not None:
                    faults.append(Fault(file=files[name], index=index, pointer="/roles", detail=broken))
                known_client = present.get(client.id)
                before = None if known_client is None else known_client.entry
                broken = wrong_client_id(client, before)
                if broken is not None:
                    faults.append(Fault(file=files[name], index=index, pointer="/client_id", detail=broken))
                if before is not None and (wrong := wrong_change(before, client)) is not None:
                    pointer, broken = wrong
                    faults.append(Fault(file=files[name], index=index, pointer=pointer, detail=broken))
        return faults


def _overlaps(
    register: SqlRegister,
    transaction: Connection,
    files: Mapping[str, Path],
    read: Sequence[tuple[str, Sequence[DirectoryEntry]]],
) -> Iterator[Fault]:
    loaded = {entry.id: entry for _, entries in read for entry in entries if isinstance(entry, Agreement)}
    if not loaded:
        return
    every = register.every(transaction, Subject.agreement)
    stored = {s.entry.id: s.entry for s in every if isinstance(s.entry, Agreement)}
    known = {**stored, **loaded}
    for name, entries in read:
        for index, entry in enumerate(entries):
            if isinstance(entry, Agreement):
                detail = overlap_fault(stored.get(entry.id), entry, known.values())
                if detail is not None:
                    yield Fault(file=files[name], index=index, pointer="/parties", detail=detail)


def _lookalikes(
    register: SqlRegister,
    transaction: Connection,
    files: Mapping[str, Path],
    read: Sequence[tuple[str, Sequence[DirectoryEntry]]],
) -> Iterator[Fault]:
    stored = register.known_ids(transaction)
    entries = [entry for _, some in read for entry in some]
    clients = {entry.id: entry.principal for entry in entries if isinstance(entry, Client)}
    known = KnownIds(
        stored.organizations | {entry.id for entry in entries if isinstance(entry, Organization)},
        {**stored.clients, **clients},
    )
    present = register.standing(transaction, Client, list(clients))
    for name, some in read:
        for index, entry in enumerate(some):
            pointer, broken = "/id", None
            if isinstance(entry, Organization) and entry.id not in stored.organizations:
                broken = known.wrong_organization(entry.id)
            elif isinstance(entry, Client):
                before = present.get(entry.id)
                if (before is None or not before.entry.live) and wrong_client_id(entry) is None:
                    pointer, broken = "/client_id", known.wrong_client(entry)
            if broken is not None:
                yield Fault(file=files[name], index=index, pointer=pointer, detail=broken)


def _client(record: object) -> Client:
    return admission.credential(record).client()


# Organisations first, because agreements and clients refer to them.
_FILES: Sequence[tuple[str, Callable[[object], DirectoryEntry]]] = (
    ("organizations", lambda record: admission.organization(record, SystemClock().now())),
    ("agreements", lambda record: admission.agreement(record, SystemClock().now())),
    ("credentials", _client),
)


def load(database: Database, hub: str, files: Mapping[str, Path], out: TextIO, err: TextIO) -> int:
    """Load the files; return the exit status. files: by kind of record."""
    faults: list[Fault] = []
    read = [(name, read_entries(files[name], admit, faults)) for name, admit in _FILES if name in files]
    if not faults:
        faults += wrong_entries_in(database, files, read)
    if faults:
        err.writelines(f"{fault}\n" for fault in faults)
        err.write("Nothing was loaded.\n")
        return 1
    ledger = offline_ledger(database, hub)
    # A person who can write to the database needs no approval. The facts name the loader as their author.
    target = Entries(ledger, offline_approvals(ledger, Policy.one_person), ChangeRates())
    for name, entries in read:
        changed = target.enter(type(entries[0]), entries, by=LOADER) if entries else 0
        out.write(f"{name}: {len(entries)} read, {changed} changed\n")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m services.directory.load")
    for name, _ in _FILES:
        parser.add_argument(f"--{name}", type=Path, metavar="FILE")
    parser.add_argument(
        "--hub",
        default=os.environ.get("KOPURO_HUB") or "kg",
        help="hub that is the source of the events (default: KOPURO_HUB, else kg)",
    )
    options = parser.parse_args(arguments)
    files = {name: file for name, _ in _FILES if (file := getattr(options, name)) is not None}
    if not files:
        parser.error("name at least one file")
    database = open_database(parser)
    try:
        return load(database, options.hub, files, sys.stdout, sys.stderr)
    except (DatabaseUnavailable, ProgrammingError) as error:
        reason = error.reason() if isinstance(error, DatabaseUnavailable) else str(error.orig).splitlines()[0]
        sys.stderr.write(
            f"The database cannot be used: {reason}. Check that it exists and that its migrations have run.\n"
        )
        return 1
    finally:
        database.close()


if __name__ == "__main__":
    sys.exit(main())
