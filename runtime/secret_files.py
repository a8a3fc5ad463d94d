"""Settings with a password, from files: `KOPURO_DATABASE_URL_FILE` names a file with `KOPURO_DATABASE_URL`.

Container engines pass secrets as files, because any user who may inspect a container sees its environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

# The settings that hold a password.
SECRETS: Final = ("KOPURO_AMQP_URI", "KOPURO_DATABASE_URL", "KOPURO_BROKER_MANAGEMENT_URI")
SUFFIX: Final = "_FILE"


def with_secrets(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the environment with the secrets in the files that it names, and what is wrong with these.

    A problem names the variable, never a value.
    """
    resolved, problems = dict(environ), list[str]()
    for name in SECRETS:
        file = environ.get(name + SUFFIX, "").strip()
        if not file:
            continue
        if environ.get(name, "").strip():
            problems.append(f"{name} and {name}{SUFFIX} are both set")
            continue
        try:
            resolved[name] = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            problems.append(f"{name}{SUFFIX} cannot be read ({type(error).__name__})")
    return resolved, problems
