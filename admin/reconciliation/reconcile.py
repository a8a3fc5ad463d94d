"""Comparison of the audit log with the services' databases, as a command.

    python -m admin.reconciliation.reconcile --data-dir DIR            a hub started by `kopuro up`
    KOPURO_DATABASE_TEMPLATE=postgresql+psycopg2://…/{service} python -m admin.reconciliation.reconcile

It only reads, and services may be running. Changes of the last minute (`--settled SECONDS`) are ignored:
their messages may be in transit. Mailboxes delete messages thirty days after their acknowledgement, so older
entries are not looked up there.

A hub that `kopuro up --data-dir DIR` started with KOPURO_DATABASE_TEMPLATE set has no databases in DIR: set
the variable here too.

Exit status: 0 no differences, 1 differences, 2 usage error, 6 a database cannot be read.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from admin.read_only_engine import open_read_only
from admin.reconciliation.decision_differences import DecisionRow, rewritten_decisions, unlogged_decisions
from admin.reconciliation.differences import Difference, differences
from admin.reconciliation.directory_differences import directory_differences, rewritten_records
from admin.reconciliation.directory_rows import (
    approval_differences,
    key_differences,
    order_differences,
    proof_key_differences,
)
from admin.reconciliation.directory_states import DirectoryStates
from admin.reconciliation.mailbox_differences import (
    StoredMessage,
    misplaced_messages,
    undelivered_messages,
)
from admin.reconciliation.mailbox_states import MailboxStates
from admin.reconciliation.message_ends import hidden_messages, needs_entries
from admin.reconciliation.replica_differences import replica_differences
from admin.reconciliation.service_states import SERVICES, ServiceStates
from admin.reconciliation.statement_differences import statement_differences
from admin.reconciliation.unreceipted_events import unlogged_events
from contracts.facts import CATALOGUE, SubmissionRefused
from contracts.topology import DELIVERY_KEYS, topic_matches
from kopuro_client.commands.counts import count
from kopuro_client.errors import InvalidArgumentError
from runtime.storage.database import sqlite_url
from runtime.tls import TlsFiles
from services.delivery.domain.recipients import COORDINATED, RECIPIENTS

PAGE: Final = 500
# The `kopuro` command ends with 6 if it cannot connect. Its 3 means that the hub refused a request.
UNREADABLE: Final = 6
WRONG_USAGE: Final = 2
# A day less than delivery keeps acknowledged messages.
MAILBOX_WINDOW: Final = dt.timedelta(days=29)
# The facts that delivery puts into mailboxes unchanged, and not those that only close a message there.
# Notices of sealed messages and receipts have no log entry.
_DELIVERED: Final = [
    fact
    for fact in CATALOGUE.values()
    if any(topic_matches(key, fact.routing_key) for key in DELIVERY_KEYS)
    and (RECIPIENTS[fact.type] or COORDINATED.get(fact.type, "") is None)
]
DELIVERED: Final = frozenset(fact.routing_key for fact in _DELIVERED)
DELIVERED_TYPES: Final = tuple(fact.type for fact in _DELIVERED)


@dataclass(kw_only=True, slots=True)
class Compared:
    """Counts of what was compared. unsettled: referrals that changed too recently.

    replicated: records in the services' replicas. unreceipted: settled events of each service for which audit
    has sent no receipt.
    """

    referrals: int = 0
    unsettled: int = 0
    messages: int = 0
    revisions: int = 0
    decisions: int = 0
    statements: int = 0
    replicated: int = 0
    unreceipted: dict[str, int] = field(default_factory=dict)


def reconcile(states: ServiceStates, settled: dt.datetime, compared: Compared) -> Iterator[Difference]:
    """Yield every difference in referrals, mailboxes and directory. settled: ignore later changes.

    A time in the future is a difference: it would hide the row from the comparison until then.
    """
    yield from states.future_times()
    after = ""
    while page := states.referrals(after, PAGE):
        after = page[-1].referral_id
        settled_states = [state for state in page if (moved := state.moved_at()) is None or moved <= settled]
        compared.referrals += len(settled_states)
        compared.unsettled += len(page) - len(settled_states)
        for state in settled_states:
            yield from differences(state)
    for whole in sorted(states.unnamed_parts):
        what = "the referral was split, but its id is damaged and gives its parts no ids"
        yield Difference(referral_id=whole, where="routing", what=what)
    yield from _mailbox_differences(states.mailboxes, settled, compared)
    yield from _directory_differences(states.directory, settled, compared)
    yield from states.watch.differences(settled, PAGE)
    yield from states.applications.differences(settled, PAGE)
    yield from states.webhooks.differences(settled, PAGE)
    yield from states.transit_keys.differences(settled, PAGE)
    yield from _replica_differences(states, settled, compared)
    yield from decision_differences(states, settled, compared)
    yield from _statement_differences(states, settled, compared)
    yield from _unlogged(states, settled, compared)
    for damage in states.content_damage(PAGE):
        yield Difference(referral_id=None, record="log", where="log", what=damage)
    for index, mismatch in sorted(states.entries.mismatches.items()):
        yield Difference(
            referral_id=None, record=f"entry {index}", where="log", what=mismatch.detail, index=index
        )


def decision_differences(
    states: ServiceStates, settled: dt.datetime, compared: Compared
) -> Iterator[Difference]:
    """Yield every difference between routing's decisions and the log. settled: ignore later changes."""
    # Routing is read before the log, so that the log already has the settled decisions.
    stored: list[DecisionRow] = []
    while page := states.decisions(stored[-1].id if stored else "", PAGE):
        stored += page
    logged: set[str] = set()
    since: dt.datetime | None = None
    for commitments in states.logged_decisions(PAGE):
        if commitments and since is None:
            since = commitments[0].time
        logged.update(one.id for one in commitments)
        for at in range(0, len(commitments), PAGE):
            piece = commitments[at : at + PAGE]
            yield from rewritten_decisions(piece, states.decisions_of([one.id for one in piece]), settled)
    compared.decisions += sum(one.decided_at <= settled for one in stored)
    yield from unlogged_decisions(stored, logged, since=since, settled=settled)


def _statement_differences(
    states: ServiceStates, settled: dt.datetime, compared: Compared
) -> Iterator[Difference]:
    stored = states.statements()
    logged = [one for page in states.logged_statements(PAGE) for one in page]
    compared.statements += sum(one.issued_at <= settled for one in stored)
    yield from statement_differences(stored, logged, settled)


def _mailbox_differences(
    mailboxes: MailboxStates, settled: dt.datetime, compared: Compared
) -> Iterator[Difference]:
    after = 0
    while page := mailboxes.messages(after, PAGE):
        after = page[-1].sequence
        wanted = [message for message in page if _is_logged(message) and message.queued_at <= settled]
        compared.messages += len(wanted)
        logged = mailboxes.logged([message.message_id for message in wanted])
        yield from misplaced_messages(wanted, logged)
        settled_messages = [
            message for message in page if message.referral_id and message.queued_at <= settled
        ]
        ends = mailboxes.ends({message.referral_id for message in settled_messages if needs_entries(message)})
        yield from hidden_messages(settled_messages, ends, settled)
    for entries in mailboxes.delivered(DELIVERED_TYPES, PAGE, since=settled - MAILBOX_WINDOW):
        old = [entry for entry in entries if entry.time is not None and entry.time <= settled]
        yield from undelivered_messages(old, mailboxes.holders([entry.message_id for entry in old]))


def _is_logged(message: StoredMessage) -> bool:
    """Return whether the log has the message.

    Results of submissions over AMQP come from the gateway and concern no referral; they have no entry.
    """
    return message.fact in DELIVERED and not (
        message.fact == SubmissionRefused.routing_key and not message.referral_id
    )


def _directory_differences(
    directory: DirectoryStates, settled: dt.datetime, compared: Compared
) -> Iterator[Difference]:
    # The directory is read before the log, so that the log already has its changes.
    current = directory.records()
    made, contents = directory.revisions()
    authors, clients, proofs = directory.authors(), directory.clients(), directory.proof_keys()
    approvals, keys = directory.approvals(), directory.sealing_keys()
    compared.revisions += sum(changed <= settled for changed in made.values())
    logged = directory.logged_revisions(PAGE)
    yield from directory_differences(made, contents, logged, settled, authors)
    yield from rewritten_records(current, logged, made, settled)
    decided = list(directory.logged_approvals(PAGE))
    yield from approval_differences(approvals, decided, settled, directory.applied(PAGE))
    notices_since = directory.notices_since(PAGE)
    yield from key_differences(keys, directory.logged_keys(PAGE), settled, decided, notices_since)
    first = {
        revision.id: (entry.time, entry.index)
        for revision, entry in logged.items()
        if revision.subject == "client" and revision.number == 1
    }
    yield from order_differences(clients, first, settled)
    yield from proof_key_differences(*proofs)


def _replica_differences(
    states: ServiceStates, settled: dt.datetime, compared: Compared
) -> Iterator[Difference]:
    # The replicas are read first, so that the directory and the log have their settled changes.
    replicas = states.replicas.replicas()
    made, _ = states.directory.revisions()
    logged = states.replicas.logged(replicas, settled, PAGE)
    for replica in replicas:
        compared.replicated += len(replica.records)
        yield from replica_differences(replica, logged, made, settled)


def _unlogged(states: ServiceStates, settled: dt.datetime, compared: Compared) -> Iterator[Difference]:
    for service in SERVICES:
        compared.unreceipted[service] = 0
        for page in states.unreceipted(service, PAGE):
            published = [event for event in page if event.published_at <= settled]
            compared.unreceipted[service] += len(published)
            logged = states.in_log([event.id for event in published])
            yield from unlogged_events(service, published, logged)


def engines(urls: Mapping[str, str], tls: Mapping[str, TlsFiles | None] | None = None) -> dict[str, Engine]:
    """Return a read-only engine for each service. tls: by service; None: as the environment says."""
    if tls is None:
        return {service: open_read_only(urls[service]) for service in SERVICES}
    return {service: open_read_only(urls[service], tls[service]) for service in SERVICES}


def run(
    urls: Mapping[str, str],
    *,
    settled_seconds: float,
    as_json: bool,
    tls: Mapping[str, TlsFiles | None] | None = None,
) -> int:
    """Compare, write the differences to stdout and return the exit status. tls: see `engines`."""
    settled = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=settled_seconds)
    compared, found = Compared(), 0
    try:
        for difference in reconcile(ServiceStates(engines(urls, tls)), settled, compared):
            found += 1
            _write(_line(difference, as_json))
    except InvalidArgumentError as error:
        sys.stderr.write(f"reconcile: {error}\n")
        return WRONG_USAGE
    except SQLAlchemyError as error:
        sys.stderr.write(unreadable(error, as_json=as_json) + "\n")
        return UNREADABLE
    if as_json:
        _write(json.dumps({**asdict(compared), "differences": found}))
    else:
        verdict = "the log and the services agree" if not found else count(found, "difference")
        _write(
            f"{verdict}: {count(compared.referrals, 'referral')}, {count(compared.messages, 'message')}, "
            f"{count(compared.revisions, 'directory revision')}, {count(compared.decisions, 'decision')}, "
            f"{count(compared.statements, 'statement')} and "
            f"{count(compared.replicated, 'replica record')} compared, "
            f"{count(compared.unsettled, 'referral')} skipped because they changed too recently; "
            f"events without a receipt: {_counts(compared.unreceipted)}"
        )
    return 1 if found else 0


def _counts(unreceipted: Mapping[str, int]) -> str:
    return ", ".join(f"{service} {number}" for service, number in unreceipted.items() if number) or "none"


def _line(difference: Difference, as_json: bool) -> str:
    if as_json:
        return json.dumps(asdict(difference))
    entry = "" if difference.index is None else f" (entry {difference.index})"
    line = f"{difference.referral_id or difference.record}  {difference.where}: {difference.what}{entry}"
    # Texts of a database must not control the terminal, or look like other lines.
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")


def database_urls(data_dir: Path | None, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the database URL of each service, by the rules of `kopuro up`.

    Raises ValueError when nothing names the databases, when the directory lacks one, and when both the
    directory and KOPURO_DATABASE_TEMPLATE name databases.
    """
    template = environment.get("KOPURO_DATABASE_TEMPLATE")
    files = {} if data_dir is None else {s: data_dir.resolve() / "data" / f"{s}.sqlite" for s in SERVICES}
    missing = [service for service, file in files.items() if not file.is_file()]
    if files and not template and missing:
        raise ValueError(
            f"{data_dir} has no database of {', '.join(missing)}; if its hub was started with "
            "KOPURO_DATABASE_TEMPLATE, set that variable here too"
        )
    if files and template and len(missing) < len(files):
        raise ValueError(
            f"{data_dir} has databases, but KOPURO_DATABASE_TEMPLATE names others: "
            "unset it, or omit --data-dir"
        )
    if files and not template:
        return {service: sqlite_url(file) for service, file in files.items()}
    if not template or "{service}" not in template:
        raise ValueError("give --data-dir, or set KOPURO_DATABASE_TEMPLATE to a URL that contains {service}")
    return {service: template.replace("{service}", service) for service in SERVICES}


def unreadable(error: SQLAlchemyError, *, as_json: bool) -> str:
    """Return the message for a database that cannot be read, without its URL (it may contain a password)."""
    cause = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()
    detail = f"a database cannot be read: {cause[0] if cause else type(error).__name__}"
    if not as_json:
        return f"reconcile: {detail}"
    problem = {"type": "urn:kopuro:command:cannot-connect", "title": "Cannot connect", "detail": detail}
    return json.dumps({**problem, "exit_status": UNREADABLE})


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m admin.reconciliation.reconcile", description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="data directory of a hub that `kopuro up` started")
    parser.add_argument("--settled", type=float, default=60.0, metavar="SECONDS", help="ignore later changes")
    parser.add_argument("--json", action="store_true", help="write one JSON object per line")
    options = parser.parse_args(arguments)
    try:
        urls = database_urls(options.data_dir, os.environ)
    except ValueError as error:
        parser.error(str(error))
    return run(urls, settled_seconds=options.settled, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
