"""Check a hub that deploy/README.md has set up. Runs on the hub's machine, as root.

Loads the sample network, plays a story of the demo through the public address, restarts every service, and
plays another. Uses nothing but what is installed in /opt/kopuro.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Final

from rich.console import Console

from sandbox import network
from sandbox.demo.output import DemoOutput
from sandbox.demo.participants import DemoError, Participants
from sandbox.demo.stories import STORIES, DemoHub
from sandbox.hub_files import SERVICES, HubFiles

CA: Final = "/etc/kopuro/tls/ca.pem"
DISCOVERY: Final = "https://hub.example/.well-known/kopuro"
SAMPLE: Final = Path("/root/sample")
READY_WITHIN_SECONDS: Final = 120.0


def main() -> int:
    os.environ["SSL_CERT_FILE"] = CA
    files = HubFiles(SAMPLE)
    sample = network.load()
    files.settle(sample.organizations)
    _load(files)
    names = {organization.id: organization.name for organization in sample.organizations}
    participants = Participants(DISCOVERY, files.people(), names)
    demo = DemoHub(participants=participants, network=sample, output=DemoOutput(Console()))
    _play_once_routing_knows_the_network(demo)
    began = time.monotonic()
    subprocess.run(["systemctl", "restart", *(f"kopuro@{service}" for service in SERVICES)], check=True)
    _say(f"all services restarted in {time.monotonic() - began:.1f} s")
    _wait_until_ready()
    STORIES["emergency"](demo)
    participants.close()
    failed = subprocess.run(
        ["systemctl", "list-units", "--failed", "--plain", "--no-legend", "kopuro*"],
        capture_output=True,
        text=True,
        check=True,
    )
    _say(f"failed units: {failed.stdout.strip() or 'none'}")
    return int(bool(failed.stdout.strip()))


def _play_once_routing_knows_the_network(demo: DemoHub) -> None:
    """Play the first story. Until the records have come to routing, a referral has no candidates."""
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while True:
        try:
            STORIES["second-candidate"](demo)
            return
        except DemoError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def _load(files: HubFiles) -> None:
    agreements = Path(network.__file__).parent / "agreements.json"
    settings = 'set -a; . /etc/kopuro/hub.env; . /etc/kopuro/directory.env; exec "$@"'
    command = [
        *("sh", "-euc", settings, "load", sys.executable, "-m", "services.directory.load"),
        *("--organizations", str(files.organizations), "--agreements", str(agreements)),
        *("--credentials", str(files.clients)),
    ]
    subprocess.run(command, check=True)


def _wait_until_ready() -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    for number in range(1, len(SERVICES) + 1):
        while not _ready(f"http://127.0.0.1:910{number}/readyz"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the service on port 910{number} is not ready")
            time.sleep(0.2)


def _ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as response:  # noqa: S310 - http, of this machine
            return bool(json.load(response)["ready"])
    except OSError:
        return False


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
