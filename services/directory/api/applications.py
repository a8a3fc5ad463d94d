"""Applications to join the network, as JSON: from anybody, and for the staff."""

from __future__ import annotations

from typing import Final

from contracts.codes import ApplicationState
from contracts.errors import Refused
from contracts.responses.applications import (
    ApplicationList,
    ApplicationReceipt,
    ApplicationRecord,
    ApplicationRoom,
    ApplicationStatus,
)
from runtime.access.reads import NOTHING_READ, Read
from runtime.web.paging import NAME
from runtime.web.parameters import invalid_parameter
from runtime.web.request import Request
from runtime.web.response import Response
from services.directory import admission
from services.directory.api.responses import page
from services.directory.domain.application import KeptApplication
from services.directory.handlers import DirectoryHandlers

REFERENCE_HEADER: Final = "Kopuro-Application-Reference"
NEXT: Final = (
    "Make a client secret, and give its SHA-256 digest to the network's operators; compare it with them by "
    "telephone. Two of them issue the client."
)


def post_application(handlers: DirectoryHandlers, request: Request) -> Response:
    """Take an application. The answer depends on it and on how many wait, not on who is known."""
    handlers.application_rates.take_application(request.origin)
    applied = handlers.applications.apply(admission.application(request.json()))
    kept = applied.application
    receipt = ApplicationReceipt(
        id=kept.id,
        reference=applied.reference,
        state=kept.state,
        salt=kept.salt,
        expires_at=kept.expires_at,
    )
    return Response.of(receipt, status=201, headers={"Location": f"/v1/applications/{kept.id}/state"})


def application_state(handlers: DirectoryHandlers, request: Request) -> Response:
    """Return the state of the applicant's own application."""
    handlers.application_rates.take_status_request(request.origin)
    return Response.of(_status(handlers.applications.status(request.path_params["id"], _reference(request))))


def withdraw_application(handlers: DirectoryHandlers, request: Request) -> Response:
    """Withdraw the applicant's own application."""
    handlers.application_rates.take_status_request(request.origin)
    ended = handlers.applications.withdraw(request.path_params["id"], _reference(request))
    return Response.of(_status(ended))


def applications(handlers: DirectoryHandlers, request: Request) -> Response:
    """List the applications, oldest first, by `state`."""
    wanted = request.query_params.get("state")
    if wanted is not None and wanted not in set(ApplicationState):
        raise invalid_parameter("state", "is not a state of an application.")
    state = None if wanted is None else ApplicationState(wanted)
    found = page(
        request,
        "applications",
        (NAME,),
        lambda after, limit: handlers.applications.page(state, after[0], limit),
        lambda kept: (kept.id,),
        _record,
    )
    taken, most = handlers.applications.counted()
    room = ApplicationRoom(taken=taken, most=most)
    answer = Response.of(ApplicationList(items=tuple(found.items), next=found.next, room=room))
    # Each shows the name and telephone of the person who applies.
    return answer.reading(
        Read.of_figures({} if state is None else {"state": state}) if found.items else NOTHING_READ
    )


def application(handlers: DirectoryHandlers, request: Request) -> Response:
    """Return one application with all that was sent."""
    kept = handlers.applications.one(request.path_params["id"])
    return _read(kept)


def vet_application(handlers: DirectoryHandlers, request: Request) -> Response:
    """Ask to vet an application. 202: a second person must approve; its `approval_id` says which request."""
    wanted = admission.application_vetting(request.json())
    kept = handlers.applications.vet(request.path_params["id"], wanted, by=request.principal.id)
    status = 202 if kept.state is ApplicationState.in_approval else 200
    return _read(kept, status=status)


def refuse_application(handlers: DirectoryHandlers, request: Request) -> Response:
    """Refuse an application, with a coded reason and a note to the applicant."""
    wanted = admission.application_rejection(request.json())
    kept = handlers.applications.refuse(request.path_params["id"], wanted, by=request.principal.id)
    return _read(kept)


def _read(kept: KeptApplication, *, status: int = 200) -> Response:
    """Return an application with the name and telephone of the person who applies.

    Each such response to staff is an entry, also that of a decision: a repeated one changes nothing, and
    shows them again.
    """
    return Response.of(_record(kept), status=status).reading(Read.of_figures({"application_id": kept.id}))


def _reference(request: Request) -> str:
    reference = request.headers.get(REFERENCE_HEADER.lower())
    if not reference:
        raise Refused("not-found", "There is no application with this id and reference.")
    return reference


def _status(kept: KeptApplication) -> ApplicationStatus:
    vetted = kept.state is ApplicationState.vetted
    return ApplicationStatus(
        id=kept.id,
        state=kept.state,
        submitted_at=kept.submitted_at,
        expires_at=kept.expires_at,
        reason=kept.reason,
        note=kept.note,
        organization=kept.organization if vetted else None,
        next=NEXT if vetted else None,
    )


def _record(kept: KeptApplication) -> ApplicationRecord:
    return ApplicationRecord(
        id=kept.id,
        state=kept.state,
        submitted_at=kept.submitted_at,
        expires_at=kept.expires_at,
        application=kept.content,
        salt=kept.salt,
        approval_id=kept.approval_id,
        organization=kept.organization,
        decided_by=kept.decided_by,
        decided_at=kept.decided_at,
        reason=kept.reason,
        note=kept.note,
    )
