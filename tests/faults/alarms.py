"""The alarms by which RabbitMQ blocks everybody who publishes.

Source: RabbitMQ, "Memory and Disk Alarms".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.broker import PrivateBroker
from tests.crash.crashing import until

# How an operator's limits are set while a node runs: out of reach, and as they were.
ALARMS = {
    "memory": (
        "vm_memory_monitor:set_vm_memory_high_watermark({absolute, 1})",
        "vm_memory_monitor:set_vm_memory_high_watermark(0.4)",
    ),
    "disk": (
        "rabbit_disk_monitor:set_disk_free_limit(1000000000000000)",
        "rabbit_disk_monitor:set_disk_free_limit(1000000)",
    ),
}


@contextmanager
def alarmed(broker: PrivateBroker, alarm: str) -> Iterator[None]:
    """Within the block the node's alarm is on."""
    set_alarm, clear_alarm = ALARMS[alarm]
    broker.evaluate(set_alarm)
    try:
        until(lambda: broker.evaluate("rabbit_alarm:get_alarms()") != "[]", "the alarm is on")
        yield
    finally:
        broker.evaluate(clear_alarm)
