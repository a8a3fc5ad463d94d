"""Routing as a process on a real broker: decisions, deadlines, kills and queries."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contracts.codes import Answer, DeclineReason, Urgency
from contracts.envelope import Event
from contracts.errors import Refused, Unavailable
from contracts.facts import (
    AgreementChanged,
    AnswerSubmitted,
    Fact,
    OfferAccepted,
    OfferDeclined,
    OfferExpired,
    OfferOpened,
    OrganizationChanged,
    PlacementRefused,
    ReferralSubmitted,
    ReferralUnplaced,
    TokenKeyChanged,
)
from contracts.queries import OfferQuery, PartyQuery, ReferralQuery
from contracts.topology import ROUTING_QUERIES
from runtime.clock import SystemClock
from runtime.identifiers import new_id
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.request_reply import RequestClient
from tests.processes import RunningService
from tests.services.neighbours import Neighbours, kinds, until
from tests.support.hub_keys import peers
from tests.unit.services.routing.samples import SENDER, agreement, facts, organization
from tests.unit.services.routing.workbench import sender

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

RECEIVERS = ("ru.one", "ru.two", "ru.three")
# audit's queue is bound to every fact, so it shows everything that routing publishes.
AUDIT_QUEUE = "audit.log"


class Hub(Neighbours):
    """Routing's neighbours: intake and the directory."""

    def routing(self, database_url: str, policy: Path | None = None) -> RunningService:
        environment = {"KOPURO_POLICY": str(policy)} if policy else {}
        return self._service("services.routing", database_url, environment)

    def publish_directory(self) -> None:
        """Publish all directory records and the completion of the replica."""
        records = [sender(SENDER), *(organization(name) for name in RECEIVERS)]
        for record in records:
            self.publish(OrganizationChanged(revision=1, organization=record), partition_key=record.id)
        self.publish(AgreementChanged(revision=1, agreement=agreement()), partition_key="network")
        self.publish(TokenKeyChanged(revision=1, key=self.signer.public_jwk()), partition_key=self.signer.kid)
        self._complete("routing.directory")


@pytest.fixture
def hub(hub_vhost: str, tmp_path: Path) -> Hub:
    return Hub(hub_vhost, tmp_path)


def policy_of(folder: Path, *, seconds: int) -> Path:
    """Write a policy file with this answer deadline; return its path."""
    policy = folder / "policy.json"
    deadlines = {"answer": seconds, "progress": 86400}
    policy.write_text(json.dumps({"version": "short", "practice": True, "urgent": deadlines}))
    return policy


def referral(**changes: Any) -> ReferralSubmitted:
    return ReferralSubmitted(referral_id=new_id(), sender=SENDER, facts=facts(**changes))


def answer(offer: OfferOpened, what: Answer = Answer.accept) -> AnswerSubmitted:
    return AnswerSubmitted(
        referral_id=offer.referral_id,
        offer_id=offer.offer_id,
        organization=offer.organization,
        answer=what,
        reason=DeclineReason.conflict_of_interest if what is Answer.decline else None,
    )


def hear(hub: Hub, kind: type[Fact], count: int = 1) -> list[Any]:
    """Return the next `count` facts of a kind; skip all others."""
    return kinds(hub.hear(AUDIT_QUEUE, lambda heard: len(kinds(heard, kind)) >= count), kind)


@contextmanager
def query_client(amqp_uri: str) -> Iterator[RequestClient]:
    broker = RabbitBroker(amqp_uri)
    queries = RequestClient(
        broker, "intake", peers=peers("intake", "routing", user=broker.user), clock=SystemClock()
    )
    thread: list[threading.Thread] = []

    def spawn(function: Any, /) -> object:
        thread.append(threading.Thread(target=function))
        thread[-1].start()
        return thread[-1]

    queries.start(spawn)
    try:
        yield queries
    finally:
        queries.stop()
        thread[0].join(10)


def test_declined_referral_is_offered_again_and_accepted(
    hub: Hub, hub_vhost: str, sqlite_database: str
) -> None:
    with hub.routing(sqlite_database) as routing:
        hub.publish_directory()
        routing.until_ready()
        submission = referral()
        hub.publish(submission)
        (first,) = hear(hub, OfferOpened)
        assert first.referral_id == submission.referral_id
        assert first.organization in RECEIVERS
        hub.publish(answer(first, Answer.decline))
        (second,) = hear(hub, OfferOpened)
        assert second.organization != first.organization
        hub.publish(answer(second))
        (accepted,) = hear(hub, OfferAccepted)
        assert accepted.offer_id == second.offer_id

        with query_client(hub_vhost) as queries:
            ask = _asker(queries)
            shown = ask(ReferralQuery(id=submission.referral_id, viewer=SENDER, oversight=False))
            assert shown["status"] == "accepted"
            assert [offer["state"] for offer in shown["offers"]] == ["declined", "accepted"]
            assert ask(OfferQuery(id=second.offer_id)) == [submission.referral_id, second.organization]
            assert ask(PartyQuery(id=submission.referral_id, organization="kz.stranger")) is False
            with pytest.raises(Refused) as refused:
                ask(ReferralQuery(id=submission.referral_id, viewer="kz.stranger", oversight=False))
            assert refused.value.slug == "not-found"

        decision = f"/v1/referrals/{submission.referral_id}/decision"
        explained = hub.partner(SENDER, routing).ask("GET", "routing", decision)
        assert explained.status_code == 200
        assert [one["trigger"] for one in explained.json()["decisions"]] == ["submitted", "declined"]
        stranger = hub.partner("kz.stranger", routing).ask("GET", "routing", decision)
        assert stranger.status_code == 404
        routing.process.stop()
        assert routing.process.exit_code() == 0


def test_coordinator_lists_and_places_unplaced_referral(hub: Hub, sqlite_database: str) -> None:
    with hub.routing(sqlite_database) as routing:
        hub.publish_directory()
        routing.until_ready()
        submission = referral(region="RU-KAM")
        hub.publish(submission)
        hear(hub, ReferralUnplaced)
        coordinator = hub.partner("kg.coordinator", routing, role="coordinator")
        unplaced, place = "/v1/coordination/unplaced", f"/v1/coordination/{submission.referral_id}/offer"
        (waiting,) = coordinator.ask("GET", "routing", unplaced).json()["items"]
        assert waiting["id"] == submission.referral_id
        assert hub.partner(SENDER, routing).ask("GET", "routing", unplaced).status_code == 403
        placed = coordinator.ask("POST", "routing", place, json={"organization": "ru.two"})
        assert placed.status_code == 202
        (offer,) = hear(hub, OfferOpened)
        assert offer.organization == "ru.two"
        refused = coordinator.ask("POST", "routing", place, json={"organization": "ru.one"})
        assert refused.status_code == 422  # a reason is required while another organisation is asked
        (recorded,) = hear(hub, PlacementRefused)
        assert recorded.organization == "ru.one"
        assert recorded.problem == refused.json()


def test_referral_is_not_decided_before_the_directory_is_complete(hub: Hub, sqlite_database: str) -> None:
    with hub.routing(sqlite_database) as routing:
        submissions = [referral() for _ in range(20)]
        hub.publish_all(list(submissions))
        # by now the process has received the referrals and requeued them
        until(lambda: _logged(routing, "consumer paused"), "the consumer waits for the directory")
        hub.publish_directory()
        heard = hub.hear(AUDIT_QUEUE, lambda heard: len(kinds(heard, OfferOpened)) >= 20)
        assert kinds(heard, ReferralUnplaced) == []
        assert {offer.referral_id for offer in kinds(heard, OfferOpened)} == {
            one.referral_id for one in submissions
        }


def test_offer_without_an_answer_expires(hub: Hub, sqlite_database: str, tmp_path: Path) -> None:
    with hub.routing(sqlite_database, policy_of(tmp_path, seconds=1)) as routing:
        hub.publish_directory()
        routing.until_ready()
        hub.publish(referral(urgency=Urgency.urgent))
        heard = hub.hear(AUDIT_QUEUE, lambda heard: bool(kinds(heard, ReferralUnplaced)))
        assert len(kinds(heard, OfferOpened)) == 3
        assert len(kinds(heard, OfferExpired)) == 3
        assert len({offer.organization for offer in kinds(heard, OfferOpened)}) == 3


def test_offer_expires_after_a_kill_before_its_deadline(
    hub: Hub, sqlite_database: str, tmp_path: Path
) -> None:
    with hub.routing(sqlite_database, policy_of(tmp_path, seconds=3)) as routing:
        hub.publish_directory()
        routing.until_ready()
        hub.publish(referral(urgency=Urgency.urgent))
        (offer,) = hear(hub, OfferOpened)
        routing.process.kill()
        with routing:
            (expired,) = hear(hub, OfferExpired)
            assert expired.offer_id == offer.offer_id


def test_repeated_kills_lose_no_referral_and_repeat_no_decision(hub: Hub, sqlite_database: str) -> None:
    routing = hub.routing(sqlite_database)
    submissions = [referral() for _ in range(400)]
    heard: list[Event[Fact]] = []
    with routing:
        hub.publish_directory()
        routing.until_ready()
        hub.publish_all(list(submissions))
        heard += hub.hear(AUDIT_QUEUE, lambda heard: len(kinds(heard, OfferOpened)) >= 1)
        routing.process.kill()
    with routing:
        opened = {offer.referral_id: offer for offer in kinds(heard, OfferOpened)}
        while len(opened) < len(submissions):
            more = hub.hear(AUDIT_QUEUE, lambda new: bool(kinds(new, OfferOpened)))
            heard += more
            opened |= {offer.referral_id: offer for offer in kinds(more, OfferOpened)}
        answers: list[Fact] = [
            answer(offer, Answer.accept if n % 2 else Answer.decline)
            for n, offer in enumerate(opened.values())
        ]
        hub.publish_all(answers)
        heard += hub.hear(AUDIT_QUEUE, lambda new: bool(kinds(new, OfferAccepted)))
        routing.process.kill()
    with routing:
        while _distinct(heard)[OfferAccepted] < 200 or _distinct(heard)[OfferDeclined] < 200:
            heard += hub.hear(AUDIT_QUEUE, lambda new: bool(new))
        routing.until_ready()
    # A message that was published and not confirmed is sent again with the same id, so consumers discard it.
    distinct = _distinct(heard)
    assert distinct[OfferAccepted] == 200
    assert distinct[OfferDeclined] == 200
    offered = {event.id: event.data for event in heard if isinstance(event.data, OfferOpened)}
    asked = Counter(offer.referral_id for offer in offered.values())
    declined = {d.referral_id for d in kinds(heard, OfferDeclined)}
    assert all(count == 1 for one, count in asked.items() if one not in declined)
    assert all(count <= 2 for one, count in asked.items() if one in declined)


def _distinct(heard: list[Event[Fact]]) -> Counter[type[Fact]]:
    return Counter(type(fact) for fact in {event.id: event.data for event in heard}.values())


def _asker(queries: RequestClient) -> Any:
    def ask(query: Any) -> Any:
        def attempt() -> tuple[Any] | None:
            try:
                return (queries.ask(ROUTING_QUERIES, query.wire()),)
            except Unavailable:
                return None  # the private queue of the answers is not there yet

        return until(attempt, "an answer")[0]

    return ask


def _logged(routing: RunningService, message: str) -> bool | None:
    return any(line.get("message") == message for line in routing.log_lines()) or None
