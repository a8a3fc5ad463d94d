"""The `kopuro` command's exit statuses. Scripts rely on these numbers: they stay."""

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
    """The status of every command, those of other distributions apart."""

    OK = 0
    FAULT = 1  # a fault of this command itself
    USAGE = 2  # the command line, a file or a setting is wrong
    REFUSED = 3  # the hub refused; the problem is on stderr
    NOT_AUTHENTICATED = 4  # the credentials were not accepted
    UNAVAILABLE = 5  # the hub cannot answer just now, after repetitions
    CANNOT_CONNECT = 6  # no answer: no connection, or a time limit passed
    SEALING = 7  # a case could not be sealed or opened; nothing was sent
    HUB_DEFECT = 8  # the hub failed, or answered what its contract does not allow
    NOT_VERIFIED = 9  # a log, bundle or receipt was looked at, and does not hold
    OUTPUT = 10  # stdout is closed, its reader has gone, or its device is full
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
    return next((code for family, code in _FAMILIES if isinstance(error, family)), ExitCode.FAULT)
