"""Structured logs: JSON lines on stderr that cannot contain a person's data by accident.

Four rules ensure that. Only the fields in `FIELDS` leave the process. An exception is written as its class
and the frames of our own code; its text only when it is a `KopuroError`, whose texts never repeat content.
The same holds for an exception among a message's arguments, because libraries log them as text. A library's
message is written with its numbers only; other arguments, which can be a part of a request, by their class.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TextIO

import orjson

from contracts.errors import KopuroError
from runtime.telemetry import trace

FIELDS: Final = frozenset(
    {
        "address", "attempt", "bytes", "cause", "change", "client", "configured", "consumer",
        "count", "days", "event_type", "exchange", "exit_code", "in_force", "jti", "keys", "message_id",
        "method", "organization", "present", "principal", "query", "queue", "reason", "record", "records",
        "referral_id", "retry_after", "route", "routing_key", "rows", "rule", "seconds", "sender", "slug",
        "status", "version", "withheld", "work",
    }
)  # fmt: skip

_LEVELS: Final = {
    # These log every request and connection at INFO.
    "amqp": logging.WARNING,
    "eventlet": logging.WARNING,
    "kombu": logging.WARNING,
    "nameko": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "werkzeug": logging.WARNING,
}


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON line. packages: the top-level packages whose frames are logged."""

    def __init__(self, service: str, packages: Iterable[str]) -> None:
        super().__init__()
        self._service = service
        self._packages = frozenset(packages)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": _message(record, foreign=record.name.partition(".")[0] not in self._packages),
        }
        at = trace.current()
        if at is not None:
            line["trace_id"] = at.trace_id
        correlation = trace.correlation_id()
        if correlation is not None:
            line["correlation_id"] = correlation
        caller = trace.caller()
        if caller is not None:
            line["client"], line["jti"] = caller
        for name, value in record.__dict__.items():
            if name in FIELDS:
                line[name] = _plain(value)
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = self.chain(record.exc_info[1])
        return orjson.dumps(line, default=lambda value: type(value).__name__).decode()

    def chain(self, exception: BaseException) -> list[dict[str, Any]]:
        """Return the exception and its causes, outermost first; at most five."""
        links: list[dict[str, Any]] = []
        link: BaseException | None = exception
        while link is not None and len(links) < 5:
            links.append({"class": describe(link), "frames": self._frames(link)})
            link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
        return links

    def _frames(self, exception: BaseException) -> list[str]:
        return [
            f"{module}:{number} {frame.f_code.co_name}"
            for frame, number in traceback.walk_tb(exception.__traceback__)
            if (module := str(frame.f_globals.get("__name__"))).partition(".")[0] in self._packages
        ]


def describe(exception: BaseException) -> str:
    """Return the exception's class, followed by its text only for a `KopuroError`."""
    cls = type(exception)
    name = cls.__name__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__name__}"
    return f"{name}: {exception}" if isinstance(exception, KopuroError) else name


def configure(service: str, packages: Iterable[str], stream: TextIO = sys.stderr) -> None:
    """Send every log line and every uncaught exception of the process through `JsonFormatter`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(service, packages))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)
    logging.raiseExceptions = False  # a failing handler would print the record's arguments

    stray = logging.getLogger("runtime.stray")

    def hook(kind: type[BaseException], exception: BaseException, tb: TracebackType | None) -> None:
        stray.critical("uncaught exception", exc_info=(kind, exception, tb))

    def thread_hook(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            hook(args.exc_type, args.exc_value, args.exc_traceback)

    def unraisable_hook(args: sys.UnraisableHookArgs) -> None:
        if args.exc_value is not None:
            hook(args.exc_type, args.exc_value, args.exc_traceback)

    sys.excepthook = hook
    threading.excepthook = thread_hook
    sys.unraisablehook = unraisable_hook


def _message(record: logging.LogRecord, *, foreign: bool) -> str:
    if isinstance(record.msg, BaseException):
        return describe(record.msg)
    if foreign and record.args:
        return _of_library(record)
    if isinstance(record.args, tuple) and any(isinstance(a, BaseException) for a in record.args):
        args = tuple(describe(a) if isinstance(a, BaseException) else a for a in record.args)
        return str(record.msg) % args
    return record.getMessage()


def _of_library(record: logging.LogRecord) -> str:
    arguments = record.args
    try:
        if isinstance(arguments, tuple):
            return str(record.msg) % tuple(map(_harmless, arguments))
        return str(record.msg) % {name: _harmless(value) for name, value in (arguments or {}).items()}
    except (TypeError, ValueError):  # a number's format with a class's name, or too few arguments
        return str(record.msg)


def _harmless(value: object) -> object:
    if isinstance(value, BaseException):
        return describe(value)
    return value if isinstance(value, int | float) else type(value).__name__


def _plain(value: object) -> object:
    if isinstance(value, BaseException):
        return describe(value)
    return value if isinstance(value, str | int | float | bool | None) else type(value).__name__
