"""Previews by routing's handlers on real databases: what they read, and that they write nothing."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from contracts.codes import Answer, WithdrawalReason
from contracts.errors import Refused, Unavailable
from contracts.facts import AnswerSubmitted, RevocationSubmitted, WithdrawalSubmitted
from contracts.queries import PreviewQuery
from contracts.records import plain
from runtime.identifiers import new_id
from services.routing.adapters.past_referrals import SqlPastReferrals
from services.routing.adapters.tables import METADATA
from services.routing.api import reply_to_query
from services.routing.domain.experience import FEWEST
from services.routing.handlers.previews import EXPERIENCE_KEPT, Previews
from tests.unit.services.routing.samples import DAY, NOW, SENDER, facts, organization, service
from tests.unit.services.routing.workbench import Workbench, event, opened, submitted, workbench

MINUTE = dt.timedelta(minutes=1)

# An organisation that has sent none of the referrals.
READER = "kz.reader"


class Preview:
    """Previews of one process, asked as intake asks them."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.unready: str | None = None
        self.previews = Previews(
            database=bench.database,
            past=SqlPastReferrals(),
            network=bench.network,
            policy=lambda: bench.policy(),
            unready=lambda: self.unready,
            clock=bench.clock,
        )

    def __call__(self, sender: str = SENDER, **changes: Any) -> dict[str, Any]:
        wire = PreviewQuery(sender=sender, facts=facts(**changes)).wire()
        found = reply_to_query(self.bench.queries, wire, preview=self.previews.preview)
        return dict(plain(found))


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url, "ru.one", organization("ru.uzbek", service(languages=("uz",))))
    yield bench
    bench.close()


@pytest.fixture
def preview(bench: Workbench) -> Preview:
    return Preview(bench)


def answer(bench: Workbench, referral_id: str, after: dt.timedelta) -> None:
    """Submit a referral now and let its first candidate accept it after a time."""
    (offer,) = opened(bench.take(replace(submitted(referral_id), time=bench.clock.now())))
    bench.clock.time += after
    accepted = AnswerSubmitted(
        referral_id=referral_id,
        offer_id=offer.offer_id,
        organization=offer.organization,
        answer=Answer.accept,
    )
    bench.take(event(accepted, referral_id, bench.clock.now()))
    bench.clock.time -= after


def stored(bench: Workbench) -> dict[str, list[tuple[Any, ...]]]:
    with bench.database.read() as transaction:
        return {
            table.name: [tuple(row) for row in transaction.execute(select(table))]
            for table in METADATA.sorted_tables
        }


def test_preview_counts_candidates_and_changes(preview: Preview) -> None:
    assert preview() == {
        "candidates": "1-4",
        "half_answered_seconds": None,
        "found_nobody": None,
        "more_by_language": {"uz": "1-4"},
        "more_by_region": {},
        "only_by_kind": {},
        "parts": [],
        "would_split": False,
    }


def test_preview_writes_and_logs_nothing(
    bench: Workbench, preview: Preview, caplog: pytest.LogCaptureFixture
) -> None:
    bench.take(submitted(new_id()))
    before = stored(bench)
    caplog.set_level(logging.DEBUG)
    preview(region="RU-SPE", languages=("tg",))
    assert stored(bench) == before
    assert [record for record in caplog.records if record.name.startswith(("services", "runtime"))] == []


def test_experience_counts_settled_referrals_of_the_need_group_and_country(
    bench: Workbench, preview: Preview
) -> None:
    for number in range(3):
        answer(bench, new_id(), (20 + number) * MINUTE)
    for _ in range(2):  # unplaced from the start
        bench.take(submitted(new_id(), languages=("tg",)))
    bench.clock.time = NOW + DAY
    assert preview(READER)["half_answered_seconds"] == 1_800
    assert preview(READER, region="RU-SPE", needs=("legal",))["found_nobody"] == 0.4
    assert preview(READER, needs=("work",))["found_nobody"] is None
    assert preview(READER, region="KZ-ALA")["found_nobody"] is None
    assert preview()["half_answered_seconds"] is None  # all are its own


def test_experience_leaves_out_young_old_and_withdrawn_referrals(bench: Workbench, preview: Preview) -> None:
    kept = [new_id() for _ in range(FEWEST - 1)]
    for one in kept:
        answer(bench, one, MINUTE)
    early, revoked = new_id(), new_id()
    bench.take(submitted(early), submitted(revoked))
    withdrawn = WithdrawalSubmitted(
        referral_id=early, organization=SENDER, reason=WithdrawalReason.placed_elsewhere
    )
    bench.take(event(withdrawn, early))
    bench.take(event(RevocationSubmitted(referral_id=revoked, organization=SENDER), revoked))
    bench.clock.time = NOW + DAY
    assert preview(READER)["half_answered_seconds"] is None
    answer(bench, new_id(), MINUTE)
    bench.clock.time += EXPERIENCE_KEPT
    assert preview(READER)["half_answered_seconds"] is None  # the fifth is still young
    bench.clock.time += DAY
    assert preview(READER)["half_answered_seconds"] == 900
    bench.clock.time += 90 * DAY
    assert preview(READER)["half_answered_seconds"] is None


def test_preview_is_refused_while_the_directory_is_incomplete(preview: Preview) -> None:
    """An incomplete directory would answer that nobody can help."""
    preview.unready = "The directory is not complete."
    with pytest.raises(Unavailable):
        preview()


def test_routing_without_previews_refuses_the_query(bench: Workbench) -> None:
    with pytest.raises(Refused):
        reply_to_query(bench.queries, PreviewQuery(sender=SENDER, facts=facts()).wire())
