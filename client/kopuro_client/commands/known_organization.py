"""The check of an organisation's id after a list about it was empty."""

from __future__ import annotations

from typing import Final

from kopuro_client.commands.nearest_organizations import said_nearest
from kopuro_client.commands.session import Session
from kopuro_client.errors import InvalidArgumentError, RefusedError, TransportError, UnavailableError

_NOT_FOUND: Final = "urn:kopuro:problem:not-found"


def require_known(session: Session, organization: str | None) -> None:
    """Raise InvalidArgumentError if the directory has no such organisation.

    Call it after an empty list: for a wrong id the list would read as "nothing waits". While the directory is
    unavailable, a note says that the id was not checked.
    """
    if organization is None:
        return
    try:
        session.hub.organization(organization)
    except RefusedError as error:
        if error.type != _NOT_FOUND:
            raise
        near = said_nearest(session.hub, organization)
        raise InvalidArgumentError(f"the directory has no organisation {organization}{near}") from error
    except (UnavailableError, TransportError):
        session.out.note(f"the directory is unavailable, so it is not known whether {organization} exists")
