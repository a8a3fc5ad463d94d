"""The directory's resources about watched employers, and the roles that may call them."""

from __future__ import annotations

from runtime.access.caller_limits import Share
from runtime.access.reads import Reads
from runtime.entrypoints.resource import resource
from runtime.entrypoints.service import WebService
from runtime.web.parameters import PAGED
from runtime.web.request import Request
from runtime.web.response import Response
from services.directory import api, watch_operations

READERS = frozenset({"partner", "coordinator", "auditor", "operator"})
PARTNERS = frozenset({"partner"})
COORDINATORS = frozenset({"coordinator"})


class WatchResources(WebService):
    """Watch reports, the employers that are watched, and who receives evidence."""

    @resource(
        "GET",
        "/v1/watched",
        roles=READERS,
        query=watch_operations.LISTED_WATCHED,
        share=Share.report,
        reads=Reads.no_person,
        operation=watch_operations.WATCHED,
    )
    def watched_employers(self, request: Request) -> Response:
        return api.watched_employers(self.handlers, request)

    @resource(
        "GET",
        "/v1/watched/<uuid:id>",
        roles=READERS,
        reads=Reads.no_person,
        operation=watch_operations.SHOW_WATCHED,
    )
    def watched_employer(self, request: Request) -> Response:
        return api.watched_employer(self.handlers, request)

    @resource("PUT", "/v1/watched/<uuid:id>/reply", roles=COORDINATORS, operation=watch_operations.PUT_REPLY)
    def put_employer_reply(self, request: Request) -> Response:
        return api.put_employer_reply(self.handlers, api.proved(self.handlers, request))

    @resource(
        "GET",
        "/v1/watch/reports",
        roles=PARTNERS,
        query=PAGED,
        share=Share.report,
        reads=Reads.no_person,
        operation=watch_operations.WATCH_REPORTS,
    )
    def watch_reports(self, request: Request) -> Response:
        return api.watch_reports(self.handlers, request)

    @resource(
        "POST",
        "/v1/watch/reports",
        roles=PARTNERS,
        limit=watch_operations.LONGEST_REPORT,
        share=Share.batch,  # each holds megabytes while its body arrives
        takes_key=True,
        open_to_excluded=True,  # only for the repetition of a report, as for a submission at intake
        operation=watch_operations.POST_REPORT,
    )
    def post_watch_report(self, request: Request) -> Response:
        return api.post_watch_report(self.handlers, api.proved(self.handlers, request))

    @resource(
        "POST",
        "/v1/watch/reports/<uuid:id>/retract",
        roles=PARTNERS,
        operation=watch_operations.RETRACT_REPORT,
    )
    def retract_watch_report(self, request: Request) -> Response:
        return api.retract_watch_report(self.handlers, api.proved(self.handlers, request))

    @resource(
        "GET",
        "/v1/watch/recipients",
        roles=PARTNERS | COORDINATORS,
        query=PAGED,
        share=Share.report,
        reads=Reads.no_person,
        operation=watch_operations.WATCH_RECIPIENTS,
    )
    def watch_recipients(self, request: Request) -> Response:
        return api.watch_recipients(self.handlers, request)

    @resource(
        "GET",
        "/v1/watch/opt-in",
        roles=PARTNERS,
        reads=Reads.no_person,
        operation=watch_operations.WATCH_OPT_IN,
    )
    def watch_opt_in(self, request: Request) -> Response:
        return api.watch_opt_in(self.handlers, request)

    @resource("PUT", "/v1/watch/opt-in", roles=PARTNERS, operation=watch_operations.PUT_OPT_IN)
    def put_watch_opt_in(self, request: Request) -> Response:
        return api.put_watch_opt_in(self.handlers, api.proved(self.handlers, request))
