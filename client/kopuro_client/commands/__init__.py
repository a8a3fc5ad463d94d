"""The `kopuro` command. Data goes to stdout, everything else to stderr; exit statuses: `ExitCode`."""

from __future__ import annotations

import functools
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.main import get_command

from kopuro_client.commands import (
    approvals,
    case,
    coordination,
    credential,
    key,
    mailbox,
    offer,
    organization,
    referral,
    verify,
    watch,
    webhook,
    witness,
)
from kopuro_client.commands.exit_codes import ExitCode, exit_code_of
from kopuro_client.commands.export import export
from kopuro_client.commands.help_paragraphs import unwrap_help
from kopuro_client.commands.history import bundle, checkpoint, history, log_key
from kopuro_client.commands.interrupts import ignore_repeated_interrupts, repeat_dropped_interrupts
from kopuro_client.commands.listen import listen
from kopuro_client.commands.mailbox_summary import summary
from kopuro_client.commands.metavars import use_plain_metavars
from kopuro_client.commands.plugins import GROUP, add_plugins
from kopuro_client.commands.printable import printable
from kopuro_client.commands.readers import readers
from kopuro_client.commands.recover import recover
from kopuro_client.commands.report import failure, report
from kopuro_client.commands.server_commands import add_placeholders
from kopuro_client.commands.session import connected
from kopuro_client.commands.statistics import statistics
from kopuro_client.commands.story import story
from kopuro_client.commands.streams import abandon_unwritable_streams, require_stdout, standard_streams
from kopuro_client.commands.trace import trace
from kopuro_client.commands.trigger import trigger
from kopuro_client.commands.value_errors import use_plain_errors
from kopuro_client.errors import ClientError, InvalidArgumentError

__all__ = ["ExitCode", "main"]

# The client's own groups and commands at the top level.
_OWN: Final = frozenset(
    {
        *("referral", "mailbox", "offer", "case", "key", "organization", "coordination", "approvals"),
        *("credential", "verify", "webhook", "witness", "recover", "listen", "trigger", "history", "bundle"),
        *("story", "trace", "readers", "statistics", "export", "checkpoint", "log-key", "watch"),
    }
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its ExitCode. Print a traceback only if KOPURO_TRACEBACK is set.

    arguments: the command line without the program's name; None means sys.argv.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    is_program = arguments is None
    if is_program:
        repeat_dropped_interrupts()
    try:
        with standard_streams():
            code = _status_of(given, as_json=as_json)
    except KeyboardInterrupt:  # a second Ctrl-C, while the first was being handled
        code = ExitCode.INTERRUPTED
    if is_program:
        ignore_repeated_interrupts()
    if code == ExitCode.INTERRUPTED and is_program:
        # Python restores the default action at its end: another Ctrl-C would then change the exit status.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    abandon_unwritable_streams()
    return code


def _status_of(given: list[str], *, as_json: bool) -> int:
    """Run the command, report its error on stderr and return the exit status."""
    try:
        require_stdout()
        code = _run(given, as_json=as_json)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except ClientError as error:
        _complain(report(error, as_json=as_json))
        return exit_code_of(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        _complain(failure(ExitCode.USAGE, f"{where}{error.strerror or error}", as_json=as_json))
        return ExitCode.USAGE
    except Exception as error:  # noqa: BLE001 - a traceback would show cases and secrets
        if os.environ.get("KOPURO_TRACEBACK"):
            traceback.print_exception(error)
        _complain(failure(ExitCode.FAULT, _fault(error), as_json=as_json))
        return ExitCode.FAULT
    if code == ExitCode.INTERRUPTED:
        _complain(failure(ExitCode.INTERRUPTED, "interrupted", as_json=as_json))
    return code


def _run(given: list[str], *, as_json: bool) -> int:
    """Return the exit status. With --json, raises InvalidArgumentError for an invalid command line."""
    try:
        # Standalone, Typer prints its own errors; otherwise it raises them and returns a typer.Exit's status.
        application = _application(given[0] if given else None)
        status = application(given, prog_name="kopuro", standalone_mode=not as_json)
    except SystemExit as exit_:
        status = exit_.code
        if isinstance(status, str):
            _complain(f"kopuro: {status}")
            return ExitCode.FAULT
    except typer.TyperException as error:
        raise InvalidArgumentError(_sentence(error)) from error
    except typer.Abort:
        return ExitCode.INTERRUPTED
    return status if isinstance(status, int) else ExitCode.OK


def _sentence(error: typer.TyperException) -> str:
    described = getattr(error, "format_message", None)
    return str(described() if callable(described) else error)


def _fault(error: Exception) -> str:
    """Describe where the error arose. Omits the error's message, which may contain part of a case."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    return (
        f"internal error in the command ({type(error).__name__} at {place}); "
        "set KOPURO_TRACEBACK=1 to see the traceback"
    )


def _application(first_word: str | None = None) -> Any:
    """Return the command with the installed plug-ins: the whole, or what a line's first word needs."""
    plugins = tuple(entry_points(group=GROUP))
    known = _OWN.union(plugin.name for plugin in plugins)
    return _built(plugins, first_word if first_word in known else None)


@functools.cache
def _built(plugins: tuple[EntryPoint, ...], only: str | None) -> Any:
    """Return the command as Typer builds it: 0.1 s, which a program that runs many commands spends once.

    only: a command of the top level; all others are left out, which saves half of that.
    """
    application = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,  # its tracebacks show local variables: cases, secrets
        help="Refer people to organisations that can help, and handle the referrals offered to you.",
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
        "approvals": approvals.group(),
        "credential": credential.group(),
        "verify": verify.group(),
        "watch": watch.group(),
        "webhook": webhook.group(),
        "witness": witness.group(),
    }
    groups["mailbox"].command("summary")(connected(summary))
    for name, group in groups.items():
        application.add_typer(group, name=name)
    application.command("recover")(connected(recover))
    application.command("listen")(connected(listen, lasting=True, stoppable=True))
    application.command("trigger")(connected(trigger))
    application.command("history")(connected(history))
    application.command("bundle")(connected(bundle))
    application.command("story")(connected(story))
    application.command("trace")(connected(trace))
    application.command("readers")(connected(readers))
    application.command("statistics")(connected(statistics))
    application.command("export")(connected(export))
    application.command("checkpoint")(connected(checkpoint, anonymous=True))
    application.command("log-key")(connected(log_key, anonymous=True))
    taken = {*groups, *(str(command.name) for command in application.registered_commands)}
    assert taken == _OWN
    added = add_plugins(application, plugins, groups=groups, taken=taken, complain=_complain, only=only)
    add_placeholders(application, groups=groups, taken={*taken, *added})
    if only is not None:
        application.registered_groups = [
            group for group in application.registered_groups if group.name not in _OWN - {only}
        ]
        application.registered_commands = [
            command for command in application.registered_commands if command.name not in _OWN - {only}
        ]
    command = get_command(application)
    use_plain_metavars(command)
    use_plain_errors(command)
    unwrap_help(command)
    return command


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
    """Define the options that precede a subcommand."""


def _print_version() -> None:
    typer.echo(version("kopuro-client"))
    raise typer.Exit


def _complain(text: str) -> None:
    typer.echo(printable(text), err=True)


def _exit_codes() -> str:
    return "Exit statuses: " + ", ".join(
        f"{code.value} {code.name.lower().replace('_', ' ')}" for code in ExitCode
    )
