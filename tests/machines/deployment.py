"""Set up a hub on fresh machines exactly by deploy/README.md, and send a referral through it.

    python -m tests.machines.deployment --release bookworm trixie

The commands are the page's `sh` blocks, in their order, in one shell. The machines are those of
`tests.machines`, with systemd as their first process. They use this machine's network, so ports 443, 5432,
5671, 8001 to 8006 and 9101 to 9106 must be free. Needs root and `debootstrap`; the exit status is 1 when a
set-up failed or took too long.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sandbox.ending_signals import ending_signals_raise
from tests.machines.booted import BootedMachine
from tests.machines.hosting import HostError, Mirrors, mirrors
from tests.machines.machine import HOMES, ROOT, Ended, build, remove
from tests.machines.time_server import TimeServer

RELEASES: Final = {"bookworm": "Debian 12", "trixie": "Debian 13"}
PAGE: Final = ROOT / "deploy" / "README.md"
CHECK_SECONDS: Final = 600.0
DOCTOR_RUNS: Final = 2
WHERE: Final = ROOT / "build" / "machines"

_BLOCK: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CLEAN: Final = "0 faults, 0 warnings"
_VERSIONS: Final = (
    "echo versions: $(. /etc/os-release; echo $PRETTY_NAME), $(python3 --version),"
    " RabbitMQ $(dpkg-query -W -f '${Version}' rabbitmq-server),"
    " PostgreSQL $(runuser -u postgres -- psql -At -c 'SHOW server_version')"
)


def blocks(page: str) -> list[str]:
    """Return the page's `sh` blocks in their order."""
    return _BLOCK.findall(page)


def script(page: str) -> str:
    """Return the page's blocks as one script that prints each command before it runs."""
    return "set -x\n" + "\n".join(blocks(page))


def was_clean(output: str) -> bool:
    """Return whether `doctor`, which the page runs twice, found nothing, not even a warning, each time."""
    return output.splitlines().count(_CLEAN) == DOCTOR_RUNS


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.machines.deployment", description=__doc__)
    parser.add_argument("--release", nargs="+", choices=RELEASES, default=list(RELEASES))
    parser.add_argument("--mirror", help="URL of a Debian mirror; by default the one that apt uses here")
    parser.add_argument(
        "--directory", type=Path, default=WHERE, help="directory of the machines (%(default)s)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the machine's directory")
    parser.add_argument(
        "--minutes", type=float, default=15, help="time limit of the page's commands (%(default)s)"
    )
    chosen = parser.parse_args(arguments)
    chosen.directory.mkdir(parents=True, exist_ok=True)
    lent = Mirrors(archive=chosen.mirror) if chosen.mirror else mirrors()
    failed = False
    for release in chosen.release:
        base = build(release, chosen.directory / release, lent, log=chosen.directory / f"{release}.log")
        machine = base.copy(chosen.directory / f"{release}-deployed")
        log = chosen.directory / f"{release}-deployed.log"
        try:
            ended = _set_up(BootedMachine(machine), log, timeout=chosen.minutes * 60)
        finally:
            if not chosen.keep:
                remove(machine.root)
        failed = failed or ended.status != 0
        result = "set up" if ended.status == 0 else f"failed ({ended.status})"
        sys.stdout.write(f"{RELEASES[release]}: {result} in {ended.seconds:.0f} s (output in {log})\n")
        sys.stdout.writelines(
            line + "\n" for line in ended.output.splitlines() if line.startswith("versions: ")
        )
    return int(failed)


def _set_up(booted: BootedMachine, log: Path, *, timeout: float) -> Ended:
    """Follow the page on the machine, then check the hub. The time is that of the page's commands."""
    booted.machine.clone("root")
    with TimeServer() as clock, booted:
        clock.lend(booted.machine.root)
        home = f"/{HOMES['root']}"
        (booted.machine.root / home.lstrip("/") / "set-up").write_text(
            script(PAGE.read_text(encoding="utf-8"))
        )
        ended = booted.run(f"cd {home}/kopuro && sh {home}/set-up", log=log, timeout=timeout)
        if ended.status != 0:
            return ended
        if not was_clean(ended.output):
            return Ended(status=1, seconds=ended.seconds, output=ended.output)
        check = log.with_suffix(".check.log")
        checked = booted.run(
            f"set -e; {_VERSIONS}; cd {home}/kopuro; /opt/kopuro/bin/python tests/machines/deployed_hub.py",
            log=check,
            timeout=CHECK_SECONDS,
        )
        return Ended(status=checked.status, seconds=ended.seconds, output=checked.output)


if __name__ == "__main__":
    try:
        with ending_signals_raise():
            sys.exit(main(sys.argv[1:]))
    except HostError as error:
        sys.exit(f"machines: {error}")
