"""RabbitMQ's and Erlang's files on this machine, as far as they shorten the start of a private node.

Erlang looks for a module in one directory of its code path after the other. A start loads 1,300 modules, and
RabbitMQ puts the directories of all 70 plugins in front of Erlang's own: it looks for 51,000 files that do
not exist. If a node sees no plugin and searches the directories with most modules first, it looks for 7,500
modules and reads one configuration schema instead of those of all plugins. It then starts with about half of
the CPU time. With the management API it sees that plugin and those that it needs.

A quarter of the modules belong to libraries that RabbitMQ does not call, and loads in search of its boot
steps.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

# Applications by the number of their modules that a start loads, most first (RabbitMQ 3.10.8 on OTP 25).
_APPLICATIONS: Final = (
    *("rabbit", "kernel", "stdlib", "rabbit_common", "ssl", "inets", "ra", "compiler", "cuttlefish"),
    *("osiris", "ranch", "rabbitmq_prelaunch", "xmerl", "syslog", "mnesia", "sysmon_handler", "seshat"),
    *("stdout_formatter", "credentials_obfuscation", "aten", "recon", "enough", "gen_batch_server"),
    *("sasl", "tools", "observer_cli", "public_key", "syntax_tools", "jsx", "os_mon", "crypto", "asn1"),
)
# The management plugin and what it needs, besides the server: applications of RabbitMQ.
_MANAGEMENT: Final = (
    *("rabbitmq_management", "cowboy", "amqp_client", "cowlib", "rabbitmq_management_agent"),
    "rabbitmq_web_dispatch",
)
# Applications of Erlang and of other projects that contain no boot step and no feature flag of RabbitMQ.
LIBRARIES: Final = (
    *("compiler", "syntax_tools", "xmerl", "tools", "ssl", "inets", "public_key", "asn1", "crypto", "mnesia"),
    *("os_mon", "runtime_tools", "observer_cli", "recon", "jsx", "syslog", "systemd", "amqp10_common"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RabbitInstallation:
    """rabbit: the directory of the server itself. plugins: of the plugins that the node needs.

    modules: the directories to search first, in this order. libraries: the names of applications whose
    modules RabbitMQ need not load in search of boot steps.
    """

    rabbit: Path
    plugins: tuple[Path, ...]
    modules: tuple[Path, ...]
    libraries: tuple[str, ...] = LIBRARIES

    @classmethod
    def found(cls, server: Path, *, path: str, management: bool = False) -> Self | None:
        """Return the installation of a start script; None unless it is RabbitMQ 3 in Debian's layout.

        path: PATH, to find `erl`. management: whether the node has the management API.
        """
        plugins = server.resolve().parent.parent / "plugins"
        erl = shutil.which("erl", path=path)
        servers = list(plugins.glob("rabbit-3.*"))
        if erl is None or len(servers) != 1:
            return None
        needed = [plugins.glob(f"{name}-[0-9]*") for name in (_MANAGEMENT if management else ())]
        enabled = [directory for directories in needed for directory in directories]
        if len(enabled) != len(needed):
            return None
        places = (plugins, Path(erl).resolve().parent.parent / "lib")
        modules = tuple(
            directory
            for application in (*_APPLICATIONS, *(_MANAGEMENT if management else ()))
            for place in places
            for directory in place.glob(f"{application}-[0-9]*/ebin")
        )
        # The script splits its arguments at spaces.
        if any(letter.isspace() for directory in modules for letter in str(directory)):
            return None
        return cls(rabbit=servers[0], plugins=tuple(enabled), modules=modules)


def erl_call(path: str) -> str | None:
    """Return Erlang's program `erl_call`; None if there is none. path: PATH, on which it or `erl` is.

    An Erlang that was built from source has it in its own directory only.
    """
    if (found := shutil.which("erl_call", path=path)) is not None:
        return found
    if (erl := shutil.which("erl", path=path)) is None:
        return None
    root = Path(erl).resolve().parent.parent
    places = (root / "bin", *root.glob("lib/erl_interface-*/bin"))
    return shutil.which("erl_call", path=os.pathsep.join(map(str, places)))
