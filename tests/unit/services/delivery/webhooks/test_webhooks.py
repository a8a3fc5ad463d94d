"""The webhooks' use cases on both databases, with a sender that the test answers for."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from contextlib import suppress
from dataclasses import replace
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, update

from contracts.codes import Urgency
from contracts.envelope import Event
from contracts.errors import RateLimited, Refused
from contracts.facts import Fact, OfferAccepted, OfferOpened, ReferralFailed, WebhookChanged
from runtime.identifiers import new_id
from services.delivery.adapters.tables import WEBHOOK_ENDPOINTS, WEBHOOK_SECRETS
from services.delivery.webhooks import operations
from services.delivery.webhooks.adapters.http_sender import HttpSender
from services.delivery.webhooks.dispatcher import PLACES_PER_ENDPOINT, Dispatcher
from services.delivery.webhooks.domain.endpoint import Endpoint, EndpointState, commitment
from services.delivery.webhooks.domain.endpoint_url import EndpointUrl
from services.delivery.webhooks.feeder import Feeder
from services.delivery.webhooks.owners import CHANGES, MOST_ENDPOINTS
from services.delivery.webhooks.ports import NotSent
from services.delivery.webhooks.webhook_facts import secret_digest
from tests.support.events import message_of
from tests.support.webhook_receiver import Received, repeating_challenge
from tests.unit.services.delivery.webhooks.hub import URL, WebhookHub
from tests.unit.services.delivery.webhooks.test_addresses import REFUSED
from tests.unit.services.delivery.workbench import (
    ACCEPTOR,
    NOW,
    OFFER,
    REFERRAL,
    SENDER,
    STRANGER,
    Workbench,
    declined,
    opened,
    unplaced,
)

# For tests of rules: what they show does not depend on the database.
ON_ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def _is_canonical(address: str) -> bool:
    try:
        return str(ip_address(address)) == address and "%" not in address
    except ValueError:
        return False


def _authority(address: str) -> str:
    return f"[{address}]" if ":" in address else address


# Those of the refused addresses that a URL can have in the place of a name, in canonical form.
ADDRESSES = sorted(address for address in REFUSED if address != "127.0.0.1" and _is_canonical(address))


@pytest.fixture
def hub(bench: Workbench, tmp_path: Path) -> WebhookHub:
    return WebhookHub(bench, tmp_path)


def overdue(referral_id: str, to: str = ACCEPTOR) -> Event[Fact]:
    """Return a message for both parties of a referral of its own."""
    fact = ReferralFailed(referral_id=referral_id, sender=SENDER, organization=to, reason="other")
    return message_of(fact, referral_id, time=NOW, correlation_id=new_id())


def accepted() -> Event[Fact]:
    """Return a message about the referral of `opened`, which stays open."""
    fact = OfferAccepted(referral_id=REFERRAL, offer_id=OFFER, organization=ACCEPTOR, sender=SENDER)
    return message_of(fact, REFERRAL, time=NOW, correlation_id=new_id())


def _emergency() -> Event[Fact]:
    offer = opened()
    assert isinstance(offer.data, OfferOpened)
    facts = replace(offer.data.facts, urgency=Urgency.emergency)
    return replace(offer, data=replace(offer.data, facts=facts))


def test_endpoint_gets_signed_challenge_before_anything_else(hub: WebhookHub) -> None:
    new = hub.owners.register(ACCEPTOR, "client-1", URL, [])
    hub.bench.receive(opened())
    hub.settle()
    assert hub.sender.requests == []
    hub.later(seconds=5)
    assert hub.sender.types == ["webhook.challenge", "offer.opened.v1"]
    for _, request in hub.sender.requests:
        request.verify(new.secret.shared, new.secret.public_key)
    assert hub.state(new).state is EndpointState.active
    assert hub.facts() == ["registered", "verified"]


@ON_ONE_DATABASE
def test_sandbox_refuses_at_registration_every_address_that_it_would_not_connect_to(
    bench: Workbench, tmp_path: Path
) -> None:
    own = frozenset({("127.0.0.1", 8003)})
    sender = HttpSender(permitted=(ip_network("127.0.0.1/32"),), own_places=lambda: own)
    hub = WebhookHub(bench, tmp_path, sender, is_local=True)
    kept = hub.owners.register(ACCEPTOR, "client-1", "http://127.0.0.1:9000/", []).endpoint
    urls = {f"https://{_authority(address)}/": "private, local or reserved" for address in ADDRESSES}
    urls |= {"http://127.0.0.1:8003/": "the hub itself", "http://8.8.8.8/": "https://"}
    assert len(urls) >= 60  # Python 3.13 writes four more of them as they are in the list
    for url, words in urls.items():
        for wanted in (
            partial(hub.owners.register, ACCEPTOR, "client-1", url, []),
            partial(hub.owners.change, ACCEPTOR, "client-1", kept.id, url=url),
        ):
            with pytest.raises(Refused) as refused:
                wanted()
            (fault,) = refused.value.errors
            assert (refused.value.slug, fault.pointer) == ("invalid-submission", "/url")
            assert words in fault.detail
        with pytest.raises(NotSent, match="address-refused"):
            sender.post(EndpointUrl.of(url, is_local=True), {}, b"")
    assert [one.url.text for one in hub.owners.endpoints(ACCEPTOR)] == ["http://127.0.0.1:9000/"]


@ON_ONE_DATABASE
def test_endpoint_that_does_not_repeat_challenge_gets_no_notice(hub: WebhookHub) -> None:
    hub.sender.answer = lambda _: (200, b'{"challenge": "guessed"}')
    new = hub.owners.register(ACCEPTOR, "client-1", URL, [])
    hub.bench.receive(opened())
    hub.later(seconds=5)
    hub.later(hours=1)
    assert set(hub.sender.types) == {"webhook.challenge"}
    assert hub.state(new).state is EndpointState.unverified
    ((_, attempt), *_) = hub.owners.attempts(ACCEPTOR, new.endpoint.id, before=None, limit=5)[0]
    assert (attempt.status, attempt.fault) == (200, "challenge-not-answered")


def test_notice_is_thin_and_its_attempt_is_on_the_page(hub: WebhookHub) -> None:
    new = hub.verified()
    hub.bench.receive(message := opened())
    hub.settle()
    ((url, request),) = hub.sender.requests
    assert (url.text, request.id) == (URL, message.id)
    assert request.document["data"] == {
        "id": message.id,
        "referral_id": REFERRAL,
        "mailbox": "https://hub/v1/mailbox?from=0",
    }
    ((_, attempt), _challenge), more = hub.owners.attempts(ACCEPTOR, new.endpoint.id, before=None, limit=2)
    assert not more
    assert (attempt.message_id, attempt.number, attempt.status) == (message.id, 1, 204)
    assert attempt.url == "https://cases.example.org/hook"
    assert attempt.next_at is None
    # The notice acknowledges nothing: the message is in the mailbox.
    assert [each["id"] for each in hub.bench.mailbox(ACCEPTOR)] == [message.id]


@ON_ONE_DATABASE
def test_emergency_is_retried_at_5_30_and_120_seconds_and_to_its_deadline(hub: WebhookHub) -> None:
    hub.verified()
    hub.sender.answer = lambda _: (503, b"")
    emergency = _emergency()
    hub.bench.receive(emergency)
    start, sent = hub.clock.time, []
    for _ in range(4 * 3600 // 5 + 10):
        before = len(hub.sender.requests)
        hub.settle()
        if len(hub.sender.requests) > before:
            sent.append(int((hub.clock.time - start).total_seconds()))
        hub.clock.time += dt.timedelta(seconds=5)
        if len(sent) == 6:
            hub.clock.time = NOW + dt.timedelta(hours=4, seconds=1)
            hub.settle()
            break
    assert sent == [0, 5, 30, 120, 240, 360]
    (notice, _), _ = hub.owners.notices(ACCEPTOR, hub.owners.endpoints(ACCEPTOR)[0].id, before=None, limit=5)
    assert (notice.state, notice.due_at) == ("expired", None)


def test_order_is_kept_within_a_referral_only(hub: WebhookHub) -> None:
    hub.verified()
    first, second, other = overdue(REFERRAL), overdue(REFERRAL), overdue(new_id())
    refused = [first.id]
    hub.sender.answer = lambda request: (500, b"") if request.id in refused else (204, b"")
    hub.bench.receive(first, second, other)
    hub.settle()
    assert [request.id for _, request in hub.sender.requests] == [first.id, other.id]
    refused.clear()
    hub.later(seconds=5)
    assert [request.id for _, request in hub.sender.requests[2:]] == [first.id, second.id]


def test_offer_overtakes_notices_of_its_referral_that_keep_failing(hub: WebhookHub) -> None:
    hub.verified()
    stuck, later = accepted(), accepted()
    hub.sender.answer = lambda request: (500, b"") if request.id == stuck.id else (204, b"")
    hub.bench.receive(stuck)
    hub.settle()
    hub.bench.receive(offer := opened(), later)
    hub.settle()
    assert {request.id for _, request in hub.sender.requests} == {stuck.id}
    hub.later(seconds=5)
    hub.later(seconds=55)
    sent = [request.id for _, request in hub.sender.requests]
    assert sent == [stuck.id, stuck.id, stuck.id, offer.id]
    assert later.id not in sent


@ON_ONE_DATABASE
def test_emergency_is_sent_before_everything_else_that_is_due(hub: WebhookHub) -> None:
    hub.verified()
    hub.sender.answer = lambda _: (500, b"")
    emergency = _emergency()
    hub.bench.receive(*[overdue(new_id()) for _ in range(5)], emergency)
    hub.dispatcher.round()
    assert hub.sender.requests[0][1].id == emergency.id


def test_endpoint_that_answers_again_gets_everything_at_once(hub: WebhookHub) -> None:
    hub.verified()
    hub.sender.answer = lambda _: NotSent("no-connection")
    messages = [overdue(new_id()) for _ in range(3)]
    hub.bench.receive(*messages)
    hub.settle()
    for hours in (1, 5, 9):
        hub.later(hours=hours)
    hub.sender.requests.clear()
    hub.sender.answer = lambda _: (204, b"")
    hub.bench.receive(new := overdue(new_id()))
    hub.settle()
    assert {request.id for _, request in hub.sender.requests} == {new.id, *(each.id for each in messages)}


def test_acknowledged_message_is_not_sent_again(hub: WebhookHub) -> None:
    new = hub.verified()
    hub.sender.answer = lambda _: NotSent("timeout")
    hub.bench.receive(message := overdue(REFERRAL))
    hub.settle()
    hub.bench.mailbox(ACCEPTOR)
    hub.bench.partner.acknowledge(ACCEPTOR, message.id)
    hub.later(days=1)
    assert len(hub.sender.requests) == 1
    assert hub.owners.notices(ACCEPTOR, new.endpoint.id, before=None, limit=1)[0][0].state == "read"


def test_nothing_is_lost_while_endpoint_is_disabled(hub: WebhookHub) -> None:
    new = hub.verified()
    hub.sender.answer = lambda _: (410, b"")
    hub.bench.receive(first := overdue(REFERRAL))
    hub.settle()
    assert (hub.state(new).state, hub.state(new).reason) == ("disabled", "gone")
    assert hub.state(new).disabled_at == hub.bench.clock.time
    with pytest.raises(Refused, match="The endpoint is disabled; enable it first") as refusal:
        hub.owners.resend(ACCEPTOR, new.endpoint.id, first.id)
    assert refusal.value.status == 409
    (notice,), _ = hub.owners.notices(ACCEPTOR, new.endpoint.id, before=None, limit=1)
    ((_, attempt),), _ = hub.owners.attempts(ACCEPTOR, new.endpoint.id, before=None, limit=1)
    assert (notice.state, notice.due_at, attempt.status, attempt.next_at) == ("waiting", None, 410, None)
    hub.bench.receive(second := overdue(new_id()), third := overdue(REFERRAL))
    hub.later(days=9)
    assert len(hub.sender.requests) == 1
    waiting = [each["id"] for each in hub.bench.mailbox(ACCEPTOR)]
    assert waiting == [first.id, second.id, third.id]

    hub.sender.answer = repeating_challenge
    hub.owners.change(ACCEPTOR, "client-1", new.endpoint.id, is_enabled=True)
    hub.settle()
    assert hub.sender.types[1] == "webhook.challenge"
    assert [request.id for _, request in hub.sender.requests[2:]] == [first.id, second.id, third.id]
    assert hub.facts()[-3:] == ["gone", "enabled", "verified"]
    assert hub.state(new).disabled_at is None


@ON_ONE_DATABASE
def test_five_days_of_failure_disable_with_notices_in_the_mailbox(hub: WebhookHub) -> None:
    new = hub.verified()
    hub.sender.answer = lambda _: NotSent("no-connection")
    hub.bench.receive(overdue(REFERRAL))
    hub.settle()
    for _ in range(13):
        hub.bench.receive(overdue(new_id()))
        hub.later(hours=10)
    assert hub.facts()[2:] == ["failing 50", "failing 70", "failing 90", "failing 100"]
    assert (hub.state(new).state, hub.state(new).reason) == ("disabled", "failing")
    disabled_at = hub.state(new).disabled_at
    assert disabled_at is not None
    assert disabled_at <= hub.bench.clock.time
    hub.bench.receive(*[event for event in hub.bench.sent() if event.type.startswith("kopuro.webhook.")])
    told = [
        each["data"] for each in hub.bench.mailbox(ACCEPTOR) if each["type"] == "kopuro.webhook.failing.v1"
    ]
    assert [each["percent"] for each in told] == [50, 70, 90, 100]
    assert told[0]["host"] == "cases.example.org"


def test_cancel_stops_retries_across_a_restart_and_resend_starts_anew(hub: WebhookHub) -> None:
    new = hub.verified()
    hub.sender.answer = lambda _: (500, b"")
    hub.bench.receive(message := overdue(REFERRAL))
    hub.settle()
    assert hub.owners.cancel(ACCEPTOR, new.endpoint.id, message.id).state == "cancelled"
    hub.restart()
    hub.later(days=4)
    assert len(hub.sender.requests) == 1
    hub.sender.answer = lambda _: (204, b"")
    hub.owners.resend(ACCEPTOR, new.endpoint.id, message.id)
    hub.settle()
    assert [request.id for _, request in hub.sender.requests] == [message.id] * 2
    assert hub.owners.notices(ACCEPTOR, new.endpoint.id, before=None, limit=1)[0][0].state == "sent"
    with pytest.raises(Refused, match="Cannot cancel a notice that is sent"):
        hub.owners.cancel(ACCEPTOR, new.endpoint.id, message.id)


def test_process_that_ends_during_a_request_sends_it_again(hub: WebhookHub) -> None:
    hub.verified()
    hub.bench.receive(message := overdue(REFERRAL))

    def dies(_: object) -> tuple[int, bytes]:
        raise SystemExit

    hub.sender.answer = dies
    with pytest.raises(SystemExit):
        hub.settle()
    hub.sender.answer = lambda _: (204, b"")
    hub.restart()
    hub.settle()
    assert len(hub.sender.requests) == 1
    hub.later(seconds=46)
    assert [request.id for _, request in hub.sender.requests] == [message.id] * 2


def test_second_process_sends_nothing_that_the_first_has_claimed(hub: WebhookHub) -> None:
    hub.verified()
    hub.bench.receive(overdue(REFERRAL), overdue(new_id()))
    claimed: list[object] = []
    hub.dispatcher._spawn = claimed.append
    hub.dispatcher.round()
    assert len(claimed) == 2
    hub.restart()
    hub.settle()
    assert hub.sender.requests == []


def test_two_secrets_sign_for_a_day_after_rotation(hub: WebhookHub) -> None:
    new = hub.verified()
    rotated = hub.owners.rotate(ACCEPTOR, "client-1", new.endpoint.id)
    assert rotated.previous_until == hub.clock.time + dt.timedelta(hours=24)
    hub.bench.receive(overdue(new_id()))
    hub.settle()
    for one in (new, rotated):
        hub.sender.requests[-1][1].verify(one.secret.shared, one.secret.public_key)
    hub.clock.time += dt.timedelta(hours=24)
    hub.bench.receive(overdue(new_id()))
    hub.settle()
    hub.sender.requests[-1][1].verify(rotated.secret.shared, rotated.secret.public_key)
    with pytest.raises(AssertionError):
        hub.sender.requests[-1][1].verify(new.secret.shared, new.secret.public_key)


def test_moved_endpoint_is_challenged_before_its_new_url_gets_a_notice(hub: WebhookHub) -> None:
    new = hub.verified()
    hub.sender.answer = lambda _: (500, b"")
    hub.bench.receive(overdue(REFERRAL))
    hub.settle()
    moved = "https://other.example.org/"
    hub.owners.change(ACCEPTOR, "client-1", new.endpoint.id, url=moved)
    hub.later(minutes=2)
    after = [(url.host, request.type) for url, request in hub.sender.requests[1:]]
    assert set(after) == {("other.example.org", "kopuro.webhook.challenge")}


@ON_ONE_DATABASE
def test_slow_or_failing_endpoint_takes_only_its_own_places(hub: WebhookHub) -> None:
    new = hub.verified()
    started: list[object] = []
    hub.dispatcher._spawn = started.append
    hub.bench.receive(*[overdue(new_id()) for _ in range(10)])
    hub.dispatcher.round()
    hub.dispatcher.round()
    assert len(started) == PLACES_PER_ENDPOINT
    assert len(hub.owners.notices(ACCEPTOR, new.endpoint.id, before=None, limit=50)[0]) == 11


@ON_ONE_DATABASE
def test_endpoints_take_turns_when_all_places_are_taken(
    hub: WebhookHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{Dispatcher.__module__}.PLACES", 1)
    hub.verified()
    hub.verified(SENDER, "https://sender.example.org/")
    hub.bench.receive(*[overdue(new_id()) for _ in range(2)])
    hub.settle()
    hosts = [url.host for url, _ in hub.sender.requests]
    assert len(hosts) == 4
    assert hosts[0] != hosts[1]


@ON_ONE_DATABASE
def test_window_of_notices_is_bounded_and_the_rest_follows(
    hub: WebhookHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{Feeder.__module__}.WINDOW", 10)
    monkeypatch.setattr(f"{Feeder.__module__}.MOST_TRIED", 10)
    new = hub.verified()
    hub.sender.answer = lambda _: (500, b"")
    hub.bench.receive(*[overdue(new_id()) for _ in range(40)])
    hub.settle()
    # The challenge, those that were tried, and those that were not.
    assert len(hub.owners.notices(ACCEPTOR, new.endpoint.id, before=None, limit=50)[0]) <= 1 + 10 + 10
    hub.sender.answer = lambda _: (204, b"")
    for _ in range(4):
        hub.later(minutes=1)
    assert len({request.id for _, request in hub.sender.requests}) == 40


@ON_ONE_DATABASE
def test_offer_does_not_wait_for_a_window_full_of_failing_notices(
    hub: WebhookHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{Feeder.__module__}.WINDOW", 10)
    monkeypatch.setattr(f"{Feeder.__module__}.MOST_TRIED", 10)
    hub.verified()
    hub.sender.answer = lambda request: (204 if "offer.opened" in request.type else 500, b"")
    hub.bench.receive(*[overdue(new_id()) for _ in range(25)])
    hub.settle()
    hub.bench.receive(_emergency())
    hub.settle()
    hub.settle()
    assert hub.sender.types.count("offer.opened.v1") == 1
    # The position did not pass the messages before the offer: they follow once the endpoint takes them.
    hub.sender.answer = lambda _: (204, b"")
    for _ in range(4):
        hub.later(minutes=2)
    assert len({request.id for _, request in hub.sender.requests}) == 26
    assert hub.sender.types.count("offer.opened.v1") == 1


@ON_ONE_DATABASE
def test_refused_messages_keep_no_other_message_from_the_endpoint(
    hub: WebhookHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{Feeder.__module__}.WINDOW", 10)
    hub.verified()
    refused = {new_id() for _ in range(25)}
    hub.sender.answer = lambda request: (500 if _data(request).get("referral_id") in refused else 204, b"")
    hub.bench.receive(*[overdue(referral) for referral in refused])
    hub.settle()
    good = new_id()
    hub.bench.receive(overdue(good))
    hub.settle()
    assert [_data(request)["referral_id"] for _, request in hub.sender.requests].count(good) == 1
    assert len({request.id for _, request in hub.sender.requests}) == 26


@ON_ONE_DATABASE
def test_message_without_an_attempt_is_sent_before_those_that_were_refused(hub: WebhookHub) -> None:
    hub.verified()
    refused = [new_id() for _ in range(5)]
    hub.sender.answer = lambda request: (500 if _data(request).get("referral_id") in refused else 204, b"")
    hub.bench.receive(*[overdue(referral) for referral in refused])
    hub.settle()
    hub.sender.requests.clear()
    hub.bench.receive(overdue(REFERRAL))
    hub.later(minutes=1)
    assert hub.sender.requests[0][1].document["data"]["referral_id"] == REFERRAL


def test_owner_is_notified_once_of_a_refused_message_while_others_pass(hub: WebhookHub) -> None:
    hub.verified()
    refused = {new_id() for _ in range(3)}
    hub.sender.answer = lambda request: (500 if _data(request).get("referral_id") in refused else 204, b"")
    hub.bench.receive(*[overdue(referral) for referral in refused])
    for seconds in (0, 10, 60, 300):
        hub.bench.receive(overdue(new_id()))
        hub.later(seconds=seconds)
    (told,) = _refusals(hub)
    assert told.message_id in {
        _data(request)["id"]
        for _, request in hub.sender.requests
        if _data(request).get("referral_id") in refused
    }


def test_owner_is_not_notified_of_one_message_while_every_attempt_fails(hub: WebhookHub) -> None:
    hub.verified()
    hub.sender.answer = lambda _: (500, b"")
    hub.bench.receive(*[overdue(new_id()) for _ in range(3)])
    for seconds in (0, 10, 60, 300):
        hub.later(seconds=seconds)
    assert _refusals(hub) == []


def _data(request: Received) -> dict[str, str]:
    data: dict[str, str] = request.document["data"]
    return data


def _refusals(hub: WebhookHub) -> list[WebhookChanged]:
    facts = [event.data for event in hub.bench.sent()]
    return [fact for fact in facts if isinstance(fact, WebhookChanged) and fact.change == "message_refused"]


def test_endpoint_deleted_while_it_is_fed_leaves_no_notice(
    hub: WebhookHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, behind = hub.verified(), hub.notices.behind

    def deleted_meanwhile(transaction: Connection) -> list[Endpoint]:
        found = behind(transaction)
        deleting = threading.Thread(target=lambda: hub.owners.delete(ACCEPTOR, "c", new.endpoint.id))
        deleting.start()
        deleting.join()
        return found

    hub.bench.receive(overdue(REFERRAL))
    monkeypatch.setattr(hub.notices, "behind", deleted_meanwhile)
    hub.dispatcher.round()
    with hub.bench.database.read() as transaction:
        assert hub.notices.count_waiting(transaction) == 0


@ON_ONE_DATABASE
def test_excluded_organization_gets_no_notice_until_it_is_readmitted(hub: WebhookHub) -> None:
    hub.verified()
    hub.excluded.add(ACCEPTOR)
    hub.bench.receive(overdue(REFERRAL))
    hub.later(hours=1)
    assert hub.sender.requests == []
    hub.excluded.clear()
    hub.settle()
    assert len(hub.sender.requests) == 1


def test_endpoint_gets_notices_of_its_types_and_its_own_mailbox_only(hub: WebhookHub) -> None:
    hub.verified(types=("kopuro.offer.opened.v1",))
    hub.verified(STRANGER, "https://stranger.example.org/")
    hub.bench.receive(unplaced(), opened(), declined(), overdue(new_id()))
    hub.settle()
    assert [(url.host, request.type) for url, request in hub.sender.requests] == [
        ("cases.example.org", "kopuro.offer.opened.v1")
    ]


@ON_ONE_DATABASE
def test_foreign_endpoint_is_not_found(hub: WebhookHub) -> None:
    new = hub.verified()
    id_ = new.endpoint.id
    for use in (
        lambda: hub.owners.show(STRANGER, id_),
        lambda: hub.owners.change(STRANGER, "c", id_, is_enabled=False),
        lambda: hub.owners.delete(STRANGER, "c", id_),
        lambda: hub.owners.rotate(STRANGER, "c", id_),
        lambda: hub.owners.test(STRANGER, id_),
        lambda: hub.owners.notices(STRANGER, id_, before=None, limit=1),
        lambda: hub.owners.attempts(STRANGER, id_, before=None, limit=1),
        lambda: hub.owners.resend(STRANGER, id_, "m"),
        lambda: hub.owners.cancel(STRANGER, id_, "m"),
    ):
        with pytest.raises(Refused, match="no such endpoint"):
            use()
    assert hub.state(new).state == "active"


@ON_ONE_DATABASE
def test_test_is_sent_to_active_endpoint_and_challenge_to_unverified_one(hub: WebhookHub) -> None:
    new = hub.verified()
    hub.owners.test(ACCEPTOR, new.endpoint.id)
    hub.settle()
    assert hub.sender.types == ["webhook.test"]
    hub.owners.change(ACCEPTOR, "c", new.endpoint.id, is_enabled=False)
    with pytest.raises(Refused, match="disabled"):
        hub.owners.test(ACCEPTOR, new.endpoint.id)


@ON_ONE_DATABASE
def test_registration_is_refused_for_known_url_unknown_type_and_too_many(hub: WebhookHub) -> None:
    hub.owners.register(ACCEPTOR, "c", URL, [])
    with pytest.raises(Refused, match="already have an endpoint"):
        hub.owners.register(ACCEPTOR, "c", URL, [])
    with pytest.raises(Refused) as refused:
        hub.owners.register(ACCEPTOR, "c", "https://b.example.org/", ["kopuro.offer.opened.v1", "nonsense"])
    assert [error.pointer for error in refused.value.errors] == ["/types/1"]
    for url in ("https://169.254.169.254/", "https://cases.example.org:0/"):
        with pytest.raises(Refused) as refused:
            hub.owners.register(ACCEPTOR, "c", url, [])
        assert [error.pointer for error in refused.value.errors] == ["/url"]
    for number in range(1, MOST_ENDPOINTS):
        hub.owners.register(ACCEPTOR, "c", f"https://n{number}.example.org/", [])
    with pytest.raises(Refused, match="at most 10"):
        hub.owners.register(ACCEPTOR, "c", "https://last.example.org/", [])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_simultaneous_registrations_do_not_exceed_the_limit(
    hub: WebhookHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(MOST_ENDPOINTS - 1):
        hub.owners.register(ACCEPTOR, "c", f"https://n{number}.example.org/", [])
    both_have_read, of = threading.Barrier(2), hub.endpoints.of

    def slowly_of(transaction: Connection, organization: str) -> list[Endpoint]:
        found = of(transaction, organization)
        # It breaks when the other registration cannot read until this one has ended.
        with suppress(threading.BrokenBarrierError):
            both_have_read.wait(0.5)
        return found

    def register(name: str) -> None:
        with suppress(Refused):
            hub.owners.register(ACCEPTOR, "c", f"https://{name}.example.org/", [])

    with monkeypatch.context() as patched:
        patched.setattr(hub.endpoints, "of", slowly_of)
        registering = [threading.Thread(target=register, args=(name,)) for name in ("x", "y")]
        for thread in registering:
            thread.start()
        for thread in registering:
            thread.join()
    assert len(hub.owners.endpoints(ACCEPTOR)) == MOST_ENDPOINTS


@ON_ONE_DATABASE
def test_published_examples_can_be_registered_and_refusal_of_unknown_type_lists_known_types(
    hub: WebhookHub,
) -> None:
    assert operations.REGISTER.body is not None
    for example in operations.REGISTER.body.examples.values():
        hub.owners.register(ACCEPTOR, "c", example["url"], example["types"])
    with pytest.raises(Refused) as refused:
        hub.owners.register(ACCEPTOR, "c", "https://b.example.org/", ["offer.opened", "offer.open"])
    (fault,) = refused.value.errors
    assert fault.pointer == "/types/1"
    assert "offer.opened, offer.reminded, offer.revoked" in fault.detail


def test_database_outbox_and_logs_hold_no_secret_and_no_answer(
    hub: WebhookHub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    new = hub.verified()
    hub.sender.answer = lambda _: (400, b'{"error": "no case of Azamat"}')
    hub.bench.receive(overdue(REFERRAL))
    hub.settle()
    stored = hub.stored() + "".join(str(one.__dict__) for one in caplog.records)
    assert "Azamat" not in stored
    for secret in (new.secret.shared.removeprefix("whsec_"), new.secret.mac_key.hex(), new.secret.seed.hex()):
        assert secret not in stored
    assert "s3cret" not in str(hub.owners.attempts(ACCEPTOR, new.endpoint.id, before=None, limit=9))


def test_log_gets_commitments_to_url_and_types_and_digests_of_sealed_secrets(hub: WebhookHub) -> None:
    new = hub.verified()
    first = hub.state(new)
    hub.owners.change(ACCEPTOR, "client-1", new.endpoint.id, types=["offer.opened"])
    second = hub.state(new)
    hub.owners.rotate(ACCEPTOR, "client-1", new.endpoint.id)
    with hub.bench.database.read() as transaction:
        sealed = hub.endpoints.secrets(transaction, new.endpoint.id, NOW)
    hub.owners.delete(ACCEPTOR, "client-1", new.endpoint.id)
    assert first.salt is not None
    assert second.salt not in (first.salt, None)
    before = commitment(first.id, URL, (), first.salt)
    after = commitment(first.id, URL, ["offer.opened"], second.salt or b"")
    newest, oldest = (secret_digest(one) for one in sealed)
    facts = [event.data for event in hub.bench.sent() if isinstance(event.data, WebhookChanged)]
    assert [(one.change, one.state, one.commitment, one.previous, one.secret) for one in facts] == [
        ("registered", "unverified", before, None, oldest),
        ("verified", "active", before, None, None),
        ("changed", "active", after, before, None),
        ("secret_rotated", "active", after, None, newest),
        ("deleted", None, after, None, None),
    ]
    assert "s3cret" not in str([event.data for event in hub.bench.sent()])


@ON_ONE_DATABASE
def test_endpoint_of_an_earlier_build_gets_a_salt_from_its_owner_only(hub: WebhookHub) -> None:
    new = hub.owners.register(ACCEPTOR, "client-1", URL, ())
    with hub.bench.database.write() as transaction:
        transaction.execute(update(WEBHOOK_ENDPOINTS).values(salt=None))
    hub.later(seconds=5)
    verified = hub.bench.sent()[-1].data
    assert isinstance(verified, WebhookChanged)
    assert (verified.change, verified.commitment) == ("verified", None)
    hub.owners.rotate(ACCEPTOR, "client-1", new.endpoint.id)
    rotated = hub.bench.sent()[-1].data
    assert isinstance(rotated, WebhookChanged)
    assert rotated.commitment == commitment(new.endpoint.id, URL, (), hub.state(new).salt or b"")
    assert rotated.previous is None


@ON_ONE_DATABASE
def test_endpoint_without_a_secret_gets_no_request(hub: WebhookHub, caplog: pytest.LogCaptureFixture) -> None:
    hub.verified()
    with hub.bench.database.write() as transaction:
        transaction.execute(delete(WEBHOOK_SECRETS))
    hub.bench.receive(overdue(REFERRAL))
    hub.settle()
    assert hub.sender.requests == []
    assert [getattr(one, "reason", "") for one in caplog.records] == ["The webhook has no secret."]


def test_endpoint_has_one_open_test_however_often_it_is_asked_for(hub: WebhookHub) -> None:
    new = hub.verified()
    hub.sender.answer = lambda _: (500, b"")
    first = hub.owners.test(ACCEPTOR, new.endpoint.id)
    for _ in range(5):
        hub.settle()
        assert hub.owners.test(ACCEPTOR, new.endpoint.id).message_id == first.message_id
        hub.clock.time += dt.timedelta(minutes=2)
    assert {request.id for _, request in hub.sender.requests} == {first.message_id}
    # It is sent again when it is asked for, not only at its next attempt.
    assert len(hub.sender.requests) == 5
    hub.sender.answer = lambda _: (204, b"")
    hub.owners.test(ACCEPTOR, new.endpoint.id)
    hub.settle()
    assert hub.owners.test(ACCEPTOR, new.endpoint.id).message_id != first.message_id


@ON_ONE_DATABASE
def test_changes_of_endpoints_are_bounded_and_a_deletion_is_always_possible(hub: WebhookHub) -> None:
    new = hub.owners.register(ACCEPTOR, "c", URL, ())

    def switch(*, is_enabled: bool) -> None:
        hub.owners.change(ACCEPTOR, "c", new.endpoint.id, is_enabled=is_enabled)

    for number in range(1, CHANGES.burst):
        switch(is_enabled=number % 2 == 0)
    state = hub.state(new).state
    with pytest.raises(RateLimited) as refused:
        switch(is_enabled=state == "disabled")
    assert refused.value.retry_after == 60
    assert (hub.state(new).state, len(hub.facts())) == (state, CHANGES.burst)
    hub.clock.time += dt.timedelta(minutes=1)
    switch(is_enabled=state == "disabled")
    hub.owners.delete(ACCEPTOR, "c", new.endpoint.id)
    assert hub.facts()[-1] == "deleted"


def test_unverified_endpoint_has_one_open_challenge(hub: WebhookHub) -> None:
    new = hub.owners.register(ACCEPTOR, "c", URL, ())
    hub.sender.answer = lambda _: (500, b"")
    sent = {hub.owners.test(ACCEPTOR, new.endpoint.id).message_id for _ in range(5)}
    hub.settle()
    assert {request.id for _, request in hub.sender.requests} == sent
    assert len(sent) == len(hub.sender.requests) == 1


def test_deleted_endpoint_leaves_nothing_but_the_mailbox(hub: WebhookHub) -> None:
    new = hub.verified()
    hub.bench.receive(overdue(REFERRAL))
    hub.settle()
    hub.owners.delete(ACCEPTOR, "c", new.endpoint.id)
    hub.bench.receive(overdue(new_id()))
    hub.later(days=1)
    assert len(hub.sender.requests) == 1
    assert hub.owners.endpoints(ACCEPTOR) == []
    assert len(hub.bench.mailbox(ACCEPTOR)) == 2
    assert hub.facts()[-1] == "deleted"


def test_old_notices_and_attempts_are_forgotten_in_bounded_steps(hub: WebhookHub) -> None:
    new = hub.verified()
    hub.bench.receive(overdue(REFERRAL), overdue(new_id()))
    hub.settle()
    hub.clock.time += dt.timedelta(days=31)
    before = hub.clock.time - dt.timedelta(days=30)
    with hub.bench.database.write() as transaction:
        assert [hub.notices.forget(transaction, before, 4) for _ in range(3)] == [4, 2, 0]
    assert hub.owners.attempts(ACCEPTOR, new.endpoint.id, before=None, limit=9) == ([], False)


def test_round_returns_whether_the_next_may_have_work_without_a_commit(hub: WebhookHub) -> None:
    assert hub.dispatcher.round() is False
    hub.verified()
    assert hub.dispatcher.round() is False
    hub.sender.answer = lambda _: (500, b"")
    hub.bench.receive(overdue(REFERRAL))
    assert hub.dispatcher.round() is True, "a message had no notice"
    assert hub.dispatcher.round() is True, "its notice waits for the next attempt"
    hub.sender.answer = lambda _: (204, b"")
    hub.later(hours=1)
    assert hub.dispatcher.round() is False
