"""Waiting for an organisation that was excluded: services learn of a record one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until
from tests.threats.guarded_resources import GuardedResource, resources_for

SECONDS = 5.0


@contextmanager
def readmitted_after(hub: RunningHub, organization: str) -> Iterator[None]:
    """After a block that excludes an organisation and readmits it, wait until every service admits it."""
    token = hub.token(organization)
    reads = [resource for resource in resources_for("partner") if resource.method == "GET"]
    admitted = [resource for resource in reads if not refuses(resource, hub, token)]
    assert {resource.service for resource in admitted} == {
        resource.service for resource in resources_for("partner")
    }
    yield
    until(
        lambda: not any(refuses(resource, hub, token) for resource in admitted),
        "the readmission",
        within=SECONDS,
    )


def refuses(resource: GuardedResource, hub: RunningHub, token: str) -> bool:
    """Return whether the resource refuses the token's organisation as excluded."""
    return resource.refusal(hub, token) == (403, "forbidden")
