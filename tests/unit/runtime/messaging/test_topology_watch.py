"""The report of the watch about a broker that new connections do not reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contracts.topology import Topology, hub_topology
from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.stalled_loops import StalledLoops
from runtime.messaging.topology_watch import CHECK_SECONDS, TopologyWatch


class Reader:
    """A reader of a complete broker, which may be unreachable."""

    is_away = False

    def counts(self, queues: Sequence[str]) -> Mapping[str, int]:
        return dict.fromkeys(queues, 0)

    def missing(self, topology: Topology) -> tuple[str, ...]:
        if self.is_away:
            raise BrokerUnavailable("The broker cannot be reached.")
        return ()

    def strays(self, topology: Topology) -> tuple[str, ...]:
        return ()

    def uncompared(self) -> str | None:
        return None

    def close(self) -> None:
        pass


def test_unreachable_broker_is_a_stalled_loop_until_it_is_back() -> None:
    reader, time = Reader(), [0.0]
    stalled_loops = StalledLoops(lambda: time[0])
    watch = TopologyWatch(reader, hub_topology(), stalled_loops=stalled_loops, now=lambda: time[0])
    watch.look()
    reader.is_away = True
    time[0] += CHECK_SECONDS
    watch.look()
    time[0] += 2
    watch.look()
    assert stalled_loops.alarm() == "watch of the broker paused for 2 s: The broker cannot be reached."
    assert watch.unready() is None, "what was there once keeps the service ready"
    assert watch.obstacle() is None, "nothing is known to be missing"
    reader.is_away = False
    watch.look()
    assert stalled_loops.alarm() is None
