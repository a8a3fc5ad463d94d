"""The numbers in the promises of docs/security.md are those of the code.

The tests that a promise links to name the constant, so they hold whatever its value is.
"""

from __future__ import annotations

import datetime as dt
import re

import pytest

from contracts import jose
from runtime import settings
from runtime.access import tokens
from runtime.messaging import clocks, inbox
from runtime.messaging.signatures import requests
from runtime.web import deadlines, sending
from services.audit.reports.domain import statistics_suppression
from services.delivery.domain import alert_counts, closing
from services.directory.domain import (
    approval,
    change,
    client,
    client_assertion,
    record_size,
    request_proof,
    watch_report,
)
from services.directory.handlers import change_rates
from services.gateway.domain import broker_load
from services.intake import ndjson
from services.routing.domain import experience, withholding
from tests.unit.docs.pages import ROOT
from tests.unit.docs.threat_model import promises

SECURITY = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
MINUTE, DAY = dt.timedelta(minutes=1), dt.timedelta(days=1)
MIB = 1024 * 1024
# Of each promise: its words, what the code has, and what the words say.
NUMBERS = [
    ("P13", "fewer than five persons", statistics_suppression.THRESHOLD, 5),
    ("P31", "a day by default", settings.KEY_PAUSE, DAY),
    ("P34", "the first 16 characters", change.FINGERPRINT_CHARACTERS, 16),
    ("P38", "valid for five minutes", request_proof.VALID_FOR, 5 * MINUTE),
    ("P44", "for 30 days", inbox.KEPT, 30 * DAY),
    ("P56", "within seven days", approval.VALID_FOR, 7 * DAY),
    ("P56", "at most 20 open requests", approval.MOST_OPEN_BY_REQUESTER, 20),
    ("P56", "and a subject at most 5", approval.MOST_OPEN_ABOUT_SUBJECT, 5),
    ("P71", "15 minutes by default", settings.RECEIPT_TIME, 15 * MINUTE),
    ("P90", "for 14 days at most", closing.UNREAD_NOTES_KEPT, 14 * DAY),
    ("P92", "90 if not set", settings.FACTS_KEPT, 90 * DAY),
    ("P101", "valid for five minutes", client_assertion.LONGEST_LIFE, 5 * MINUTE),
    ("P108", "No figure under five", withholding.THRESHOLD, 5),
    ("P121", "at most 1024 characters", jose.LONGEST_HEADER, 1024),
    ("P141", "five persons or more", experience.FEWEST, 5),
    ("P190", "shorter than 32 characters", client.MINIMUM_SECRET, 32),
    ("P195", "less than a minute ago", requests.FRESH, MINUTE),
    ("P199", "15 minutes at most", tokens.LONGEST_LIFETIME_SECONDS, 900),
    ("P199", "more than 30 seconds from now", tokens.LEEWAY_SECONDS, 30),
    ("P205", "more than five minutes ahead", clocks.MOST_AHEAD, 5 * MINUTE),
    ("P209", "Beyond 20 in an hour", alert_counts.SINGLE, 20),
    ("P225", "for up to an hour", broker_load.LONGEST_BAN, 3600),
    ("P226", "at most 64 KiB", record_size.MOST_RECORD_BYTES, 64 * 1024),
    ("P226", "at most 10,000 pairs", record_size.MOST_PAIRS, 10_000),
    ("P227", "opts in five times at once", change_rates.OPT_INS.burst, 5),
    ("P227", "and five times a day", change_rates.OPT_INS.per_minute * 24 * 60, 5),
    ("P229", "192 MiB in all", sending.MOST, 192 * MIB),
    # Of the first bytes and the slowest rest.
    ("P274", "a minute and a half for 1 MiB", deadlines.BODY_SECONDS + MIB / deadlines.LOWEST_RATE, 94),
    (
        "P274",
        "nine minutes for a batch",
        (deadlines.BODY_SECONDS + ndjson.BODY_LIMIT / deadlines.LOWEST_RATE) // 60,
        9,
    ),
    ("", "has 20 such trials in 24 hours", watch_report.MOST_IN_A_DAY, 20),
    ("", "and 500 in 730 days", watch_report.MOST_REPORTS, 500),
]


@pytest.mark.parametrize(
    ("promise", "words", "present", "said"),
    NUMBERS,
    ids=[f"{promise or 'not promised'}: {words}" for promise, words, _, _ in NUMBERS],
)
def test_number_of_a_promise_is_that_of_the_code(
    promise: str, words: str, present: object, said: object
) -> None:
    texts = [one.text for one in promises(SECURITY) if one.id == promise] if promise else [SECURITY]
    assert [words in re.sub(r"\s+", " ", text) for text in texts] == [True]
    assert present == said
