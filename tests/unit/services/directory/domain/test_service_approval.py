"""What an approval of a service covers, whatever its organisation changes afterwards."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.codes import Settlement, Sex
from contracts.organization import ApprovedService, Organization, Service
from services.directory.domain.service_approval import with_approvals_that_hold
from tests.long_run import times
from tests.unit.services.directory.samples import NOON, organization, service_record

REGIONS = ("KG-GO", "KG-N", "KZ-10")
PEOPLE = tuple(product(REGIONS, Settlement, Sex))
APPROVAL = ApprovedService(service="legal", needs=("protection.violence",), by="kg.coordinator", at=NOON)


SERVICES = st.builds(
    lambda areas, settlements, sexes: service_record(
        needs=["protection.violence"], areas=areas, settlements=settlements, eligibility={"sexes": sexes}
    ),
    st.lists(st.sampled_from(("KG", *REGIONS)), min_size=1, max_size=2, unique=True),
    st.sampled_from([["urban", "rural"], ["urban"]]),
    st.sampled_from([[], ["female"], ["female", "male"]]),
)
# Without the service, the organisation has removed it.
RECORDS = st.lists(SERVICES, max_size=1).map(lambda services: organization(services=services))


def served_by(service: Service) -> set[tuple[str, str, str]]:
    """Return the people of PEOPLE whom the service is for."""
    return {
        (region, settlement, sex)
        for region, settlement, sex in PEOPLE
        if {region, region[:2]} & set(service.areas)
        and settlement in service.settlements
        and (not service.eligibility.sexes or sex in service.eligibility.sexes)
    }


@settings(max_examples=times(100, 400))
@given(first=SERVICES, later=st.lists(RECORDS, max_size=6))
def test_approval_never_covers_people_whom_its_service_was_not_for(
    first: dict[str, object], later: list[Organization]
) -> None:
    record = replace(organization(services=[first]), approved_services=(APPROVAL,))
    approved = served_by(record.services[0])
    for wanted in later:
        unchanged = replace(wanted, approved_services=record.approved_services)
        record = with_approvals_that_hold(record, unchanged)
        if record.approved_services:
            (service,) = record.services
            assert served_by(service) <= approved
