"""The result of a verification: one sentence or a JSON document, and an exit status."""

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
from kopuro_client.commands.printable import one_line
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

# Failure names for scripts, which must not parse the sentence.
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
    """Run a verification. If it fails, print the result and exit with NOT_VERIFIED."""
    try:
        yield
    except TlogError as error:
        sentence = one_line(f"Verification failed: {error}.")
        evidence = error.evidence if isinstance(error, HistoryError) else ()
        if out.as_json:
            name = next((name for family, name in _NAMES if isinstance(error, family)), "other")
            out.document({"holds": False, "sentence": sentence, "failure": name, "evidence": list(evidence)})
        else:
            out.text(sentence)
            for note in evidence:
                out.note(f"keep this evidence, which the log has signed:\n\n{note}")
        raise typer.Exit(ExitCode.NOT_VERIFIED) from error


def show(
    out: Output,
    claims: list[str],
    *,
    trust: Trust,
    accepted: AcceptedCheckpoint,
    unverified: str | None = None,
    **fields: Any,
) -> None:
    """Print a successful result. claims: clauses of its sentence; fields: more members of the JSON.

    unverified: what the sentence says first if the main thing is not verified, although the claims hold.
    """
    checkpoint = accepted.checkpoint
    if trust.policy.witnesses:
        claims = [*claims, f"{len(accepted.cosigned)} of {len(trust.policy.witnesses)} witnesses cosigned it"]
    condition = ""
    if trust.key_from is KeyFrom.NAMED:
        condition = f", provided that the log's key is {accepted.log.key}"
    # On one line: a claim that quotes a file must not look like a second result.
    sentence = one_line(f"{unverified or 'Verified'}: {'; '.join(claims)}{condition}.")
    if out.as_json:
        out.document(
            {
                "holds": unverified is None,
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
        out.note("the key comes from the log itself: compare it with the key from another source")


@contextmanager
def progress(entries: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar if stderr is a terminal. Yields a function that adds to the entries done."""
    console = Console(stderr=True)
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=entries)
        yield lambda done: bar.update(task, advance=done)


def _time(seconds: int | None) -> str | None:
    try:
        return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return None
