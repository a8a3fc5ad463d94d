"""Stored decisions, and what is needed to make them again under their own policy or another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.referral import ReferralFacts
from services.routing.domain.decision import Decision, Trigger
from services.routing.domain.directory import Directory
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.recomputation import Erased, NotReproducible, made_again


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredDecision:
    """A decision's record: its bytes, and the JSON values in them. referral_id: as its row has it."""

    id: str
    referral_id: str
    record: bytes
    values: Mapping[str, Any]
    is_erased: bool = False
    # How many offers it opened; None in decisions of earlier builds.
    opened: int | None = None

    @property
    def version(self) -> int:
        """The number of the last change of the directory that it took into account; 0 in a damaged record."""
        version = self.values.get("directory_version")
        return version if type(version) is int and version > 0 else 0

    @property
    def is_search(self) -> bool:
        """Whether routing searched: a coordinator's choice follows from no policy."""
        return bool(self.values.get("trigger") != Trigger.placed_by_coordinator)

    def ranked(self) -> list[str]:
        """Return the organisations in the order of asking, as recorded. Raises NotReproducible."""
        try:
            ranked = [(one["rank"], one["organization"]) for one in self.values["candidates"] if one["rank"]]
            return [organization for _, organization in sorted(ranked)]
        except (KeyError, TypeError) as error:
            raise NotReproducible(f"its record is damaged ({type(error).__name__})") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionSources:
    """The sources from which stored decisions are made again.

    referral_of: returns the sender and the facts of a referral; raises NotReproducible. policies: returns
    those of the hub, by version. directory_at: returns the directory for a decision with this version of it.
    is_present: whether `directory_at` always returns the present directory. Then only organisations that the
    decision considered take part: one that has joined since would be asked first by turn under any policy.
    """

    referral_of: Callable[[str], tuple[str, ReferralFacts]]
    policies: Callable[[], Mapping[str, RoutingPolicy]]
    directory_at: Callable[[int], Directory]
    is_present: bool = False

    def again(self, decision: StoredDecision, policy: RoutingPolicy | None = None) -> Decision:
        """Make the decision again. policy: None for the one that it names. Raises NotReproducible."""
        if decision.is_erased:
            raise Erased("erased after the referral had ended")
        policy = policy or self.policy_of(decision)
        sender, facts = self._referral(decision)
        return made_again(
            decision.values,
            sender=sender,
            facts=facts,
            policy=policy,
            directory=self.directory_at(decision.version),
            only_considered=self.is_present,
        )

    def policy_of(self, decision: StoredDecision) -> RoutingPolicy:
        """Return the policy that the decision names. Raises NotReproducible."""
        version = str(decision.values.get("policy_version"))
        policy = self.policies().get(version)
        if policy is None:
            raise NotReproducible(f"the database has no usable policy {version}")
        return policy

    def facts_of(self, decision: StoredDecision) -> ReferralFacts:
        """Return the facts of the decision's referral. Raises NotReproducible."""
        return self._referral(decision)[1]

    def _referral(self, decision: StoredDecision) -> tuple[str, ReferralFacts]:
        # The id in the record, not that of the row: the record alone leads to the same decision.
        return self.referral_of(str(decision.values.get("referral_id")))
