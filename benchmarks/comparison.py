"""Comparison rounds: each contender in turn, with its own virtual host and fresh databases."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.ceiling import DeliveryListener, Publication, measure_ceiling
from benchmarks.figures import alternated
from benchmarks.journey import Measured, Plan, close_loops, play
from benchmarks.kopuro_hub import KopuroHub
from benchmarks.systems import System
from sandbox.broker import PrivateBroker

OURS, NAMEKO, FASTSTREAM, CEILING = "kopuro", "nameko", "faststream", "ceiling"
_SHAPE_LOOPS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparisonPlan:
    """The effort of a round. peers_in_flight: open loops with which the peers do best."""

    plan: Plan
    peers_in_flight: int = 96
    peers_warm_up: float = 6.0
    ceiling_repeat: int = 100


@dataclass(slots=True)
class Bench:
    """Runs comparisons. tell: receives progress messages."""

    broker: PrivateBroker
    directory: Path
    effort: ComparisonPlan
    tell: Callable[[str], None]
    _number: int = field(default=0, init=False)
    _shape: list[Publication] = field(default_factory=list, init=False)

    def rounds(self, contenders: Sequence[str], count: int) -> list[dict[str, dict[str, Any]]]:
        """Return the phases of each round and contender as plain data. Raises the errors of a phase."""
        measured = []
        for number, order in enumerate(alternated(contenders, count), start=1):
            results = {}
            for name in order:
                results[name] = self.one(name)
                rates = ", ".join(f"{phase} {m['rate']:.1f}" for phase, m in results[name].items())
                self.tell(f"round {number} of {count}: {name}: {rates} closed loops/s")
            measured.append(results)
        return measured

    def one(self, name: str) -> dict[str, Any]:
        """Measure one contender in a round."""
        if name == CEILING:
            return {"saturation": self._ceiling()}
        plan = self.effort.plan
        if name != OURS:
            # The peers cannot sustain these loads: their p50 would be that of a growing queue.
            plan = replace(
                plan, in_flight=self.effort.peers_in_flight, warm_up=self.effort.peers_warm_up, loads=()
            )
        phases = self.with_system(name, lambda system, pid: play(system, pid, plan))
        return {phase: measured.plain() for phase, measured in phases.items()}

    def with_system(
        self, name: str, work: Callable[[System, int], Mapping[str, Measured]]
    ) -> Mapping[str, Measured]:
        """Start a contender, do the work, and remove everything."""
        vhost, directory, uri = self._place(name)
        system = _system(name, directory, uri)
        system.start()
        try:
            assert self.broker.pid is not None
            return work(system, self.broker.pid)
        finally:
            system.stop()
            self.broker.remove_vhost(vhost)
            shutil.rmtree(directory, ignore_errors=True)

    def _ceiling(self) -> dict[str, Any]:
        if not self._shape:
            self._shape = self._listen()
        vhost, _, uri = self._place(CEILING)
        try:
            result = measure_ceiling(
                uri, self._shape, loops=_SHAPE_LOOPS, repeat=self.effort.ceiling_repeat, pairs=1
            )
        finally:
            self.broker.remove_vhost(vhost)
        return {
            "rate": result.rate,
            "messages_a_loop": result.messages_a_loop,
            "deliveries_a_loop": result.deliveries_a_loop,
        }

    def _listen(self) -> list[Publication]:
        vhost, directory, uri = self._place("shape")
        system = KopuroHub(directory, uri)
        system.start()
        try:
            with DeliveryListener(self.broker, vhost) as listener:
                close_loops(system, _SHAPE_LOOPS)
                return listener.heard()
        finally:
            system.stop()
            self.broker.remove_vhost(vhost)
            shutil.rmtree(directory, ignore_errors=True)

    def _place(self, name: str) -> tuple[str, Path, str]:
        self._number += 1
        vhost = f"{name}-{self._number}"
        return vhost, self.directory / vhost, self.broker.add_vhost(vhost)


def _system(name: str, directory: Path, uri: str) -> System:
    if name == OURS:
        return KopuroHub(directory, uri)
    from benchmarks.peers import process  # imported here: only a peer needs its packages

    return {NAMEKO: process.stock_nameko, FASTSTREAM: process.stock_faststream}[name](directory, uri)
