"""`kopuro verify`: verify logs, bundles, statements and receipts without trusting the hub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from kopuro_client.commands import verdict
from kopuro_client.commands.counts import count
from kopuro_client.commands.input_file import read_text
from kopuro_client.commands.output import Output
from kopuro_client.commands.proof_documents import (
    read_bundle,
    read_checkpoint,
    read_receipts,
)
from kopuro_client.commands.trust import Trust, given_policy, read_key, trust_in
from kopuro_client.commands.verify_options import AS_JSON, LOG_KEY, POLICY, STATE, memory_at
from kopuro_client.commands.verify_statement import statement
from kopuro_client.discovery import WELL_KNOWN, discover
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.tlog.bundle import Bundle, BundledEntry
from kopuro_client.tlog.checkpoint import Checkpoint
from kopuro_client.tlog.entries import is_closed, read_json
from kopuro_client.tlog.errors import ContentError, ForkError
from kopuro_client.tlog.key_change import new_log_key
from kopuro_client.tlog.keys import VerifierKey
from kopuro_client.tlog.log_check import CHECKPOINT, VerifiedLog, verify_log
from kopuro_client.tlog.note import SignedNote
from kopuro_client.tlog.receipts import receipts_in
from kopuro_client.tlog.tiles import DirectorySource, HttpSource, Source
from kopuro_client.transport import Transport


def group() -> typer.Typer:
    """Return the commands under `kopuro verify`."""
    commands = typer.Typer(
        no_args_is_help=True,
        help=(
            "Verify a hub's audit log, bundles, statements and receipts. Exit status 0: verified; 9: "
            "verification failed."
        ),
    )
    commands.command("bundle")(bundle)
    commands.command("log")(log)
    commands.command("statement")(statement)
    commands.command("receipt")(receipt)
    commands.command("key-change")(key_change)
    return commands


def bundle(
    file: Annotated[Path, typer.Argument(help="A referral's bundle.")],
    against: Annotated[
        str | None,
        typer.Option(
            "--log", help="Also read this log (URL or directory) for entries that the bundle omits."
        ),
    ] = None,
    log_key: LOG_KEY = None,
    policy: POLICY = None,
    state: STATE = None,
    as_json: AS_JSON = False,
) -> None:
    """Verify a referral's bundle offline: every entry, proof, signature and opened content."""
    out = Output(as_json=as_json)
    given = given_policy(log_key, policy)
    content = read_bundle(file)
    with verdict.judged(out):
        read = Bundle.parse(content)
        trust = trust_in(read.origin, given, memory_at(state), named=lambda: read.log_key)
        accepted, entries = read.verify(trust.policy)
        head = accepted.checkpoint
        if trust.last is not None and trust.last.size == head.size and trust.last.root != head.root:
            evidence = (str(trust.last.note), str(head.note))
            raise ForkError(f"the log has signed two trees of size {head.size}", evidence=evidence)
        opened = sum(entry.opened for entry in entries)
        claims = [
            f"{count(len(entries), 'entry', 'entries')} of referral {read.referral_id} are in the "
            f"log {head.origin} of {count(head.size, 'entry', 'entries')}"
        ]
        if opened:
            claims.append(f"the content of {opened} of them matches the log")
        complete = None
        if against is not None:
            with open_source(against) as source:
                complete = _check_complete(read, entries, head, source, trust)
            claims.append(
                "the log has no other entry of that referral"
                if complete
                else "the log has no other entry of that referral in formats 1 and 2"
            )
        verdict.show(
            out,
            claims,
            trust=trust,
            accepted=accepted,
            referral_id=read.referral_id,
            entries=len(entries),
            opened=opened,
            complete=complete,
        )


def log(
    where: Annotated[str, typer.Argument(help="The log's URL, the hub's discovery URL, or a directory.")],
    log_key: LOG_KEY = None,
    policy: POLICY = None,
    since: Annotated[
        list[Path] | None,
        typer.Option(
            help="File with a checkpoint that the log must extend, such as a witness's. Repeatable."
        ),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Verify the whole log, not only the new entries.")
    ] = False,
    state: STATE = None,
    as_json: AS_JSON = False,
) -> None:
    """Verify a log from its raw entries: all entries, or those added since the last verification."""
    out = Output(as_json=as_json)
    given = given_policy(log_key, policy)
    memory = memory_at(state)
    given_checkpoints = [read_checkpoint(file) for file in since or ()]
    with open_source(where) as source, verdict.judged(out):
        head = _claimed_head(source)
        trust = trust_in(head.origin, given, memory, named=lambda: _key_named_by(source))
        known = [trust.policy.accept(note, witnessed=False).checkpoint for note in given_checkpoints]
        if trust.last is not None:
            known.append(trust.last)
        with verdict.progress(head.size) as advance:
            verified = verify_log(source, trust.policy, known=known, whole=whole, progress=advance)
        memory.keep(verified.accepted.checkpoint, verified.accepted.log)
        _show_log(out, verified, known, trust)


def receipt(
    file: Annotated[Path, typer.Argument(help="JSON file with a mailbox's message that has receipts.")],
    log_key: LOG_KEY = None,
    policy: POLICY = None,
    state: STATE = None,
    as_json: AS_JSON = False,
) -> None:
    """Verify a message's receipts offline. They prove that events of referrals are in the log."""
    out = Output(as_json=as_json)
    given = given_policy(log_key, policy)
    content = read_receipts(file)
    with verdict.judged(out):
        document = read_json(content, what="the receipt")
        message = document["data"] if isinstance(document.get("data"), dict) else document
        receipts = receipts_in(message)
        # All receipts of a message have the same checkpoint.
        origin = Checkpoint.read(SignedNote.parse(receipts[0].proof.note)).origin
        trust = trust_in(origin, given, memory_at(state), named=lambda: None)
        accepted = [one.verify(trust.policy) for one in receipts]
        leaves = [(one.proof.index, one.fields()) for one in receipts]
        steps = [
            (index, f"{leaf.get('type')} of referral {leaf.get('referral_id')}") for index, leaf in leaves
        ]
        index, step = steps[0]
        verdict.show(
            out,
            [
                f"{step} is entry {index} of the log {origin}"
                if len(steps) == 1
                else f"{len(steps)} steps are entries of the log {origin}"
            ],
            trust=trust,
            accepted=accepted[0],
            receipts=[{"index": index, "leaf": leaf} for index, leaf in leaves],
        )
        if len(steps) > 1 and not as_json:
            for index, step in steps:
                out.text(f"{index}: {step}")


def key_change(
    file: Annotated[Path, typer.Argument(help="The statement that both keys signed: log-key-change.txt.")],
    log_key: Annotated[str, typer.Option(help="The log's earlier verifier key, or a file that contains it.")],
    as_json: AS_JSON = False,
) -> None:
    """Verify the statement of a log's new key with the earlier key, and print the new verifier key.

    Trust both keys from then on: add the new one to your policy, on a `log` line of its own.
    """
    out = Output(as_json=as_json)
    trusted = read_key(log_key)
    content = read_text(file)
    with verdict.judged(out):
        new = new_log_key(content, [trusted])
    if as_json:
        out.document({"origin": new.name, "earlier_key": str(trusted), "log_key": str(new)})
    else:
        out.text(str(new))


def _show_log(out: Output, verified: VerifiedLog, known: list[Checkpoint], trust: Trust) -> None:
    head, replayed = verified.accepted.checkpoint, verified.replayed
    claims = [
        f"the log {head.origin} matches its signed checkpoint at "
        f"{count(head.size, 'entry', 'entries')}, {replayed.entries:,} of them recomputed with all "
        "their tiles"
    ]
    if known:
        newest = max(seen.size for seen in known)
        # The claim is about the tree only, because the files of older entries may not have been read again.
        claims.append(f"its tree extends that of the {newest:,} verified before")
    witnessed = verified.witnessed
    if trust.policy.witnesses and witnessed is not None and witnessed.checkpoint.size < head.size:
        claims.append(f"witnesses have seen the first {witnessed.checkpoint.size:,}")
    if verified.spare_files:
        claims.append(f"{count(verified.spare_files, 'file')} beyond it do not contradict it")
    verdict.show(
        out,
        claims,
        trust=trust,
        accepted=verified.accepted,
        first=replayed.first,
        entries=replayed.entries,
        continues=sorted(seen.size for seen in known),
        witnessed_size=None if witnessed is None else witnessed.checkpoint.size,
    )


def _check_complete(
    read: Bundle, entries: tuple[BundledEntry, ...], head: Checkpoint, source: Source, trust: Trust
) -> bool:
    """Raises ContentError if the log has an entry of the referral that the bundle omits.

    Returns False if entries of format 3 could be omitted: nothing in the bundle shows that its key is theirs.
    """
    shown = {entry.index for entry in entries}
    is_known = read.referral_key is not None and any(entry.closed for entry in entries)
    closed = 0

    def visit(index: int, leaf: bytes) -> None:
        nonlocal closed
        if index >= head.size or index in shown:
            return
        closed += is_closed(leaf)
        if read.is_about(leaf):
            raise ContentError(f"the bundle omits entry {index} of the same referral")

    with verdict.progress(head.size) as done:
        verify_log(source, trust.policy, known=[head], whole=True, visit=visit, progress=done)
    return is_known or not closed


def _claimed_head(source: Source) -> Checkpoint:
    """Return the log's checkpoint unverified. Use it only to look up the log's key."""
    note = source.read(CHECKPOINT)
    if note is None:
        raise ContentError("the log's checkpoint is missing")
    return Checkpoint.read(SignedNote.parse(note))


def _key_named_by(source: Source) -> VerifierKey | None:
    if isinstance(source, DirectorySource):
        return None  # a directory contains no key
    key = source.read("v1/log-key")
    return None if key is None else VerifierKey.parse(key.decode(errors="replace").strip())


@contextmanager
def open_source(where: str) -> Iterator[Source]:
    """Open the log at a URL, at a hub's discovery URL or in a directory."""
    if not where.startswith(("http://", "https://")):
        if not os.path.isdir(where):
            raise InvalidArgumentError(f"{where} is not a directory, and not an http or https URL")
        yield DirectorySource(Path(where))
        return
    transport = Transport()
    try:
        is_hub = where.endswith(WELL_KNOWN)
        prefix = discover(transport, where).address("audit") if is_hub else where
        yield HttpSource(prefix, transport)
    finally:
        transport.close()
