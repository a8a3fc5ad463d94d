"""The host's package mirrors, certificates and name servers, for use in a new machine.

All of it is read when it is needed and written into the new machine only: no address enters the repository.
"""

from __future__ import annotations

import ast
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CERTIFICATES: Final = Path("usr/local/share/ca-certificates")
_PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")

# Options of pip that say where packages come from; those that name local directories are of no use elsewhere.
_PIP_OPTIONS: Final = ("index-url", "extra-index-url", "trusted-host", "proxy", "cert", "timeout")


class HostError(Exception):
    """The host lacks something that is needed to create a machine; the text names it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mirrors:
    """Addresses of Debian's archive and of its security archive, if there is one."""

    archive: str
    security: str | None = None

    def sources(self, release: str) -> str:
        """The text of sources.list for a release such as "trixie"."""
        lines = [f"deb {self.archive} {release} main", f"deb {self.archive} {release}-updates main"]
        if self.security is not None:
            lines.append(f"deb {self.security} {release}-security main")
        return "\n".join(lines) + "\n"


def mirrors() -> Mirrors:
    """Return the mirrors of the host's apt. Raises HostError on a host without Debian mirrors."""
    told = subprocess.run(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(REPO_URI) $(RELEASE) $(COMPONENT)",
            "Created-By: Packages",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return mirrors_in(told.stdout, codename=platform.freedesktop_os_release().get("VERSION_CODENAME", ""))


def mirrors_in(index_targets: str, *, codename: str) -> Mirrors:
    """index_targets: lines of address, release and component. codename: this machine's own release.

    Raises HostError when no line has the release's main component.
    """
    found: dict[str, str] = {}
    for line in index_targets.splitlines():
        address, release, component = line.split()
        if component == "main":
            found.setdefault(release, address.rstrip("/"))
    if codename not in found:
        raise HostError(f"apt has no mirror of Debian's {codename or 'release'} here: name one with --mirror")
    return Mirrors(archive=found[codename], security=found.get(f"{codename}-security"))


def pip_options(listing: str) -> Mapping[str, str]:
    """Return the package sources from the output of `pip config list`. The environment overrides files."""
    found: dict[str, str] = {}
    for line in sorted(listing.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2].removeprefix("default-")
        words = [word for word in str(ast.literal_eval(value)).split() if not word.startswith("file:")]
        if option in _PIP_OPTIONS and words:
            found[option] = " ".join(words)
    return found


def lend(root: Path, release: str, mirrors: Mirrors) -> None:
    """Configure the system under `root` to use the host's package registries."""
    etc = root / "etc"
    (etc / "apt/sources.list").write_text(mirrors.sources(release), encoding="utf-8")
    (etc / "apt/apt.conf.d/90host").write_text(_apt_settings(), encoding="utf-8")
    (etc / "hosts").write_text("127.0.0.1 localhost machine\n::1 localhost\n", encoding="ascii")
    (etc / "hostname").write_text("machine\n", encoding="ascii")
    shutil.copyfile("/etc/resolv.conf", etc / "resolv.conf")
    proxies = [f"{name}={os.environ[name]}\n" for name in _PROXIES if name in os.environ]
    (etc / "environment").write_text("".join(proxies), encoding="utf-8")
    for certificate in (Path("/") / _CERTIFICATES).rglob("*.crt"):
        shutil.copyfile(certificate, root / _CERTIFICATES / certificate.name)
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    options = pip_options(listing.stdout)
    lines = ["[global]", *(f"{name} = {value}" for name, value in options.items())]
    (etc / "pip.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")


def lend_certificate(root: Path) -> None:
    """Copy pip's configured certificate file, unless the system under `root` has a file at that path."""
    conf = (root / "etc/pip.conf").read_text(encoding="utf-8")
    for line in conf.splitlines():
        name, _, value = line.partition(" = ")
        there = root / value.lstrip("/")
        if name == "cert" and not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(value, there)


def _apt_settings() -> str:
    dump = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True)
    wanted = ("acquire::http", "acquire::https", "acquire::retries")
    return "".join(
        line + "\n" for line in dump.stdout.splitlines() if line.lower().startswith(wanted) and "::" in line
    )
