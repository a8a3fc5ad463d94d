"""Consumers that put arriving messages into mailboxes and store released cases."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from contracts.envelope import Envelope, Event
from contracts.errors import Defect, Refused
from contracts.facts import (
    AlertsCounted,
    CaseReleased,
    EmployerReportDelivered,
    Fact,
    NoteDelivered,
    OfferOpened,
    SealedCaseReleased,
    SealedNoteReleased,
    SealedReportSubmitted,
)
from runtime.messaging.ports import Outgoing
from services.delivery.domain.alert_counts import alert_kind, counted, hour_of, is_single
from services.delivery.domain.alert_subjects import alert_subject
from services.delivery.domain.closing import (
    CARRIERS,
    End,
    Ends,
    acceptance_end,
    is_closed_later,
    kept_until,
)
from services.delivery.domain.recipients import COORDINATORS, ENDED, recipients_of
from services.delivery.domain.report_closing import RETRACTED, DeliveredReport, end_of, report_end
from services.delivery.ports import (
    AlertCounts,
    Arrival,
    Closings,
    EndedAcceptance,
    Mailboxes,
    ReleasedCase,
    ReleasedCases,
    ReportClosings,
)


class Incoming:
    """Batch handlers: they write in the caller's transaction and publish nothing."""

    def __init__(
        self,
        *,
        source: str,
        mailboxes: Mailboxes,
        cases: ReleasedCases,
        closings: Closings,
        reports: ReportClosings,
        alerts: AlertCounts,
        new_id: Callable[[], str],
    ) -> None:
        """source: of the events that count alerts, such as `/kg/delivery`."""
        self._source = source
        self._alerts = alerts
        self._new_id = new_id
        self._mailboxes = mailboxes
        self._cases = cases
        self._closings = closings
        self._reports = reports

    def events(
        self, transaction: Connection, messages: Sequence[Envelope], now: dt.datetime
    ) -> Iterable[Outgoing]:
        """Append facts, byte for byte, to their recipients' mailboxes; delete the cases of closed referrals.

        The case of an acceptance that was handed back or revoked is deleted too; the vault releases it again
        to the next acceptor. Mailboxes lose their content about a person when the offer or the referral ends
        (`domain/closing.py`), and a watch report when it is retracted. When a recipient opts out, its watch
        reports are erased within seconds, some at a time (`MailboxHandlers.forget_old`). If there are more
        than a number of alerts in an hour, the coordinators' alerts are counted instead of appended
        (`domain/alert_counts.py`).
        """
        self._mailboxes.serialise(transaction)
        ends = Ends()
        for message in messages:
            ends.add(message.type, message.data, now)
        report_ends = [end for m in messages if (end := report_end(m.type, m.data, m.time)) is not None]
        addressed = [
            (message, organization)
            for message in messages
            for organization in recipients_of(message.type, message.data)
        ]
        withheld, counts = self._count_alerts(transaction, addressed, now)
        arrivals = [
            _forwarded(message, organization)
            for message, organization in addressed
            if organization != COORDINATORS or message.id not in withheld
        ]
        ended = [
            EndedAcceptance(
                referral_id=m.data["referral_id"],
                organization=m.data["organization"],
                offer_id=m.data["offer_id"],
            )
            for m in messages
            if m.type in ENDED
        ]
        self._cases.end(transaction, ended, now)
        self._cases.close(transaction, ends.referrals)
        self._closings.remember_ended(transaction, ends.offers)
        if (stored := ends.of_stored_messages()) is not None:
            # All at once, which locks the rows in their order. Only rows of this batch are left for later.
            self._close(transaction, stored)
        self._append(transaction, [*arrivals, *counts], now)
        self._close(transaction, ends)
        if report_ends:
            self._reports.remember(transaction, report_ends)
            retracted = {one.subject: one.end for one in report_ends if one.end.reason == RETRACTED}
            self._reports.close(transaction, retracted)
        return ()

    def sealed_messages(
        self, transaction: Connection, messages: Sequence[Event[Fact]], now: dt.datetime
    ) -> Iterable[Outgoing]:
        """Store released cases and notify their acceptors; append notes to their receivers' mailboxes.

        A case can be fetched by its referral, any number of times until the referral is closed. A note is
        read once, so it is in the mailbox itself. The same holds for a watch report.

        A release that was a dead letter and is replayed after a newer one becomes a dead letter again.
        """
        self._mailboxes.serialise(transaction)
        closed = self._cases.closed(
            transaction, {m.data.referral_id for m in messages if isinstance(m.data, SealedCaseReleased)}
        )
        ended = self._cases.ended(
            transaction,
            {
                m.data.offer_id
                for m in messages
                if isinstance(m.data, SealedCaseReleased) and m.data.offer_id is not None
            },
        )
        newest = dict(
            self._cases.newest(
                transaction,
                {m.data.referral_id for m in messages if isinstance(m.data, SealedCaseReleased)},
            )
        )
        cases: list[ReleasedCase] = []
        arrivals: list[Arrival] = []
        for message in messages:
            match message.data:
                case SealedCaseReleased() as fact:
                    if fact.referral_id in closed or fact.offer_id in ended:
                        continue  # the referral or the acceptance ended while the case was in transit
                    release = (fact.referral_id, fact.organization)
                    if message.id < newest.get(release, ""):
                        raise Refused("conflict", "A newer case of this referral was released before.")
                    newest[release] = message.id
                    cases.append(
                        ReleasedCase(
                            referral_id=fact.referral_id,
                            organization=fact.organization,
                            case=fact.case,
                            offer_id=fact.offer_id,
                        )
                    )
                    notice: Fact = CaseReleased(
                        referral_id=fact.referral_id, organization=fact.organization, kid=fact.kid
                    )
                case SealedNoteReleased() as fact:
                    notice = NoteDelivered(
                        referral_id=fact.referral_id,
                        organization=fact.organization,
                        author=fact.author,
                        note=fact.note,
                        offer_id=fact.offer_id,
                    )
                case SealedReportSubmitted() as fact:
                    notice = EmployerReportDelivered(
                        report_id=fact.report_id,
                        organization=fact.organization,
                        reporter=fact.reporter,
                        allegation=fact.allegation,
                        salt=fact.salt,
                        evidence=fact.evidence,
                        expires_at=fact.expires_at,
                    )
                case _:
                    raise Defect(f"delivery.sealed does not handle {message.type}.")
            # A watch report is about no referral.
            referral_id = "" if isinstance(fact, SealedReportSubmitted) else fact.referral_id
            acceptance = fact.acceptance if isinstance(fact, SealedNoteReleased) else None
            arrivals.append(_arrival(message, fact.organization, referral_id, notice, acceptance))
        self._cases.keep(transaction, cases)
        self._append(transaction, arrivals, now)
        return ()

    def _count_alerts(
        self, transaction: Connection, addressed: Sequence[tuple[Envelope, str]], now: dt.datetime
    ) -> tuple[set[str], list[Arrival]]:
        """Return the ids of the alerts that do not come one by one, and the messages that count them."""
        kinds = {
            message.id: kind
            for message, mailbox in addressed
            if mailbox == COORDINATORS and (kind := alert_kind(message.type, message.data)) is not None
        }
        if not kinds:
            return set(), []
        since, numbers = hour_of(now), Counter(kinds.values())
        before = self._alerts.add(transaction, since, numbers)
        reached, withheld = Counter(before), set[str]()
        for message_id, kind in kinds.items():
            reached[kind] += 1
            if not is_single(reached[kind]):
                withheld.add(message_id)
        counts = [
            self._counted(fact, now)
            for kind in sorted(numbers)
            if (fact := counted(kind, since, before[kind], reached[kind])) is not None
        ]
        return withheld, counts

    def _counted(self, fact: AlertsCounted, now: dt.datetime) -> Arrival:
        message_id = self._new_id()
        event: Event[Fact] = Event(
            id=message_id,
            source=self._source,
            time=now,
            partition_key=COORDINATORS,
            correlation_id=message_id,
            causation_id=None,
            data=fact,
        )
        return Arrival(
            organization=COORDINATORS,
            message_id=message_id,
            type=fact.type,
            referral_id="",
            correlation_id=message_id,
            body=event.encode(),
        )

    def append(self, transaction: Connection, arrivals: Sequence[Arrival], now: dt.datetime) -> None:
        """Append messages that no queue delivered."""
        self._mailboxes.serialise(transaction)
        self._append(transaction, arrivals, now)

    def _append(self, transaction: Connection, arrivals: Sequence[Arrival], now: dt.datetime) -> None:
        """Append messages; those that arrive after their offer, acceptance or referral without content."""
        carriers = [arrival for arrival in arrivals if arrival.carries]
        offers = self._closings.ended_offers(
            transaction, {id_ for a in carriers if (id_ := a.offer_id or a.acceptance)}
        )
        referrals = self._cases.closed(transaction, {a.referral_id for a in carriers})
        reports = [arrival.report for arrival in carriers if arrival.report]
        report_ends = self._reports.ends(
            transaction, {subject for one in reports for subject in (one.report_id, one.organization)}
        )

        def as_kept(arrival: Arrival) -> Arrival:
            if not arrival.carries:
                return arrival
            if arrival.report is not None:
                closed = end_of(arrival.report, report_ends)
                return replace(arrival, closed=closed, closes_at=arrival.report.expires_at)
            end = (
                offers.get(arrival.offer_id or "")
                or acceptance_end(offers.get(arrival.acceptance or ""))
                or referrals.get(arrival.referral_id)
            )
            if end is None:
                return arrival
            until = kept_until(arrival.type, end)
            return replace(arrival, closes_at=until, closed=end if until is None else None)

        self._mailboxes.append(transaction, [as_kept(arrival) for arrival in arrivals], now)
        self._reports.keep(transaction, [one for one in reports if end_of(one, report_ends) is None])

    def _close(self, transaction: Connection, ends: Ends) -> None:
        """Erase what the mailboxes hold about persons whose offers or referrals have ended.

        The alerts that need no act any more are closed too.
        """
        closed: dict[int, End] = {}
        due: dict[int, dt.datetime] = {}
        for message in self._closings.open_messages(transaction, ends.referral_ids, ends.subjects):
            end = ends.of(message)
            if end is None:
                continue
            until = kept_until(message.type, end, is_acknowledged=message.is_acknowledged)
            if until is None:
                closed[message.sequence] = end
            else:
                due[message.sequence] = until
        self._closings.close(transaction, closed)
        self._closings.close_later(transaction, due)


def _forwarded(message: Envelope, organization: str) -> Arrival:
    subject = alert_subject(message.type, message.data) if organization == COORDINATORS else None
    return Arrival(
        organization=organization,
        message_id=message.id,
        type=message.type,
        # Receipts cover many referrals; notices about keys and clients concern no referral.
        referral_id=message.data.get("referral_id", ""),
        correlation_id=message.correlation_id,
        body=message.body,
        offer_id=message.data["offer_id"] if message.type == OfferOpened.type else None,
        subject=subject,
        carries=subject is not None or is_closed_later(message.type, organization),
    )


def _arrival(
    message: Event[Fact], organization: str, referral_id: str, notice: Fact, acceptance: str | None
) -> Arrival:
    # The notice keeps the id, source and time of the sealed message.
    return Arrival(
        organization=organization,
        message_id=message.id,
        type=notice.type,
        referral_id=referral_id,
        correlation_id=message.correlation_id,
        body=replace(message, data=notice).encode(),
        report=delivered_report(message.id, organization, notice, message.time),
        carries=notice.type in CARRIERS,
        acceptance=acceptance,
    )


def delivered_report(
    message_id: str, organization: str, fact: Fact, sent_at: dt.datetime
) -> DeliveredReport | None:
    """Return what closings need of a delivered watch report; None for any other message."""
    if not isinstance(fact, EmployerReportDelivered):
        return None
    return DeliveredReport(
        message_id=message_id,
        report_id=fact.report_id,
        organization=organization,
        sent_at=sent_at,
        expires_at=fact.expires_at,
    )
