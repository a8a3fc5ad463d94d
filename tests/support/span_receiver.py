"""A real OTLP/HTTP receiver of spans, which reads them with OpenTelemetry's own protobuf types."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

_PIECE = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceivedSpan:
    """A span as a tracing system reads it. service: the resource's `service.name`; kind: OTLP's name."""

    trace_id: str
    span_id: str
    parent_id: str | None
    service: str
    name: str
    kind: str
    attributes: Mapping[str, str | int]
    seconds: float
    failed: bool


@dataclass(slots=True)
class SpanReceiver:
    """What arrived, in order. bodies: the requests' bytes. answering: requests are answered while it is set.

    redirect: the address to which every request is redirected. flood: bytes of each answer's
    body. flooded: those that were written.
    """

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    answering: threading.Event = field(default_factory=threading.Event)
    redirect: str | None = None
    flood: int = 0
    flooded: int = 0

    def spans(self) -> list[ReceivedSpan]:
        """Return every span so far."""
        return [span for body in list(self.bodies) for span in _spans_in(body)]


@contextmanager
def span_receiver() -> Iterator[SpanReceiver]:
    """Run a receiver on loopback."""
    receiver = SpanReceiver()
    receiver.answering.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.answering.wait()
            receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
            receiver.bodies.append(body)
            if receiver.redirect is not None:
                self.send_response(307)
                self.send_header("Location", receiver.redirect)
            else:
                self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("Content-Length", str(receiver.flood))
            self.end_headers()
            with suppress(OSError):  # the client has gone
                for _ in range(0, receiver.flood, _PIECE):
                    self.wfile.write(b"x" * _PIECE)
                    receiver.flooded += _PIECE

        def log_message(self, format: str, *args: Any) -> None:
            """Write nothing to stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.answering.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _spans_in(body: bytes) -> Iterator[ReceivedSpan]:
    request = ExportTraceServiceRequest.FromString(body)
    for resource in request.resource_spans:
        about = {one.key: _value(one.value) for one in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield ReceivedSpan(
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex() or None,
                    service=str(about["service.name"]),
                    name=span.name,
                    kind=OtlpSpan.SpanKind.Name(span.kind),
                    attributes={one.key: _value(one.value) for one in span.attributes},
                    seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                    failed=span.status.code == Status.STATUS_CODE_ERROR,
                )


def _value(value: AnyValue) -> str | int:
    kind = value.WhichOneof("value")
    assert kind in ("string_value", "int_value"), kind
    found: str | int = getattr(value, kind)
    return found
