"""Ports of the broker that give full control of it: Erlang's distribution, and epmd, which tells its port."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.deploy.settings_names import DEPLOY

LOOPBACK = "127.0.0.1"
EPMD, DISTRIBUTION = 4369, 25672


# The server and its commands look for epmd and the node at the host in the node's name. The name of the
# machine or the container has another address, where neither listens.
NODE = "rabbit@localhost"


def _lines(name: str) -> list[str]:
    return (DEPLOY / name).read_text(encoding="utf-8").splitlines()


def test_distribution_and_epmd_listen_on_loopback() -> None:
    assert f"distribution.listener.interface = {LOOPBACK}" in _lines("rabbitmq/rabbitmq.conf")
    assert f"export ERL_EPMD_ADDRESS={LOOPBACK}" in _lines("rabbitmq/rabbitmq-env.conf")
    assert f"NODENAME={NODE}" in _lines("rabbitmq/rabbitmq-env.conf")
    # Debian's systemd starts epmd itself: without this, on all addresses.
    page = _lines("README.md")
    (socket,) = [line for line in page if "epmd.socket.d/loopback.conf" in line]
    assert socket.startswith(f"printf '[Socket]\\nListenStream=\\nListenStream={LOOPBACK}:{EPMD}\\n'")
    copied = " ".join(line for line in page if line.endswith(" /etc/rabbitmq/"))
    assert {"deploy/rabbitmq/rabbitmq.conf", "deploy/rabbitmq/rabbitmq-env.conf"} <= set(copied.split())


def test_distribution_and_epmd_of_the_container_listen_on_loopback() -> None:
    text = (DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8")
    broker = yaml.safe_load(text)["services"]["broker"]
    assert "../rabbitmq/rabbitmq.conf" in [one["source"] for one in broker["volumes"]]
    assert "distribution" not in "".join(_lines("compose/rabbitmq.conf"))
    assert broker["environment"]["ERL_EPMD_ADDRESS"] == LOOPBACK
    assert broker["environment"]["RABBITMQ_NODENAME"] == NODE


@pytest.mark.parametrize("port", [EPMD, DISTRIBUTION])
def test_distribution_and_epmd_are_open_to_nodes_of_the_broker_only(port: int) -> None:
    text = (DEPLOY / "kubernetes" / "base" / "network-policies.yaml").read_text(encoding="utf-8")
    policies: list[dict[str, Any]] = [one for one in yaml.safe_load_all(text) if one]
    (broker,) = [one["spec"] for one in policies if one["metadata"]["name"] == "broker"]
    assert "Ingress" in broker["policyTypes"]
    nodes = [{"podSelector": broker["podSelector"]}]
    # A rule without ports would open every one.
    assert all(rule.get("ports") for rule in broker["ingress"])
    sources = [rule["from"] for rule in broker["ingress"] if port in [one["port"] for one in rule["ports"]]]
    assert sources == [nodes]
