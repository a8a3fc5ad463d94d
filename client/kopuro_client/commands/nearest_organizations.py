"""The nearest ids of the directory, for the refusal of an organisation that it does not have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from itertools import islice
from typing import Final

from kopuro_client.client import Kopuro
from kopuro_client.commands.argument_forms import Given
from kopuro_client.errors import PROBLEM, ClientError, InvalidArgumentError, RefusedError

# The arguments and options that take the id of an organisation, in every command that has them.
_NAMES: Final = frozenset({"organization", "to", "why_not", "parent", "sender"})
_UNKNOWN: Final = frozenset({PROBLEM + "not-found", PROBLEM + "unknown-organization"})
_MOST: Final = 3
_LIKENESS: Final = 0.6
_BEGINNING: Final = 5  # the country, a dot and two letters
# How many ids are compared at a time, in their order: at most five requests.
_COMPARED: Final = 1_000
_PAGE: Final = 200


def nearest_organizations(hub: Kopuro, organization: str) -> list[str]:
    """Return at most three ids of the directory that begin with this one, or that are most like it.

    The first organisations of the country in the id are compared, and without a like one the first of all.
    Capital letters do not matter: no id has any. Empty if the directory does not answer.
    """
    for country in (organization[:2].upper(), None):
        try:
            found = hub.organizations(country=country, limit=_PAGE)
            known = [one["id"] for one in islice(found, _COMPARED)]
        except (InvalidArgumentError, RefusedError):
            # The id does not begin with the code of a country.
            continue
        except ClientError:
            return []
        wanted = organization.lower()
        longer = [one for one in known if len(wanted) >= _BEGINNING and one.startswith(wanted)]
        if near := longer[:_MOST] or get_close_matches(wanted, known, n=_MOST, cutoff=_LIKENESS):
            return near
    return []


def said_nearest(hub: Kopuro, organization: str) -> str:
    """Return `; the nearest: ID, ID`, or nothing if no id is like this one."""
    near = nearest_organizations(hub, organization)
    return f"; the nearest: {', '.join(near)}" if near else ""


@contextmanager
def unknown_organizations(hub: Kopuro, given: Iterable[Given]) -> Iterator[None]:
    """Add the nearest ids to a refusal, if an organisation on the command line is not in the directory.

    The hub answers `not-found` for other things too, so the directory is asked about each organisation.
    """
    try:
        yield
    except RefusedError as error:
        if error.type not in _UNKNOWN:
            raise
        texts = [text for one in given if one.name in _NAMES for text in one.texts]
        said = [
            f"the directory has no organisation {text}{said_nearest(hub, text)}"
            for text in dict.fromkeys(texts)
            if _is_unknown(hub, text)
        ]
        if not said:
            raise
        raise RefusedError(replace(error.problem, detail="; ".join(said) + ".")) from error


def _is_unknown(hub: Kopuro, organization: str) -> bool:
    try:
        hub.organization(organization)
    except RefusedError as error:
        return error.type == PROBLEM + "not-found"
    except ClientError:
        return False
    return False
