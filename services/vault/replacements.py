"""Replacements: the newest case that a sender has sent replaces the earlier ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from contracts.envelope import Event
from contracts.errors import Refused, Unavailable
from contracts.facts import Fact, SealedCaseReleased, SealedCaseReplaced
from contracts.paused_key import paused_key
from services.vault.batch import PATIENCE, BatchProgress
from services.vault.domain.content import check_content
from services.vault.domain.custody import (
    Custody,
    CustodyState,
    is_closed,
    renew,
    replace_for_acceptor,
    require_newer,
    supersede,
)
from services.vault.domain.sealed import SealedCase
from services.vault.ports import CustodyKeys
from services.vault.releases import Releases

# Intake has admitted this one: it answers a repetition under the same key as before, and nothing happens.
_PAUSED: Final = (
    "The acceptor's sealing key was replaced without proof of the earlier key; no case is sealed to it yet."
    " Replace the case again after {until}, with another Idempotency-Key."
)


class Replacements:
    """Takes the cases that senders send again."""

    def __init__(self, custody_keys: CustodyKeys, releases: Releases) -> None:
        self._custody_keys = custody_keys
        self._releases = releases

    def renew_case(self, batch: BatchProgress, message: Event[Fact], fact: SealedCaseReplaced) -> None:
        """Replace the case in custody. The end of the batch releases it to every acceptor."""
        whole_id = batch.custodies[fact.referral_id].case_of
        whole = batch.custodies[whole_id]
        if whole.state is CustodyState.awaited and batch.now - message.time < PATIENCE:
            raise Unavailable("The case may not have reached the vault yet.")
        try:
            case = SealedCase.split(fact.case)
            renewed = {
                id_: renew(batch.custodies[id_], fact.sender, case.kid())
                for id_ in {fact.referral_id, whole_id, *_open_parts(batch, whole)}
            }
            require_newer(whole, message.id)
            check_content(self._custody_keys.open(case))
        except Refused as refused:
            batch.refuse_submission(message, fact.referral_id, fact.sender, refused)
            return
        batch.custodies |= renewed
        batch.custodies[whole_id] = replace(renewed[whole_id], replaced_by=message.id)
        batch.renewals |= dict.fromkeys(renewed, message)
        _keep(batch, whole_id, case)

    def replace_case_for(
        self, acceptor: str, batch: BatchProgress, message: Event[Fact], fact: SealedCaseReplaced
    ) -> None:
        """Release a case that the sender sealed to the acceptor, and keep no case that is older.

        The vault can open the new one for nobody else. It asks the sender to send the case to the acceptors
        of the other parts too, and to the next acceptor.
        """
        custody = batch.custodies[fact.referral_id]
        whole = batch.custodies[custody.case_of]
        waited = batch.now - message.time
        if custody.state in (CustodyState.awaited, CustodyState.held) and waited < PATIENCE:
            raise Unavailable("The acceptance may not have reached the vault yet.")
        try:
            case = SealedCase.split(fact.case)
            kid = case.kid()
            replaced = replace_for_acceptor(custody, fact.sender, acceptor, kid)
            require_newer(whole, message.id)
            self._releases.require_key_of(acceptor, kid, batch.now, waited=waited)
            if (until := self._releases.paused_until(acceptor, batch.now)) is not None:
                raise paused_key(_PAUSED, until=until, now=batch.now)
        except Refused as refused:
            batch.refuse_submission(message, fact.referral_id, fact.sender, refused)
            return
        linked = {whole.referral_id, *_open_parts(batch, whole)}
        batch.custodies |= {id_: supersede(batch.custodies[id_], acceptor, kid) for id_ in linked}
        batch.custodies[fact.referral_id] = replaced
        of_whole = replaced if custody.case_of == fact.referral_id else whole
        batch.custodies[custody.case_of] = replace(
            of_whole, receiver=acceptor, kid=kid, replaced_by=message.id
        )
        _keep(batch, custody.case_of, case)
        released = SealedCaseReleased(
            referral_id=fact.referral_id,
            organization=acceptor,
            kid=kid,
            case=fact.case,
            offer_id=custody.acceptance.offer_id if custody.acceptance is not None else None,
        )
        self._releases.publish(batch, released, cause=message)


def _keep(batch: BatchProgress, referral_id: str, case: SealedCase) -> None:
    """Store the case instead of the earlier one."""
    batch.destroyed.add(referral_id)
    batch.arrived[referral_id] = case


def _open_parts(batch: BatchProgress, whole: Custody) -> list[str]:
    """Return the ids of the parts of a referral that have not ended."""
    return [id_ for id_ in whole.part_ids if not is_closed(batch.custodies[id_])]
