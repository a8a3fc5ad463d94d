"""The one place that admits or refuses the caller of a resource."""

from __future__ import annotations

from dataclasses import replace

from runtime.access.standing import IsExcluded, excluded_refusal, exempt_from_exclusion
from runtime.access.tokens import Principal, TokenVerifier, permit


class Gate:
    """Checks the token, its roles, and that its organisation may use the hub."""

    def __init__(self, verifier: TokenVerifier, is_excluded: IsExcluded) -> None:
        self._verifier = verifier
        self._is_excluded = is_excluded

    def admit(
        self, authorization: str | None, roles: frozenset[str], *, open_to_excluded: bool = False
    ) -> Principal:
        """Return the caller. authorization: the request's header; roles: the resource's.

        open_to_excluded: admit an excluded organisation too; then `Principal.excluded` is True and the
        handler decides. Raises Refused: what `TokenVerifier.authenticate` and `permit` raise, and `forbidden`
        for an excluded organisation.
        """
        principal = self._verifier.authenticate(authorization)
        permit(principal, roles)
        if exempt_from_exclusion(principal.roles) or not self._is_excluded(principal.id):
            return principal
        if not open_to_excluded:
            raise excluded_refusal()
        return replace(principal, excluded=True)
