"""The newest observation of each organisation, and the observations of an earlier moment.

A decision reads the observations of the services that may be asked. Its record holds those of all candidates,
and is made later. `ObservationsThen` therefore stays as it was, without a copy: a change keeps the values
that it replaces for as long as somebody may read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.routing.domain.observation import NOTHING_OBSERVED, Observation


class _Change:
    """A change of observations. before: the values that it replaced; None until it happens."""

    __slots__ = ("before", "following")

    def __init__(self) -> None:
        self.before: Mapping[str, Observation] | None = None
        self.following: _Change | None = None


class Observations:
    """The newest observations by organisation. One writer at a time; readers may be in other threads."""

    def __init__(self, observed: Mapping[str, Observation] | None = None) -> None:
        self._newest: dict[str, Observation] = dict(observed or {})
        self._next = _Change()

    def of(self, organization: str) -> Observation:
        """Return the newest observation of an organisation."""
        return self._newest.get(organization, NOTHING_OBSERVED)

    def all(self) -> list[Observation]:
        """Return the newest observations of all organisations that were ever observed."""
        return list(self._newest.values())

    def update(self, observed: Mapping[str, Observation]) -> None:
        """Replace the observations of these organisations."""
        change = self._next
        change.following = self._next = _Change()
        change.before = {name: self.of(name) for name in observed}
        self._newest.update(observed)

    def then(self, additions: Iterable[Mapping[str, Observation]] = ()) -> ObservationsThen:
        """Return the observations as they are now, with `additions`, which the caller must not change."""
        return ObservationsThen(self._newest, self._next, tuple([some for some in additions if some]))


class ObservationsThen:
    """The observations of one moment, however late they are read."""

    __slots__ = ("_added", "_additions", "_newest", "_next")

    def __init__(
        self,
        newest: Mapping[str, Observation],
        next_change: _Change,
        additions: tuple[Mapping[str, Observation], ...],
    ) -> None:
        self._newest = newest
        self._next = next_change
        self._additions = additions
        self._added: dict[str, Observation] = {}

    def __call__(self, organization: str) -> Observation:
        """Return the observation of an organisation."""
        # The newest value first: a writer in another thread keeps a value before it replaces it.
        seen = self._newest.get(organization, NOTHING_OBSERVED)
        change = self._next
        if change.before is None and not self._additions:
            return seen
        if organization in self._added:
            return self._added[organization]
        while change.before is not None:
            if organization in change.before:
                seen = change.before[organization]
                break
            assert change.following is not None
            change = change.following
        if self._additions:
            is_changed = False
            for some in self._additions:
                if organization in some:
                    seen, is_changed = seen.plus(some[organization]), True
            if is_changed:
                self._added[organization] = seen
        return seen
