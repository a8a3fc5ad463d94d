"""The mutations, each of which removes one guarantee, and the tests that must fail."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """Replaces `old`, which occurs once in the file at `path`, with `new`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutation:
    """tests: as few as will do; at least one of them must fail. reason: a regular expression that must match
    the output.

    seed: of a simulation that failed for the mutation. It runs first, and the others only if it passes.

    slow: left to `make mutation`, because the tests need a broker or fail only after a wait.
    """

    name: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]
    reason: str = ""
    seed: int | None = None
    slow: bool = False

    @property
    def service(self) -> str | None:
        """Return the service that has all edits, if its own unit tests are all tests; otherwise None."""
        edited = {_part(edit.path, "services/") for edit in self.edits}
        tested = {_part(test, "tests/unit/services/") for test in self.tests}
        return edited.pop() if edited == tested and len(edited) == 1 else None


def _part(path: str, folder: str) -> str | None:
    return path.removeprefix(folder).partition("/")[0] if path.startswith(folder) else None


_DATABASE = "runtime/storage/database.py"
_RELAY = "runtime/messaging/outbox/relay.py"
_PUBLISHER = "runtime/messaging/rabbit/publisher.py"
_OFFER = "services/routing/domain/offer.py"
_SPLITTING = "tests/unit/services/routing/domain/test_splitting.py"
SIMULATION = "tests/simulation/test_simulation.py::test_fixed_seeds_keep_the_invariants"
# The output of a simulation that fails. A test that cannot run does not print it.
_STORY_FAILS = "AssertionError: story"

_ACKNOWLEDGED_FIRST = (
    Edit(
        path="runtime/entrypoints/batches.py",
        old="            self._work(deliveries)\n",
        new="            consumer.acknowledge(deliveries)\n"
        "            self._work(deliveries)\n"
        "            return\n",
    ),
)

_ALL_ADMITTED = (
    Edit(
        path="runtime/messaging/inbox.py",
        old="        return {keys[key] for key in entered.scalars()}",
        new="        return set(messages)",
    ),
)

_WHOLE_WAVE_DELETED = (
    Edit(
        path=_RELAY,
        old="self._forget(waiting[: error.confirmed])",
        new="self._forget(waiting)",
    ),
)

MUTATIONS = (
    Mutation(
        name="the publisher does not wait for confirms",
        edits=(Edit(path=_PUBLISHER, old="failure = self._await_confirms()", new='failure = ""'),),
        tests=(
            "tests/messaging/test_rabbitmq.py::test_missing_confirm_times_out_and_late_confirm_is_ignored",
        ),
        slow=True,
    ),
    Mutation(
        name="the mandatory flag is off",
        edits=(Edit(path=_PUBLISHER, old="mandatory=not message.transient", new="mandatory=False"),),
        tests=(
            "tests/port_contracts/test_broker.py::test_unroutable_message_ends_the_confirmed_part_of_a_wave",
        ),
        slow=True,
    ),
    Mutation(
        name="a consumer ignores missing heartbeats",
        edits=(
            Edit(
                path="runtime/messaging/rabbit/connection.py",
                old="self._link.heartbeat_tick()",
                new="pass",
            ),
        ),
        tests=("tests/faults/test_links.py::test_half_open_connection_is_detected_within_two_heartbeats",),
        slow=True,
    ),
    Mutation(
        name="a batch is acknowledged before its commit",
        edits=_ACKNOWLEDGED_FIRST,
        tests=(
            "tests/messaging/test_entrypoints.py::test_batch_is_acknowledged_only_after_processing[memory]",
        ),
        slow=True,
    ),
    Mutation(
        name="a killed service has acknowledged before its commit",
        edits=_ACKNOWLEDGED_FIRST,
        tests=(
            "tests/crash/test_consumers.py::"
            "test_mailbox_has_fact_once_when_delivery_is_killed[before_commit-1-0]",
        ),
        slow=True,
    ),
    Mutation(
        name="the inbox admits everything",
        edits=_ALL_ADMITTED,
        tests=("tests/messaging/test_batches.py::test_redelivered_message_takes_effect_once",),
    ),
    Mutation(
        name="synchronous=OFF instead of FULL",
        edits=(
            Edit(path=_DATABASE, old='"PRAGMA synchronous=FULL"', new='"PRAGMA synchronous=OFF"'),
            Edit(path=_DATABASE, old='level = "FULL" if', new='level = "OFF" if'),
        ),
        tests=("tests/storage/test_database.py::test_commit_waits_for_disk_by_default",),
    ),
    Mutation(
        name="no commit waits for the disk",
        edits=(Edit(path=_DATABASE, old="_DURABLE: durable,", new="_DURABLE: False,"),),
        tests=("tests/storage/test_database.py::test_commit_waits_for_disk_by_default",),
    ),
    Mutation(
        name="several active consumers on a queue",
        edits=(
            Edit(
                path="contracts/topology/queues.py",
                old='"x-single-active-consumer": True',
                new='"x-single-active-consumer": False',
            ),
        ),
        tests=("tests/unit/contracts/test_topology.py::test_work_queue_has_a_single_active_consumer",),
    ),
    Mutation(
        name="an offer is closed whatever its state",
        edits=(
            Edit(
                path="services/routing/adapters/statements.py",
                old="WHERE id = ANY (?) AND state = ?",
                new="WHERE id = ANY (?) AND ? <> ''",
            ),
        ),
        tests=(
            "tests/unit/services/routing/test_handlers.py::"
            "test_offer_closed_by_another_process_is_not_closed_again",
        ),
    ),
    Mutation(
        name="a used Idempotency-Key is ignored",
        edits=(
            Edit(
                path="services/intake/commits.py",
                old="    known = used.get(place)\n",
                new="    known = None\n",
            ),
        ),
        tests=(
            "tests/unit/services/intake/test_idempotency.py::"
            "test_repeated_request_returns_first_id_and_writes_nothing",
        ),
    ),
    Mutation(
        name="an organisation that nobody has asked waits for exploration",
        edits=(
            Edit(
                path="services/routing/domain/decision.py",
                old="    if not explores or not fairness.few:\n",
                new="    if True:\n",
            ),
        ),
        tests=(
            "tests/unit/services/routing/domain/test_fairness.py::"
            "test_unknown_organization_is_equal_to_one_that_answers_promptly",
        ),
    ),
    Mutation(
        name="the beginning of an agreement is left to the review of the day",
        edits=(
            Edit(
                path="services/routing/handlers/unplaced.py",
                old="        if self._reviewed is not None and today != self._reviewed:\n",
                new="        if False:\n",
            ),
        ),
        tests=(
            "tests/unit/services/routing/test_unplaced.py::"
            "test_agreement_that_begins_places_referrals_before_the_review_comes_to_them",
        ),
    ),
    Mutation(
        name="a change that overtakes a decision is forgotten",
        edits=(
            Edit(
                path="services/routing/handlers/unplaced.py",
                old="            if (trigger := present.trigger_after(basis)) is not None:\n",
                new="            if (trigger := present.trigger_after(present)) is not None:\n",
            ),
        ),
        tests=(
            "tests/unit/services/routing/test_unplaced.py::"
            "test_referral_whose_decision_a_change_overtakes_is_decided_again",
        ),
    ),
    Mutation(
        name="a decision is made while a replaced change of the directory is missing",
        edits=(
            Edit(
                path="services/routing/live_directory.py",
                old="            if gives_way:\n",
                new="            if True:\n",
            ),
        ),
        tests=(
            "tests/unit/admin/test_routing_recompute.py::"
            "test_decisions_between_the_changes_of_a_page_are_equal_elsewhere",
        ),
    ),
    Mutation(
        name="every person has opted in to consulates",
        edits=(
            Edit(
                path="services/routing/domain/consent_rules.py",
                old="if kind is None or kind in given.facts.consent.opt_in_kinds:",
                new="if True:",
            ),
        ),
        tests=("tests/unit/services/routing/domain/test_rules.py::test_broken_rule_is_the_only_failure",),
    ),
    Mutation(
        name="the vault accepts a case sealed to any key",
        edits=(
            Edit(
                path="services/vault/releases.py",
                old="if self._keys.accepts(receiver, kid, now):",
                new="if self._keys.accepts(receiver, kid, now) or True:",
            ),
        ),
        tests=(
            "tests/unit/services/vault/test_handlers.py::"
            "test_case_sealed_to_unknown_key_is_refused_after_patience",
        ),
    ),
    Mutation(
        name="intake accepts a case sealed to any key",
        edits=(
            Edit(
                path="services/intake/domain/sealing.py",
                old='    if kid not in kids:\n        raise not_sealed(pointer, "The JWE is not',
                new='    if not kid:\n        raise not_sealed(pointer, "The JWE is not',
            ),
        ),
        tests=(
            "tests/unit/services/intake/domain/test_sealing.py::test_case_sealed_to_other_key_is_refused",
        ),
    ),
    Mutation(
        name="a service may sign facts that another one owns",
        edits=(
            Edit(
                path="runtime/messaging/signatures/verifier.py",
                old="if author not in self._owners(routing_key_of(type_)):",
                new="if not self._owners(routing_key_of(message.type)):",
            ),
        ),
        tests=(
            "tests/unit/runtime/messaging/signatures/test_verifier.py::"
            "test_service_cannot_sign_a_fact_that_another_owns",
        ),
    ),
    Mutation(
        name="a signature covers any event",
        edits=(
            Edit(
                path="runtime/messaging/signatures/verifier.py",
                old="if digest(body) not in digests:",
                new="if not digests:",
            ),
        ),
        tests=(
            "tests/messaging/test_authenticity.py::"
            "test_forgeries_are_dead_lettered_with_the_failed_check_and_others_pass",
        ),
    ),
    Mutation(
        name="the vault releases a case during a pause",
        edits=(
            Edit(
                path="services/vault/releases.py",
                old="        if key is None or self.paused_until(acceptor, now) is not None:\n",
                new="        if key is None:\n",
            ),
        ),
        tests=(
            "tests/unit/services/vault/test_handlers.py::"
            "test_release_to_a_replaced_key_waits_until_the_pause_is_over",
        ),
    ),
    Mutation(
        name="the vault releases a case although it knows no key of the acceptor",
        edits=(
            Edit(
                path="services/vault/releases.py",
                old="        if key is None or self.paused_until(acceptor, now) is not None:\n",
                new="        if self.paused_until(acceptor, now) is not None:\n",
            ),
            Edit(
                path="services/vault/releases.py",
                old="        else:\n            try:\n                compact",
                new="        elif key is None:\n            return None\n"
                "        else:\n            try:\n                compact",
            ),
        ),
        tests=(
            "tests/unit/services/vault/test_handlers.py::"
            "test_case_for_an_acceptor_whose_key_is_not_known_is_released_once_the_key_is_known",
        ),
    ),
    Mutation(
        name="an organisation accepts an offer whose approval has ended",
        edits=(
            Edit(
                path="services/routing/domain/lifecycle.py",
                old="    elif not context.is_approved(referral, offer):\n",
                new="    elif False:\n",
            ),
        ),
        tests=(
            "tests/unit/services/routing/domain/test_unapproved.py::"
            "test_acceptance_after_the_end_of_the_approval_is_refused_and_the_next_is_asked",
        ),
    ),
    Mutation(
        name="an organisation accepts an offer whose agreement has ended",
        edits=(
            Edit(
                path="services/routing/domain/lifecycle.py",
                old="    elif not context.has_agreement(referral, offer):\n",
                new="    elif False:\n",
            ),
        ),
        tests=(
            "tests/unit/services/routing/domain/test_ended_agreements.py::"
            "test_acceptance_after_the_end_of_the_agreement_is_refused_and_the_next_is_asked",
        ),
    ),
    Mutation(
        name="an organisation accepts an offer that the consent does not cover any more",
        edits=(
            Edit(
                path="services/routing/domain/lifecycle.py",
                old="    elif not context.has_consent(referral, offer):\n",
                new="    elif False:\n",
            ),
        ),
        tests=(
            "tests/unit/services/routing/domain/test_changed_organizations.py::"
            "test_acceptance_of_an_organization_that_the_consent_does_not_cover_is_refused",
        ),
    ),
    Mutation(
        name="a fact that is dated ahead takes effect",
        edits=(
            Edit(
                path="runtime/messaging/batches.py",
                old="        if message.time > now + MOST_AHEAD:\n",
                new="        if False:\n",
            ),
        ),
        tests=(
            "tests/messaging/test_authenticity.py::"
            "test_message_dated_ahead_takes_no_effect_and_is_reported_as_a_clock_that_is_ahead",
        ),
    ),
    Mutation(
        name="a later client refuses the request of an earlier one",
        edits=(
            Edit(
                path="services/directory/handlers/approvals.py",
                old="            approval = refused(found, by, at=writing.now, has_power=has_power)\n",
                new="            approval = refused(found, by, at=writing.now)\n",
            ),
        ),
        tests=(
            "tests/unit/services/directory/handlers/test_sealing_keys.py::"
            "test_later_client_does_not_refuse_the_request_of_an_earlier_one",
        ),
    ),
    Mutation(
        name="a password outlives the client that set it",
        edits=(
            Edit(
                path="services/directory/handlers/credentials.py",
                old="            end_password_of(writing, revoked, by=by)\n",
                new="",
            ),
        ),
        tests=(
            "tests/unit/services/directory/handlers/test_amqp_passwords.py::"
            "test_password_ends_with_the_client_that_set_it",
        ),
    ),
    Mutation(
        name="the relay deletes a wave before it publishes it",
        edits=(
            Edit(
                path=_RELAY,
                old="        started = time.monotonic()\n        try:",
                new="        started = time.monotonic()\n        self._forget(waiting)\n        try:",
            ),
        ),
        tests=("tests/messaging/test_relay.py::test_unexpected_publisher_error_deletes_no_message",),
    ),
    Mutation(
        name="an incomplete wave is deleted as a whole",
        edits=_WHOLE_WAVE_DELETED,
        tests=(
            "tests/messaging/test_relay.py::test_unconfirmed_messages_stay_in_outbox_and_are_published_in_order",
        ),
    ),
    Mutation(
        name="a simulated inbox admits everything",
        edits=_ALL_ADMITTED,
        tests=(SIMULATION,),
        seed=1000,
        reason=_STORY_FAILS,
    ),
    Mutation(
        name="no day's beginning lets simulated referrals be decided again",
        edits=(
            Edit(
                path="services/routing/handlers/unplaced.py",
                old="        if self._reviewed is not None and today != self._reviewed:\n",
                new="        if False:\n",
            ),
            Edit(
                path="services/routing/handlers/unplaced.py",
                old="        if replaces or today != self._reviewed:\n",
                new="        if replaces:\n",
            ),
        ),
        tests=(SIMULATION,),
        seed=4,
        reason=_STORY_FAILS,
    ),
    Mutation(
        name="a simulated incomplete wave is deleted as a whole",
        edits=_WHOLE_WAVE_DELETED,
        tests=(SIMULATION,),
        seed=30,
        reason=_STORY_FAILS,
    ),
    Mutation(
        name="the broker loses confirmed messages",
        edits=(
            Edit(
                path="tests/simulation/broker.py",
                old="        return _ROUTES[place]\n",
                new="        queues = _ROUTES[place]\n"
                '        lost = message.message_id.endswith("7") and len(queues) > 1\n'
                "        return set(sorted(queues)[1:]) if lost else queues\n",
            ),
        ),
        tests=(SIMULATION,),
        seed=841532403,
        reason=_STORY_FAILS,
    ),
    Mutation(
        name="an answer after the deadline is accepted",
        edits=(Edit(path=_OFFER, old="    if admitted_at > offer.deadline:\n", new="    if False:\n"),),
        tests=(SIMULATION,),
        seed=30,
        reason="an answer that came late was taken",
    ),
    Mutation(
        name="the note of a refused decline is forwarded",
        edits=(
            Edit(
                path="services/vault/notes.py",
                old="    took_effect = batch.answers.get(submission)\n",
                new="    took_effect = True if custody.sender is not None else None\n",
            ),
        ),
        tests=(SIMULATION,),
        seed=0,
        reason="the note of refused answer",
    ),
    Mutation(
        name="a webhook connects to any address",
        edits=(
            Edit(
                path="services/delivery/webhooks/domain/addresses.py",
                old="    if not may_connect(address, permitted):\n",
                new="    if not address:\n",
            ),
        ),
        tests=("tests/unit/services/delivery/webhooks/test_http_sender.py",),
        reason="test_sender_connects_to_no_address_that_is_not_public",
    ),
    Mutation(
        name="an endpoint is verified without repeating the challenge",
        edits=(
            Edit(
                path="services/delivery/webhooks/outcomes.py",
                old="        if is_challenge and not answers_challenge",
                new="        if False and not answers_challenge",
            ),
        ),
        tests=("tests/unit/services/delivery/webhooks/test_webhooks.py",),
        reason="test_endpoint_that_does_not_repeat_challenge_gets_no_notice",
        slow=True,
    ),
    Mutation(
        name="a notice does not wait for the earlier ones of its referral",
        edits=(
            Edit(
                path="services/delivery/webhooks/adapters/sql_notices.py",
                old="AND p.sequence < n.sequence",
                new="AND p.sequence < 0",
            ),
        ),
        tests=("tests/unit/services/delivery/webhooks/test_webhooks.py",),
        reason="test_order_is_kept_within_a_referral_only",
        slow=True,
    ),
    Mutation(
        name="a case that arrives after its hand-back is kept",
        edits=(
            Edit(
                path="services/delivery/incoming.py",
                old=" or fact.offer_id in ended:\n",
                new=":\n",
            ),
        ),
        tests=("tests/unit/services/delivery/test_standings.py",),
        reason="test_case_that_arrives_after_the_end_of_its_acceptance_is_not_kept",
        slow=True,
    ),
    Mutation(
        name="an expired offer takes no answer",
        edits=(
            Edit(
                path=_OFFER,
                old="    OfferState.expired: {\n"
                "        OfferEvent.accept: OfferState.accepted,\n"
                "        OfferEvent.decline: OfferState.declined,\n"
                "    },\n",
                new="    OfferState.expired: {},\n",
            ),
        ),
        tests=(SIMULATION,),
        seed=1007,
        reason="an answer in time was refused",
    ),
    Mutation(
        name="a second organisation can accept",
        edits=(
            Edit(
                path=_OFFER,
                old="    OfferState.declined: {},\n",
                new="    OfferState.declined: {OfferEvent.accept: OfferState.accepted},\n",
            ),
            Edit(
                path=_OFFER,
                old="    OfferState.revoked: {},\n",
                new="    OfferState.revoked: {OfferEvent.accept: OfferState.accepted},\n",
            ),
            Edit(
                path="services/routing/domain/referral.py",
                old="    _S.accepted: {\n",
                new="    _S.accepted: {\n        _E.accept: _S.accepted,\n",
            ),
        ),
        tests=(SIMULATION,),
        seed=1007,
        reason=_STORY_FAILS,
    ),
    Mutation(
        name="a referral is split without the person's permission",
        edits=(
            Edit(
                path="services/routing/domain/splitting.py",
                old="facts.consent.several_organizations and facts.to is None",
                new="facts.to is None",
            ),
        ),
        tests=(f"{_SPLITTING}::test_referral_stays_whole_without_the_persons_permission",),
    ),
    Mutation(
        name="the parts go on when the whole is withdrawn",
        edits=(
            Edit(
                path="services/routing/domain/split_ends.py",
                old="        linked = _withdrawals(after.part_ids, withdrawn, context)\n",
                new="        linked = ()\n",
            ),
        ),
        tests=(f"{_SPLITTING}::test_withdrawal_of_the_whole_ends_every_open_part_at_once",),
    ),
    Mutation(
        name="the acceptor of a part sees of which referral it is one",
        edits=(
            Edit(
                path="services/routing/domain/view.py",
                old="if whole and referral.part is not None",
                new="if referral.part is not None",
            ),
        ),
        tests=(f"{_SPLITTING}::test_sender_and_staff_see_parts_and_candidates_see_nothing_of_them",),
    ),
    Mutation(
        name="the vault releases parts of a referral that has ended",
        edits=(
            Edit(
                path="services/vault/handlers.py",
                old="        refuse_held(batch, referral_id)\n        let_parts_follow(batch, referral_id)\n",
                new="        refuse_held(batch, referral_id)\n",
            ),
        ),
        tests=(
            "tests/unit/services/vault/test_splitting.py"
            "::test_withdrawn_whole_ends_every_part_even_before_their_own_ends_are_read",
        ),
    ),
    Mutation(
        name="the vault keeps a case that arrives after the end",
        edits=(
            Edit(
                path="services/vault/domain/custody.py",
                old="        CustodyEvent.arrival: CustodyState.erased,\n",
                new="        CustodyEvent.arrival: CustodyState.held,\n",
            ),
        ),
        tests=(SIMULATION,),
        seed=64,
        reason=_STORY_FAILS,
    ),
    Mutation(
        name="delivery keeps the cases of closed referrals",
        edits=(
            Edit(
                path="services/delivery/incoming.py",
                old="self._cases.close(transaction, ends.referrals)",
                new="self._cases.close(transaction, {})",
            ),
        ),
        tests=(SIMULATION,),
        seed=1001,
        reason="delivery (keeps its case|does not know)",
    ),
    Mutation(
        name="delivery keeps the content of messages after the end",
        edits=(
            Edit(
                path="services/delivery/incoming.py",
                old="self._closings.close(transaction, closed)",
                new="self._closings.close(transaction, {})",
            ),
        ),
        tests=(SIMULATION,),
        seed=1000,
        reason="(has ended|is closed) and a mailbox keeps its content",
    ),
    Mutation(
        name="a report shows the row of all others however small it is",
        edits=(
            Edit(
                path="services/routing/domain/withholding.py",
                old="    while rows:\n",
                new="    if rest:\n        return PublishedFigures(total=total, rows={**rows, (): rest})\n"
                "    while rows:\n",
            ),
        ),
        tests=(
            "tests/unit/services/routing/domain/test_withholding.py::test_rows_are_disjoint_true_and_not_small",
        ),
        reason="test_rows_are_disjoint_true_and_not_small",
    ),
    Mutation(
        name="any reference opens any application",
        edits=(
            Edit(
                path="services/directory/domain/application.py",
                old="return hmac.compare_digest(self.reference_sha256, reference_digest(reference))",
                new='return hmac.compare_digest("", "")',
            ),
        ),
        tests=(
            "tests/unit/services/directory/domain/test_application.py"
            "::test_reference_of_another_application_does_not_open_it",
        ),
        reason="test_reference_of_another_application_does_not_open_it",
    ),
    Mutation(
        name="an application that has ended leaves its request to vet it",
        edits=(
            Edit(
                path="services/directory/handlers/applications.py",
                old="            self._approvals.end(writing, application.approval_id, step, by=by)",
                new="            pass",
            ),
        ),
        tests=(
            "tests/unit/services/directory/handlers/test_applications.py"
            "::test_end_of_an_application_ends_the_request_to_vet_it",
        ),
        reason="test_end_of_an_application_ends_the_request_to_vet_it",
    ),
    Mutation(
        name="a placement overrides rules that the coordinator did not see",
        edits=(
            Edit(
                path="services/routing/domain/open_offers.py",
                old="if rule not in placement.overridden",
                new="if not rule",
            ),
        ),
        tests=(
            "tests/unit/services/routing/test_interventions.py"
            "::test_placement_overrides_no_rule_that_the_coordinator_did_not_see",
        ),
        reason="test_placement_overrides_no_rule_that_the_coordinator_did_not_see",
    ),
)
