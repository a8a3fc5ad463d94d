"""The `kopuro` command. Data goes to stdout, everything else to stderr; exit codes: `ExitCode`."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points, version
from typing import Annotated

import typer

from kopuro_client.commands import (
    case,
    coordination,
    key,
    mailbox,
    offer,
    organization,
    referral,
    verify,
    witness,
)
from kopuro_client.commands.exit_codes import ExitCode, exit_code_of
from kopuro_client.commands.export import export
from kopuro_client.commands.history import bundle, checkpoint, history, log_key
from kopuro_client.commands.plugins import GROUP, add_plugins
from kopuro_client.commands.printable import json_text, printable
from kopuro_client.commands.session import connected
from kopuro_client.commands.statistics import statistics
from kopuro_client.commands.story import story
from kopuro_client.errors import CaseError, ClientError, RefusedError

__all__ = ["ExitCode", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its ExitCode.

    arguments: without the program's name; None: those of the process.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # names are Cyrillic, whatever the locale says
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _application()(given, prog_name="kopuro")
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else ExitCode.OK
    except ClientError as error:
        _complain(_report(error, as_json="--json" in given))
        return exit_code_of(error)
    return ExitCode.OK


def _application() -> typer.Typer:
    application = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,  # its tracebacks show local variables: cases, secrets
        help="Refer people to organisations that can help, and answer what is referred to you.",
        epilog=_exit_codes(),
    )
    application.callback()(_root)
    groups = {
        "referral": referral.group(),
        "mailbox": mailbox.group(),
        "offer": offer.group(),
        "case": case.group(),
        "key": key.group(),
        "organization": organization.group(),
        "coordination": coordination.group(),
        "verify": verify.group(),
        "witness": witness.group(),
    }
    for name, group in groups.items():
        application.add_typer(group, name=name)
    application.command("history")(connected(history))
    application.command("bundle")(connected(bundle))
    application.command("story")(connected(story))
    application.command("statistics")(connected(statistics))
    application.command("export")(connected(export))
    application.command("checkpoint")(connected(checkpoint, anonymous=True))
    application.command("log-key")(connected(log_key, anonymous=True))
    taken = {*groups, "history", "story", "statistics", "export", "bundle", "checkpoint", "log-key"}
    add_plugins(application, entry_points(group=GROUP), taken=taken, complain=_complain)
    return application


def _root(
    _: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version.",
            is_eager=True,
            callback=lambda wanted: _print_version() if wanted else None,
        ),
    ] = False,
) -> None:
    """What stands before a command."""


def _print_version() -> None:
    typer.echo(version("kopuro-client"))
    raise typer.Exit


def _report(error: ClientError, *, as_json: bool) -> str:
    if as_json and isinstance(error, RefusedError):
        return json_text(error.problem.as_json())
    lines = [f"kopuro: {error}"]
    if isinstance(error, RefusedError):
        lines = [f"kopuro: refused: {error} [{error.type}]"]
    if isinstance(error, RefusedError | CaseError):
        lines += [f"  {entry.pointer or '/'}: {entry.detail}" for entry in error.errors]
    return "\n".join(lines)


def _complain(text: str) -> None:
    typer.echo(printable(text), err=True)


def _exit_codes() -> str:
    return "Exit codes: " + ", ".join(
        f"{code.value} {code.name.lower().replace('_', ' ')}" for code in ExitCode
    )
