"""A machine whose first process is systemd, in namespaces of its own, on the host's network.

systemd-nspawn does the same on a host that runs systemd itself; this host may be anything with cgroups v2.
"""

from __future__ import annotations

import shlex
import subprocess
import time
from pathlib import Path
from typing import Final, Self

from tests.machines.hosting import HostError
from tests.machines.machine import NAMESPACES, SHELL, Ended, Machine, run_command

_PACKAGES: Final = "systemd systemd-sysv dbus"
_READY: Final = ("running", "degraded")
_WITHIN_SECONDS: Final = 300.0

# The clock is the host's: nothing in the machine may set it.
_WITHOUT_CLOCK: Final = "setpriv --bounding-set=-sys_time --inh-caps=-sys_time"

# /sys is read-only and /dev has only what every program needs: systemd then starts nothing for hardware.
# Mounts are shared, as systemd expects: it mounts the credentials of a service in a namespace of its own.
_BOOT: Final = """
root=$1
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do cp -a "/dev/$device" "$root/dev/$device"; done
mkdir "$root/dev/shm" "$root/dev/pts"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
echo machine >/proc/sys/kernel/hostname
cd "$root"
pivot_root . mnt
umount -l /mnt
mount --make-rshared /
exec env -i container=kopuro PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    WITHOUT_CLOCK /lib/systemd/systemd --log-target=console
""".replace("WITHOUT_CLOCK", _WITHOUT_CLOCK)


class BootedMachine:
    """A machine with systemd, running inside its block. systemd is installed first if it is missing."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._cgroup = _cgroups() / f"kopuro-machine-{machine.root.name}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.machine.tell(
            f"DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends {_PACKAGES}"
        )
        self._cgroup.mkdir(exist_ok=True)
        # The cgroup namespace begins where the process is when it enters it.
        enter = f"echo $$ >{shlex.quote(str(self._cgroup / 'cgroup.procs'))} && exec " + '"$@"'
        command = [*NAMESPACES, "--cgroup", *SHELL, _BOOT, "machine"]
        with self.machine.root.with_name(f"{self.machine.root.name}-boot.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["sh", "-euc", enter, "machine", *command, str(self.machine.root)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _WITHIN_SECONDS
        while self._state() not in _READY:
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.__exit__()
                raise HostError(f"{self.machine.root} does not boot: see {log.name}")
            time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        """Kill the machine: the kernel ends all its processes with its first one."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def run(self, command: str, *, log: Path, timeout: float) -> Ended:
        """Run a shell command in root's login; its output replaces `log`."""
        return run_command([*self._enter(), "su", "-", "-c", command], log=log, timeout=timeout)

    def _state(self) -> str:
        done = subprocess.run(
            [*self._enter(), "systemctl", "is-system-running"], capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    def _enter(self) -> list[str]:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text(
            encoding="ascii"
        )
        first = children.split()[0] if children else str(self._process.pid)
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        return ["nsenter", "--target", first, "--all", *clean, *_WITHOUT_CLOCK.split()]


def _cgroups() -> Path:
    """Return where the host has mounted cgroups v2. Raises HostError."""
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, point, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(point)
    raise HostError("no cgroups v2 are mounted here")
