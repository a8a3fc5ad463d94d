"""A policy's document: JSON in a file, in the database and in the log. All interfaces parse it here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import orjson

from contracts.byte_order_mark import without_mark
from contracts.canonical import canonical_json
from contracts.codes import Urgency
from contracts.errors import PointerError, Refused, pointer
from contracts.json_faults import malformed_json
from contracts.json_limits import MAXIMUM_DEPTH, MOST_VALUES, is_too_deep, is_too_large
from contracts.json_names import repeated_name
from contracts.records import load, plain
from services.routing.domain.policy import HOLDS_FOR, RoutingPolicy
from services.routing.domain.policy_bounds import out_of_bounds

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR

# The shortest answer deadline, except for practice: in less time nobody can read an offer and answer it, and
# every referral would pass all candidates without an answer.
SHORTEST_ANSWER: Final = 5 * 60
# The longest answer deadlines: a silent organisation keeps a person waiting for this long.
LONGEST_ANSWER: Final[Mapping[Urgency, int]] = {
    Urgency.emergency: _DAY,
    Urgency.urgent: 14 * _DAY,
    Urgency.routine: 60 * _DAY,
}
# The longest times until an acceptor must report: nobody notices a silent acceptor earlier.
LONGEST_REPORT: Final[Mapping[Urgency, int]] = {
    Urgency.emergency: 14 * _DAY,
    Urgency.urgent: 60 * _DAY,
    Urgency.routine: 366 * _DAY,
}
# The shortest time until an acceptor must report, except for practice: in less, every acceptor is overdue.
SHORTEST_REPORT: Final = 15 * 60


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyDocument:
    """A policy with its content as JSON values, defaults included, and the content's digest.

    digest: hexadecimal SHA-256 of the content's canonical JSON (RFC 8785).
    """

    policy: RoutingPolicy
    content: Mapping[str, Any]
    digest: str

    @property
    def version(self) -> str:
        """The name that decisions record."""
        return self.policy.version


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfiguredPolicy:
    """The policy that a hub without one begins with. written: the members of its file, without defaults."""

    document: PolicyDocument
    written: Mapping[str, Any] = field(default_factory=dict)

    def is_kept_by(self, other: PolicyDocument) -> bool:
        """Return whether the other policy has all that the file says.

        Members that the file omits may differ: a release may change their defaults, and a hub keeps those
        with which its policy was applied.
        """
        return _same(self.written, self.document.content, other.content)


def _same(written: Mapping[str, Any], here: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    return all(
        name in there
        and (
            _same(value, here[name], there[name])
            if isinstance(value, Mapping) and isinstance(there[name], Mapping)
            else here[name] == there[name]
        )
        for name, value in written.items()
    )


def document_of(policy: RoutingPolicy) -> PolicyDocument:
    """Return the policy's document."""
    content = plain(policy)
    return PolicyDocument(policy=policy, content=content, digest=digest_of(content))


def digest_of(content: Mapping[str, Any]) -> str:
    """Return the hexadecimal SHA-256 of the content's canonical JSON."""
    return sha256(canonical_json(content)).hexdigest()


def parse_policy(text: bytes) -> PolicyDocument:
    """Return the policy of a JSON document, with or without a byte order mark.

    Raises Refused with a pointer for each error: JSON that is not well formed, or has too many values or
    levels, repeated names, members that the contract refuses, a missing version, and rules that would leave
    referrals without offers (`starving`).
    """
    text = without_mark(text)
    try:
        written = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise malformed_json(text, error, called="The policy") from None
    if is_too_large(written):
        raise Refused("body-too-large", f"A policy has at most {MOST_VALUES} values.")
    if is_too_deep(written):
        raise Refused("malformed-json", f"The policy is nested more than {MAXIMUM_DEPTH} levels deep.")
    if (path := repeated_name(text, written)) is not None:
        where = PointerError(pointer=pointer(path), detail="The name appears twice in its object.")
        raise Refused("duplicate-name", "Remove the repeated name.", errors=(where,))
    return checked_policy(load(RoutingPolicy, written), names_version="version" in written)


def configured_policy(text: bytes) -> ConfiguredPolicy:
    """Return the policy of a JSON document with the members that it has.

    Raises Refused as `parse_policy` does.
    """
    return ConfiguredPolicy(document=parse_policy(text), written=orjson.loads(without_mark(text)))


def checked_policy(policy: RoutingPolicy, *, names_version: bool, within: str = "") -> PolicyDocument:
    """Return the document of a policy that the contract admits.

    names_version: whether its JSON has the member. within: the pointer to the policy in a larger document.
    Raises Refused with a pointer for each error: a missing version, and rules that would leave referrals
    without offers (`starving`).
    """
    errors = list(starving(policy))
    if not names_version or not policy.version.strip():
        detail = "Name the policy's version: decisions record it."
        errors.insert(0, PointerError(pointer="/version", detail=detail))
    elif not policy.version.isprintable():
        # PostgreSQL cannot store NUL, and terminals act on others.
        detail = "Must not contain control characters."
        errors.insert(0, PointerError(pointer="/version", detail=detail))
    if errors:
        errors = [PointerError(pointer=within + error.pointer, detail=error.detail) for error in errors]
        places = ", ".join(error.pointer for error in errors)
        raise Refused("invalid-submission", f"Correct {places}.", errors=errors)
    return document_of(policy)


def starving(policy: RoutingPolicy) -> Iterator[PointerError]:
    """Yield what is well formed but would leave people without offers, or without an order of candidates."""
    if not any(policy.weights.by_name().values()):
        detail = "All weights are 0: only chance would order the candidates. Give at least one a weight."
        yield PointerError(pointer="/weights", detail=detail)
    for urgency, longest in LONGEST_ANSWER.items():
        if policy.deadlines(urgency).answer > longest:
            detail = f"At most {longest} seconds: a silent organisation would keep the person waiting."
            yield PointerError(pointer=f"/{urgency}/answer", detail=detail)
        elif policy.deadlines(urgency).answer < SHORTEST_ANSWER and not policy.practice:
            detail = (
                f"At least {SHORTEST_ANSWER} seconds: nobody could answer in time. "
                "Set `practice` on a hub where no person waits."
            )
            yield PointerError(pointer=f"/{urgency}/answer", detail=detail)
    yield from _unnoticed(policy)
    for urgency, index in policy.escalation.out_of_order():
        detail = "Must be greater than the step before it."
        yield PointerError(pointer=f"/escalation/{urgency}/{index}/at", detail=detail)
    yield from out_of_bounds(policy)
    bounds = policy.offers_per_sender
    if bounds.most is not None and bounds.most < bounds.least:
        detail = f"Must not be less than `least` ({bounds.least})."
        yield PointerError(pointer="/offers_per_sender/most", detail=detail)


def _unnoticed(policy: RoutingPolicy) -> Iterator[PointerError]:
    """Yield the deadlines that would leave a silent acceptor unnoticed."""
    for urgency, longest in LONGEST_REPORT.items():
        deadlines = policy.deadlines(urgency)
        detail = f"At most {longest} seconds: a silent acceptor would keep the person waiting."
        if deadlines.progress < SHORTEST_REPORT and not policy.practice:
            early = (
                f"At least {SHORTEST_REPORT} seconds: every acceptor would be overdue at once. "
                "Set `practice` on a hub where no person waits."
            )
            yield PointerError(pointer=f"/{urgency}/progress", detail=early)
        if deadlines.on_hold is not None and deadlines.on_hold < SHORTEST_REPORT and not policy.practice:
            early = (
                f"At least {SHORTEST_REPORT} seconds: a referral on hold would be overdue at once. "
                "Set `practice` on a hub where no person waits."
            )
            yield PointerError(pointer=f"/{urgency}/on_hold", detail=early)
        if deadlines.progress > longest:
            yield PointerError(pointer=f"/{urgency}/progress", detail=detail)
        elif deadlines.next_report(on_hold=True) > longest:
            place = "on_hold" if deadlines.on_hold is not None else "progress"
            if place == "progress":
                detail = (
                    f"{detail} Without `on_hold` a referral may be on hold for {HOLDS_FOR} times as long."
                )
            yield PointerError(pointer=f"/{urgency}/{place}", detail=detail)
