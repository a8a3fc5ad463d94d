"""Commits of prepared submissions: rates, idempotency and the outbox.

Concurrent requests share a transaction.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection

from contracts.errors import KopuroError, Refused, Unavailable, drop_frames
from contracts.idempotency_key import KEYS_KEPT
from contracts.submission_bound import BOUND_INTERVAL, beyond_bound
from runtime.access.rate_limits import SubmissionRates, Work
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.storage.database import Database
from runtime.storage.group_commit import GroupCommit
from runtime.storage.pruning import prune
from services.intake.domain.admission import Admission, Claim, Prepared, Refusal, UsedKey
from services.intake.domain.custody_bound import (
    beyond_custody,
    beyond_notes,
    case_bytes,
    growth,
    note_bytes,
    sealed_bytes,
)
from services.intake.domain.statement_bound import counted_as
from services.intake.ports import AdmissionStore, TransitKeys
from services.intake.sealed_rates import SealedRates

# Above this many outbox messages, submissions are refused with a Retry-After.
OUTBOX_BOUND = 100_000

# A transaction blocks the process on SQLite: this many take some 20 ms.
ADMISSIONS_PER_COMMIT = 200

IDEMPOTENCY_KEYS_KEPT = KEYS_KEPT

Result = str | KopuroError


class SubmissionCommits:
    """One instance a process; safe for concurrent greenlets."""

    def __init__(
        self,
        *,
        database: Database,
        store: AdmissionStore,
        outbox: Outbox,
        transit_keys: TransitKeys,
        backlog: Callable[[], int],
        after_commit: Callable[[], None],
        rates: SubmissionRates,
        sealed: SealedRates,
        custody_bytes: int,
        outbox_bound: int = OUTBOX_BOUND,
    ) -> None:
        """backlog: the latest count of messages waiting in the outbox.

        rates: of each organisation's submissions; sealed: of the bytes of their cases and notes.
        custody_bytes: of the cases that a sender may have in custody; an author's notes about open referrals
        may have a quarter (`domain/custody_bound.py`).
        """
        self._database = database
        self._store = store
        self._outbox = outbox
        self._transit_keys = transit_keys
        self._backlog = backlog
        self._rates = rates
        self._sealed = sealed
        self._custody_bytes = custody_bytes
        self._outbox_bound = outbox_bound
        self._commits = GroupCommit[Sequence[Admission], Sequence[Result]](
            database, self._record, after_commit=after_commit, weigh=len
        )

    def answer(self, prepared: Prepared) -> str:
        """Return the submission's id once it is committed. Raises Refused and Unavailable."""
        (result,) = self.answer_all([prepared])
        if isinstance(result, KopuroError):
            raise result
        return result

    def answer_all(self, prepared: Sequence[Prepared]) -> list[Result]:
        """Return each submission's id once it is committed, or its refusal. Raises Unavailable.

        prepared: of one organisation, all referrals or all commands. A repeated submission gets its first id
        even if it would be refused now: since then, its sender may have been suspended, the key replaced or
        the offer pruned. Those beyond the organisation's rate are refused with TooManySubmissions.
        """
        if not prepared:
            return []
        organization = prepared[0].organization
        work = Work.referrals if prepared[0].is_referral else Work.statements
        new, refused, unused = 0, 0, 0
        counted: Sequence[Admission] = ()
        try:
            counted, prepared = self._within_rate(organization, work, prepared)
            results = self._results(prepared)
            refused = sum(isinstance(result, Refused) for result in results)
            for one, result in zip(prepared, results, strict=True):
                if isinstance(one, Admission) and result == one.id:
                    new += 1
                    unused -= sealed_bytes(one)
            return results
        finally:
            self._sealed.give_back(organization, unused + sum(map(sealed_bytes, counted)))
            self._rates.settle(
                organization,
                work,
                taken=len(counted),
                new=new,
                idle=len(prepared) - new,
                refused=refused,
            )

    def _results(self, prepared: Sequence[Prepared]) -> list[Result]:
        admitted = iter(self.admit_all([one for one in prepared if isinstance(one, Admission)]))
        first_ids = self._first_ids([one.claim for one in prepared if isinstance(one, Refusal) and one.claim])
        return [
            next(admitted) if isinstance(one, Admission) else first_ids.get(one.claim, one.error)
            for one in prepared
        ]

    def _within_rate(
        self, organization: str, work: Work, prepared: Sequence[Prepared]
    ) -> tuple[Sequence[Admission], Sequence[Prepared]]:
        """Count the admissions; return those counted, and the submissions with those beyond refused."""
        admissions = [one for one in prepared if isinstance(one, Admission)]
        taken = self._rates.take(organization, work, len(admissions))
        sizes = [sealed_bytes(one) for one in admissions]
        fitting = self._sealed.take(organization, sizes)
        if taken == fitting == len(admissions):
            return admissions, prepared
        # Repeated submissions are found first, because they do not count towards the rates.
        self._rates.settle(organization, work, taken=taken, new=0, idle=0)
        self._sealed.give_back(organization, sum(sizes[:fitting]))
        repeated = self._first_ids([one.claim for one in prepared if one.claim is not None])
        fresh = [one for one in admissions if one.claim is None or one.claim not in repeated]
        fitting = self._sealed.take(organization, [sealed_bytes(one) for one in fresh])
        taken = self._rates.take(organization, work, fitting)
        self._sealed.give_back(organization, sum(sealed_bytes(one) for one in fresh[taken:fitting]))
        beyond = {id(one) for one in fresh[taken:]}
        if not beyond:
            return fresh, prepared
        by_number = self._rates.refusal(
            organization,
            work,
            len(beyond),
            idle=len(prepared) - taken,
            invalid=sum(
                isinstance(one, Refusal) and isinstance(one.error, Refused) and one.claim not in repeated
                for one in prepared
            ),
        )
        by_bytes = self._sealed.refusal(organization, sum(sealed_bytes(one) for one in fresh[taken:]))
        # The rate that refused them now, unless the other one would refuse some of them after its time.
        both = (by_number, by_bytes) if taken < fitting else (by_bytes, by_number)
        error = max(both, key=lambda one: one.retry_after)
        return fresh[:taken], [
            Refusal(organization=organization, error=error, claim=None, is_referral=work is Work.referrals)
            if id(one) in beyond
            else one
            for one in prepared
        ]

    def admit_all(self, admissions: Sequence[Admission]) -> Sequence[Result]:
        """Return each admission's id once it is committed, or its refusal.

        Raises Unavailable when none is committed; later it is the result of those that are not.
        """
        if self._backlog() > self._outbox_bound:
            raise Unavailable("Too many messages are waiting for the broker. Try again later.", retry_after=5)
        results: list[Result] = []
        for start in range(0, len(admissions), ADMISSIONS_PER_COMMIT):
            try:
                results += self._commits.submit(admissions[start : start + ADMISSIONS_PER_COMMIT])
            except Unavailable as error:
                if not results:
                    raise
                drop_frames(error)
                results += [error] * (len(admissions) - len(results))
                break
        return results

    def forget_old_keys(self, now: dt.datetime) -> bool:
        """Delete some expired Idempotency-Keys; return whether none is left."""
        moment = now - IDEMPOTENCY_KEYS_KEPT
        return prune(self._database, lambda tx, limit: self._store.forget_before(tx, moment, limit))

    def _first_ids(self, claims: Sequence[Claim]) -> Mapping[Claim | None, str]:
        """Return the first id of each claim that repeats an earlier request."""
        if not claims:
            return {}
        with self._database.read() as transaction:
            used = self._store.claimed(transaction, claims)
        return {
            claim: known.answer_id
            for claim in claims
            if (known := used.get((claim.organization, claim.key))) and claim.repeats(known)
        }

    def _record(
        self, transaction: Connection, groups: Sequence[Sequence[Admission]]
    ) -> Sequence[Sequence[Result]]:
        claims = [a.claim for group in groups for a in group if a.claim is not None]
        used = dict(self._store.claimed(transaction, claims))
        fresh: list[Admission] = []
        results = []
        about = self._submitted_about(transaction, [a for group in groups for a in group])
        cases = [a for group in groups for a in group if case_bytes(a)]
        held = Counter(self._store.in_custody(transaction, {a.organization for a in cases}))
        replaced = {a.referral_id for a in cases if not a.is_referral}
        present = Counter(self._store.cases_in_custody(transaction, replaced))
        authors = {a.organization for group in groups for a in group if note_bytes(a)}
        kept = Counter(self._store.notes_of(transaction, authors))
        for group in groups:
            answers: list[Result] = []
            for admission in group:
                answer = _repeated(admission, used)
                if answer is None and not admission.is_referral:
                    event = admission.events[0]
                    kind = counted_as(event.data.routing_key)
                    earlier = about[admission.organization, admission.referral_id, kind]
                    answer = beyond_bound(earlier, now := event.time)
                    if answer is None:
                        earlier.append(now)
                if answer is None:
                    added = growth(admission, present[admission.referral_id])
                    answer = beyond_custody(
                        admission, added, held[admission.organization], self._custody_bytes
                    )
                    if answer is None and added:
                        held[admission.organization] += added
                        present[admission.referral_id] += added
                if answer is None:
                    size = note_bytes(admission)
                    answer = beyond_notes(size, kept[admission.organization], self._custody_bytes)
                    if answer is None and size:
                        kept[admission.organization] += size
                if answer is None:
                    _claim(admission, used)
                    fresh.append(admission)
                    answer = admission.id
                answers.append(answer)
            results.append(answers)
        if fresh:
            self._store.take_into_custody(transaction, fresh)
            self._store.keep_notes(transaction, fresh)
            # In the transaction that stores them: intake's database has no other copy of a case.
            fresh = self._transit_keys.seal(transaction, fresh)
            self._store.record(transaction, fresh, fresh[0].events[0].time)
            self._outbox.add(transaction, [outgoing(e) for admission in fresh for e in admission.events])
        return results

    def _submitted_about(
        self, transaction: Connection, admissions: Sequence[Admission]
    ) -> dict[tuple[str, str, str], list[dt.datetime]]:
        """Return when the commands about each referral of these commands were admitted in the last day.

        By organisation, referral and what they count as.
        """
        subjects: dict[str, set[str]] = defaultdict(set)
        for one in admissions:
            if not one.is_referral:
                subjects[one.organization].add(one.referral_id)
        found: dict[tuple[str, str, str], list[dt.datetime]] = defaultdict(list)
        for organization, referral_ids in subjects.items():
            since = admissions[0].events[0].time - BOUND_INTERVAL
            known = self._store.submitted_about(transaction, referral_ids, organization, since)
            for referral_id, fact, at in known:
                found[organization, referral_id, counted_as(fact)].append(at)
        return found


def _repeated(admission: Admission, used: Mapping[tuple[str, str], UsedKey]) -> Result | None:
    """Return a repeated key's first id or a conflict; None for a new key or no key."""
    claim = admission.claim
    if claim is None:
        return None
    place = (claim.organization, claim.key)
    known = used.get(place)
    if known is None:
        if claim.content_key is not None and (claim.organization, claim.content_key) in used:
            return Refused(
                "idempotency-conflict",
                "An identical line was admitted under the batch's key, earlier in this batch or elsewhere.",
            )
        return None
    if claim.repeats(known):
        return known.answer_id
    return Refused(
        "idempotency-conflict",
        "The first body under this key was different: repeat it, or send this one under a new key.",
    )


def _claim(admission: Admission, used: dict[tuple[str, str], UsedKey]) -> None:
    """Note the key of a new admission as used."""
    claim = admission.claim
    if claim is not None:
        new = UsedKey(fingerprint=claim.fingerprint, understood=claim.understood, answer_id=admission.id)
        used.update({(claim.organization, key): new for key in claim.keys})
