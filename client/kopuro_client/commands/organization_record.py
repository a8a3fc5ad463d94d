"""`kopuro organization show`: an organisation's record for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from kopuro_client.commands.code_words import in_words
from kopuro_client.commands.labels import label
from kopuro_client.commands.organization_words import standing, word
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import moment, one_line
from kopuro_client.commands.sentence_lines import show_wrapped
from kopuro_client.records import Agreement, Organization, Service

EVERY_VETTED_ORGANIZATION = "*"

# A condition, by its code in a failed rule, and the member of a service's record that has it.
_CONDITIONS: Final = (
    ("sex", "sexes"),
    ("age_band", "age_bands"),
    ("stage", "stages"),
    ("origin_country", "origin_countries"),
    ("special_categories", "special_categories"),
)


def agreements_of(organization: str, agreements: Iterable[Agreement]) -> list[Agreement]:
    """Return the agreements that name the organisation, or all vetted organisations, as a party."""
    parties = {organization, EVERY_VETTED_ORGANIZATION}
    return [one for one in agreements if parties & set(one["parties"])]


def show_record(out: Output, record: Organization, agreements: list[Agreement], language: str) -> None:
    """Print who the organisation is, what the network states about it, its services and its agreements."""
    out.heading(one_line(record["id"]))
    out.fields(
        [
            (word("name", language), record["name"]),
            (word("kind", language), label("organization_kinds", record["kind"], language)),
            (word("country", language), in_words("country", record["country"], language)),
            (word("parent", language), record["parent"]),
            (word("standing", language), standing(record, language)),
            (word("suspended_by", language), _suspension(record, language)),
            (word("languages", language), in_words("languages", record["languages"], language)),
            (
                word("sealing_key", language),
                word("no" if record["sealing_key"] is None else "yes", language),
            ),
            (word("revision", language), record["revision"]),
        ]
    )
    out.blank()
    out.heading(word("services", language))
    if not record["services"]:
        out.text(word("none", language))
    for service in record["services"]:
        _show_service(out, record, service, language)
    out.blank()
    out.heading(word("agreements", language))
    if not agreements:
        out.text(word("none", language))
    for agreement in agreements:
        needs = in_words("needs", agreement["needs"], language) or word("all_needs", language)
        parts = [
            f"{agreement['id']}: {agreement['title']}",
            needs,
            word("in_force", language, day=agreement["effective_from"]),
        ]
        if (until := agreement.get("effective_until")) is not None:
            parts.append(word("until", language, day=until))
        show_wrapped(out, one_line("; ".join(parts)), first="- ")


def _suspension(record: Organization, language: str) -> str | None:
    found = record.get("suspension")  # for staff only
    if found is None:
        return None
    at, reason = moment(found["at"]), found["reason"]
    if reason is None:
        return word("by_at", language, by=found["by"], at=at)
    return word("by_at_reason", language, by=found["by"], at=at, reason=word(reason, language))


def _conditions(service: Service, language: str) -> str:
    return "; ".join(
        f"{in_words('unmet', name, language)}: {in_words(name, values, language)}"
        for name, member in _CONDITIONS
        if (values := service["eligibility"].get(member))
    )


def _with_codes(needs: Sequence[str], language: str) -> str:
    """Return the names of needs, each with its code, which `approve-service` takes."""
    return ", ".join(f"{in_words('needs', [code], language)} ({code})" for code in needs)


def _show_service(out: Output, record: Organization, service: Service, language: str) -> None:
    head = [f"{service['id']}: {service['name']}"]
    for capacity in (service["capacity"], *service.get("further_capacities", [])):
        head.append(in_words("status", capacity["status"], language))
        if capacity["maximum"] is not None:
            head.append(word("maximum", language, value=capacity["maximum"]))
        head.append(word("stated", language, value=moment(capacity["updated_at"])))
    if service["always_open"]:
        head.append(word("always_open", language))
    show_wrapped(out, one_line("; ".join(head)), first="- ")
    for name, field, codes in (
        ("needs", "needs", service["needs"]),
        ("spoken", "languages", service["languages"]),
        ("interpreted", "languages", service["interpretation"]),
        ("areas", "region", service["areas"]),
    ):
        if codes:
            value = in_words(field, codes, language) if name != "needs" else _with_codes(codes, language)
            show_wrapped(out, word(name, language, value=value), first="    ", following="      ")
    if conditions := _conditions(service, language):
        text = word("conditions", language, value=conditions)
        show_wrapped(out, one_line(text), first="    ", following="      ")
    for approved in record["approved_services"]:
        if approved["service"] == service["id"]:
            needs = _with_codes(approved["needs"], language)
            at = moment(approved["at"])
            text = word("approved", language, needs=needs, by=approved["by"], at=at)
            show_wrapped(out, one_line(text), first="    ", following="      ")
