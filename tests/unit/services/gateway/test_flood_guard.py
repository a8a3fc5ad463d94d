"""The guard bans organisations that flood the broker, and lets them connect again."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from contracts.errors import Unavailable
from services.gateway.domain.broker_load import (
    BURST,
    FIRST_BAN,
    RATE,
    BrokerSample,
    ConnectionLoad,
)
from services.gateway.flood_guard import EARLY_ENDS_SECONDS, LOOK_SECONDS, FloodGuard
from services.gateway.gateway_metrics import GatewayMetrics
from tests.unit.services.gateway.doubles import OSH, BrokerInMemory

OTHER = "ru.moscow-common-table"
GATEWAY = "kg.gateway"


@dataclass
class Scene:
    """A broker, and what its connections have done. done: reductions by user, on one connection of each."""

    broker: BrokerInMemory = field(default_factory=lambda: BrokerInMemory(users={OSH: True, OTHER: True}))
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    done: dict[str, int] = field(default_factory=dict)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.guard = FloodGuard(
            self.broker,
            self.broker,
            GatewayMetrics(self.registry),
            clock=lambda: self.now,
        )
        self.guard.turn()

    def pass_turn(self, *, seconds: float = LOOK_SECONDS, **work: float) -> None:
        """Let users work; then the guard takes its turn."""
        self.now += seconds
        for name, user in (("osh", OSH), ("other", OTHER), ("gateway", GATEWAY)):
            if name in work:
                self.done[user] = self.done.get(user, 0) + int(work[name])
        connections = tuple(
            ConnectionLoad(organization=user, name=user, opened=1, reductions=done)
            for user, done in self.done.items()
            if user not in self.broker.banned
        )
        self.broker.counted_connections = BrokerSample(connections=connections)
        self.guard.turn()

    def bans(self) -> float | None:
        return self.registry.get_sample_value("kopuro_gateway_bans_total")


def test_flood_is_banned_and_others_are_not() -> None:
    scene = Scene()
    scene.pass_turn(osh=0, other=0, gateway=0)
    scene.pass_turn(osh=BURST * 2, other=RATE * LOOK_SECONDS, gateway=BURST * 10)
    assert scene.broker.banned == {OSH: "banned for 60 seconds: too much work for the broker"}
    assert (scene.guard.banned(), scene.bans()) == (1, 1.0)


def test_error_about_one_organization_keeps_no_other_from_its_ban(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    scene.pass_turn(osh=0, other=0)
    ban = scene.broker.ban

    def failing(organization: str, reason: str) -> None:
        if organization == OSH:
            raise Unavailable("down")
        ban(organization, reason)

    monkeypatch.setattr(scene.broker, "ban", failing)
    with pytest.raises(Unavailable):
        scene.pass_turn(osh=BURST * 2, other=BURST * 2)
    assert set(scene.broker.banned) == {OTHER}
    assert scene.guard.banned() == 1
    monkeypatch.setattr(scene.broker, "ban", ban)
    scene.pass_turn()
    assert set(scene.broker.banned) == {OSH, OTHER}


def test_ban_ends_after_its_time() -> None:
    scene = Scene()
    scene.pass_turn(osh=0)
    scene.pass_turn(osh=BURST * 2)
    scene.pass_turn(seconds=FIRST_BAN - 1)
    assert OSH in scene.broker.banned
    scene.pass_turn(seconds=1)
    assert scene.broker.banned == {}
    assert scene.guard.banned() == 0
    assert scene.bans() == 1.0


def test_work_before_the_start_of_the_process_is_not_a_flood() -> None:
    scene = Scene()
    scene.broker.counted_connections = BrokerSample(
        connections=(ConnectionLoad(organization=OSH, name="a", opened=1, reductions=int(100 * BURST)),),
    )
    guard = FloodGuard(scene.broker, scene.broker, GatewayMetrics(CollectorRegistry()), clock=lambda: 0.0)
    guard.turn()
    guard.turn()
    assert scene.broker.banned == {}


def test_ban_and_release_that_the_broker_did_not_do_are_repeated() -> None:
    scene = Scene()
    scene.pass_turn(osh=0)
    broker = scene.broker
    real = broker.ban

    def away(organization: str, reason: str) -> None:
        raise Unavailable("down")

    broker.ban = away  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        scene.pass_turn(osh=BURST * 2)
    assert scene.guard.banned() == 0
    broker.ban = real  # type: ignore[method-assign]
    scene.pass_turn(seconds=1)
    assert OSH in broker.banned
    assert scene.bans() == 1.0
    broker.available = False
    with pytest.raises(Unavailable):
        scene.pass_turn(seconds=FIRST_BAN)
    broker.available = True
    scene.pass_turn(seconds=1)
    assert broker.banned == {}


def test_user_that_is_not_the_gateways_ends_no_turn() -> None:
    scene = Scene()
    scene.broker.foreign.add(OSH)
    scene.pass_turn(osh=0)
    scene.pass_turn(osh=BURST * 2)
    scene.pass_turn(seconds=FIRST_BAN)
    assert scene.broker.banned == {}


def test_clients_of_one_organization_end_two_bans_an_hour_by_new_passwords() -> None:
    scene = Scene()
    scene.pass_turn(osh=0, other=0)
    for number in range(3):
        scene.pass_turn(osh=BURST * 2)
        assert set(scene.broker.banned) == {OSH}
        scene.guard.password_replaced(OSH)
        scene.guard.password_replaced(OSH)  # again while it is due: it ends nothing more
        scene.pass_turn()
        assert set(scene.broker.banned) == ({OSH} if number == 2 else set())
        scene.pass_turn(osh=0)
    scene.pass_turn(seconds=4 * FIRST_BAN)
    assert scene.broker.banned == {}
    scene.pass_turn(seconds=EARLY_ENDS_SECONDS - 4 * FIRST_BAN)
    scene.pass_turn(osh=0)
    scene.pass_turn(osh=BURST * 2)
    scene.guard.password_replaced(OSH)
    scene.pass_turn()
    assert scene.broker.banned == {}


def test_password_that_is_replaced_when_the_ban_is_due_empties_the_bucket_too() -> None:
    scene = Scene()
    scene.pass_turn(osh=0, other=0)
    scene.pass_turn(osh=BURST * 2)
    scene.now += FIRST_BAN
    scene.guard.password_replaced(OSH)
    scene.pass_turn()
    assert scene.broker.banned == {}
    scene.pass_turn(osh=0)
    scene.pass_turn(osh=BURST / 2)
    assert scene.broker.banned == {}


def test_ban_ends_when_the_organization_replaces_its_password_and_the_next_is_longer() -> None:
    scene = Scene()
    scene.pass_turn(osh=0, other=0)
    scene.pass_turn(osh=BURST * 2)
    scene.guard.password_replaced(OTHER)
    scene.pass_turn()
    assert set(scene.broker.banned) == {OSH}
    scene.guard.password_replaced(OSH)
    scene.pass_turn()
    assert scene.broker.banned == {}
    scene.pass_turn(osh=0)
    scene.pass_turn(osh=BURST / 2)
    assert scene.broker.banned == {}, "the owner's work is not added to the thief's"
    scene.pass_turn(osh=BURST)
    assert scene.broker.banned == {OSH: "banned for 120 seconds: too much work for the broker"}
