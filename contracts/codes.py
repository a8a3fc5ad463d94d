"""The closed code lists of the network. `vocabularies/` holds their labels."""

from __future__ import annotations

from enum import StrEnum


class Urgency(StrEnum):
    emergency = "emergency"
    urgent = "urgent"
    routine = "routine"


class Settlement(StrEnum):
    urban = "urban"
    rural = "rural"


class Stage(StrEnum):
    """The stage of the person's migration."""

    pre_departure = "pre_departure"
    in_transit = "in_transit"
    in_destination = "in_destination"
    returned = "returned"


class Sex(StrEnum):
    female = "female"
    male = "male"
    other = "other"
    unknown = "unknown"


class AgeBand(StrEnum):
    """Age in years, both ends included; a band, because a date of birth could identify the person."""

    years_0_11 = "0_11"
    years_12_17 = "12_17"
    years_18_24 = "18_24"
    years_25_59 = "25_59"
    years_60_plus = "60_plus"
    unknown = "unknown"


class SpecialCategory(StrEnum):
    trafficking_victim = "trafficking_victim"
    forced_labour = "forced_labour"
    work_injury = "work_injury"
    disability = "disability"
    hiv = "hiv"
    tb = "tb"
    stigmatised_illness = "stigmatised_illness"
    deported = "deported"
    entry_ban = "entry_ban"
    minor = "minor"
    violence_against_women = "violence_against_women"
    dual_national = "dual_national"
    family_of_missing = "family_of_missing"
    family_of_deceased = "family_of_deceased"


class ConsentMethod(StrEnum):
    """The ways in which a person gives consent."""

    signed = "signed"
    oral = "oral"
    guardian = "guardian"


class OrganizationKind(StrEnum):
    ngo = "ngo"
    union = "union"
    diaspora_association = "diaspora_association"
    consular_representative = "consular_representative"
    state_body = "state_body"
    international_organisation = "international_organisation"
    employment_agency = "employment_agency"
    religious_organisation = "religious_organisation"
    community_contact = "community_contact"
    health_provider = "health_provider"


# People may fear these kinds, so they are contacted only when the consent names them.
OPT_IN_KINDS = frozenset(
    {
        OrganizationKind.consular_representative,
        OrganizationKind.state_body,
        OrganizationKind.employment_agency,
    }
)


class Vetting(StrEnum):
    applied = "applied"
    vetted = "vetted"
    suspended = "suspended"
    left = "left"


class SuspensionReason(StrEnum):
    """Why the network suspends an organisation."""

    person_at_risk = "person_at_risk"
    agreement_breached = "agreement_breached"
    data_misused = "data_misused"
    credentials_stolen = "credentials_stolen"
    no_answer = "no_answer"
    asked_by_organization = "asked_by_organization"
    other = "other"


class KeyManner(StrEnum):
    """The authority behind a sealing key: an approval, proof of the key before it, or no key before it."""

    first = "first"
    proved = "proved"
    approved = "approved"


class ApprovalEnd(StrEnum):
    """Why the approval of a service ended.

    widened: the service reaches more places or people than was approved; removed: it is gone; withdrawn: the
    network decided so.
    """

    widened = "widened"
    removed = "removed"
    withdrawn = "withdrawn"


class WithdrawalOfApproval(StrEnum):
    """Why the network withdraws the approval of a service.

    service_changed: it is not what was approved, though its record shows no wider one.
    """

    person_at_risk = "person_at_risk"
    agreement_breached = "agreement_breached"
    data_misused = "data_misused"
    service_changed = "service_changed"
    asked_by_organization = "asked_by_organization"
    other = "other"


class ApprovalKind(StrEnum):
    """The decisions that a second person confirms.

    credential: a client of a partner; role: a client of the hub's staff; vetting: what the network states
    about an organisation; service: a service for sensitive needs; agreement: what parties may disclose;
    root_client: which client of a partner comes before its others.
    """

    credential = "credential"
    role = "role"
    sealing_key = "sealing_key"
    vetting = "vetting"
    service = "service"
    agreement = "agreement"
    root_client = "root_client"


class ApprovalRefusal(StrEnum):
    """The end of a request without effect.

    stale: the record has changed since the request, its requester made another one, or the client of its
    requester or endorser was revoked, has another role or was issued again.
    """

    refused = "refused"
    expired = "expired"
    stale = "stale"


class Funding(StrEnum):
    free = "free"
    at_cost = "at_cost"
    commercial = "commercial"


class Reporting(StrEnum):
    periodic = "periodic"
    occasional = "occasional"
    none = "none"


class CapacityStatus(StrEnum):
    capacity = "capacity"
    no_capacity = "no_capacity"
    waitlist = "waitlist"
    assessment_required = "assessment_required"


class AgreementKind(StrEnum):
    network_memorandum = "network_memorandum"
    bilateral = "bilateral"


class DisclosureClass(StrEnum):
    """The data that an agreement lets parties disclose to each other; `sensitive` includes `standard`."""

    standard = "standard"
    sensitive = "sensitive"


class DeclineReason(StrEnum):
    no_capacity = "no_capacity"
    not_eligible = "not_eligible"
    out_of_area = "out_of_area"
    language = "language"
    conflict_of_interest = "conflict_of_interest"
    needs_reassessment = "needs_reassessment"
    other = "other"


class HandBackReason(StrEnum):
    """Why an acceptor hands a referral back.

    A person who cannot be reached is an outcome (`could_not_reach`), not a reason to disclose the case to
    another organisation.
    """

    no_capacity = "no_capacity"
    not_eligible = "not_eligible"
    out_of_area = "out_of_area"
    language = "language"
    conflict_of_interest = "conflict_of_interest"
    needs_reassessment = "needs_reassessment"
    person_prefers_another = "person_prefers_another"
    other = "other"


class Outcome(StrEnum):
    resolved = "resolved"
    partly_resolved = "partly_resolved"
    referred_onward = "referred_onward"
    could_not_reach = "could_not_reach"
    person_declined = "person_declined"
    not_resolved = "not_resolved"


# The reason of a withdrawal, and of what follows from it, when the person revoked the consent.
CONSENT_REVOKED = "consent_revoked"


class WithdrawalReason(StrEnum):
    """Why a sender withdraws a referral. A revoked consent has its own resource."""

    person_declined = "person_declined"
    placed_elsewhere = "placed_elsewhere"
    entered_in_error = "entered_in_error"
    other = "other"


class CoordinatorAct(StrEnum):
    """A coordinator's act on a referral that waits for an organisation.

    nudge: remind the organisation. extend: give it more time. move_on: ask other organisations instead.
    """

    nudge = "nudge"
    extend = "extend"
    move_on = "move_on"


class InterventionReason(StrEnum):
    """Why a coordinator acts on a referral that waits for an organisation."""

    no_answer = "no_answer"
    agreed_with_organization = "agreed_with_organization"
    asked_by_sender = "asked_by_sender"
    person_at_risk = "person_at_risk"
    other = "other"


class ProgressStatus(StrEnum):
    in_progress = "in_progress"
    on_hold = "on_hold"


class SealedContent(StrEnum):
    """The kinds of sealed content that organisations exchange."""

    case = "case"
    note = "note"


class UnreadableReason(StrEnum):
    """Why an organisation cannot read sealed content."""

    cannot_decrypt = "cannot_decrypt"  # malformed, altered, or sealed to another key than its header names
    not_understood = "not_understood"  # decrypted, but not a case or note as the contract defines it
    key_lost = "key_lost"  # sealed to a key whose private part the organisation no longer has


class ReferralStatus(StrEnum):
    """The states of a referral. `services/routing/domain/referral.py` defines the transitions."""

    requested = "requested"
    offered = "offered"
    accepted = "accepted"
    in_progress = "in_progress"
    on_hold = "on_hold"
    completed = "completed"
    unplaced = "unplaced"
    withdrawn = "withdrawn"
    failed = "failed"
    entered_in_error = "entered_in_error"
    # Its needs are met in parts. Nobody splits a status as text, so the name may hide `str.split`.
    split = "split"  # type: ignore[assignment]


# FHIR R5 Task.status codes, for partners that speak FHIR.
FHIR_TASK_STATUS: dict[ReferralStatus, str] = {
    ReferralStatus.requested: "requested",
    ReferralStatus.offered: "received",
    ReferralStatus.accepted: "accepted",
    ReferralStatus.in_progress: "in-progress",
    ReferralStatus.on_hold: "on-hold",
    ReferralStatus.completed: "completed",
    ReferralStatus.unplaced: "ready",
    ReferralStatus.withdrawn: "cancelled",
    ReferralStatus.failed: "failed",
    ReferralStatus.entered_in_error: "entered-in-error",
    ReferralStatus.split: "in-progress",
}


class OfferState(StrEnum):
    open = "open"
    accepted = "accepted"
    declined = "declined"
    expired = "expired"
    revoked = "revoked"
    returned = "returned"  # the acceptor handed the referral back


class Answer(StrEnum):
    accept = "accept"
    decline = "decline"


class EmployerKind(StrEnum):
    employer = "employer"
    agency = "agency"  # recruits for employers


class EmployerPractice(StrEnum):
    """A practice that an employer or a recruitment agency is reported for."""

    wages_withheld = "wages_withheld"
    no_contract = "no_contract"
    contract_substituted = "contract_substituted"
    passport_kept = "passport_kept"
    confinement = "confinement"
    forced_labour = "forced_labour"
    violence = "violence"
    unsafe_work = "unsafe_work"
    fees_charged = "fees_charged"
    fraud_in_recruitment = "fraud_in_recruitment"


class ReporterClass(StrEnum):
    """How many unrelated organisations report an employer. A class, so that a further report seldom shows."""

    two_to_four = "two_to_four"
    five_to_nine = "five_to_nine"
    ten_or_more = "ten_or_more"


class ApplicationState(StrEnum):
    """The state of an organisation's application to join the network."""

    waiting = "waiting"
    in_approval = "in_approval"  # a member of the staff asked to vet it; a second one must approve
    vetted = "vetted"
    refused = "refused"
    withdrawn = "withdrawn"
    expired = "expired"


class ApplicationStep(StrEnum):
    """A step of an application."""

    vetting_requested = "vetting_requested"
    vetting_ended = "vetting_ended"  # without effect; the application waits again
    vetted = "vetted"
    refused = "refused"
    withdrawn = "withdrawn"
    expired = "expired"


class ApplicationRefusal(StrEnum):
    """Why the network refuses an application."""

    outside_the_network = "outside_the_network"
    already_a_member = "already_a_member"
    not_verified = "not_verified"  # what it says could not be confirmed
    not_reachable = "not_reachable"
    not_genuine = "not_genuine"
    other = "other"
