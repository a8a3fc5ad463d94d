"""The exporter of spans by OpenTelemetry's own library: OTLP over HTTP, in protobuf.

The library is an optional dependency (`kopuro[traces]`), imported only when tracing is on. Only its encoding
and its HTTP client are used: its tracer would keep a context beside `runtime.telemetry.trace`.
Source: OpenTelemetry Protocol 1.9, OTLP/HTTP.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from runtime.settings import SettingsError
from runtime.telemetry.span_export import Exporter
from runtime.telemetry.spans import Span, SpanKind

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

# For one batch, repetitions included. Shorter than the time that a stopping process has.
TIMEOUT_SECONDS: Final = 2.0


def otlp_exporter(endpoint: str, service: str) -> Exporter:
    """Return the exporter of a service's spans. endpoint: the full URL, such as `http://host:4318/v1/traces`.

    Raises SettingsError when the library is not installed. Headers and certificates come from OpenTelemetry's
    own variables (`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_EXPORTER_OTLP_CERTIFICATE`), which the library reads.
    """
    try:
        return _OtlpExporter(endpoint, service)
    except ImportError:
        raise SettingsError(
            ["KOPURO_TRACES_ENDPOINT is set, but the packages of kopuro[traces] are not installed"]
        ) from None


class _OtlpExporter:
    def __init__(self, endpoint: str, service: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        from runtime.telemetry.otlp_session import StatusOnlySession

        # `SpanExport` reports failures; the library's lines would only repeat them for every batch.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._otlp = OTLPSpanExporter(endpoint=endpoint, timeout=TIMEOUT_SECONDS, session=StatusOnlySession())
        # `Resource.create` would add what the environment says about host and process.
        self._resource = Resource(
            {"service.namespace": "kopuro", "service.name": service, "service.version": version("kopuro")}
        )
        self._scope = InstrumentationScope("kopuro", version("kopuro"))

    def export(self, spans: Sequence[Span]) -> bool:
        from opentelemetry.sdk.trace.export import SpanExportResult

        return self._otlp.export([self._encoded(span) for span in spans]) is SpanExportResult.SUCCESS

    def close(self) -> None:
        self._otlp.shutdown()  # type: ignore[no-untyped-call]  # the library's method has no annotations

    def _encoded(self, span: Span) -> ReadableSpan:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags
        from opentelemetry.trace import SpanKind as OtlpKind

        kinds = {
            SpanKind.internal: OtlpKind.INTERNAL,
            SpanKind.server: OtlpKind.SERVER,
            SpanKind.producer: OtlpKind.PRODUCER,
            SpanKind.consumer: OtlpKind.CONSUMER,
        }

        def context(span_id: str) -> SpanContext:
            return SpanContext(
                trace_id=int(span.trace.trace_id, 16),
                span_id=int(span_id, 16),
                is_remote=False,
                trace_flags=TraceFlags(TraceFlags.SAMPLED),
            )

        return ReadableSpan(
            name=span.name,
            context=context(span.trace.span_id),
            parent=None if span.parent_id is None else context(span.parent_id),
            resource=self._resource,
            attributes=span.attributes,
            kind=kinds[span.kind],
            instrumentation_scope=self._scope,
            status=Status(StatusCode.ERROR) if span.failed else Status(StatusCode.UNSET),
            start_time=span.started,
            end_time=span.ended,
        )
