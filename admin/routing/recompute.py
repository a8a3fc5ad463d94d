"""`kopuro routing recompute`: makes stored decisions again and compares them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice

from admin.routing.stored import Stored
from contracts.records import dump, plain
from kopuro_client.commands.counts import count
from kopuro_client.commands.output import Output
from services.routing.domain.recomputation import (
    MOST_DIFFERENCES,
    Erased,
    NotReproducible,
    OfAnotherBuild,
    completed,
    differences,
)
from services.routing.domain.stored_decision import StoredDecision


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionMismatch:
    """A decision or a table that has changed. where: its name; what: a sentence."""

    where: str
    what: str
    pointers: Sequence[str] = ()


@dataclass(kw_only=True, slots=True)
class Recomputed:
    """equal: decisions made again with the same bytes. skipped: reasons by decision, if it cannot be made."""

    equal: int = 0
    mismatches: list[DecisionMismatch] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def decisions(self) -> int:
        """The number of decisions that could be made again."""
        return self.equal + sum(one.where.startswith("decision ") for one in self.mismatches)


def recompute(stored: Stored, decisions: Sequence[StoredDecision]) -> Recomputed:
    """Make the decisions again. decisions: by ascending version of the directory."""
    result = Recomputed()
    for decision in decisions:
        where = f"decision {decision.id}"
        try:
            again = stored.again(decision)
        except (OfAnotherBuild, Erased) as reason:
            result.skipped[decision.id] = str(reason)
            continue
        except NotReproducible as reason:
            result.mismatches.append(DecisionMismatch(where=where, what=str(reason)))
            continue
        values = completed(decision.values)
        found = tuple(islice(differences(values, plain(again)), MOST_DIFFERENCES))
        # The bytes count too. Those of an earlier build lack members.
        is_equal = dump(again) == decision.record or (values is not decision.values and not found)
        if is_equal and decision.values["id"] == decision.id:
            result.equal += 1
            continue
        what = "the stored record is not what the recorded inputs lead to"
        result.mismatches.append(DecisionMismatch(where=where, what=what, pointers=found))
    result.mismatches += [DecisionMismatch(where=where, what=what) for where, what in stored.faults.items()]
    return result


def report(result: Recomputed, out: Output) -> None:
    """Print the result: what differs, and how many decisions are equal."""
    if out.as_json:
        out.document(
            {
                "decisions": result.decisions,
                "equal": result.equal,
                "mismatches": [asdict(one) for one in result.mismatches],
                "skipped": result.skipped,
            }
        )
        return
    for one in result.mismatches:
        places = f": {', '.join(one.pointers)}" if one.pointers else ""
        out.text(f"{one.where}: {one.what}{places}")
    out.text(f"{result.equal} of {count(result.decisions, 'decision')} are equal")
    for reason, number in Counter(result.skipped.values()).items():
        out.note(f"{count(number, 'decision')} not recomputed: {reason}")
