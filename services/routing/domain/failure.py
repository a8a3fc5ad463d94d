"""A failed rule with its evidence, and the form of a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.records import dump
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.offered_service import OfferedService

# The member of a failure's detail that states when time alone lets the rule hold again.
UNTIL = "until"


# Not frozen: a decision makes hundreds. Decisions share failures, so nothing may change one.
@dataclass(kw_only=True, slots=True)
class Failure:
    """A failed rule: a reason code, and the evidence in the directory's terms."""

    rule: str
    reason: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    _json: str | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def json(self) -> str:
        """The failure as JSON, which is kept: many candidates and decisions share a failure."""
        if self._json is None:
            self._json = dump(self).decode()
        return self._json


Rule = Callable[[OfferedService, Circumstances], Failure | None]
