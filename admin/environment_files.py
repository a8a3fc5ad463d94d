"""Environment files: the variables of a service in the form of systemd's `EnvironmentFile=`.

One file for each service, `<service>.env` in one directory, mode 0600 because addresses contain passwords.
Source: systemd.exec(5), EnvironmentFile. We write no value that needs more than double quotes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from admin.private_files import write_private
from contracts.topology import SERVICES
from kopuro_client.errors import InvalidArgumentError
from runtime.secret_files import SECRETS, SUFFIX, with_secrets

# The folder of the files in the data directory of an embedded hub.
EMBEDDED: Final = "env"

_BARE: Final = re.compile(r"[A-Za-z0-9_@%+=:,./{}~?&-]*")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPED: Final = re.compile(r'\\(["\\$`])')


def environment_text(variables: Mapping[str, str]) -> str:
    """Return the content of a file with these variables. Raises ValueError for a value with a line break."""
    lines = []
    for name, value in variables.items():
        if "\n" in value or "\r" in value:
            raise ValueError(f"the value of {name} contains a line break")
        if _BARE.fullmatch(value) is None:
            value = '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'
        lines.append(f"{name}={value}\n")
    return "".join(lines)


def parsed(text: str) -> dict[str, str]:
    """Return the variables in a file's text. Raises ValueError with the number of a wrong line."""
    variables = {}
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        name, found, value = line.partition("=")
        if not found or _NAME.fullmatch(name) is None:
            raise ValueError(f"line {number} is not NAME=VALUE")
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = _ESCAPED.sub(r"\1", value[1:-1]) if value[0] == '"' else value[1:-1]
        variables[name] = value
    return variables


def write_environment(file: Path, variables: Mapping[str, str]) -> None:
    """Replace a file, with mode 0600. Raises OSError and ValueError as `environment_text`."""
    write_private(file, environment_text(variables))


def read_environment(file: Path) -> dict[str, str]:
    """Return the variables in a file. Raises InvalidArgumentError, which does not quote the file."""
    try:
        return parsed(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidArgumentError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise InvalidArgumentError(f"{file} is not an environment file: {reason}") from None


def read_environments(directory: Path) -> dict[str, dict[str, str]]:
    """Return the variables of each service, from `<service>.env`.

    `KOPURO_AMQP_URI_FILE` and similar variables are replaced by the variable with the file's content, as
    services read them. Raises InvalidArgumentError.
    """
    files = {service: directory / f"{service}.env" for service in SERVICES}
    if missing := [file.name for file in files.values() if not file.is_file()]:
        raise InvalidArgumentError(
            f"{directory} lacks {', '.join(missing)} (`kopuro admin init` writes them)"
        )
    return {service: read_resolved(file) for service, file in files.items()}


def read_resolved(file: Path) -> dict[str, str]:
    """Return the variables in a file with the secrets in the files that it names.

    Raises InvalidArgumentError.
    """
    variables, problems = with_secrets(read_environment(file))
    if problems:
        raise InvalidArgumentError(f"{file}: {'; '.join(problems)}")
    named = {secret + SUFFIX for secret in SECRETS}
    return {name: value for name, value in variables.items() if name not in named}
