"""Text tables of journey results. `measured`: the result of `Bench.rounds`, by round and contender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

from benchmarks import report
from benchmarks.comparison import CEILING, FASTSTREAM, NAMEKO, OURS
from benchmarks.figures import Spread, ratios, spread

# The steps of a loop whose latencies are measured, with their titles.
STEPS: Final = {
    "submit_to_offer": "submit to offer",
    "accept_to_confirmation": "accept",
    "progress_to_confirmation": "progress",
    "complete_to_confirmation": "complete",
}


def over(measured: Sequence[Mapping[str, Any]], name: str, phase: str, figure: str) -> Spread:
    """Return the spread of a contender's figure in one phase over the rounds."""
    return spread([one[name][phase][figure] for one in measured])


def journey(measured: Sequence[Mapping[str, Any]]) -> str:
    """Return Kopuro's latencies at each load, then the usage of each contender's processes at saturation."""
    phases = list(measured[0][OURS])
    rows = []
    for phase in phases:
        steps = [
            " / ".join(
                f"{median(one[OURS][phase]['latency_ms'][step][p] for one in measured):.0f}"
                for p in ("p50", "p99")
            )
            for step in STEPS
        ]
        rows.append([phase, report.written(over(measured, OURS, phase, "rate")), *steps])
    head = ["load", "closed loops/s", *STEPS.values()]
    parts = [
        "\nKopuro: p50 / p99 in ms, from what was said to what is in a mailbox",
        report.table(head, rows),
    ]
    for name in (name for name in measured[0] if name != CEILING):
        usages = [one[name]["saturation"]["usage"] for one in measured]
        processes = list(usages[0]["cpu_ms_a_loop"])
        rows = [
            [
                process,
                *(
                    f"{median(usage[kind][process] for usage in usages):.2f}"
                    if process in usages[0][kind]
                    else ""
                    for kind in ("cpu_ms_a_loop", "commits_a_loop", "resident_mib")
                ),
            ]
            for process in processes
        ]
        parts += [
            f"\n{name} at saturation, a closed loop",
            report.table(["process", "CPU ms", "commits", "MiB"], rows),
        ]
    return "\n".join(parts)


def comparison(measured: Sequence[Mapping[str, Any]]) -> str:
    """Return every contender's figures at saturation, and Kopuro's advantage in the same rounds."""
    rates = [{name: one[name]["saturation"]["rate"] for name in one} for one in measured]
    cpu = [
        {name: 1000 / one[name]["saturation"]["cpu_ms_a_loop"] for name in one if name != CEILING}
        for one in measured
    ]
    faster, cheaper = ratios(rates, of=OURS), ratios(cpu, of=OURS)
    rows = []
    for name in (OURS, NAMEKO, FASTSTREAM, CEILING):
        phase = measured[0][name]["saturation"]
        rows.append(
            [
                name,
                report.written(over(measured, name, "saturation", "rate")),
                report.written(faster[name], 2) if name in faster else "1",
                ""
                if name == CEILING
                else report.written(over(measured, name, "saturation", "cpu_ms_a_loop")),
                report.written(cheaper[name], 2) if name in cheaper else ("" if name == CEILING else "1"),
                f"{phase['messages_a_loop']:.1f}",
                f"{phase['commits_a_loop']:.2f}" if "commits_a_loop" in phase else "",
            ]
        )
    head = [
        "at saturation",
        "closed loops/s",
        "kopuro's rate to this",
        "CPU ms a loop",
        "this CPU to kopuro's",
        "messages",
        "commits",
    ]
    return report.table(head, rows)
