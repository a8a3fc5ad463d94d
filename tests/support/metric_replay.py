"""A hub's metrics, served again with some series changed."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Series = tuple[str, tuple[tuple[str, str], ...]]

_NOTATION = re.compile(r"(?P<start>[\d.]+)(?:\+(?P<step>[\d.]+))?x\d+")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Change:
    """One series of promtool's notation: its value is `start + step * scrapes`."""

    service: str
    series: Series
    start: float
    step: float


def changes_of(test: Mapping[str, Any]) -> list[Change]:
    """Return the input series of one of promtool's tests; without a service, they are routing's."""
    found = []
    for one in test["input_series"]:
        name, _, text = str(one["series"]).partition("{")
        labels = dict(_LABEL.findall(text))
        values = _NOTATION.match(str(one["values"]))
        assert values is not None, one
        service = labels.pop("service", "routing")
        labels.pop("job", None)
        found.append(
            Change(
                service,
                (name, tuple(sorted(labels.items()))),
                float(values["start"]),
                float(values["step"] or 0),
            )
        )
    return found


@dataclass
class Replay:
    """The metrics of each service. quiet: series that are 0 unless they are `raised`.

    down: services that answer 503; empty: services that show no metrics.
    """

    recorded: Mapping[str, Mapping[Series, float]]
    quiet: Sequence[Change]
    raised: bool = False
    down: set[str] = field(default_factory=set)
    empty: set[str] = field(default_factory=set)
    _scrapes: dict[str, int] = field(default_factory=dict)

    def exposition(self, service: str) -> str | None:
        """Return the metrics of a service now; None if it is down."""
        if service in self.down:
            return None
        if service in self.empty:
            return ""
        self._scrapes[service] = self._scrapes.get(service, 0) + 1
        samples = dict(self.recorded[service])
        for change in self.quiet:
            if change.service == service:
                value = change.start + change.step * self._scrapes[service] if self.raised else 0.0
                # Where two alerts read one series, the higher value makes both fire.
                samples[change.series] = max(value, samples.get(change.series, 0.0) if self.raised else 0.0)
        return "".join(f"{_written(series)} {value!r}\n" for series, value in samples.items())


def recorded(text: str) -> dict[Series, float]:
    """Return the samples of an exposition."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): float(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@contextmanager
def serving(replay: Replay) -> Iterator[str]:
    """Serve each service's metrics under `/<service>`; yield host and port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = replay.exposition(self.path.strip("/"))
            self.send_response(503 if text is None else 200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write((text or "").encode())

        def log_message(self, format: str, *arguments: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _written(series: Series) -> str:
    name, labels = series
    shown = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels)
    return f"{name}{{{shown}}}" if shown else name


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
