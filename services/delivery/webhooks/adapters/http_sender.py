"""Sends webhook requests: one connection each, to an address that was checked, within one deadline.

The name is resolved once, and the socket connects to addresses that were checked, so that a name whose
addresses change in between gains nothing. They are tried in turn until one takes the connection, because a
hub without IPv6 reaches a receiver at its other address. No redirect is followed. TLS runs over memory
buffers, because a socket's own time limit is for each read: a receiver that sends a byte at a time would
never reach it.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import Any, Final

import h11

from services.delivery.webhooks.domain.addresses import Network, Place, address_refusal
from services.delivery.webhooks.domain.endpoint_url import EndpointUrl
from services.delivery.webhooks.ports import EndpointResponse, NotSent

TOTAL_SECONDS: Final = 15.0
# A receiver's answer: its head and the part of its body that is read.
HEAD_BYTES: Final = 16 * 1024
BODY_BYTES: Final = 4 * 1024
# All that a receiver may send, with the handshake, its certificates and the framing of a body in small parts.
ANSWER_BYTES: Final = 128 * 1024
# Interim responses (1xx) before the final one.
_MOST_INTERIM: Final = 10
_CHUNK: Final = 4 * 1024
# Addresses of one name. Each shortens the time of the others.
_MOST_TRIED: Final = 4
# Attempts show no other text of an answer, because a receiver may put a person's data into any of them.
_KNOWN_TYPES: Final = frozenset({"application/json", "application/problem+json", "text/html", "text/plain"})

Resolve = Callable[[str, int], Sequence[Any]]


def resolve(host: str, port: int) -> Sequence[Any]:
    """Return the addresses of a host as `socket.getaddrinfo` does. Raises OSError."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class HttpSender:
    """See `ports.Sender`."""

    def __init__(
        self,
        *,
        permitted: Sequence[Network] = (),
        own_places: Callable[[], frozenset[Place]] = frozenset,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
        seconds: float = TOTAL_SECONDS,
    ) -> None:
        """permitted: networks that are not public and that may be reached, without TLS too.

        own_places: returns the addresses and ports of the hub itself, which are never reached.
        """
        self._permitted = permitted
        self._own_places = own_places
        self._resolve = resolve
        self._tls = tls or ssl.create_default_context()
        self._seconds = seconds

    def post(self, url: EndpointUrl, headers: Mapping[str, str], body: bytes) -> EndpointResponse:
        """See `ports.Sender`. Faults: `unresolved`, `address-refused`, `no-connection`, `tls`, `timeout`,
        `malformed-answer`.
        """
        deadline = time.monotonic() + self._seconds
        connection = _connected(self._checked_addresses(url), deadline)
        try:
            if url.scheme == "https":
                connection.start_tls(self._tls, url.host)
            return _exchange(connection, url, headers, body)
        except TimeoutError:
            raise NotSent("timeout") from None
        except ssl.SSLError:
            raise NotSent("tls") from None
        except AnswerTooLargeError:
            raise NotSent("malformed-answer") from None
        except OSError:
            raise NotSent("no-connection") from None
        except h11.RemoteProtocolError:
            raise NotSent("malformed-answer") from None
        finally:
            connection.close()

    def refusal_of(self, url: EndpointUrl) -> str | None:
        """See `ports.Sender`."""
        return None if url.address is None else self._refusal(url.address, url, self._own_places())

    def _refusal(self, address: str, url: EndpointUrl, own: Collection[Place]) -> str | None:
        return address_refusal(
            address, url.port, has_tls=url.scheme == "https", permitted=self._permitted, own=own
        )

    def _checked_addresses(self, url: EndpointUrl) -> list[tuple[int, Any]]:
        """Return the families and the socket addresses to connect to, in this order. Raises NotSent.

        One forbidden address among several refuses them all.
        """
        try:
            found = self._resolve(url.host, url.port)
        except (OSError, UnicodeError):
            raise NotSent("unresolved") from None
        own = self._own_places()
        for _family, _type, _protocol, _name, where in found:
            address = where[0]
            has_scope = len(where) == 4 and where[3] != 0
            if has_scope or self._refusal(address, url, own) is not None:
                raise NotSent("address-refused")
        if not found:
            raise NotSent("unresolved")
        return _alternating((family, where) for family, _type, _protocol, _name, where in found)


def _alternating(places: Iterable[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Return _MOST_TRIED places in the resolver's order, but the first of each family before the second."""
    by_family: dict[int, list[Any]] = {}
    for family, where in places:
        if where not in (known := by_family.setdefault(family, [])):
            known.append(where)
    turns = zip_longest(*([(family, where) for where in known] for family, known in by_family.items()))
    return [place for turn in turns for place in turn if place is not None][:_MOST_TRIED]


def _connected(places: Sequence[tuple[int, Any]], deadline: float) -> _Connection:
    """Connect to the first place that takes the connection. Raises NotSent for the last of them.

    Each place gets an equal share of the time that is left.
    """
    *earlier, last = places
    for number, (family, where) in enumerate(earlier):
        now = time.monotonic()
        with suppress(NotSent):
            return _Connection(family, where, deadline, now + (deadline - now) / (len(places) - number))
    return _Connection(*last, deadline, deadline)


class AnswerTooLargeError(OSError):
    """The receiver sent more than an answer may have."""


class _Connection:
    """A stream over a socket, with or without TLS, that ends at a deadline. Raises OSError and its kinds.

    connected_by: until when it may try to connect.
    """

    def __init__(self, family: int, where: Any, deadline: float, connected_by: float) -> None:
        self._deadline = deadline
        self._left = ANSWER_BYTES
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self._limit(connected_by)
            self._socket.connect(where)
        except OSError as error:
            self._socket.close()
            raise NotSent("timeout" if isinstance(error, TimeoutError) else "no-connection") from None
        except NotSent:
            self._socket.close()
            raise

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Do the handshake and check the certificate for the host."""
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._pump(self._tls.do_handshake)

    def send(self, data: bytes) -> None:
        if self._tls is None:
            self._send_raw(data)
        else:
            self._tls.write(data)  # a memory buffer takes all of it
            self._send_raw(self._outgoing.read())

    def receive(self) -> bytes:
        """Return the next bytes, empty at the end."""
        if self._tls is None:
            return self._receive_raw()
        tls = self._tls
        try:
            return bytes(self._pump(lambda: tls.read(_CHUNK)))
        except ssl.SSLZeroReturnError:
            return b""

    def close(self) -> None:
        with suppress(OSError):
            self._socket.close()

    def _pump(self, action: Callable[[], Any]) -> Any:
        """Repeat the TLS action, moving bytes between its buffers and the socket, until it has its result."""
        while True:
            try:
                return action()
            except ssl.SSLWantReadError:
                self._send_raw(self._outgoing.read())
                received = self._receive_raw()
                if received:
                    self._incoming.write(received)
                else:
                    self._incoming.write_eof()
            finally:
                if self._outgoing.pending:
                    self._send_raw(self._outgoing.read())

    def _send_raw(self, data: bytes) -> None:
        while data:
            self._limit()
            data = data[self._socket.send(data) :]

    def _receive_raw(self) -> bytes:
        """Return the next bytes, empty at the end. Raises AnswerTooLargeError."""
        # A socket with bytes to read does not wait, so a receiver that sends without end would keep every
        # other greenlet of the process from its turn.
        time.sleep(0)
        self._limit()
        received = self._socket.recv(_CHUNK)
        self._left -= len(received)
        if self._left < 0:
            raise AnswerTooLargeError
        return received

    def _limit(self, until: float | None = None) -> None:
        left = (self._deadline if until is None else until) - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)


def _exchange(
    connection: _Connection, url: EndpointUrl, headers: Mapping[str, str], body: bytes
) -> EndpointResponse:
    protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
    head = [
        ("Host", url.authority),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
        *headers.items(),
    ]
    request = protocol.send(h11.Request(method="POST", target=url.target, headers=head)) or b""
    content = protocol.send(h11.Data(data=body)) or b""
    connection.send(request + content + (protocol.send(h11.EndOfMessage()) or b""))
    answer = _head(connection, protocol)
    return EndpointResponse(
        status=answer.status_code,
        media_type=_media_type(answer.headers),
        body=_body(connection, protocol),
    )


def _head(connection: _Connection, protocol: h11.Connection) -> h11.Response:
    interim = 0
    while interim <= _MOST_INTERIM:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            protocol.receive_data(connection.receive())
        elif isinstance(event, h11.Response):
            return event
        else:
            interim += 1
    raise AnswerTooLargeError


def _body(connection: _Connection, protocol: h11.Connection) -> bytes:
    """Return the first bytes of the body. The status counts, even if the body breaks off."""
    body = b""
    with suppress(OSError, h11.RemoteProtocolError):
        while len(body) < BODY_BYTES:
            event = protocol.next_event()
            if event is h11.NEED_DATA:
                protocol.receive_data(connection.receive())
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                break
    return body[:BODY_BYTES]


def _media_type(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Return the media type without parameters, `other` for one that is not listed, None if there is none."""
    given = next((value for name, value in headers if name == b"content-type"), None)
    if given is None:
        return None
    text = given.partition(b";")[0].strip().decode("ascii", "replace").lower()
    return text if text in _KNOWN_TYPES else "other"
