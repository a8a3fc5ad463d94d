"""`kopuro coordination`: find referrals that need a person, act on them, withdraw them for others."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from kopuro_client.commands.act_words import question, recorded
from kopuro_client.commands.candidates import show_candidates
from kopuro_client.commands.code_words import in_words
from kopuro_client.commands.confirmation import YES, ask, confirm
from kopuro_client.commands.coordination_network import coverage, wishes
from kopuro_client.commands.coordination_queue import KINDS, show_queue, show_queue_heading
from kopuro_client.commands.coordination_report import report, statistics
from kopuro_client.commands.covered_needs import covered_needs
from kopuro_client.commands.effect_words import effect
from kopuro_client.commands.fixed_values import (
    CONSENT_INSTEAD,
    INTERVENTION_REASONS,
    QUEUES,
    WITHDRAWAL_REASONS,
    listed,
    one_of,
)
from kopuro_client.commands.given_times import checked_moment
from kopuro_client.commands.known_organization import require_known
from kopuro_client.commands.language import LANGUAGE
from kopuro_client.commands.lists import AFTER, LIMIT, show_items, show_page
from kopuro_client.commands.policy_simulation import simulate
from kopuro_client.commands.printable import moment
from kopuro_client.commands.queue_words import word
from kopuro_client.commands.referral import REFERRAL
from kopuro_client.commands.referral_effects import effects_of_end, effects_on, waits_for
from kopuro_client.commands.referral_words import field
from kopuro_client.commands.rule_sentences import failed_rules, may_be_placed, rules_overridden
from kopuro_client.commands.sentence_lines import show_wrapped
from kopuro_client.commands.session import Session, connected
from kopuro_client.commands.submitted import IDEMPOTENCY_KEY, show_submitted
from kopuro_client.commands.timeline import show_referral
from kopuro_client.commands.whose_turn_words import reason_of, whose_turn
from kopuro_client.errors import InvalidArgumentError
from kopuro_client.records import Referral
from kopuro_client.tracing.evidence import TraceRecords
from kopuro_client.tracing.next_action import ENDS, next_action

_NOT_ASKED = frozenset({"intake", "delivery", "audit"})


def group() -> typer.Typer:
    """Return the commands under `kopuro coordination`."""
    commands = typer.Typer(
        no_args_is_help=True,
        help="For coordinators: find the referrals that need you, act on them, and withdraw them for "
        "organisations that cannot.",
    )
    for command in (
        queue,
        unplaced,
        show,
        candidates,
        nudge,
        extend,
        move_on,
        place,
        coverage,
        wishes,
        report,
        statistics,
        simulate,
        withdraw,
        revoke_consent,
    ):
        commands.command(command.__name__.replace("_", "-"))(connected(command))
    return commands


def queue(
    session: Session,
    kind: Annotated[
        str | None,
        typer.Option(
            callback=one_of(QUEUES), help=f"{listed(QUEUES)}; by default the first entries of each."
        ),
    ] = None,
    region: Annotated[str | None, typer.Option(help="Only this region, or this country.")] = None,
    need: Annotated[str | None, typer.Option(help="Only this need, or this group of needs.")] = None,
    organization: Annotated[
        str | None, typer.Option(help="Only referrals that this organisation sent, holds or is asked about.")
    ] = None,
    after: AFTER = None,
    limit: LIMIT = None,
    language: LANGUAGE = "en",
) -> None:
    """List the referrals that need a coordinator: most urgent first, then the oldest."""
    if kind is None and after is not None:
        raise InvalidArgumentError("--after requires --kind: each queue has its own cursors")
    now, out = dt.datetime.now(dt.UTC), session.out
    pages = {
        one: session.hub.queue_page(
            one, region=region, need=need, organization=organization, after=after, limit=limit
        )
        for one in (KINDS if kind is None else (kind,))
    }
    if not any(page["items"] for page in pages.values()):
        require_known(session, organization)
    if kind is None and out.as_json:
        out.document(pages)
        return
    for number, (one, page) in enumerate(pages.items()):
        if kind is None:
            if number:
                out.blank()
            show_queue_heading(out, one, page, language)
        if kind is not None or page["items"]:
            show_items(
                out,
                page,
                lambda items: show_queue(out, items, now, language),
                language=language,
                kind=word(one, language) if kind is None else None,
            )


def unplaced(session: Session, after: AFTER = None, limit: LIMIT = None, language: LANGUAGE = "en") -> None:
    """List the referrals that no organisation could or would take, as `queue --kind unplaced` does."""
    names = ("referral", "urgency", "region", "needs", "since", "reason")
    show_page(
        session.out,
        session.hub.unplaced_page(after=after, limit=limit),
        columns=[field(name, language) for name in names],
        row=lambda item: (
            item["id"],
            in_words("urgency", item["urgency"], language),
            in_words("region", item["region"], language),
            in_words("needs", item["needs"], language),
            moment(item["since"]),
            in_words("reason", item["reason"], language),
        ),
        language=language,
    )


def show(session: Session, referral: REFERRAL, language: LANGUAGE = "en") -> None:
    """Show a referral, and whose turn it is."""
    found = session.hub.referral(referral)
    if session.out.as_json:
        session.out.document(found)
        return
    show_referral(session.out, found, language)
    session.out.blank()
    # The turn as `kopuro trace` decides it, from what routing alone knows.
    known = TraceRecords(viewer=None, now=dt.datetime.now(dt.UTC), referral=found, silent=_NOT_ASKED)
    turn = next_action(session.hub.with_standing(known))
    show_wrapped(session.out, f"{whose_turn(turn, language)}: {reason_of(turn, language)}")
    session.out.note(word("trace", language, command=f"kopuro trace {found['id']}"))


def candidates(
    session: Session,
    referral: REFERRAL,
    organization: Annotated[
        str | None, typer.Option(help="Only this organisation, even if it is not a candidate.")
    ] = None,
    language: LANGUAGE = "en",
) -> None:
    """Show who could be asked now, and which rules exclude the others."""
    found = session.hub.candidates(referral, organization=organization)
    if not found["candidates"]:
        require_known(session, organization)
    show_candidates(session.out, found, language)


REASON = Annotated[
    str,
    typer.Option(
        callback=one_of(INTERVENTION_REASONS), help=f"{listed(INTERVENTION_REASONS)}; it is recorded."
    ),
]
ONLY = Annotated[
    str | None, typer.Option(help="Only this organisation; by default all for which the referral waits.")
]


def nudge(
    session: Session,
    referral: REFERRAL,
    reason: REASON,
    organization: ONLY = None,
    yes: YES = False,
    idempotency_key: IDEMPOTENCY_KEY = None,
    language: LANGUAGE = "en",
) -> None:
    """Remind the organisations that a referral waits for."""
    what = effect("reminded", language)
    seen = _confirm(session, referral, organization, what, "nudge", language, yes=yes)
    submitted = session.hub.nudge(
        referral, reason, organization=organization, offers=seen, idempotency_key=idempotency_key
    )
    show_submitted(session.out, submitted, recorded("nudge", language), language=language)


def extend(
    session: Session,
    referral: REFERRAL,
    until: Annotated[str, typer.Option(callback=checked_moment, help="The new deadline (RFC 3339).")],
    reason: REASON,
    organization: ONLY = None,
    yes: YES = False,
    idempotency_key: IDEMPOTENCY_KEY = None,
    language: LANGUAGE = "en",
) -> None:
    """Give more time to the organisations that a referral waits for."""
    what = effect("more_time", language, time=moment(until))
    seen = _confirm(session, referral, organization, what, "extend", language, yes=yes)
    submitted = session.hub.extend(
        referral, until, reason, organization=organization, offers=seen, idempotency_key=idempotency_key
    )
    show_submitted(session.out, submitted, recorded("extend", language), language=language)


def move_on(
    session: Session,
    referral: REFERRAL,
    reason: REASON,
    organization: ONLY = None,
    yes: YES = False,
    idempotency_key: IDEMPOTENCY_KEY = None,
    language: LANGUAGE = "en",
) -> None:
    """Revoke the open offer, or an overdue acceptance, and ask the next candidate."""
    what, taken = effect("not_asked", language), effect("taken", language)
    seen = _confirm(session, referral, organization, what, "move_on", language, accepted=taken, yes=yes)
    submitted = session.hub.move_on(
        referral, reason, organization=organization, offers=seen, idempotency_key=idempotency_key
    )
    show_submitted(session.out, submitted, recorded("move_on", language), language=language)


def place(
    session: Session,
    referral: REFERRAL,
    organization: Annotated[str, typer.Argument(help="The organisation to offer the referral to.")],
    reason: Annotated[
        str | None,
        typer.Option(
            callback=one_of(INTERVENTION_REASONS),
            help="Required if an open offer or an overdue acceptance is revoked: "
            f"{listed(INTERVENTION_REASONS)}.",
        ),
    ] = None,
    yes: YES = False,
    idempotency_key: IDEMPOTENCY_KEY = None,
    language: LANGUAGE = "en",
) -> None:
    """Offer a referral to an organisation, and revoke its open offers."""
    seen = overridden = None
    if not yes:
        found = session.hub.referral(referral)
        seen = [offer["id"] for offer in waits_for(found)]
        what, taken = effect("not_asked", language), effect("taken", language)
        effects = effects_on(found, None, what, language, accepted=taken)
        kept = _kept(session, found, language) or _not_placed(found, organization, language)
        considered = session.hub.candidates(referral, organization=organization)
        services = considered["candidates"]
        if not services:
            require_known(session, organization)
        refused = bool(services) and not any(map(may_be_placed, services))
        # An older hub, which does not say whether it would refuse, refuses a request that states the rules.
        overridden = rules_overridden(services) if "may_be_placed" in considered else None
        if not services:
            kept.append(effect("no_service", language, organization=organization))
        if kept or refused:
            effects = [effects[0], *kept]  # a refused placement changes nothing
        if refused or not kept:
            effects.append(effect("refused" if refused else "asked", language, organization=organization))
        covered = covered_needs(considered.get("covers", []), language)
        effects += [f"  {one}" for one in covered.values()]
        for candidate in services:
            effects += [f"  {candidate['service']}: {one}" for one in failed_rules(candidate, language)]
        confirm(session.out, effects, question("place", language), language)
    placed = session.hub.place(
        referral,
        organization,
        reason=reason,
        offers=seen,
        overridden=overridden,
        idempotency_key=idempotency_key,
    )
    show_submitted(session.out, placed, recorded("place", language), language=language)


def _confirm(
    session: Session,
    referral_id: str,
    organization: str | None,
    what: str,
    act: str,
    language: str,
    *,
    accepted: str | None = None,
    yes: bool,
) -> list[str] | None:
    """Return the ids of the offers that were shown; None if nothing was.

    what: the effect on each organisation; accepted: that on the acceptor, if it is another one. act: the name
    of the question.
    """
    if yes:
        return None
    referral = session.hub.referral(referral_id)
    seen = waits_for(referral, organization)
    effects = effects_on(referral, organization, what, language, accepted=accepted)
    if accepted is not None and (kept := _kept(session, referral, language)):
        effects = [effects[0], *kept]
    if not seen and organization is None:
        effects.append(effect("nobody_has_it", language))
    confirm(session.out, effects, question(act, language), language)
    return [offer["id"] for offer in seen]


def _kept(session: Session, referral: Referral, language: str) -> list[str]:
    """Return a line if nobody can take the referral from its acceptor.

    No line for an older hub, which does not say whether a report is overdue.
    """
    acceptor = referral["acceptor"]
    if acceptor is None or not waits_for(referral) or referral.get("overdue_since", "") is not None:
        return []
    record = session.hub.organization(acceptor)
    if record["vetting"] != "vetted" or not record["active"]:
        return []
    return [effect("in_time", language, organization=acceptor)]


def _not_placed(referral: Referral, organization: str, language: str) -> list[str]:
    """Return a line if the referral has ended, or the organisation has it or an open offer of it."""
    if referral["status"] in ENDS:
        return [effect("has_ended", language)]
    if waits_for(referral, organization):
        return [effect("has_it", language, organization=organization)]
    return []


ACTS_FOR = Annotated[
    str, typer.Argument(help="The organisation you act for: excluded from the hub, or without a live client.")
]


def withdraw(
    session: Session,
    referral: REFERRAL,
    organization: ACTS_FOR,
    reason: Annotated[
        str,
        typer.Option(
            callback=one_of(WITHDRAWAL_REASONS, instead=CONSENT_INSTEAD),
            help=f"{listed(WITHDRAWAL_REASONS)}{CONSENT_INSTEAD}.",
        ),
    ],
    yes: YES = False,
    language: LANGUAGE = "en",
) -> None:
    """Withdraw a referral for its sender, which cannot do it itself."""
    ask(
        session.out,
        lambda: effects_of_end(session.hub.referral(referral), language, erases=False),
        question("withdraw_for", language, organization=organization),
        language,
        yes=yes,
    )
    submitted = session.hub.withdraw_for(referral, organization, reason)
    show_submitted(session.out, submitted, recorded("withdraw", language), language=language)


def revoke_consent(
    session: Session,
    referral: REFERRAL,
    organization: ACTS_FOR,
    yes: YES = False,
    language: LANGUAGE = "en",
) -> None:
    """Record that the person withdrew the consent, for the sender or the acceptor.

    The referral ends, and its case and the content of its history are erased.
    """
    ask(
        session.out,
        lambda: effects_of_end(session.hub.referral(referral), language, erases=True),
        question("revoke_for", language, organization=organization),
        language,
        yes=yes,
    )
    submitted = session.hub.withdraw_for(referral, organization, "consent_revoked")
    show_submitted(session.out, submitted, recorded("revoke", language), language=language)
