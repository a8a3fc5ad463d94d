"""What a verification comes to: one sentence, or a JSON document, and an exit code."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kopuro_client.commands.exit_codes import ExitCode
from kopuro_client.commands.output import Output
from kopuro_client.commands.trust import KeyFrom, Trust
from kopuro_client.tlog import base64_text
from kopuro_client.tlog.errors import (
    ContentError,
    ForkError,
    HistoryError,
    MalformedError,
    ProofError,
    RollbackError,
    TlogError,
    UntrustedError,
)
from kopuro_client.tlog.policy import AcceptedCheckpoint

# What scripts decide by; the sentence is for people.
_NAMES: Final[tuple[tuple[type[TlogError], str], ...]] = (
    (MalformedError, "malformed"),
    (UntrustedError, "untrusted"),
    (ProofError, "proof"),
    (ContentError, "content"),
    (RollbackError, "rollback"),
    (ForkError, "fork"),
)


@contextmanager
def judged(out: Output) -> Iterator[None]:
    """Runs a verification: where it fails, says so and ends the command with NOT_VERIFIED."""
    try:
        yield
    except TlogError as error:
        sentence = f"Does not hold: {error}."
        evidence = error.evidence if isinstance(error, HistoryError) else ()
        if out.as_json:
            name = next((name for family, name in _NAMES if isinstance(error, family)), "other")
            out.document({"holds": False, "sentence": sentence, "failure": name, "evidence": list(evidence)})
        else:
            out.text(sentence)
            for note in evidence:
                out.note(f"keep this, the log has signed it:\n\n{note}")
        raise typer.Exit(ExitCode.NOT_VERIFIED) from error


def show(
    out: Output, claims: list[str], *, trust: Trust, accepted: AcceptedCheckpoint, **fields: Any
) -> None:
    """What holds. claims: clauses of the one sentence; fields: more of the JSON document."""
    checkpoint = accepted.checkpoint
    if trust.policy.witnesses:
        claims = [*claims, f"{len(accepted.cosigned)} of {len(trust.policy.witnesses)} witnesses cosigned it"]
    condition = ""
    if trust.key_from is KeyFrom.NAMED:
        condition = f", provided that the log's key is {accepted.log.key}"
    sentence = f"Holds: {'; '.join(claims)}{condition}."
    if out.as_json:
        out.document(
            {
                "holds": True,
                "sentence": sentence,
                "origin": checkpoint.origin,
                "size": checkpoint.size,
                "root": base64_text.encode(checkpoint.root),
                "log_key": str(accepted.log.key),
                "log_key_from": trust.key_from.value,
                "cosigned": [
                    {"witness": signed.key.name, "time": _time(signed.time)} for signed in accepted.cosigned
                ],
                **fields,
            }
        )
        return
    out.text(sentence)
    if trust.key_from is KeyFrom.NAMED:
        out.note("nobody but the log itself has told that key: compare it with one told by somebody else")


@contextmanager
def progress(entries: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, where that is a terminal. Yields what to call with the entries done since."""
    console = Console(stderr=True)
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=entries)
        yield lambda done: bar.update(task, advance=done)


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 entry`, `2,000 entries`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _time(seconds: int | None) -> str | None:
    try:
        return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return None
