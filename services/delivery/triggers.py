"""Messages that organisations of a sandbox make for themselves."""

from __future__ import annotations

from collections.abc import Callable

from contracts.envelope import Event
from contracts.errors import PointerError, Refused
from contracts.facts import CATALOGUE, Fact, OfferOpened
from contracts.records import load
from runtime.clock import Clock
from runtime.storage.database import Database
from services.delivery.domain.closing import CARRIERS
from services.delivery.domain.selection import require_kinds, types_of
from services.delivery.incoming import Incoming, delivered_report
from services.delivery.ports import Arrival


class Triggers:
    """Messages that organisations of a sandbox put into their own mailboxes, to try their programs.

    They pass no other service and are not in the log. Their source is `/<hub>/sandbox`.
    """

    def __init__(
        self,
        *,
        database: Database,
        incoming: Incoming,
        hub: str,
        clock: Clock,
        new_id: Callable[[], str],
        after_commit: Callable[[], None],
        is_sandbox: Callable[[], bool],
    ) -> None:
        """is_sandbox: asked for each message. after_commit: called when a message may be waiting."""
        self._database = database
        self._incoming = incoming
        self._source = f"/{hub}/sandbox"
        self._clock = clock
        self._new_id = new_id
        self._after_commit = after_commit
        self._is_sandbox = is_sandbox

    def make(self, organization: str, kind: str, data: object) -> str:
        """Put a message into the organisation's mailbox and return its id.

        kind: such as `offer.opened` or `kopuro.offer.opened.v1`. data: of the CloudEvent. Raises Refused
        `not-found` if this hub is not a sandbox, `invalid-submission` for an unknown kind or data that does
        not fit, and Unavailable.
        """
        if not self._is_sandbox():
            raise Refused("not-found", "This hub is not a sandbox.")
        require_kinds({"/type": kind})
        try:
            fact = load(CATALOGUE[max(types_of([kind]))], data)
        except Refused as refused:
            faults = [
                PointerError(pointer=f"/data{one.pointer}", detail=one.detail) for one in refused.errors
            ]
            raise Refused(refused.slug, "The data does not fit the type.", errors=faults) from None
        now = self._clock.now()
        message_id = self._new_id()
        referral_id = getattr(fact, "referral_id", "")
        event: Event[Fact] = Event(
            id=message_id,
            source=self._source,
            time=now,
            partition_key=referral_id or organization,
            correlation_id=message_id,
            causation_id=None,
            data=fact,
        )
        arrival = Arrival(
            organization=organization,
            message_id=message_id,
            type=fact.type,
            referral_id=referral_id,
            correlation_id=message_id,
            body=event.encode(),
            offer_id=fact.offer_id if isinstance(fact, OfferOpened) else None,
            report=delivered_report(message_id, organization, fact, now),
            carries=fact.type in CARRIERS,
        )
        with self._database.write() as transaction:
            self._incoming.append(transaction, [arrival], now)
        self._after_commit()
        return message_id
