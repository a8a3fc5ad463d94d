"""One example message for each fact and version, to which the golden files must decode.

Every optional field has a value in each of its facts.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

from contracts import facts
from contracts.codes import (
    AgeBand,
    AgreementKind,
    Answer,
    ApplicationRefusal,
    ApplicationStep,
    ApprovalEnd,
    ApprovalKind,
    ApprovalRefusal,
    CapacityStatus,
    ConsentMethod,
    CoordinatorAct,
    DeclineReason,
    DisclosureClass,
    EmployerKind,
    EmployerPractice,
    Funding,
    HandBackReason,
    InterventionReason,
    KeyManner,
    OrganizationKind,
    Outcome,
    ProgressStatus,
    Reporting,
    SealedContent,
    Settlement,
    Sex,
    SpecialCategory,
    Stage,
    SuspensionReason,
    UnreadableReason,
    Urgency,
    Vetting,
    WithdrawalOfApproval,
    WithdrawalReason,
)
from contracts.employer import Allegation, Employer
from contracts.envelope import Event
from contracts.organization import (
    Agreement,
    ApprovedService,
    Capacity,
    Eligibility,
    Organization,
    Profile,
    ReplacedKey,
    SealingKey,
    SealingKeyChange,
    Service,
)
from contracts.part_id import part_id
from contracts.referral import Consent, ReferralFacts, Situation

REFERRAL = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a01"
EARLIER_REFERRAL = "01930f6d-11c0-7e02-9b6a-2f40c1d7a0b3"
OFFER = "01930f6e-61b4-7f52-9d03-5c7e8a1b2c02"
SUBMISSION = "01930f6f-0a00-7000-8000-00000000a003"
DECISION = "01930f6f-0a00-7000-8000-00000000a004"
MESSAGE = "01930f6f-0a00-7000-8000-00000000a005"
FIRST_MESSAGE = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a00"
CAUSE = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1aff"

SENDER = "kg.osh-legal-aid"
RECEIVER = "ru.moscow-migrant-support"
KID = "Zv3kYp1sQm7xT0cLr9eUoHbWnJ2dFgA5iKtV8yXqN4E"
NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
# The form of a compact JWE, but not a real one: nothing here is secret.
# The part that a transit seal leaves readable, and the rest, sealed.
UNKEYED = "bm9uY2U.Y2lwaGVydGV4dA.dGFn"
TRANSIT = facts.TransitSeal(kid="T" * 43, key="c2VhbGVk")
SEALED = "eyJhbGciOiJFQ0RILUVTK0EyNTZLVyJ9.a2V5.bm9uY2U.Y2lwaGVydGV4dA.dGFn"

SITUATION = Situation(
    needs=("legal.wage_claim", "legal.work_permit"),
    urgency=Urgency.urgent,
    region="RU-MOW",
    settlement=Settlement.urban,
    languages=("ky", "ru"),
    stage=Stage.in_destination,
    origin_country="KG",
    age_band=AgeBand.years_25_59,
    sex=Sex.female,
    special_categories=(SpecialCategory.work_injury, SpecialCategory.minor),
    accepts_cost=True,
)
CONSENT = Consent(
    given=True,
    given_at=dt.datetime(2026, 3, 1, 9, 30, 15, 250000, tzinfo=dt.UTC),
    method=ConsentMethod.signed,
    opt_in_kinds=(OrganizationKind.consular_representative,),
    excluded_organizations=("ru.some-agency",),
    storage_countries=("KG", "KZ"),
    several_organizations=True,
)
FACTS = ReferralFacts(
    needs=SITUATION.needs,
    urgency=SITUATION.urgency,
    region=SITUATION.region,
    settlement=SITUATION.settlement,
    languages=SITUATION.languages,
    stage=SITUATION.stage,
    origin_country=SITUATION.origin_country,
    age_band=SITUATION.age_band,
    sex=SITUATION.sex,
    special_categories=SITUATION.special_categories,
    accepts_cost=SITUATION.accepts_cost,
    consent=CONSENT,
    to=RECEIVER,
)
EARLIER_FACTS = replace(FACTS, consent=replace(CONSENT, several_organizations=False))
EARLIER_ORGANIZATION = Organization(
    id=SENDER,
    name="Ошская юридическая помощь",
    kind=OrganizationKind.ngo,
    country="KG",
    vetting=Vetting.vetted,
    description="Legal help for labour migrants and their families.",
    parent="kg.legal-aid-network",
    active=True,
    vetted_by="Network secretariat",
    vetted_on=dt.date(2025, 11, 20),
    profile=Profile(
        staff=6,
        volunteers=14,
        active_since=2009,
        office=True,
        activities=("legal advice", "outreach"),
        reporting=Reporting.periodic,
        funding=Funding.free,
        code_of_conduct=True,
    ),
    languages=("ky", "ru"),
    sealing_key=SealingKey(kty="OKP", crv="X25519", x="A" * 43, kid=KID),
    services=(
        Service(
            id="legal",
            name="Legal advice",
            needs=("legal",),
            areas=("KG", "RU-MOW"),
            languages=("ky", "ru"),
            cost=Funding.free,
            capacity=Capacity(status=CapacityStatus.capacity, updated_at=NOON, maximum=25),
            settlements=(Settlement.urban,),
            interpretation=("tg",),
            eligibility=Eligibility(
                sexes=(Sex.female,),
                age_bands=(AgeBand.years_18_24, AgeBand.years_25_59),
                stages=(Stage.in_destination, Stage.returned),
                origin_countries=("KG",),
                special_categories=(SpecialCategory.work_injury,),
            ),
            always_open=True,
        ),
        Service(
            id="hotline",
            name="Горячая линия",
            needs=("legal.wage_claim",),
            areas=("KG",),
            languages=("ky",),
            cost=Funding.at_cost,
            capacity=Capacity(status=CapacityStatus.waitlist, updated_at=NOON),
        ),
    ),
)
ONE_CAPACITY_ORGANIZATION = replace(
    EARLIER_ORGANIZATION,
    sealing_key_change=SealingKeyChange(at=NOON, manner=KeyManner.approved),
    approved_services=(ApprovedService(service="hotline", needs=("legal.wage_claim",), by="aigul", at=NOON),),
)
ORGANIZATION = replace(
    ONE_CAPACITY_ORGANIZATION,
    services=(
        replace(
            ONE_CAPACITY_ORGANIZATION.services[0],
            further_capacities=(
                Capacity(status=CapacityStatus.waitlist, updated_at=NOON, maximum=4, unit="bed"),
            ),
        ),
        *ONE_CAPACITY_ORGANIZATION.services[1:],
    ),
)
AGREEMENT = Agreement(
    id="osh-moscow",
    title="Osh and Moscow, 2026",
    kind=AgreementKind.bilateral,
    parties=(SENDER, RECEIVER),
    disclosure=DisclosureClass.sensitive,
    effective_from=dt.date(2026, 1, 1),
    effective_until=dt.date(2026, 12, 31),
    needs=("legal",),
    obligations=("Report the outcome within thirty days.",),
)
EMPLOYER = Employer(
    name="Stroy (invented)",
    kind=EmployerKind.agency,
    country="RU",
    region="RU-MOW",
    registration_number="7700000000",
)
ALLEGATION = Allegation(
    employer=EMPLOYER,
    practices=(EmployerPractice.wages_withheld, EmployerPractice.passport_kept),
    first_month="2026-01",
    last_month="2026-02",
)
PROBLEM: dict[str, Any] = {
    "type": "urn:kopuro:problem:offer-closed",
    "title": "The offer is no longer open",
    "status": 409,
    "detail": "The offer has expired.",
    "errors": [{"pointer": "/offer_id", "detail": "Expired."}],
}


def _parties() -> dict[str, str]:
    return {"referral_id": REFERRAL, "offer_id": OFFER, "organization": RECEIVER, "sender": SENDER}


_FACTS: tuple[facts.Fact, ...] = (
    facts.ReferralSubmitted(referral_id=REFERRAL, sender=SENDER, facts=FACTS, onward_from=EARLIER_REFERRAL),
    facts.AnswerSubmitted(
        referral_id=REFERRAL,
        offer_id=OFFER,
        organization=RECEIVER,
        answer=Answer.decline,
        reason=DeclineReason.other,
        note="Закрыты до понедельника.",
    ),
    facts.UnreadableSubmitted(
        referral_id=REFERRAL,
        organization=SENDER,
        content=SealedContent.note,
        reason=UnreadableReason.cannot_decrypt,
        author=RECEIVER,
    ),
    facts.ReplacementSubmitted(referral_id=REFERRAL, organization=SENDER, to=RECEIVER),
    facts.CaseUnreadable(
        referral_id=REFERRAL,
        sender=SENDER,
        organization=RECEIVER,
        reason=UnreadableReason.not_understood,
        replace_by=NOON,
    ),
    facts.NoteUnreadable(
        referral_id=REFERRAL, organization=RECEIVER, reader=SENDER, reason=UnreadableReason.key_lost
    ),
    facts.SealedCaseReplaced(referral_id=REFERRAL, sender=SENDER, to=RECEIVER, case=UNKEYED, transit=TRANSIT),
    facts.ProgressSubmitted(referral_id=REFERRAL, organization=RECEIVER, status=ProgressStatus.in_progress),
    facts.OutcomeSubmitted(referral_id=REFERRAL, organization=RECEIVER, outcome=Outcome.partly_resolved),
    facts.WithdrawalSubmitted(
        referral_id=REFERRAL, organization=SENDER, reason=WithdrawalReason.placed_elsewhere
    ),
    facts.RevocationSubmitted(referral_id=REFERRAL, organization=SENDER),
    facts.HandBackSubmitted(
        referral_id=REFERRAL, organization=RECEIVER, reason=HandBackReason.person_prefers_another
    ),
    facts.NoteSubmitted(referral_id=REFERRAL, organization=SENDER),
    facts.PlacementSubmitted(
        referral_id=REFERRAL,
        organization=RECEIVER,
        coordinator="coordinator",
        reason=InterventionReason.person_at_risk,
        offers=(OFFER,),
        overridden=("area_served",),
    ),
    facts.InterventionSubmitted(
        referral_id=REFERRAL,
        organization=RECEIVER,
        coordinator="kg.coordinator",
        act=CoordinatorAct.extend,
        reason=InterventionReason.agreed_with_organization,
        until=NOON,
        offers=(OFFER,),
    ),
    facts.CoordinatorWithdrawalSubmitted(
        referral_id=REFERRAL, organization=SENDER, coordinator="kg.coordinator", reason="consent_revoked"
    ),
    facts.OfferOpened(
        **_parties(),
        rank=1,
        opened_at=NOON,
        deadline=NOON + dt.timedelta(hours=4),
        facts=SITUATION,
    ),
    facts.OfferReminded(**_parties(), deadline=NOON + dt.timedelta(hours=4)),
    facts.OfferAccepted(**_parties()),
    facts.OfferDeclined(**_parties(), reason=DeclineReason.no_capacity, note="No room before May."),
    facts.OfferExpired(**_parties()),
    facts.OfferRevoked(**_parties(), reason="accepted_elsewhere"),
    facts.AnswerRefused(
        referral_id=REFERRAL,
        offer_id=OFFER,
        organization=RECEIVER,
        submission_id=SUBMISSION,
        problem=PROBLEM,
    ),
    facts.SubmissionRefused(
        referral_id=REFERRAL,
        organization=RECEIVER,
        submission_id=SUBMISSION,
        problem=PROBLEM,
        message_id="order-2026-17",
    ),
    facts.PlacementRefused(
        referral_id=REFERRAL,
        organization=RECEIVER,
        coordinator="kg.coordinator",
        submission_id=SUBMISSION,
        problem=PROBLEM,
    ),
    facts.InterventionRefused(
        referral_id=REFERRAL,
        organization=RECEIVER,
        coordinator="kg.coordinator",
        act=CoordinatorAct.move_on,
        submission_id=SUBMISSION,
        problem=PROBLEM,
    ),
    facts.InterventionApplied(
        referral_id=REFERRAL,
        sender=SENDER,
        organization=RECEIVER,
        coordinator="kg.coordinator",
        act=CoordinatorAct.nudge,
        reason=InterventionReason.no_answer,
        deadline=NOON,
    ),
    facts.CoordinatorWithdrawalRefused(
        referral_id=REFERRAL,
        organization=SENDER,
        coordinator="kg.coordinator",
        submission_id=SUBMISSION,
        problem=PROBLEM,
    ),
    facts.PlacementAnswered(
        referral_id=REFERRAL,
        offer_id=OFFER,
        organization=RECEIVER,
        coordinator="kg.coordinator",
        result="declined",
        reason="no_capacity",
    ),
    facts.ReferralUnplaced(
        referral_id=REFERRAL,
        sender=SENDER,
        decision_id=DECISION,
        urgency=Urgency.emergency,
        region="RU-MOW",
        needs=("legal.wage_claim",),
        reason="no_candidate",
    ),
    facts.ReferralProgressed(
        referral_id=REFERRAL, sender=SENDER, organization=RECEIVER, status=ProgressStatus.on_hold
    ),
    facts.ReferralCompleted(
        referral_id=REFERRAL, sender=SENDER, organization=RECEIVER, outcome=Outcome.resolved
    ),
    facts.ReferralWithdrawn(
        referral_id=REFERRAL,
        sender=SENDER,
        organization=RECEIVER,
        reason="consent_revoked",
        coordinator="kg.coordinator",
    ),
    facts.ReferralFailed(
        referral_id=REFERRAL, sender=SENDER, organization=RECEIVER, reason="case_unreadable"
    ),
    facts.ReferralReferredOnward(
        referral_id=REFERRAL, sender=SENDER, organization=RECEIVER, onward=EARLIER_REFERRAL
    ),
    facts.ReferralSplit(
        referral_id=REFERRAL,
        sender=SENDER,
        parts=(part_id(REFERRAL, 1), part_id(REFERRAL, 2)),
    ),
    facts.ReferralRejoined(
        referral_id=REFERRAL,
        sender=SENDER,
        parts=(part_id(REFERRAL, 1), part_id(REFERRAL, 2)),
    ),
    facts.PartOpened(referral_id=part_id(REFERRAL, 1), sender=SENDER, part_of=REFERRAL, facts=FACTS),
    facts.ReferralOverdue(
        referral_id=REFERRAL, sender=SENDER, organization=RECEIVER, due_at=NOON + dt.timedelta(days=14)
    ),
    facts.AlertClosed(referral_id=REFERRAL, message_type=facts.ReferralUnplaced.type, by="kg.coordinator"),
    facts.StatementIssued(organization=RECEIVER, month="2026-02", digest="sha256:" + "0d" * 32),
    facts.CoordinationDigest(
        period="2026-11-27",
        as_of=NOON,
        queues=(
            facts.WaitingReferrals(queue="unplaced", referrals=3, oldest=NOON - dt.timedelta(days=2)),
            facts.WaitingReferrals(queue="overdue", referrals=0),
        ),
    ),
    facts.ReferralUnanswered(
        referral_id=REFERRAL, sender=SENDER, since=NOON - dt.timedelta(minutes=20), waits_for=(RECEIVER,)
    ),
    facts.ReferralAcceptorSuspended(
        referral_id=REFERRAL,
        sender=SENDER,
        organization=RECEIVER,
        urgency=Urgency.urgent,
        region="RU-MOW",
        needs=("legal.wage_claim",),
    ),
    facts.ReferralAcceptorDeclinedPart(
        referral_id=REFERRAL,
        sender=SENDER,
        organization=RECEIVER,
        reason=DeclineReason.conflict_of_interest,
    ),
    facts.AcceptanceRevoked(**_parties(), coordinator="kg.coordinator", reason="report_overdue"),
    facts.ReferralHandedBack(**_parties(), reason=HandBackReason.out_of_area),
    facts.HandBackRefused(
        referral_id=REFERRAL, organization=RECEIVER, submission_id=SUBMISSION, problem=PROBLEM
    ),
    facts.DirectoryCorrectionSuggested(
        referral_id=REFERRAL,
        offer_id=OFFER,
        organization=RECEIVER,
        service="legal",
        reason="out_of_area",
        part="areas",
    ),
    facts.CaseReleased(referral_id=REFERRAL, organization=RECEIVER, kid=KID),
    facts.CaseRefused(referral_id=REFERRAL, organization=SENDER, problem=PROBLEM),
    facts.CasePaused(referral_id=REFERRAL, organization=RECEIVER, sender=SENDER, until=NOON),
    facts.CaseRequested(referral_id=REFERRAL, organization=RECEIVER, sender=SENDER),
    facts.CaseErased(referral_id=REFERRAL, reason="consent_revoked"),
    facts.DeliveryDelivered(
        referral_id=REFERRAL,
        organization=RECEIVER,
        message_id=MESSAGE,
        message_type="kopuro.offer.opened.v1",
    ),
    facts.DeliveryAcknowledged(
        referral_id=REFERRAL,
        organization=RECEIVER,
        message_id=MESSAGE,
        message_type="kopuro.offer.opened.v1",
    ),
    facts.DecisionsRecorded(
        decisions=(
            facts.CommittedDecision(
                decision_id=MESSAGE, commitment="sha256:" + "0a" * 32, candidates="sha256:" + "0c" * 32
            ),
        )
    ),
    facts.RoutingPolicyApplied(
        number=2,
        version="2026-2",
        digest="0b" * 32,
        policy={"version": "2026-2", "emergency_offers": 4, "weights": {"nearness": 2.5}},
        by="operator",
        previous="2026-1",
    ),
    facts.ReferralRead(
        reader="kg.coordinator",
        client_id="kg.coordinator-1",
        roles=("coordinator",),
        resource="GET /v1/referrals",
        filter={"status": "unplaced"},
        referral_ids=(REFERRAL,),
        entries=1,
    ),
    facts.CaseFetched(referral_id=REFERRAL, organization=RECEIVER, client_id="ru.receiver-1"),
    facts.DeadLetterRead(
        reader="operator",
        consumer="routing",
        message_id=MESSAGE,
        referral_ids=(REFERRAL,),
        entries=1,
    ),
    facts.HistoryRead(
        reader="auditor",
        filter={"referral": REFERRAL, "type": "kopuro.offer.opened.v1"},
        entries=3,
        client_id="auditor-1",
        roles=("auditor",),
        referral_ids=(REFERRAL,),
    ),
    facts.HistoryExported(
        reader="auditor",
        referral_id=REFERRAL,
        entries=11,
        size=1234,
        client_id="auditor-1",
        roles=("auditor",),
    ),
    facts.ContentErased(referral_id=REFERRAL, reason="consent_revoked", entries=9, stop=1234),
    facts.LogExported(
        reader="auditor",
        form="ndjson",
        filter={"type": "kopuro.offer.opened.v1"},
        start=5000,
        stop=10000,
        entries=812,
        size=1234567,
        client_id="auditor-1",
        roles=("auditor",),
    ),
    facts.ReceiptsIssued(
        organization=RECEIVER,
        checkpoint="kopuro/kg\n2\nAAAA\n\n— kopuro/kg AAAA\n",
        hashes=("B" * 43 + "=",),
        receipts=(
            facts.Receipt(
                index=0,
                leaf='{"data":"sha256:AA","format":3}',
                path=(0,),
                head='{"message_id":"01938a6e"}',
                head_salt="A" * 43 + "=",
            ),
        ),
    ),
    facts.EventsLogged(service="routing", size=7, digests=("B" * 43 + "=",)),
    facts.ReceiptIssued(
        referral_id=REFERRAL,
        organization=RECEIVER,
        message_id=MESSAGE,
        message_type="kopuro.offer.accepted.v1",
        leaf='{"message_id":"01938a6e"}',
        proof="c2sp.org/tlog-proof@v1\nindex 0\n\nkopuro/kg\n1\nAAAA\n\n— kopuro/kg AAAA\n",
    ),
    facts.OrganizationChanged(
        revision=7,
        organization=replace(
            ORGANIZATION,
            sealing_key_change=SealingKeyChange(
                at=NOON,
                manner=KeyManner.proved,
                previous=KID,
                earlier=(ReplacedKey(kid="B" * 43, until=NOON),),
            ),
        ),
        by="aigul",
        reason=SuspensionReason.person_at_risk,
    ),
    facts.AgreementChanged(revision=2, agreement=AGREEMENT, by="aigul"),
    facts.TokenKeyChanged(
        revision=1,
        key={"kty": "OKP", "crv": "Ed25519", "x": "B" * 43, "kid": KID, "use": "sig"},
    ),
    facts.ClientChanged(
        revision=3,
        client_id="osh-laptop",
        principal=SENDER,
        roles=("partner",),
        live=True,
        not_before=NOON,
        token_epoch=2,
        ended_keys=(KID,),
        record_sha256="1b" * 32,
    ),
    facts.CredentialIssued(
        client_id="osh-laptop",
        principal=SENDER,
        roles=("partner",),
        by="aigul",
        approved_by="bakyt",
        organization=SENDER,
        replaced=True,
        keys=("key-1",),
        previous_until=NOON,
        root=True,
    ),
    facts.CredentialRevoked(client_id="osh-laptop", principal=SENDER, by="aigul", organization=SENDER),
    facts.CredentialTokensRevoked(
        client_id="osh-laptop", principal=SENDER, not_before=NOON, by="aigul", organization=SENDER
    ),
    facts.AccessRefused(
        client_id="osh-laptop",
        principal=SENDER,
        attempts=12,
        since=NOON,
        until=NOON,
        organization=SENDER,
    ),
    facts.ApplicationSubmitted(application_id=SUBMISSION, content="sha256:" + "0f" * 32, expires_at=NOON),
    facts.ApplicationDecided(
        application_id=SUBMISSION,
        step=ApplicationStep.refused,
        by="cholpon",
        reason=ApplicationRefusal.not_verified,
        approval_id=DECISION,
        organization=RECEIVER,
    ),
    facts.EmployerReported(
        report_id=SUBMISSION,
        allegation=ALLEGATION,
        reporter="sha256:" + "0f" * 32,
        recipients=(RECEIVER,),
        expires_at=NOON,
    ),
    facts.EmployerReportRetracted(report_id=SUBMISSION, recipients=(RECEIVER,)),
    facts.EmployerReplied(
        watched_id=DECISION,
        employer=EMPLOYER,
        text="The wages were paid in March.",
        by="cholpon",
        recipients=(RECEIVER,),
    ),
    facts.WatchReportsChosen(organization=RECEIVER, receives=True, by=RECEIVER),
    facts.SealedReportSubmitted(
        report_id=SUBMISSION,
        organization=RECEIVER,
        reporter=SENDER,
        allegation=ALLEGATION,
        salt="A" * 43,
        evidence="eyJhbGciOiJ4In0.AA.AA.AA.AA",
        expires_at=NOON,
    ),
    facts.EmployerReportDelivered(
        report_id=SUBMISSION,
        organization=RECEIVER,
        reporter=SENDER,
        allegation=ALLEGATION,
        salt="A" * 43,
        evidence="eyJhbGciOiJ4In0.AA.AA.AA.AA",
        expires_at=NOON,
    ),
    facts.CredentialExpiring(
        client_id="osh-laptop",
        principal=SENDER,
        credential="secret",
        expires_at=NOON,
        days=7,
        organization=SENDER,
    ),
    facts.RoleGranted(
        principal="cholpon", role="auditor", client_id="cholpon", by="aigul", approved_by="bakyt"
    ),
    facts.ApprovalRequested(
        id=SUBMISSION,
        kind=ApprovalKind.sealing_key,
        subject=SENDER,
        requested_by="aigul",
        expires_at=NOON,
        digest="0f" * 32,
        organization=SENDER,
    ),
    facts.ApprovalEndorsed(
        id=SUBMISSION,
        kind=ApprovalKind.sealing_key,
        subject=SENDER,
        requested_by=SENDER,
        by="aigul",
        digest="0f" * 32,
        organization=SENDER,
    ),
    facts.ApprovalGranted(
        id=SUBMISSION,
        kind=ApprovalKind.sealing_key,
        subject=SENDER,
        requested_by=SENDER,
        by="bakyt",
        digest="0f" * 32,
        organization=SENDER,
        endorsed_by="aigul",
    ),
    facts.ApprovalRefused(
        id=SUBMISSION,
        kind=ApprovalKind.sealing_key,
        subject=SENDER,
        requested_by="aigul",
        by="bakyt",
        reason=ApprovalRefusal.stale,
        organization=SENDER,
    ),
    facts.SealingKeyReplaced(
        organization=SENDER,
        kid=KID,
        manner=KeyManner.approved,
        by="aigul",
        previous="B" * 43,
        approved_by="bakyt",
    ),
    facts.ServiceApprovalEnded(
        organization=SENDER,
        service="shelter",
        approved_needs=("protection.trafficking", "protection.violence"),
        reason=ApprovalEnd.withdrawn,
        by="aigul",
        withdrawn_for=WithdrawalOfApproval.service_changed,
    ),
    facts.ReplicaRequested(queue="routing.directory"),
    facts.ReplicaCompleted(queue="routing.directory", records=153),
    facts.TransitKeyPublished(
        kid="T" * 43, x="X" * 43, published_at=dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
    ),
    facts.TransitKeyClosed(kid="T" * 43, messages=812),
    facts.TransitKeyDestroyed(kid="T" * 43, messages=812),
    facts.SealedCaseSubmitted(
        referral_id=REFERRAL, sender=SENDER, to=RECEIVER, case=UNKEYED, transit=TRANSIT
    ),
    facts.SealedCaseReleased(
        referral_id=REFERRAL, organization=RECEIVER, kid=KID, case=SEALED, offer_id=OFFER
    ),
    facts.SealedNoteSubmitted(
        referral_id=REFERRAL,
        author=RECEIVER,
        note=UNKEYED,
        offer_id=OFFER,
        transit=TRANSIT,
        hand_back=True,
    ),
    facts.SealedNoteReleased(
        referral_id=REFERRAL,
        organization=SENDER,
        author=RECEIVER,
        note=SEALED,
        offer_id=OFFER,
        acceptance=OFFER,
    ),
    facts.NoteDelivered(
        referral_id=REFERRAL, organization=SENDER, author=RECEIVER, note=SEALED, offer_id=OFFER
    ),
    facts.SubmissionAdmitted(organization=SENDER, message_id="order-2026-17", submission_id=SUBMISSION),
    facts.MessageClosed(
        referral_id=REFERRAL, message_type="kopuro.offer.opened.v1", reason="declined", closed_at=NOON
    ),
    facts.AlertsCounted(
        organization=SENDER,
        message_type=facts.ReferralUnplaced.type,
        urgency=Urgency.routine,
        since=NOON,
        messages=300,
    ),
    facts.WebhookChanged(
        organization=RECEIVER,
        endpoint_id="01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a55",
        host="cases.example.org",
        change="message_refused",
        client_id=RECEIVER,
        message_id="01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a56",
        state="active",
        commitment="sha256:" + "0b" * 32,
        previous="sha256:" + "0c" * 32,
        secret="sha256:" + "0d" * 32,
    ),
    facts.WebhookFailing(
        organization=RECEIVER,
        endpoint_id="01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a55",
        host="cases.example.org",
        percent=50,
        failing_since=NOON,
        disabled_at=NOON + dt.timedelta(days=5),
    ),
)

# Facts of earlier builds, which lacked some fields; `earlier/` has their bytes.
_EARLIER_FACTS: tuple[facts.Fact, ...] = (
    facts.OrganizationChanged(revision=7, organization=EARLIER_ORGANIZATION),
    facts.ReferralSubmitted(referral_id=REFERRAL, sender=SENDER, facts=EARLIER_FACTS),
    facts.AgreementChanged(revision=2, agreement=AGREEMENT),
    facts.ClientChanged(revision=3, client_id="osh-laptop", principal=SENDER, roles=("partner",), live=True),
    facts.CredentialIssued(
        client_id="osh-laptop",
        principal=SENDER,
        roles=("partner",),
        by="aigul",
        approved_by="bakyt",
        organization=SENDER,
        replaced=True,
    ),
    facts.ReferralAcceptorSuspended(referral_id=REFERRAL, sender=SENDER, organization=RECEIVER),
    facts.ServiceApprovalEnded(
        organization=SENDER,
        service="shelter",
        approved_needs=("protection.trafficking", "protection.violence"),
        reason=ApprovalEnd.widened,
        by=SENDER,
    ),
    facts.PlacementSubmitted(referral_id=REFERRAL, organization=RECEIVER, coordinator="coordinator"),
    facts.InterventionSubmitted(
        referral_id=REFERRAL,
        organization=RECEIVER,
        coordinator="kg.coordinator",
        act=CoordinatorAct.extend,
        reason=InterventionReason.agreed_with_organization,
        until=NOON,
    ),
    facts.AlertClosed(referral_id=REFERRAL, message_type=facts.ReferralUnanswered.type),
    facts.DecisionsRecorded(
        decisions=(facts.CommittedDecision(decision_id=MESSAGE, commitment="sha256:" + "0a" * 32),)
    ),
    facts.AcceptanceRevoked(**_parties(), coordinator="kg.coordinator"),
    # Its earlier bytes have the need and the region too.
    next(fact for fact in _FACTS if isinstance(fact, facts.DirectoryCorrectionSuggested)),
    facts.ReferralWithdrawn(
        referral_id=REFERRAL, sender=SENDER, organization=RECEIVER, reason="consent_revoked"
    ),
    facts.ApprovalGranted(
        id=SUBMISSION,
        kind=ApprovalKind.sealing_key,
        subject=SENDER,
        requested_by="aigul",
        by="bakyt",
        digest="0f" * 32,
        organization=SENDER,
    ),
    facts.SealedNoteSubmitted(referral_id=REFERRAL, author=SENDER, note=SEALED),
    facts.SealedCaseSubmitted(referral_id=REFERRAL, sender=SENDER, to=RECEIVER, case=SEALED),
    facts.SealedCaseReplaced(referral_id=REFERRAL, sender=SENDER, to=RECEIVER, case=SEALED),
    facts.SealedCaseReleased(referral_id=REFERRAL, organization=RECEIVER, kid=KID, case=SEALED),
    facts.SealedNoteReleased(referral_id=REFERRAL, organization=RECEIVER, author=SENDER, note=SEALED),
    facts.NoteDelivered(referral_id=REFERRAL, organization=RECEIVER, author=SENDER, note=SEALED),
    facts.ReceiptsIssued(
        organization=RECEIVER,
        checkpoint="kopuro/kg\n2\nAAAA\n\n— kopuro/kg AAAA\n",
        hashes=("B" * 43 + "=",),
        receipts=(facts.Receipt(index=0, leaf='{"message_id":"01938a6e"}', path=(0,)),),
    ),
    facts.HistoryRead(
        reader="auditor", filter={"referral": REFERRAL, "type": "kopuro.offer.opened.v1"}, entries=3
    ),
    facts.HistoryExported(reader="auditor", referral_id=REFERRAL, entries=11, size=1234),
    facts.LogExported(
        reader="auditor",
        form="ndjson",
        filter={"type": "kopuro.offer.opened.v1"},
        start=5000,
        stop=10000,
        entries=812,
        size=1234567,
    ),
    facts.SubmissionRefused(
        referral_id=REFERRAL, organization=RECEIVER, submission_id=SUBMISSION, problem=PROBLEM
    ),
)

# The first messages of an exchange have no cause, and may have no trace.
_BEGINNINGS = (
    facts.ReferralSubmitted,
    facts.RoutingPolicyApplied,
    facts.StatementIssued,
    facts.CoordinationDigest,
    facts.AlertsCounted,
    facts.OrganizationChanged,
    facts.ReplicaRequested,
    facts.ReferralRead,
    facts.CaseFetched,
    facts.DeadLetterRead,
    facts.HistoryRead,
    facts.HistoryExported,
    facts.LogExported,
    facts.ReceiptsIssued,
    facts.EventsLogged,
    facts.TransitKeyPublished,
    facts.TransitKeyDestroyed,
)


def _event(fact: facts.Fact) -> Event[facts.Fact]:
    begins = isinstance(fact, _BEGINNINGS)
    return Event(
        id=MESSAGE,
        source="/kg/routing",
        time=dt.datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=dt.UTC),
        partition_key=getattr(fact, "referral_id", "kg.osh-legal-aid"),
        correlation_id=MESSAGE if begins else FIRST_MESSAGE,
        causation_id=None if begins else CAUSE,
        traceparent=None if begins else "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        data=fact,
    )


EXAMPLES: dict[str, Event[facts.Fact]] = {fact.type: _event(fact) for fact in _FACTS}
EARLIER: dict[str, Event[facts.Fact]] = {
    **{fact.type: _event(fact) for fact in _EARLIER_FACTS},
    "kopuro.sealed_note.released.v1.without_acceptance": _event(
        facts.SealedNoteReleased(
            referral_id=REFERRAL, organization=SENDER, author=RECEIVER, note=SEALED, offer_id=OFFER
        )
    ),
    "kopuro.organization.changed.v1.without_earlier_keys": _event(
        facts.OrganizationChanged(
            revision=7,
            organization=replace(
                ORGANIZATION,
                sealing_key_change=SealingKeyChange(at=NOON, manner=KeyManner.proved, previous=KID),
            ),
            by="aigul",
            reason=SuspensionReason.person_at_risk,
        )
    ),
    "kopuro.placement.submitted.v1.without_offers": _event(
        facts.PlacementSubmitted(
            referral_id=REFERRAL,
            organization=RECEIVER,
            coordinator="coordinator",
            reason=InterventionReason.person_at_risk,
        )
    ),
    "kopuro.placement.submitted.v1.without_overridden": _event(
        facts.PlacementSubmitted(
            referral_id=REFERRAL,
            organization=RECEIVER,
            coordinator="coordinator",
            reason=InterventionReason.person_at_risk,
            offers=(OFFER,),
        )
    ),
    "kopuro.webhook.changed.v1.without_state": _event(
        facts.WebhookChanged(
            organization=RECEIVER,
            endpoint_id="01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a55",
            host="cases.example.org",
            change="message_refused",
            client_id=RECEIVER,
            message_id="01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a56",
        )
    ),
    "kopuro.webhook.changed.v1.without_message": _event(
        facts.WebhookChanged(
            organization=RECEIVER,
            endpoint_id="01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a55",
            host="cases.example.org",
            change="registered",
            client_id=RECEIVER,
        )
    ),
    "kopuro.client.changed.v1.without_digest": _event(
        facts.ClientChanged(
            revision=3,
            client_id="osh-laptop",
            principal=SENDER,
            roles=("partner",),
            live=True,
            not_before=NOON,
            token_epoch=2,
            ended_keys=(KID,),
        )
    ),
    "kopuro.client.changed.v1.without_ended_keys": _event(
        facts.ClientChanged(
            revision=3,
            client_id="osh-laptop",
            principal=SENDER,
            roles=("partner",),
            live=True,
            not_before=NOON,
            token_epoch=2,
        )
    ),
    "kopuro.client.changed.v1.without_epoch": _event(
        facts.ClientChanged(
            revision=3,
            client_id="osh-laptop",
            principal=SENDER,
            roles=("partner",),
            live=True,
            not_before=NOON,
        )
    ),
    "kopuro.credential.issued.v1.without_root": _event(
        facts.CredentialIssued(
            client_id="osh-laptop",
            principal=SENDER,
            roles=("partner",),
            by="aigul",
            approved_by="bakyt",
            organization=SENDER,
            replaced=True,
            keys=("key-1",),
            previous_until=NOON,
        )
    ),
    "kopuro.organization.changed.v1.one_capacity": _event(
        facts.OrganizationChanged(revision=7, organization=ONE_CAPACITY_ORGANIZATION, by="aigul")
    ),
    "kopuro.organization.changed.v1.without_previous": _event(
        facts.OrganizationChanged(
            revision=7, organization=ORGANIZATION, by="aigul", reason=SuspensionReason.person_at_risk
        )
    ),
    "kopuro.organization.changed.v1.without_reason": _event(
        facts.OrganizationChanged(revision=7, organization=ORGANIZATION, by="aigul")
    ),
    "kopuro.referral.submitted.v1.without_several": _event(
        facts.ReferralSubmitted(
            referral_id=REFERRAL, sender=SENDER, facts=EARLIER_FACTS, onward_from=EARLIER_REFERRAL
        )
    ),
    "kopuro.sealed_note.submitted.v1.declined": _event(
        facts.SealedNoteSubmitted(referral_id=REFERRAL, author=RECEIVER, note=SEALED, offer_id=OFFER)
    ),
    "kopuro.sealed_note.submitted.v1.transit": _event(
        facts.SealedNoteSubmitted(
            referral_id=REFERRAL, author=RECEIVER, note=UNKEYED, offer_id=OFFER, transit=TRANSIT
        )
    ),
}
