"""Run the README's two commands on fresh machines: Debian 12 and 13, as root and as a user with sudo.

Each machine is a Debian made by debootstrap, entered with chroot in namespaces of its own. Needs root,
`debootstrap`, and a mirror of Debian that this machine's apt knows. Prints a table at the end; the exit
status is 1 when a command failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.ending_signals import ending_signals_raise, raise_lost_signal
from tests.machines.hosting import HostError, Mirrors, mirrors
from tests.machines.machine import HOMES, ROOT, Ended, Machine, build, remove

RELEASES: Final = {"bookworm": "Debian 12", "trixie": "Debian 13"}
COMMANDS: Final = {"demo": "make demo", "test": "make test"}
WHERE: Final = ROOT / "build" / "machines"
# The steps of `make test` before the tests run.
_SET_UP: Final = "make setup && tests/partners/install-tools"

_HEAD: Final = ("machine", "Python", "RabbitMQ", "as", "command", "result", "time")
_PYTEST_SUMMARY: Final = re.compile(r"^=* ?((?:\d+ \w+(?:, )?)+) in [\d.]+s.*$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One command on one machine, and how it ended."""

    release: str
    python: str
    rabbitmq: str
    account: str
    command: str
    ended: Ended

    def cells(self) -> tuple[str, ...]:
        minutes, seconds = divmod(round(self.ended.seconds), 60)
        account = "root" if self.account == "root" else "a user with sudo"
        return (
            RELEASES[self.release],
            self.python,
            self.rabbitmq,
            account,
            f"`{self.command}`",
            result(self.ended),
            f"{minutes} min {seconds} s",
        )


def result(ended: Ended) -> str:
    """Return the result of a command in a few words, with pytest's figures if there are any."""
    if ended.status is None:
        return "took too long"
    counted = _PYTEST_SUMMARY.findall(ended.output)
    figures = f": {counted[-1]}" if counted else ""
    return f"{'passes' if ended.status == 0 else f'fails ({ended.status})'}{figures}"


def table(trials: Sequence[Trial]) -> str:
    """The trials in Markdown."""
    rows = [_HEAD, ("---",) * len(_HEAD), *(trial.cells() for trial in trials)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(arguments: Sequence[str]) -> int:
    chosen = arguments_of(arguments)
    missing = [program for program in ("debootstrap", "unshare", "git") if shutil.which(program) is None]
    if missing:
        raise HostError(f"not installed: {', '.join(missing)} (try: apt-get install {' '.join(missing)})")
    if os.geteuid() != 0:
        raise HostError("only root can make a machine: run it with sudo")
    chosen.directory.mkdir(parents=True, exist_ok=True)
    lent = Mirrors(archive=chosen.mirror) if chosen.mirror else mirrors()
    commands = [COMMANDS[name] for name in chosen.command]
    if chosen.only:
        commands = [f"{_SET_UP} && .venv/bin/python -m pytest {shlex.join(chosen.only)}"]
    trials = []
    for release in chosen.release:
        _say(f"{RELEASES[release]}: building it, unless it is there")
        base = build(release, chosen.directory / release, lent, log=chosen.directory / f"{release}.log")
        for account in chosen.account:
            raise_lost_signal()
            machine = base.copy(chosen.directory / f"{release}-{account}")
            try:
                trials += _on(machine, release, account, commands, timeout=chosen.minutes * 60)
            finally:
                if not chosen.keep:
                    remove(machine.root)
    _say(f"\n{table(trials)}")
    return int(any(trial.ended.status != 0 for trial in trials))


def _on(
    machine: Machine, release: str, account: str, commands: Sequence[str], *, timeout: float
) -> list[Trial]:
    """Run the commands one after the other in one clone, as the README has it."""
    machine.clone(account)
    python = machine.tell("python3 -c 'import platform; print(platform.python_version())'")
    trials = []
    for number, command in enumerate(commands):
        raise_lost_signal()
        log = machine.root.with_name(f"{machine.root.name}-{number}.log")
        _say(f"{RELEASES[release]}, {account}: {command} (output in {log})")
        ended = machine.run(account, f"cd /{HOMES[account]}/kopuro && {command}", log=log, timeout=timeout)
        rabbitmq = machine.tell("dpkg-query --show --showformat='${Version}' rabbitmq-server || echo none")
        trials.append(
            Trial(
                release=release,
                python=python,
                rabbitmq=rabbitmq.partition("-")[0],
                account=account,
                command=command,
                ended=ended,
            )
        )
        _say(f"{RELEASES[release]}, {account}: {command} {result(ended)}")
    return trials


def arguments_of(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line. Exits with a message when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.machines",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--release", nargs="+", choices=RELEASES, default=list(RELEASES))
    parser.add_argument("--account", nargs="+", choices=HOMES, default=list(HOMES))
    parser.add_argument("--command", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument(
        "--only",
        nargs=argparse.REMAINDER,
        metavar="...",
        help="last: run no command but pytest with these arguments, such as -n 2 tests/unit",
    )
    parser.add_argument("--mirror", help="URL of a Debian mirror; by default the one that apt uses here")
    parser.add_argument(
        "--directory",
        type=Path,
        default=WHERE,
        help="directory of the machines, some 2 GB each (%(default)s)",
    )
    parser.add_argument("--keep", action="store_true", help="keep the machines after their trials")
    parser.add_argument(
        "--minutes", type=float, default=60, help="time limit of one command in minutes (%(default)s)"
    )
    return parser.parse_args(arguments)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        with ending_signals_raise():
            sys.exit(main(sys.argv[1:]))
    except HostError as error:
        sys.exit(f"machines: {error}")
