"""The `kopuro` command's exit statuses. Scripts rely on these numbers, so they never change."""

from __future__ import annotations

from enum import IntEnum

from kopuro_client.commands.streams import OutputError
from kopuro_client.errors import (
    AuthenticationError,
    ClientError,
    DefectError,
    InvalidArgumentError,
    RefusedError,
    SealingError,
    TransportError,
    UnavailableError,
)
from kopuro_client.tlog.errors import TlogError


class ExitCode(IntEnum):
    """The exit status of a command. Commands added by plug-ins may use others."""

    OK = 0
    FAULT = 1  # an internal error in the command
    USAGE = 2  # the command line, a file or a setting is invalid
    REFUSED = 3  # the hub refused the request; stderr has the problem
    NOT_AUTHENTICATED = 4  # the hub rejected the credentials
    UNAVAILABLE = 5  # the hub was unavailable, also after retries
    CANNOT_CONNECT = 6  # no connection, or no response in time
    SEALING = 7  # a case could not be sealed or opened; nothing was sent
    HUB_DEFECT = 8  # the hub failed, or its response violates its contract
    NOT_VERIFIED = 9  # verification of a log, bundle, statement or receipt failed
    OUTPUT = 10  # stdout is closed, its reader has exited, or its device is full
    NOT_ISSUED = 11  # what a statement lists holds; the hub has not issued its figures yet
    INTERRUPTED = 130  # Ctrl-C


_FAMILIES: tuple[tuple[type[ClientError], ExitCode], ...] = (
    (InvalidArgumentError, ExitCode.USAGE),
    (SealingError, ExitCode.SEALING),
    (RefusedError, ExitCode.REFUSED),
    (AuthenticationError, ExitCode.NOT_AUTHENTICATED),
    (UnavailableError, ExitCode.UNAVAILABLE),
    (TransportError, ExitCode.CANNOT_CONNECT),
    (DefectError, ExitCode.HUB_DEFECT),
    (TlogError, ExitCode.NOT_VERIFIED),
    (OutputError, ExitCode.OUTPUT),
)


def exit_code_of(error: ClientError) -> ExitCode:
    """Return the exit status of the error's class; FAULT if it has none."""
    return next((code for family, code in _FAMILIES if isinstance(error, family)), ExitCode.FAULT)
