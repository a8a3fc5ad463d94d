"""`kopuro verify`: what an auditor needs to trust nobody."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from kopuro_client.commands import verdict
from kopuro_client.commands.input_file import read_bytes
from kopuro_client.commands.output import Output
from kopuro_client.commands.trust import Trust, given_policy, trust_in
from kopuro_client.discovery import WELL_KNOWN, discover
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.tlog.bundle import Bundle, BundledEntry
from kopuro_client.tlog.checkpoint import Checkpoint
from kopuro_client.tlog.entries import read_json
from kopuro_client.tlog.errors import ContentError, ForkError
from kopuro_client.tlog.keys import VerifierKey
from kopuro_client.tlog.log_check import CHECKPOINT, VerifiedLog, verify_log
from kopuro_client.tlog.memory import Memory
from kopuro_client.tlog.note import SignedNote
from kopuro_client.tlog.receipts import receipts_in
from kopuro_client.tlog.tiles import DirectorySource, HttpSource, Source
from kopuro_client.transport import Transport

LOG_KEY = Annotated[
    str | None,
    typer.Option(help="The log's verifier key, or a file that holds it. Get it from somebody else."),
]
POLICY = Annotated[
    Path | None,
    typer.Option(help="Logs, witnesses and how many of them must have cosigned (C2SP tlog-policy)."),
]
STATE = Annotated[
    Path | None,
    typer.Option(help="Where the last verified checkpoints are kept, instead of XDG_STATE_HOME."),
]
AS_JSON = Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")]


def group() -> typer.Typer:
    """The commands under `kopuro verify`."""
    commands = typer.Typer(
        no_args_is_help=True,
        help="Recompute what a hub says of its audit log. Exit 0: it holds; 9: it does not.",
    )
    commands.command("bundle")(bundle)
    commands.command("log")(log)
    commands.command("receipt")(receipt)
    return commands


def bundle(
    file: Annotated[Path, typer.Argument(help="A referral's bundle.")],
    against: Annotated[
        str | None,
        typer.Option("--log", help="The log (address or directory) to read for entries left out."),
    ] = None,
    log_key: LOG_KEY = None,
    policy: POLICY = None,
    state: STATE = None,
    as_json: AS_JSON = False,
) -> None:
    """Verify a referral's bundle, offline: every entry, proof, signature and opened content."""
    out = Output(as_json=as_json)
    given = given_policy(log_key, policy)
    content = read_bytes(file)
    with verdict.judged(out):
        read = Bundle.parse(content)
        trust = trust_in(read.origin, given, _memory(state), named=lambda: read.log_key)
        accepted, entries = read.verify(trust.policy)
        head = accepted.checkpoint
        if trust.last is not None and trust.last.size == head.size and trust.last.root != head.root:
            evidence = (str(trust.last.note), str(head.note))
            raise ForkError(f"the log has signed two trees of {head.size} entries", evidence=evidence)
        opened = sum(entry.opened for entry in entries)
        claims = [
            f"{verdict.count(len(entries), 'entry', 'entries')} of referral {read.referral_id} stand in the "
            f"log {head.origin} of {verdict.count(head.size, 'entry', 'entries')}"
        ]
        if opened:
            claims.append(f"the content shown with {opened} of them is what was logged")
        if against is not None:
            with open_source(against) as source:
                _check_complete(read, entries, head, source, trust)
            claims.append("the log holds no other entry of that referral")
        verdict.show(
            out,
            claims,
            trust=trust,
            accepted=accepted,
            referral_id=read.referral_id,
            entries=len(entries),
            opened=opened,
            complete=True if against is not None else None,
        )


def log(
    where: Annotated[
        str, typer.Argument(help="The log's address, the hub's discovery address, or a directory.")
    ],
    log_key: LOG_KEY = None,
    policy: POLICY = None,
    since: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint that the log must continue, such as a witness's. Repeatable."),
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Read the log from its first entry.")] = False,
    state: STATE = None,
    as_json: AS_JSON = False,
) -> None:
    """Verify a log from its raw entries: all of it, or what is new since the last time."""
    out = Output(as_json=as_json)
    given = given_policy(log_key, policy)
    memory = _memory(state)
    with open_source(where) as source, verdict.judged(out):
        head = _claimed_head(source)
        trust = trust_in(head.origin, given, memory, named=lambda: _key_named_by(source))
        known = [trust.policy.accept(read_bytes(file), witnessed=False).checkpoint for file in since or ()]
        if trust.last is not None:
            known.append(trust.last)
        with verdict.progress(head.size) as done:
            verified = verify_log(source, trust.policy, known=known, whole=whole, progress=done)
        memory.keep(verified.accepted.checkpoint, verified.accepted.log)
        _show_log(out, verified, known, trust)


def receipt(
    file: Annotated[Path, typer.Argument(help="A message with receipts, as a mailbox delivered it (JSON).")],
    log_key: LOG_KEY = None,
    policy: POLICY = None,
    state: STATE = None,
    as_json: AS_JSON = False,
) -> None:
    """Verify the receipts in a message, offline: that steps of referrals are in the log."""
    out = Output(as_json=as_json)
    given = given_policy(log_key, policy)
    content = read_bytes(file)
    with verdict.judged(out):
        document = read_json(content, what="the receipt")
        message = document["data"] if isinstance(document.get("data"), dict) else document
        receipts = receipts_in(message)
        # All of one message stand under one checkpoint.
        origin = Checkpoint.read(SignedNote.parse(receipts[0].proof.note)).origin
        trust = trust_in(origin, given, _memory(state), named=lambda: None)
        accepted = [one.verify(trust.policy) for one in receipts]
        told = [(one.proof.index, one.fields()) for one in receipts]
        steps = [(index, f"{leaf.get('type')} of referral {leaf.get('referral_id')}") for index, leaf in told]
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
            receipts=[{"index": index, "leaf": leaf} for index, leaf in told],
        )
        if len(steps) > 1 and not as_json:
            for index, step in steps:
                out.text(f"{index}: {step}")


def _show_log(out: Output, verified: VerifiedLog, known: list[Checkpoint], trust: Trust) -> None:
    head, replayed = verified.accepted.checkpoint, verified.replayed
    claims = [
        f"the log {head.origin} is what it signed at "
        f"{verdict.count(head.size, 'entry', 'entries')}, {replayed.entries:,} of them and all their tiles "
        "recomputed"
    ]
    if known:
        newest = max(seen.size for seen in known)
        # Not more: where only new entries were read, the files of older ones were not looked at again.
        claims.append(f"its tree continues that of the {newest:,} verified before")
    witnessed = verified.witnessed
    if trust.policy.witnesses and witnessed is not None and witnessed.checkpoint.size < head.size:
        claims.append(f"witnesses have seen the first {witnessed.checkpoint.size:,}")
    if verified.spare_files:
        claims.append(f"{verdict.count(verified.spare_files, 'file')} beside them do not contradict it")
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
) -> None:
    shown = {entry.index for entry in entries}
    about = f'"referral_id":"{read.referral_id}"'.encode()

    def visit(index: int, leaf: bytes) -> None:
        if index < head.size and about in leaf and index not in shown:
            raise ContentError(f"the bundle leaves out entry {index}, which is about the same referral")

    with verdict.progress(head.size) as done:
        verify_log(source, trust.policy, known=[head], whole=True, visit=visit, progress=done)


def _claimed_head(source: Source) -> Checkpoint:
    """What the log says it is, before any signature is checked: enough to look up whom to trust."""
    note = source.read(CHECKPOINT)
    if note is None:
        raise ContentError("the log's checkpoint is missing")
    return Checkpoint.read(SignedNote.parse(note))


def _key_named_by(source: Source) -> VerifierKey | None:
    if isinstance(source, DirectorySource):
        return None  # it tells no key
    told = source.read("v1/log-key")
    return None if told is None else VerifierKey.parse(told.decode(errors="replace").strip())


@contextmanager
def open_source(where: str) -> Iterator[Source]:
    """The log at an address, a discovery address or in a directory."""
    if not where.startswith(("http://", "https://")):
        yield DirectorySource(Path(where))
        return
    transport = Transport()
    try:
        is_hub = where.endswith(WELL_KNOWN)
        prefix = discover(transport, where).address("audit") if is_hub else where
        yield HttpSource(prefix, transport)
    finally:
        transport.close()


def _memory(state: Path | None) -> Memory:
    if state is not None and os.path.exists(state) and not os.path.isdir(state):
        raise InvalidArgumentError(f"{state} is no directory")
    return Memory.at_home(os.environ) if state is None else Memory(state)
