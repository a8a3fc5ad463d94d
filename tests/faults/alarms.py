"""The alarms that make RabbitMQ block all publishers.

Source: RabbitMQ, "Memory and Disk Alarms".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.broker import PrivateBroker
from tests.crash.crashing import until

# Commands that set a limit of a running node beyond reach, and reset it.
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
    """Keep the node's alarm on inside the block."""
    set_alarm, clear_alarm = ALARMS[alarm]
    broker.evaluate(set_alarm)
    try:
        until(lambda: broker.evaluate("rabbit_alarm:get_alarms()") != "[]", "the alarm")
        yield
    finally:
        broker.evaluate(clear_alarm)
