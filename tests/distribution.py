"""The distribution of tests among workers, and their order (`pytest -n`).

A worker takes the tests of one file at a time, or those that share a hub or a broker of their own. Tests that
start processes and wait for them come first, then the longest others: the thousands of quick tests then fill
the last minute evenly on all workers.
"""

from __future__ import annotations

import functools
import re

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# The folders whose tests wait most, the longest first; all others come after them.
_SLOW = (
    *("journey", "threats", "crash", "openapi", "mutation", "sandbox", "services", "faults", "chaos"),
    *("messaging", "port_contracts", "simulation", "runtime", "storage"),
)
# The files of other folders that take longest, 10 to 30 s of CPU time: none of them may be the last.
LONG = tuple(
    f"tests/unit/{name}.py"
    for name in (
        *("client/commands/test_every_command", "client/commands/test_streams", "client/tlog/test_tampering"),
        *("services/routing/domain/test_network_walks", "services/routing/domain/test_walks"),
        "contracts/test_loggable",
    )
)
# The files whose tests attack the one hub of tests/threats/conftest.py. Its start takes 10 s of CPU time.
SHARED_THREATS = frozenset(
    f"tests/threats/test_{name}.py"
    for name in (
        "access_matrix",
        "dropped_events",
        "ended_agreement",
        "filled_log",
        "forged_queries",
        "hostile_coordinator",
        "published_log",
        "requests_in_progress",
        "rewritten_mailbox",
        "rewritten_replica",
        "rewritten_webhooks",
        "starvation",
        "stolen_broker_disk",
        "stolen_broker_password",
        "stolen_token_key",
        "suspended_member",
        "tampered_replica",
        "unapproved_service",
        "withdrawals",
    )
)
# The files whose tests block, stop or kill the `own_broker` of their folder. A start takes 3 s of CPU time.
SHARED_NODES = frozenset(
    (
        *(f"tests/faults/test_{name}.py" for name in ("alarms", "recovery", "stopping")),
        *(f"tests/messaging/test_{name}.py" for name in ("dead_letter_counts", "rabbitmq")),
    )
)
_DATABASE = re.compile(r"\[(?:.*-)?(sqlite|postgresql)\b")


def turn(nodeid: str) -> int:
    """Return the start priority of a test: lower is earlier. Equal ones keep the collection order."""
    folder = nodeid.split("/")[1]
    if folder in _SLOW:
        return _SLOW.index(folder)
    return len(_SLOW) + (nodeid.partition("::")[0] not in LONG)


def together(nodeid: str) -> str:
    """Return the group of a test: its file, or the hub or the broker that it shares."""
    file = nodeid.partition("::")[0]
    if file.startswith("tests/journey/") and (found := _DATABASE.search(nodeid)):
        return f"tests/journey on {found[1]}"
    if file.startswith("tests/openapi/"):
        return "tests/openapi"
    if file in SHARED_THREATS:
        return "tests/threats on one hub"
    if file in SHARED_NODES:
        return f"{file.rpartition('/')[0]} on one node"
    return file


class Distribution(LoadScopeScheduling):  # type: ignore[misc]  # xdist publishes no types
    """xdist's distribution by groups, on our groups (`pytest_xdist_make_scheduler`)."""

    def _split_scope(self, nodeid: str) -> str:
        return together(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Give the worker the next group, and forget its finished groups.

        xdist's own searches the list of all tests for each test, and counts the tests of all groups that the
        worker ever had after each test.
        """
        group, tests = self.workqueue.popitem(last=False)
        had = self.assigned_work.get(node, {})
        unfinished = {name: unit for name, unit in had.items() if not all(unit.values())}
        self.assigned_work[node] = {**unfinished, group: tests}
        node.send_runtest_some([self._places[nodeid] for nodeid, done in tests.items() if not done])

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        """The tests' places in the collection, which is the same on all workers."""
        return {nodeid: place for place, nodeid in enumerate(self.collection)}
