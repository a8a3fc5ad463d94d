"""The broker's own figures: each that a rule names is at the path that `prometheus.yml` scrapes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from sandbox.broker import PrivateBroker
from sandbox.ports import free_ports
from tests.messaging.test_bindings import plugins

PROMETHEUS = Path(__file__).parents[2] / "deploy" / "prometheus"


@pytest.fixture
def figures(broker: PrivateBroker) -> Iterator[str]:
    """What a real node answers at the path that `prometheus.yml` names."""
    (port,) = free_ports(1)
    broker.evaluate(
        f"application:set_env(rabbitmq_prometheus, tcp_config, [{{port, {port}}}], [{{persistent, true}}])"
    )
    plugins(broker, "rabbitmq_prometheus")
    configuration: Any = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = [one for one in configuration["scrape_configs"] if one["job_name"] == "rabbitmq"]
    answer = httpx.get(f"http://127.0.0.1:{port}{job.get('metrics_path', '/metrics')}", timeout=30)
    assert answer.status_code == 200
    yield answer.text
    plugins(broker)


def test_every_figure_of_the_broker_that_a_rule_names_is_scraped(figures: str) -> None:
    rules = "".join(path.read_text(encoding="utf-8") for path in PROMETHEUS.glob("*.rules.yml"))
    named = set(re.findall(r"\brabbitmq_[a-z_]+", re.sub(r"#.*", "", rules)))
    exported = set(re.findall(r"^(rabbitmq_[a-z_]+)", figures, re.MULTILINE))
    assert named
    assert named <= exported
