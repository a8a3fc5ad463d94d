"""Our two wheels, built from the checkout and installed in an environment that does not see it."""

from __future__ import annotations

import compileall
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# The folders of the checkout whose files the wheels hold.
PACKAGES = ("admin", "contracts", "runtime", "sandbox", "services", "client/kopuro_client")

# The import hooks of an editable installation, by which the dependencies' folder finds the checkout. Python
# reads them in its own folder only: a folder that a .pth file adds is searched for packages and no more.
_DEPENDENCIES = "dependencies.pth"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wheels:
    """The files of the server's and of the client's wheel."""

    server: Path
    client: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """A virtual environment. packages: the folder with our packages in it."""

    directory: Path
    packages: Path

    def program(self, name: str) -> str:
        return str(self.directory / "bin" / name)


def build(directory: Path) -> Wheels:
    """Build both wheels into `directory`, without a network (1 s)."""
    for source in (ROOT, ROOT / "client"):
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", str(directory)]
        subprocess.run(command, cwd=source, check=True, capture_output=True)
    (client,) = directory.glob("kopuro_client-*.whl")
    (server,) = directory.glob("kopuro-*.whl")
    return Wheels(server=server, client=client)


def install(wheels: Wheels, directory: Path) -> Environment:
    """Install the wheels in a new environment whose dependencies are those of this one (2 s).

    Nothing is downloaded. Their modules are compiled at once: the processes of a hub would each do it.
    """
    venv.create(directory, symlinks=True)
    python = directory / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(directory)}))
    (packages / _DEPENDENCIES).write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    options = ("--no-deps", "--no-index", "--quiet", "--no-compile", "--disable-pip-version-check")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", str(python), "install", *options),
            *(str(wheels.client), str(wheels.server)),
        ],
        check=True,
        capture_output=True,
    )
    compileall.compile_dir(packages, quiet=2, workers=2)
    return Environment(directory=directory, packages=packages)
