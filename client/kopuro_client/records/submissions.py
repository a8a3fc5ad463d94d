"""A hub's responses to submissions."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Accepted(TypedDict):
    """A 202 response: the submission is recorded. id: the new referral's, otherwise the submission's."""

    id: str
    status: str


class BatchResult(TypedDict):
    """The result of one line of a batch.

    line: from 1; id: if the line was accepted (202); problem: if it was refused.
    """

    line: int
    status: int
    id: NotRequired[str]
    problem: NotRequired[dict[str, Any]]
