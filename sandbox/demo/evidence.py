"""Evidence shown at the end of the demo: a routing decision, the audit history, metrics."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Mapping

from admin.embedded_broker import LOOPBACK
from kopuro_client import Kopuro
from sandbox.demo.output import DemoOutput
from sandbox.hub_files import SERVICES, HubFiles

_SHOWN = {
    "kopuro_http_requests_total": "requests",
    "kopuro_messages_consumed_total": "consumed",
    "kopuro_messages_published_total": "published",
    "kopuro_batch_messages_count": "batches",
}
_SAMPLE = re.compile(r"^(\w+)(?:\{[^}]*\})? ([0-9.e+-]+)$", re.MULTILINE)

Figures = Mapping[tuple[str, str], float]


def show_decision(output: DemoOutput, sender: Kopuro, referral_id: str) -> None:
    """Print every candidate of a referral's first decision and the rules that excluded it."""
    decision = sender.decision(referral_id)["decisions"][0]
    rows = []
    for candidate in decision["candidates"]:
        failed_rules = [rule["reason"] or "" for rule in candidate["rules"] if not rule["passed"]]
        score = candidate["score"]
        rows.append(
            (
                str(candidate["rank"] or ""),
                candidate["organization"],
                candidate["service"],
                "" if score is None else f"{score:.3f}",
                ", ".join(failed_rules) or "passed all rules",
            )
        )
    output.table(
        f"Routing decision: policy {decision['policy_version']}, "
        f"directory version {decision['directory_version']}",
        ("rank", "organisation", "service", "score", "rules"),
        rows,
    )


def show_history(output: DemoOutput, auditor: Kopuro, referral_id: str) -> None:
    """Print the audit log's entries about a referral and the signed checkpoint that covers them."""
    page = auditor.history(referral=referral_id, limit=100)
    output.table(
        f"Audit history of {referral_id}",
        ("entry", "time", "type", "actor"),
        [
            (str(entry["index"]), entry["time"][11:23], entry["type"][7:-3], entry["actor"])
            for entry in page["items"]
        ],
    )
    output.note("Checkpoint signed by the log:")
    for line in auditor.checkpoint().strip().splitlines():
        output.note(f"  {line}")


def figures(files: HubFiles) -> Figures:
    """Return the metrics of every service, summed over their labels, by (service, metric)."""
    found: dict[tuple[str, str], float] = {}
    for service in SERVICES:
        address = f"http://{LOOPBACK}:{files.ports(service).operations}/metrics"
        with urllib.request.urlopen(address, timeout=5) as response:
            text = response.read().decode()
        for name, value in _SAMPLE.findall(text):
            if name in _SHOWN:
                found[service, name] = found.get((service, name), 0.0) + float(value)
    return found


def show_figures(output: DemoOutput, before: Figures, after: Figures) -> None:
    """Print how much each metric grew: HTTP requests answered, messages, committed batches."""
    rows = []
    for service in SERVICES:
        growth = [after.get((service, m), 0.0) - before.get((service, m), 0.0) for m in _SHOWN]
        rows.append((service, *(f"{value:.0f}" for value in growth)))
    output.table(
        "Metrics of this run: HTTP requests, messages consumed and published, batches committed",
        ("service", *_SHOWN.values()),
        rows,
    )
