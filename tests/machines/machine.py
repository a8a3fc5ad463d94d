"""A Debian system in a directory, and commands that run inside it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.process import ServiceProcess
from tests.machines.hosting import HostError, Mirrors, lend, lend_certificate

ROOT: Final = Path(__file__).resolve().parent.parent.parent

ORDINARY_USER: Final = "partner"
HOMES: Final = {"root": "root", "user": f"home/{ORDINARY_USER}"}  # relative to the machine's root
_LOGINS: Final = {"root": "root", "user": ORDINARY_USER}

# The README's requirements, git for the clone, and sudo for the ordinary user. Python's venv is left to
# `make`, which installs it where Debian has not.
_PACKAGES: Final = ("ca-certificates", "git", "make", "python3", "sudo")

# Mounts and processes are in namespaces of their own: the kernel ends both with the first process, even if
# this program is killed. The shell is that process; it also reaps the orphans. The network is the host's.
NAMESPACES: Final = (
    *("unshare", "--mount", "--pid", "--ipc", "--uts"),
    *("--fork", "--kill-child=KILL", "--propagation", "private"),
)
SHELL: Final = ("--", "sh", "-euc")
_ENTER: Final = """
root=$1
shift
echo machine >/proc/sys/kernel/hostname
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
mount --bind "$root/dev/pts/ptmx" "$root/dev/ptmx"
chroot "$root" "$@"
"""
_ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A command that has run. seconds: how long; status: its exit status, None if it took too long."""

    status: int | None
    seconds: float
    output: str


@dataclass(frozen=True, slots=True)
class Machine:
    """A Debian under the directory `root`."""

    root: Path

    def run(self, account: str, command: str, *, log: Path, timeout: float) -> Ended:
        """Run a shell command in a login of an account ("root", "user"); its output replaces `log`."""
        login = ["su", "-", _LOGINS[account], "-c", command]
        return run_command(
            [*NAMESPACES, *SHELL, _ENTER, "machine", str(self.root), *login], log=log, timeout=timeout
        )

    def tell(self, command: str) -> str:
        """Run a command as root and return its stripped output. Raises OSError if it fails."""
        log = self.root.with_name(f"{self.root.name}.told")
        ended = self.run("root", command, log=log, timeout=60)
        log.unlink()
        if ended.status != 0:
            raise OSError(f"{command}: {ended.output}")
        return ended.output.strip()

    def clone(self, account: str) -> None:
        """Clone what is committed here into the account's home, which only the account may enter."""
        home = self.root / HOMES[account]
        home.chmod(0o700)
        target = home / "kopuro"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(target)], check=True)
        owner = home.stat()
        for path in (target, *target.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def copy(self, root: Path) -> Machine:
        """Copy this machine to `root`, replacing its contents."""
        remove(root)
        subprocess.run(["cp", "--archive", "--reflink=auto", str(self.root), str(root)], check=True)
        return Machine(root)


def build(release: str, root: Path, mirrors: Mirrors, *, log: Path, timeout: float = 1800) -> Machine:
    """A fresh Debian of a release such as "trixie" under `root`, or the one that an earlier run left there.

    Raises HostError when it cannot be built.
    """
    if root.exists():
        return Machine(root)
    unfinished = root.with_name(f"{root.name}.unfinished")
    remove(unfinished)
    packages = f"--include={','.join(_PACKAGES)}"
    bootstrap = ["debootstrap", "--variant=minbase", packages, release, str(unfinished), mirrors.archive]
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    _succeed(
        run_command(
            [*NAMESPACES, *SHELL, '"$@"', "machine", *bootstrap],
            log=log,
            timeout=timeout,
            environment=proxies,
        ),
        log,
    )
    lend(unfinished, release, mirrors)
    machine = Machine(unfinished)
    steps = (
        "update-ca-certificates",
        "apt-get update --quiet=2",
        f"useradd --create-home --shell /bin/bash {ORDINARY_USER}",
        f"echo {shlex.quote(f'{ORDINARY_USER} ALL=(ALL) NOPASSWD: ALL')} >/etc/sudoers.d/{ORDINARY_USER}",
    )
    _succeed(machine.run("root", " && ".join(steps), log=log, timeout=timeout), log)
    lend_certificate(unfinished)
    unfinished.rename(root)
    return Machine(root)


def remove(root: Path) -> None:
    """Remove a machine's directory. Raises HostError when a file system is mounted below it."""
    below = mounted_below(root.resolve(), Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
    if below:
        raise HostError(f"{root} is not removed: mounted below it are {', '.join(below)}")
    if root.exists():
        shutil.rmtree(root)


def mounted_below(root: Path, mounts: str) -> list[str]:
    """Return the mount points at or below `root` in a proc_pid_mountinfo(5) text."""
    points = [line.split()[4] for line in mounts.splitlines()]
    return [point for point in points if Path(point).is_relative_to(root)]


def run_command(
    command: list[str], *, log: Path, timeout: float, environment: dict[str, str] | None = None
) -> Ended:
    """Run a command to its end or for `timeout` seconds; it is killed with this process."""
    log.unlink(missing_ok=True)
    process = ServiceProcess(
        "machine", command, environment={**_ENVIRONMENT, **(environment or {})}, log=log, directory=Path("/")
    )
    began = time.monotonic()
    process.spawn()
    try:
        process.wait(timeout)
        status = process.exit_code()
    finally:
        process.kill()
    output = log.read_text(encoding="utf-8", errors="replace")
    return Ended(status=status, seconds=time.monotonic() - began, output=output)


def _succeed(ended: Ended, log: Path) -> None:
    if ended.status != 0:
        last = ended.output.strip().rpartition("\n")[2]
        raise HostError(f"the machine could not be built: {last} (more in {log})")
