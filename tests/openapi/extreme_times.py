"""Requests with times at the ends of the calendar, in every parameter and member that may hold one."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from docs import openapi
from runtime.identifiers import new_id
from tests.journey.running_hub import RunningHub
from tests.openapi.documented import DocumentedHub

# The ends of the calendar, offsets that leave it, and forms that some parsers take.
EXTREMES: Final = (
    *("0001-W01", "9999-W52", "9999-W53", "0001-01", "9999-12", "0001-01-01", "9999-12-31"),
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+23:59:59.999999"),
    *("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-14:00", "9999-12-31T24:00:00Z"),
    *("2026-06-30T23:59:60Z", "+10000-01-01T00:00:00Z", "0001-W01-1T00:00:00+01:00"),
)
MONTH: Final = "[0-9]{2}-(0[1-9]|1[0-2])"
# A cursor or a time, which the schema does not say.
PLACES: Final = (("start",),)
DOCUMENT: Final = json.loads(openapi.FILE.read_bytes())


def dated(schema: Any, at: tuple[str | int, ...] = (), seen: frozenset[str] = frozenset()) -> Iterator[Any]:
    """Yield the path of each member that holds a date, time or month; in a list, that of its first item."""
    reference = schema.get("$ref")
    if reference is not None and reference not in seen:
        target = DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]]
        yield from dated(target, at, seen | {reference})
    for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from dated(one, at, seen)
    is_month = MONTH in schema.get("pattern", "")
    if is_month or schema.get("format") in ("date", "date-time") or (at in PLACES and "type" in schema):
        yield at
    for name, member in schema.get("properties", {}).items():
        yield from dated(member, (*at, name), seen)
    if "items" in schema:
        yield from dated(schema["items"], (*at, 0), seen)


def may_be_a_time(parameter: Mapping[str, Any]) -> bool:
    """Return whether a query parameter may hold a time: also one that says nothing else about its text."""
    schema = parameter.get("schema", {})
    if parameter.get("in") != "query" or schema.get("type") != "string" or "enum" in schema:
        return False
    pattern = schema.get("pattern")
    return pattern is None or any(re.search(pattern, extreme) for extreme in EXTREMES)


def changed(body: Any, at: tuple[str | int, ...], value: str) -> Any:
    """Return the body with another value there; None if it has nothing that could hold the member."""
    made = copy.deepcopy(body)
    holder = made
    for step in at[:-1]:
        try:
            holder = holder[step]
        except (KeyError, IndexError, TypeError):
            return None
    if not isinstance(holder, dict):
        return None
    holder[at[-1]] = value
    return made


class ExtremeTimes(DocumentedHub):
    """Sends each operation every extreme in each of its parameters and times, before its first request."""

    def __init__(self, hub: RunningHub) -> None:
        super().__init__(hub)
        self.parameters: set[tuple[str, str]] = set()
        self.members: set[tuple[str, tuple[str | int, ...]]] = set()
        self.asked: set[str] = set()
        self.failed: list[str] = []

    def ask(self, name: str, who: str | None, /, **more: Any) -> Any:
        if name not in self.asked:
            self.asked.add(name)
            self.press(name, who, **more)
        return super().ask(name, who, **more)

    def press(self, name: str, who: str | None, /, *, body: Any = None, **more: Any) -> None:
        """Send the operation every extreme. more: as for `ask`."""
        query, headers = more.pop("query", None), more.pop("headers", None)
        raw = self.operations[name].definition.raw
        content = raw.get("requestBody", {}).get("content", {})
        media_type = next(iter(content), None)
        own = {each: value for each, value in (query or {}).items() if each != "wait"}

        def send(query: Mapping[str, Any], body: Any) -> None:
            fresh = {"Idempotency-Key": new_id()} if "Idempotency-Key" in (headers or {}) else {}
            case = self.case(name, body=body, query=query, headers={**(headers or {}), **fresh}, path=more)
            status = self.send(name, case, who).status_code
            if status >= 500:
                self.failed.append(f"{name} {dict(query)} {body}")

        for parameter in [one["name"] for one in raw.get("parameters", ()) if may_be_a_time(one)]:
            self.parameters.add((name, parameter))
            for extreme in EXTREMES:
                send({**own, parameter: extreme}, body)
        if not isinstance(body, dict) or media_type is None:
            return
        for at in dated(content[media_type]["schema"]):
            for extreme in EXTREMES:
                other = changed(body, at, extreme)
                if other is not None:
                    self.members.add((name, at))
                    send(own, other)
