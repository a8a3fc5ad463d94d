"""A strict parser of HTTP/1.1 request heads: request line and header lines (RFC 9112).

The parser refuses every head that two parsers could interpret differently. It does so even where the RFC lets
a recipient repair the head (bare LF, folded lines, `Content-Length: 5, 5`, both kinds of framing at once). A
proxy in front may have repaired it differently, and then one parser reads as a body what the other reads as
the next request. Source: RFC 9112 §2.2, §3, §5, §6.3, §11.2. docs/decisions/0016 explains why neither
http.client nor h11 parses the head.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from contracts.errors import Refused

LONGEST_LINE: Final = 8192  # bytes, including the request line
LARGEST_HEAD: Final = 64 * 1024
MOST_HEADERS: Final = 100
_CONTINUE: Final = "100-continue"

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# A host and a port (RFC 3986 §3.2.2, §3.2.3); RFC 9110 §4.2.4 makes the user information before it an error.
_AUTHORITY: Final = rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)(?::[0-9]*)?"
_REQUEST_LINE: Final = re.compile(
    rb"(" + _TOKEN + rb") "
    rb"(?:[Hh][Tt][Tt][Pp][Ss]?://" + _AUTHORITY + rb"(?=/))?"  # absolute-form, from a proxy (§3.2.2)
    rb"(/[!$-;=?-~]*|\*) "
    rb"HTTP/([0-9])\.([0-9])\r\n"
)
# White space around the value is stripped afterwards. A pattern that does it takes quadratic time.
_HEADER_LINE: Final = re.compile(rb"(" + _TOKEN + rb"):([\t\x20-\x7e\x80-\xff]*)\r\n")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_HOST: Final = re.compile(_AUTHORITY.decode("ascii"))

# A repeated one makes the framing or the host ambiguous.
_FRAMING: Final = frozenset({"host", "content-length", "transfer-encoding"})
# A repeated one makes the caller, key or condition ambiguous: parsers choose differently.
_SINGLE: Final = frozenset(
    {
        "authorization",
        "content-encoding",
        "content-type",
        "expect",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "if-range",
        "kopuro-proof",
        "range",
        "traceparent",
    }
)
# The headers that a resource or the parser reads. Names with an underscore are dropped (see `environment`):
# without a refusal, the sender of `Idempotency_Key` would rely on a header that has no effect.
_READ: Final = _FRAMING | _SINGLE | {"accept-encoding"}


class BadHead(Refused):
    """The head is malformed or ambiguous. The connection must be closed: the next request is unknown.

    The detail never repeats what was sent.
    """


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request head. method and target: as sent; headers: by lower-case name, values as latin-1.

    length: the body's announced length in bytes, None when chunked; http_1_1: False for HTTP/1.0.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    length: int | None
    http_1_1: bool

    @property
    def waits_to_continue(self) -> bool:
        """Return whether the client may wait for 100 (Continue) before it sends the body.

        RFC 9110 §10.1.1: the expectation of an HTTP/1.0 client is ignored.
        """
        return self.http_1_1 and self.length != 0 and self.headers.get("expect", "").lower() == _CONTINUE

    @property
    def keeps_alive(self) -> bool:
        """Return whether the client keeps the connection open after the response (RFC 9112 §9.3)."""
        options = {option.strip() for option in self.headers.get("connection", "").lower().split(",")}
        return "close" not in options and (self.http_1_1 or "keep-alive" in options)


def read_head(readline: Callable[[int], bytes]) -> RequestHead | None:
    """Read the next head of a connection.

    readline: returns at most the given number of bytes, up to and including LF; empty at EOF. Returns None
    when the connection ends before the head does. Raises BadHead.
    """
    line = readline(LONGEST_LINE + 1)
    if line == b"\r\n":  # §2.2: one empty line before a request is ignored
        line = readline(LONGEST_LINE + 1)
    if len(line) > LONGEST_LINE:
        raise BadHead("head-too-large", f"The request line must not exceed {LONGEST_LINE} bytes.", status=414)
    if not line.endswith(b"\n"):
        return None
    method, target, http_1_1 = _request_line(line)
    headers: dict[str, str] = {}
    size = len(line)
    count = 0
    while (line := readline(LONGEST_LINE + 1)) != b"\r\n":
        size += len(line)
        count += 1
        if len(line) > LONGEST_LINE or size > LARGEST_HEAD or count > MOST_HEADERS:
            raise BadHead(
                "head-too-large",
                f"A request head is limited to {MOST_HEADERS} header lines, {LONGEST_LINE} bytes per line "
                f"and {LARGEST_HEAD} bytes in total.",
            )
        if not line.endswith(b"\n"):
            return None
        _add(headers, line)
    _check_host(headers.get("host"), http_1_1=http_1_1)
    if http_1_1 and headers.get("expect", "").lower() not in ("", _CONTINUE):
        raise BadHead("expectation-failed", f"The only supported expectation is {_CONTINUE}.")
    return RequestHead(method, target, headers, _length(headers, http_1_1=http_1_1), http_1_1)


def _request_line(line: bytes) -> tuple[str, str, bool]:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise _malformed("The request line must be a method, a target and a version (RFC 9112).")
    method, target, major, minor = match.groups()
    if major != b"1":
        raise BadHead("malformed-request", "This service supports HTTP/1.1.", status=505)
    return method.decode("ascii"), target.decode("ascii"), minor != b"0"


def _add(headers: dict[str, str], line: bytes) -> None:
    match = _HEADER_LINE.fullmatch(line)
    if match is None:
        raise _malformed("Each header line must be a name, a colon and a value, and end with CRLF.")
    name = match[1].decode("ascii").lower()
    if "_" in name and (meant := name.replace("_", "-")) in _READ:
        raise BadHead("misspelt-header", f"Spell the header {meant} with a hyphen.")
    value = match[2].strip(b" \t").decode("latin-1")
    if name not in headers:
        headers[name] = value
    elif name in _FRAMING:
        raise _malformed(f"The header {name} appears more than once.")
    elif name in _SINGLE:
        raise BadHead("duplicate-header", f"The header {name} appears more than once.")
    else:
        headers[name] += f", {value}"  # RFC 9110 §5.3


def _check_host(host: str | None, *, http_1_1: bool) -> None:
    """Raise BadHead for a missing or malformed host (RFC 9112 §3.2). An empty one is allowed there."""
    if host is None:
        if http_1_1:
            raise _malformed("The request has no Host header.")
    elif host and _HOST.fullmatch(host) is None:
        raise _malformed("The Host header must be a host name or an address, with or without a port.")


def _length(headers: Mapping[str, str], *, http_1_1: bool) -> int | None:
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is None:
        if length is None:
            return 0
        if _LENGTH.fullmatch(length) is None:
            raise _malformed("The Content-Length must be a single number.")
        return int(length)
    if length is not None:
        raise _malformed("The request has both Content-Length and Transfer-Encoding.")
    if coding.lower() != "chunked" or not http_1_1:
        raise _malformed("The only supported transfer coding is chunked, in HTTP/1.1.")
    return None


def _malformed(detail: str) -> BadHead:
    return BadHead("malformed-request", detail)


def environment(head: RequestHead) -> dict[str, Any]:
    """Return the head as a WSGI environ (PEP 3333).

    Omits header names with an underscore: WSGI cannot tell them from names with a hyphen. HTTP_EXPECT is
    present only if the client may wait for 100 (Continue).
    """
    path, _, query = head.target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "RAW_PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1" if head.http_1_1 else "HTTP/1.0",
        "CONTENT_TYPE": head.headers.get("content-type", ""),
        "CONTENT_LENGTH": "" if head.length is None else str(head.length),
    }
    for name, value in head.headers.items():
        if "_" not in name and name not in ("content-type", "content-length", "expect"):
            environ["HTTP_" + name.replace("-", "_").upper()] = value
    if head.waits_to_continue:
        environ["HTTP_EXPECT"] = _CONTINUE
    return environ
