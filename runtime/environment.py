"""The environment variables of a process. A problem names the variable and never its value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from runtime.secret_files import with_secrets
from runtime.storage.database_url import UnusableDatabaseUrl, parsed_database_url
from runtime.tls import TlsFiles, UnusableTlsFiles, tls_files, variables

T = TypeVar("T")
D = TypeVar("D")

# Returns the value of a text, or raises ValueError with the end of a sentence that begins with the variable.
Reader = Callable[[str], T]

_MANAGEMENT_URI = re.compile(r"https?://[^:/@\s]+:[^:/@\s]+@[^:/@\s\[\]]+(:\d{1,5})?(/[^?#\s]*)?")
# RFC 8414 §2: https, without query and fragment. http is for one machine, such as the sandbox.
_ISSUER = re.compile(r"https?://[^/?#@\s]+(/[^/?#\s]+)*")
# The library posts to the URL as it is: without a path, a receiver answers 404.
_TRACES_ENDPOINT = re.compile(r"https?://[^/?#@\s]+(/[^/?#\s]+)+")
_RATIO = re.compile(r"[01](\.\d{1,9})?")
_HUB = re.compile(r"[a-z]{2}")


class Environment:
    """The variables of a process, with the secrets that some of them name as files."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ, self.problems = with_secrets(environ)

    def text(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def required(self, name: str, read: Reader[T], fallback: T) -> T:
        """Return the value; on a problem, the fallback."""
        if not self.text(name):
            self.problems.append(f"{name} is not set")
            return fallback
        return self.optional(name, read, fallback)

    def optional(self, name: str, read: Reader[T], default: D) -> T | D:
        """Return the value; on a problem and without the variable, the default."""
        text = self.text(name)
        try:
            return read(text) if text else default
        except ValueError as fault:
            self.problems.append(f"{name} {fault}")
            return default

    def each(self, name: str, read: Reader[T], what: str) -> tuple[T, ...]:
        """Return the values of a comma-separated list."""
        try:
            return tuple(read(text.strip()) for text in self.text(name).split(",") if text.strip())
        except ValueError:
            self.problems.append(f"{name} is not a comma-separated list of {what}")
            return ()

    def tls(self, server: str, address: str, schemes: tuple[str, ...]) -> TlsFiles | None:
        """Return the files for TLS to a server. address: the variable that must have one of the schemes."""
        try:
            files = tls_files(server, self._environ)
        except UnusableTlsFiles as fault:
            self.problems.extend(fault.problems)
            return None
        text = self.text(address)
        if files is not None and text and not text.startswith(schemes):
            given = " and ".join(name for name in variables(server).values() if self._environ.get(name))
            self.problems.append(f"{given} is set, but {address} does not use TLS")
        return files


def whole_number(least: int, most: int, *, described: str | None = None) -> Reader[int]:
    """Return a reader of whole numbers in decimal digits."""
    what = described or f"a whole number from {least} to {most}"

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(most))):
            raise ValueError(f"is not {what}")
        if not least <= int(text) <= most:
            raise ValueError(f"is not {what}")
        return int(text)

    return read


def positive(text: str) -> int:
    return whole_number(1, 999_999, described="a positive whole number")(text)


def seconds(text: str) -> timedelta:
    return timedelta(seconds=whole_number(0, 99_999_999, described="a whole number of seconds")(text))


def days(text: str) -> timedelta:
    return timedelta(days=whole_number(0, 99_999, described="a whole number of days")(text))


def days_between(least: int, most: int) -> Reader[timedelta]:
    """Return a reader of whole numbers of days."""
    read = whole_number(least, most, described=f"a whole number of days from {least} to {most}")
    return lambda text: timedelta(days=read(text))


def one_of(*words: str, described: str) -> Reader[str]:
    """Return a reader of some words. described: such as `neither yes nor no`."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"is {described}")
        return text

    return read


def matching(pattern: re.Pattern[str], described: str) -> Reader[str]:
    """Return a reader of the texts that the whole pattern matches. described: such as `a URL`."""

    def read(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise ValueError(f"is not {described}")
        return text

    return read


hub = matching(_HUB, "a lower-case two-letter country code")
management_uri = matching(_MANAGEMENT_URI, "an http:// or https:// URI with a user, a password and a host")
issuer = matching(_ISSUER, "a URL without query, fragment and trailing slash")
traces_endpoint = matching(
    _TRACES_ENDPOINT, "an http:// or https:// URL with a path and without user, query and fragment"
)


def ratio(text: str) -> float:
    if _RATIO.fullmatch(text) is None or not 0 < float(text) <= 1:
        raise ValueError("is not a decimal number above 0 and up to 1")
    return float(text)


def file(text: str) -> Path:
    try:
        found = Path(text).is_file()
    except OSError:  # a name that is too long, or a folder that must not be searched
        found = False
    if not found:
        raise ValueError("does not name a file")
    return Path(text)


def amqp_uri(text: str) -> str:
    if not text.startswith(("amqp://", "amqps://")):
        raise ValueError("is not an amqp:// or amqps:// URI")
    if "ssl" in text.partition("?")[2]:
        raise ValueError("has parameters for TLS: set KOPURO_BROKER_CA and KOPURO_BROKER_CERTIFICATE instead")
    return text


def database_url(text: str) -> str:
    try:
        parsed_database_url(text)
    except UnusableDatabaseUrl as error:
        raise ValueError(str(error)) from None
    return text
