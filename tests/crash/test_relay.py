"""The relay killed at each crash point of a message: committed, published, confirmed, deleted.

Every crash point that `runtime.messaging.outbox` names, and group commit's, lies between two of these
moments: the process is killed just before it and just after it.
"""

from __future__ import annotations

import pytest

from contracts.facts import ReferralSubmitted, SealedCaseSubmitted
from tests.crash.crashing import CrashHub, Crashing, Listener, until
from tests.crash.faults import Moment, named
from tests.faults.tcp_proxy import TcpProxy

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


def admitted_once(hub: CrashHub, crashing: Crashing, listener: Listener, body: dict[str, object]) -> None:
    """A request repeated to the real service gives one referral, in the database and for consumers."""
    answer = hub.submit(crashing.whole, body)
    assert answer is not None
    assert answer.status_code == 202
    crashing.until_published()
    (fact,) = listener.effects(ReferralSubmitted)
    assert fact.referral_id == answer.json()["id"]
    assert crashing.rows("submissions") == 1
    letters = {letter.id: letter.data for letter in hub.hear("vault.sealed", lambda heard: bool(heard))}
    (case,) = letters.values()
    assert isinstance(case, SealedCaseSubmitted)
    assert case.referral_id == fact.referral_id
    # One copy until audit's receipt, whether or not the process was killed between confirm and copy.
    assert [copy.type for copy in crashing.copies()].count(ReferralSubmitted.type) == 1


@pytest.mark.parametrize(
    ("moment", "answered", "copies"),
    [
        # "committed, not yet answered"
        (Moment.before_commit, False, 1),
        (Moment.committed, False, 1),
        # "committed, not yet published"
        (Moment.before_publishing, None, 1),
        # "confirmed, row not yet deleted"
        (Moment.confirmed, None, 2),
        (Moment.forgotten, None, 1),
    ],
    ids=named,
)
def test_referral_is_admitted_once_when_relay_is_killed(
    crash_hub: CrashHub, listener: Listener, moment: Moment, answered: bool | None, copies: int
) -> None:
    crashing, body = crash_hub.crashing_intake(), crash_hub.referral_body()
    with crashing.dying:
        crashing.until_settled()
        crashing.plan(moment)
        answer = crash_hub.submit(crashing.dying, body)
        assert answered is None or (answer is not None) == answered
        crashing.until_dead()
    with crashing.whole:
        crashing.whole.until_ready()
        admitted_once(crash_hub, crashing, listener, body)
    assert listener.most_copies(ReferralSubmitted) == copies


def test_referral_is_admitted_once_when_relay_is_killed_before_confirm(
    crash_hub: CrashHub, listener: Listener, proxied: str, proxy: TcpProxy
) -> None:
    crashing = crash_hub.crashing_intake(amqp_uri=proxied)
    body = crash_hub.referral_body()
    with crashing.whole:
        crashing.whole.until_ready()
        crashing.until_published()  # the request for a snapshot is published: the relay is connected
        # "published, not yet confirmed": from here on, no confirm comes back
        proxy.swallow.set()
        answer = crash_hub.submit(crashing.whole, body)
        assert answer is not None
        listener.until_heard(ReferralSubmitted)
        assert crashing.rows("outbox") > 0
        crashing.whole.process.kill()
    proxy.swallow.clear()
    with crashing.whole:
        crashing.whole.until_ready()
        admitted_once(crash_hub, crashing, listener, body)
    assert listener.most_copies(ReferralSubmitted) == 2


def test_commit_reported_failed_is_a_503_and_its_repetition_the_same_referral(
    crash_hub: CrashHub, listener: Listener
) -> None:
    crashing, body = crash_hub.crashing_intake(), crash_hub.referral_body()
    with crashing.dying:
        crashing.until_settled()
        crashing.plan(Moment.commit_reported_failed)
        answer = crash_hub.submit(crashing.dying, body)
        assert answer is not None
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        crashing.until_reached()
        repeated = crash_hub.submit(crashing.dying, body)
        assert repeated is not None
        crashing.until_published()
        (fact,) = listener.effects(ReferralSubmitted)
        assert (repeated.status_code, repeated.json()["id"]) == (202, fact.referral_id)
        assert crashing.rows("submissions") == 1


def test_outbox_rows_whose_deletion_failed_are_not_published_forever(
    crash_hub: CrashHub, listener: Listener
) -> None:
    crashing, body = crash_hub.crashing_intake(), crash_hub.referral_body()
    with crashing.dying:
        crashing.until_settled()
        crashing.plan(Moment.forgetting_reported_failed)
        crash_hub.submit(crashing.dying, body)
        crashing.until_reached()
        until(lambda: crashing.rows("outbox") == 0, "the outbox is empty")
        assert len(listener.effects(ReferralSubmitted)) == 1
    with crashing.whole:
        crashing.whole.until_ready()
        admitted_once(crash_hub, crashing, listener, body)
