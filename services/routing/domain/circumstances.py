"""Inputs of the rules and scores besides the candidate: the referral and the present network."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from contracts.codes import DisclosureClass
from contracts.quick_init import quick_init
from contracts.referral import ReferralFacts
from contracts.vocabularies import country_of, sensitive_needs
from services.routing.domain.chain import Chain
from services.routing.domain.directory import Directory
from services.routing.domain.disclosure import disclosure_class
from services.routing.domain.observation import Observation
from services.routing.domain.places import OffersPerSender


def sensitive_among(needs: Iterable[str]) -> tuple[str, ...]:
    """Return the sensitive needs among these, each once."""
    listed = sensitive_needs()
    return tuple([need for need in dict.fromkeys(needs) if need in listed])


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """The rules' inputs besides the candidate: the referral and the current state of the network."""

    referral_id: str
    sender: str
    facts: ReferralFacts
    # Organisations that already received an offer for this referral (`consequences.asked_before`).
    asked: frozenset[str]
    directory: Directory
    # Returns the observations of an organisation so far. A decision's record calls it later and must get the
    # same.
    observed: Callable[[str], Observation]
    now: dt.datetime
    # The policy's bounds on the sender's open offers at one candidate.
    offers_per_sender: OffersPerSender = field(default_factory=OffersPerSender)
    # When each organisation declined this referral for lack of capacity, if that was its last offer.
    declined_as_full: Mapping[str, dt.datetime] = field(default_factory=dict)
    # Why organisations will not or may not help the person (`consequences.declined_for_person`).
    declined_for_person: Mapping[str, str] = field(default_factory=dict)
    # The referrals that the sender refers onward with this one.
    chain: Chain | None = None
    # How long a decline for lack of capacity counts, for a referral of this urgency.
    full_for: dt.timedelta = dt.timedelta()
    # The needs of the whole referral, for a part; empty for a referral that is not a part.
    whole_needs: tuple[str, ...] = ()
    # Whether a further sensitive need requires the approval of a service that serves this person. False for a
    # decision of an earlier build, for which the approval of any service of the organisation sufficed.
    approvals_serve_person: bool = True
    # Whether an organisation that no offer has judged may be equal to others (`fairness.py`). False for a
    # decision of an earlier build.
    unknown_may_be_equal: bool = True
    # The following fields are the same for every candidate and are computed once.
    # The first need must be met. Further needs count in the score; in a part, they must be met too.
    principal_need: str = field(init=False, repr=False)
    # The sensitive needs of the case. The receiver learns all of them, so each requires an approval.
    sensitive: tuple[str, ...] = field(init=False, repr=False)
    # The class of data that the agreements must allow the sender to disclose.
    disclosure: DisclosureClass = field(init=False, repr=False)
    # The person's region and its country.
    places: frozenset[str] = field(init=False, repr=False)
    # Keyed by need, for the principal need and each sensitive one: the agreements that allow the sender to
    # disclose it.
    agreements: Mapping[str, frozenset[str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        needs, region = self.facts.needs, self.facts.region
        # The acceptor of a part receives the case of the whole.
        told = self.whole_needs or needs
        sensitive = sensitive_among(told)
        disclosure = disclosure_class(told, self.facts.special_categories)
        agreements = {
            need: self.directory.agreements_of(self.sender, need, disclosure, self.now.date())
            for need in (needs[0], *sensitive)
        }
        object.__setattr__(self, "principal_need", needs[0])
        object.__setattr__(self, "sensitive", sensitive)
        object.__setattr__(self, "disclosure", disclosure)
        object.__setattr__(self, "places", frozenset((region, country_of(region))))
        object.__setattr__(self, "agreements", agreements)

    @property
    def is_for_all_needs(self) -> bool:
        """Whether the organisation has to meet every need: no other part has those that it leaves."""
        return bool(self.whole_needs) and len(self.facts.needs) > 1
