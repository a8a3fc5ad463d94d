from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.delivery.webhooks.adapters.http_sender import ANSWER_BYTES, BODY_BYTES, HEAD_BYTES, HttpSender
from services.delivery.webhooks.domain.endpoint_url import EndpointUrl
from services.delivery.webhooks.ports import NotSent
from tests.support.webhook_receiver import WebhookReceiver
from tests.unit.services.delivery.webhooks.test_addresses import REFUSED

LOOPBACK = (ip_network("127.0.0.1/32"),)
NAME = "cases.example.org"


def _url(text: str) -> EndpointUrl:
    return EndpointUrl.of(text, is_local=True)


def _resolving_to(*addresses: str) -> Any:
    def resolve(host: str, port: int) -> Sequence[Any]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]

    return resolve


class _Sockets:
    """Counts connections instead of making them."""

    def __init__(self) -> None:
        self.connected: list[Any] = []

    def __call__(self, *_: object) -> Any:
        return self

    def settimeout(self, _: float) -> None:
        pass

    def connect(self, where: Any) -> None:
        self.connected.append(where)
        raise OSError

    def close(self) -> None:
        pass


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> _Sockets:
    sockets = _Sockets()
    monkeypatch.setattr(f"{HttpSender.__module__}.socket.socket", sockets)
    return sockets


def test_sender_connects_to_no_address_that_is_not_public(sockets: _Sockets) -> None:
    for address in REFUSED:
        sender = HttpSender(resolve=_resolving_to(address))
        with pytest.raises(NotSent, match="address-refused"):
            sender.post(EndpointUrl.of(f"https://{NAME}/"), {}, b"")
    assert sockets.connected == []


def test_forbidden_address_among_public_ones_refuses_all(sockets: _Sockets) -> None:
    sender = HttpSender(resolve=_resolving_to("8.8.8.8", "10.0.0.1"))
    with pytest.raises(NotSent, match="address-refused"):
        sender.post(EndpointUrl.of(f"https://{NAME}/"), {}, b"")
    assert sockets.connected == []


def test_name_is_resolved_once_and_its_checked_address_is_connected(sockets: _Sockets) -> None:
    answers = [_resolving_to("8.8.8.8"), _resolving_to("127.0.0.1")]
    sender = HttpSender(resolve=lambda host, port: answers.pop(0)(host, port))
    with pytest.raises(NotSent, match="no-connection"):
        sender.post(EndpointUrl.of(f"https://{NAME}/"), {}, b"")
    assert sockets.connected == [("8.8.8.8", 443)]
    assert len(answers) == 1


def test_octal_and_short_forms_resolve_to_addresses_that_are_refused(sockets: _Sockets) -> None:
    # The real resolver: it reads all of these as 127.0.0.1.
    for text in ("0177.0.0.1", "127.1", "2130706433", "0x7f000001"):
        url = EndpointUrl(scheme="https", host=text, port=443, target="/")
        with pytest.raises(NotSent, match="address-refused"):
            HttpSender().post(url, {}, b"")
    assert sockets.connected == []


def test_own_ports_of_the_hub_are_refused_in_a_permitted_network(sockets: _Sockets) -> None:
    sender = HttpSender(permitted=LOOPBACK, own_places=lambda: frozenset({("127.0.0.1", 8003)}))
    with pytest.raises(NotSent, match="address-refused"):
        sender.post(_url("http://127.0.0.1:8003/v1/mailbox"), {}, b"")
    with pytest.raises(NotSent, match="no-connection"):
        sender.post(_url("http://127.0.0.1:8004/"), {}, b"")
    assert sockets.connected == [("127.0.0.1", 8004)]


def test_plain_http_to_a_public_address_is_refused(sockets: _Sockets) -> None:
    with pytest.raises(NotSent, match="address-refused"):
        HttpSender(resolve=_resolving_to("8.8.8.8")).post(_url(f"http://{NAME}/"), {}, b"")
    assert sockets.connected == []


def test_next_address_is_tried_where_one_takes_no_connection() -> None:
    with WebhookReceiver(lambda _: (200, b"")) as receiver:
        url = _url(receiver.url)
        # Nothing listens at the first two addresses. The last forms are one address, which is tried once.
        resolve = _resolving_to("::1", "127.0.0.9", "127.0.0.1", "127.0.0.1")
        permitted = (*LOOPBACK, ip_network("127.0.0.9/32"), ip_network("::1/128"))
        answer = HttpSender(permitted=permitted, resolve=resolve).post(url, {}, b"{}")
    assert answer.status == 200


def test_families_take_turns_and_four_addresses_are_tried(sockets: _Sockets) -> None:
    addresses = ("2001:4860::1", "2001:4860::2", "2001:4860::3", "8.8.8.8", "8.8.4.4")
    with pytest.raises(NotSent, match="no-connection"):
        HttpSender(resolve=_resolving_to(*addresses)).post(EndpointUrl.of(f"https://{NAME}/"), {}, b"")
    assert [where[0] for where in sockets.connected] == ["2001:4860::1", "8.8.8.8", "2001:4860::2", "8.8.4.4"]


def test_address_that_keeps_the_connection_waiting_leaves_time_for_the_next() -> None:
    with WebhookReceiver(lambda _: (200, b"")) as receiver, _full_backlog("127.0.0.9", receiver.port):
        resolve = _resolving_to("127.0.0.9", "127.0.0.1")
        permitted = (*LOOPBACK, ip_network("127.0.0.9/32"))
        answer = HttpSender(permitted=permitted, resolve=resolve, seconds=4).post(
            _url(receiver.url), {}, b"{}"
        )
    assert answer.status == 200


@contextmanager
def _full_backlog(address: str, port: int) -> Iterator[None]:
    """Listen at an address without taking connections until further ones wait."""
    with socket.socket() as listener, ExitStack() as waiting:
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(4):
            filler = waiting.enter_context(socket.socket())
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect((address, port))
        yield


def test_request_arrives_whole_and_answer_is_bounded() -> None:
    with WebhookReceiver(lambda _: (200, b"x" * 100_000)) as receiver:
        answer = HttpSender(permitted=LOOPBACK).post(_url(receiver.url), {"webhook-id": "m"}, b'{"a":1}')
        (request,) = receiver.received
    assert (request.path, request.body, request.id) == ("/hook", b'{"a":1}', "m")
    assert (answer.status, answer.media_type, len(answer.body)) == (200, "application/json", BODY_BYTES)


def test_redirect_is_not_followed() -> None:
    with WebhookReceiver(lambda _: (307, b"")) as receiver:
        answer = HttpSender(permitted=LOOPBACK).post(_url(receiver.url), {}, b"")
        assert answer.status == 307
        assert [request.path for request in receiver.received] == ["/hook"]


@contextmanager
def _raw_server(*chunks: bytes, pause: float = 0) -> Iterator[int]:
    """Serve one connection: read the request, then send the chunks with pauses until the peer leaves."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(65536)
            for chunk in chunks:
                try:
                    peer.sendall(chunk)
                except OSError:
                    break
                if ended.wait(pause):
                    break

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    ended.set()
    thread.join(10)
    listener.close()


def test_receiver_that_drips_its_answer_ends_at_the_total_deadline() -> None:
    with _raw_server(*[bytes([byte]) for byte in b"HTTP/1.1 200 OK\r\n" * 50], pause=0.05) as port:
        started = time.monotonic()
        with pytest.raises(NotSent, match="timeout"):
            HttpSender(permitted=LOOPBACK, seconds=0.3).post(_url(f"http://127.0.0.1:{port}/"), {}, b"")
        assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2 * HEAD_BYTES,
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 11 + b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
    ids=["endless-head", "another-protocol", "two-lengths", "nothing", "interim-responses"],
)
def test_malformed_answer_is_a_fault(answer: bytes) -> None:
    with _raw_server(answer) as port, pytest.raises(NotSent, match="malformed-answer"):
        HttpSender(permitted=LOOPBACK, seconds=5).post(_url(f"http://127.0.0.1:{port}/"), {}, b"")


def test_receiver_that_hides_its_body_in_framing_is_read_to_a_bound_only() -> None:
    part = b"1;" + b"e" * 15_000 + b"\r\na\r\n"
    with _raw_server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", part * 20) as port:
        answer = HttpSender(permitted=LOOPBACK, seconds=5).post(_url(f"http://127.0.0.1:{port}/"), {}, b"")
    assert answer.status == 200
    assert 0 < len(answer.body) <= ANSWER_BYTES // len(part)


def test_media_type_that_is_not_usual_is_not_repeated() -> None:
    with _raw_server(b"HTTP/1.1 200 OK\r\nContent-Type: text/azamat\r\nContent-Length: 0\r\n\r\n") as port:
        answer = HttpSender(permitted=LOOPBACK).post(_url(f"http://127.0.0.1:{port}/"), {}, b"")
    assert answer.media_type == "other"


def _certificate(directory: Path, name: str) -> Path:
    """Write a self-signed certificate for a name with its key into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = directory / f"{name}.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


def test_tls_checks_the_certificate_for_the_name_and_sends_whole_request(tmp_path: Path) -> None:
    file = _certificate(tmp_path, NAME)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    trusting = ssl.create_default_context(cafile=str(file))
    with WebhookReceiver(tls=server) as receiver:
        body = b'{"type":"t","pad":"' + b"x" * 50_000 + b'"}'
        options: dict[str, Any] = {"permitted": LOOPBACK, "resolve": _resolving_to("127.0.0.1")}
        sender = HttpSender(**options, tls=trusting)
        answer = sender.post(_url(f"https://{NAME}:{receiver.port}/hook"), {"webhook-id": "m"}, body)
        assert (answer.status, receiver.received[0].body) == (204, body)
        with pytest.raises(NotSent, match="tls"):
            sender.post(_url(f"https://other.example.org:{receiver.port}/hook"), {}, body)
        with pytest.raises(NotSent, match="tls"):
            HttpSender(**options).post(_url(f"https://{NAME}:{receiver.port}/hook"), {}, body)
        assert len(receiver.received) == 1
