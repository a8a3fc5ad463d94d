"""The condition under which copies of a hub's databases show one moment."""

from __future__ import annotations

from dataclasses import replace

import pytest

from admin.backup.quiet import HubMark, ServiceMark, in_transit, moved

INTAKE = ServiceMark(sent=7, waiting=1, received=3)
QUIET = HubMark(services={"intake": INTAKE, "vault": INTAKE}, queues={"vault.sealed": 0})


def test_unchanged_marks_with_empty_queues_are_quiet() -> None:
    # A message that waits in an outbox is in the copy; a restored service publishes it.
    assert in_transit(QUIET) == []
    assert moved(QUIET, QUIET) == []


@pytest.mark.parametrize("part", ["sent", "waiting", "received"])
def test_service_whose_messages_moved_is_named(part: str) -> None:
    changed = replace(INTAKE, **{part: getattr(INTAKE, part) + 1})
    after = replace(QUIET, services={"intake": INTAKE, "vault": changed})
    assert moved(QUIET, after) == ["vault"]


def test_message_in_a_queue_is_in_transit() -> None:
    assert in_transit(replace(QUIET, queues={"vault.sealed": 2, "audit.log": 0})) == ["2 in vault.sealed"]
