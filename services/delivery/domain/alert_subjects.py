"""Alerts of the coordinators that are about no referral, and the facts that decide what they ask.

An alert has a subject: the application, or the service whose approval ended because it reaches more. The
decision about the subject closes the alert. It does not matter who made it. The party concerned keeps its own
message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from contracts import facts
from contracts.codes import ApplicationStep, ApprovalEnd, ApprovalKind, ApprovalRefusal

# The steps after which nobody has to decide about an application.
_LAST_STEPS: Final = frozenset(
    {
        ApplicationStep.vetted,
        ApplicationStep.refused,
        ApplicationStep.withdrawn,
        ApplicationStep.expired,
    }
)


def alert_subject(fact_type: str, data: Mapping[str, Any]) -> str | None:
    """Return what an alert is about; None for any other message. data: of the CloudEvent.

    An approval that the network withdrew, or whose service is gone, asks for nothing.
    """
    if fact_type == facts.ApplicationSubmitted.type:
        return _application(data["application_id"])
    if fact_type == facts.ServiceApprovalEnded.type and data["reason"] == ApprovalEnd.widened:
        return _service(f"{data['organization']}/{data['service']}")
    return None


def decided_subject(fact_type: str, data: Mapping[str, Any]) -> str | None:
    """Return the subject that a fact decides about; None if it decides about none. data: of the CloudEvent.

    A request that expired, was out of date or was withdrawn by its requester decides nothing. A later end of
    the same approval does: nothing is left to approve.
    """
    if fact_type == facts.ApplicationDecided.type and data["step"] in _LAST_STEPS:
        return _application(data["application_id"])
    if fact_type == facts.ServiceApprovalEnded.type and data["reason"] != ApprovalEnd.widened:
        return _service(f"{data['organization']}/{data['service']}")
    if fact_type not in (facts.ApprovalGranted.type, facts.ApprovalRefused.type):
        return None
    if data["kind"] != ApprovalKind.service:
        return None
    if fact_type == facts.ApprovalRefused.type:
        by_another = data["by"] != data["requested_by"]
        if data["reason"] != ApprovalRefusal.refused or not by_another:
            return None
    return _service(data["subject"])


def _application(application_id: str) -> str:
    return f"application:{application_id}"


def _service(name: str) -> str:
    """Return the subject of a service. name: the ids of organisation and service, with a slash between."""
    return f"service:{name}"
