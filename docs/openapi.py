"""Generator of the OpenAPI 3.1 document: `python -m docs.openapi [--check]`.

It describes every resource of every service as `@resource` declares it (`runtime/web/operation.py`), in one
document: `contracts/openapi.json`. Each path has the server of its service, whose address is in the hub's
discovery document. Exit status: 0 written, or nothing differs; 1 with --check where the file differs.

The schemas of requests are closed and list every code; those of responses are open, so that a later hub may
add members. A record that occurs in both has the suffix `Input` in requests.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import contracts
from contracts import vocabularies
from contracts.errors import PROBLEM_PREFIX, PROBLEMS
from contracts.problem_advice import ADVICE
from contracts.publish import encode_json, envelope_schema, problem_schema
from docs.generated_file import run
from docs.published_operations import SERVICES, VARIABLE, WORDS, Published, operations
from docs.record_schemas import Json, request_schemas, response_schemas
from docs.submission_schemas import line_schemas
from runtime.web.discovery import PATH
from runtime.web.oauth_errors import code_of
from runtime.web.operation import JSON, NDJSON, Body, DeclaredResponse, Operation, Parameter
from runtime.web.parameters import IDEMPOTENCY_KEY
from runtime.web.path import ID_FORMS
from runtime.web.problems import MEDIA_TYPE
from runtime.web.refusals import statuses_at, statuses_of

FILE: Final = Path(contracts.__file__).parent / "openapi.json"
VERSION: Final = "1.0.0"

_RETRY_AFTER: Final = {"Retry-After": "Seconds after which to repeat the request."}
_HEADERS_OF_REFUSALS: Final[Mapping[int, Mapping[str, str]]] = {
    409: {"Retry-After": "Seconds until the time that the problem has in `until`, if it has one."},
    429: {
        **_RETRY_AFTER,
        "RateLimit": "The rest of each policy of the organisation, and the seconds until it is full again.",
        "RateLimit-Policy": "The policies: the most at once, and the seconds in which that is refilled.",
    },
    503: _RETRY_AFTER,
}
_SCHEMAS: Final = "#/components/schemas/"
_RESPONSES: Final = "#/components/responses/"


def document() -> Json:
    """Return the OpenAPI document."""
    published = operations()
    bodies = [body for one in published if (body := one.operation.body) and body.record]
    records = {
        record
        for one in published
        for declared in one.operation.responses.values()
        for record in declared.records
    }
    paths: Json = {}
    for one in published:
        item = paths.setdefault(one.path, _path_item(one))
        item[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kopuro",
            "version": VERSION,
            "summary": "A referral network broker for organisations that help labour migrants",
            "description": _description(),
        },
        "servers": [_server("intake")],
        "tags": [{"name": service, "description": WORDS[service]} for service in SERVICES],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": _security_schemes(),
            "responses": _refusals(published),
            "schemas": {
                **_request_schemas(bodies),
                **response_schemas(records),
                **line_schemas(),
                "Envelope": _component(envelope_schema()),
                "Problem": _component(problem_schema()),
                "PointerError": problem_schema()["$defs"]["PointerError"],
            },
        },
    }


def _request_schemas(bodies: Sequence[Body]) -> Json:
    schemas = request_schemas([body.record for body in bodies if body.record])
    for body in bodies:
        if body.record and body.more:
            schemas[f"{body.record.__name__}Input"]["properties"].update(body.more)
    return schemas


def _path_item(one: Published) -> Json:
    item: Json = {"servers": [_server(one.service)]}
    parameters = []
    for variable in VARIABLE.finditer(one.url):
        form = ID_FORMS.get(variable["form"] or "")
        schema = (
            {"type": "string", "pattern": _anchored(form.pattern.pattern)} if form else {"type": "string"}
        )
        parameters.append({"name": variable["name"], "in": "path", "required": True, "schema": schema})
    return item | ({"parameters": parameters} if parameters else {})


def _anchored(pattern: str) -> str:
    return "^(" + pattern.removeprefix("^").removesuffix("$") + ")$"


def _operation(one: Published) -> Json:
    operation, route = one.operation, one.resource.route()
    described: Json = {
        "operationId": f"{one.service}_{one.name}",
        "tags": [one.service],
        "summary": operation.summary,
        "responses": _responses(one),
    }
    taken = [_parameter(p, "query") for p in one.resource.parameters if isinstance(p, Parameter)]
    headers = (*operation.headers, *((IDEMPOTENCY_KEY,) if route.takes_key else ()))
    taken += [_parameter(header, "header") for header in headers]
    if taken:
        described["parameters"] = taken
    if operation.body is not None:
        described["requestBody"] = _request_body(operation.body)
    if route.roles is None:
        described["security"] = [{"client": []}] if one.path == "/oauth/token" else []
    else:
        described["x-roles"] = sorted(route.roles)
        described["description"] = f"For: {', '.join(sorted(route.roles))}."
    if operation.deprecated is not None:
        described["deprecated"] = True
    return described


def _parameter(parameter: Parameter, place: str) -> Json:
    return {
        "name": parameter.name,
        "in": place,
        "required": parameter.required,
        "description": parameter.description,
        "schema": _parameter_schema(parameter),
    }


def _parameter_schema(parameter: Parameter) -> Json:
    """Return the schema of a parameter; a reference for a vocabulary, whose codes are many."""
    for name in ("languages", "needs", "regions"):
        if parameter.schema.get("enum") == sorted(vocabularies.codes(name)):
            return {"$ref": _SCHEMAS + name}
    return dict(parameter.schema)


def _request_body(body: Body) -> Json:
    schema = {"$ref": f"{_SCHEMAS}{body.record.__name__}Input"} if body.record else dict(body.schema or {})
    media: Json = {"schema": schema}
    if body.examples:
        media["examples"] = {_key(name): {"value": value} for name, value in body.examples.items()}
    return {"required": body.required, "content": {body.media_type: media}}


def _key(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)


def _responses(one: Published) -> Json:
    responses = {str(status): _response(declared) for status, declared in one.operation.responses.items()}
    for status, slugs in refusals_by_status(one).items():
        responses.setdefault(str(status), {"$ref": _RESPONSES + _refusal_name(status, slugs, one.operation)})
    return dict(sorted(responses.items()))


def refusals_by_status(one: Published) -> dict[int, tuple[str, ...]]:
    """Return the slugs of an operation's problems by each status that they can have."""
    found: dict[int, tuple[str, ...]] = {}
    public = one.resource.route().roles is None
    for slug in sorted(one.refusals):
        for status in statuses_at(slug, public=public):
            found[status] = (*found.get(status, ()), slug)
    return found


def _refusal_name(status: int, slugs: Sequence[str], operation: Operation) -> str:
    """Return the name of the response with these problems: readable, and the same for the same problems."""
    form = "-oauth" if operation.refuses_as_json else ""
    if len(slugs) == 1:
        return f"{status}-{slugs[0]}{form}"
    return f"{status}-{sha256(' '.join(slugs).encode()).hexdigest()[:8]}{form}"


def _refusals(published: Iterable[Published]) -> Json:
    """Return each response with problems once, by name."""
    found = {}
    for one in published:
        for status, slugs in refusals_by_status(one).items():
            types = [PROBLEM_PREFIX + slug for slug in slugs]
            schema = {"$ref": f"{_SCHEMAS}Problem", "properties": {"type": {"enum": types}}}
            content: Json = {MEDIA_TYPE: {"schema": schema}}
            if one.operation.refuses_as_json and (codes := {code_of(slug) for slug in slugs} - {None}):
                content[JSON] = {"schema": _oauth_schema(schema, codes)}
            words = _HEADERS_OF_REFUSALS.get(status, {})
            found[_refusal_name(status, slugs, one.operation)] = {
                "description": "; ".join(f"`{slug}`: {PROBLEMS[slug][0]}" for slug in slugs) + ".",
                **({"headers": _headers(words)} if words else {}),
                "content": content,
            }
    return found


def _oauth_schema(problem: Json, codes: Iterable[str | None]) -> Json:
    """Return the schema of a problem that has the members of RFC 6749 §5.2, too."""
    properties = {
        **problem["properties"],
        "error": {"enum": sorted(code for code in codes if code)},
        "error_description": {"type": "string"},
    }
    return {**problem, "properties": properties, "required": ["error", "error_description"]}


def _headers(described: Mapping[str, str]) -> Json:
    """Return the headers of a response. described: by name."""
    return {
        name: {"description": words, "schema": {"type": "string"}}
        for name, words in sorted(described.items())
    }


def _response(declared: DeclaredResponse) -> Json:
    described: Json = {"description": declared.description}
    if declared.headers:
        described["headers"] = _headers(declared.headers)
    if not declared.media_types:
        return described
    described["content"] = {
        media: {"schema": _response_schema(declared, media)} for media in declared.media_types
    }
    return described


def _response_schema(declared: DeclaredResponse, media_type: str) -> Json:
    references = [{"$ref": _SCHEMAS + record.__name__} for record in sorted(declared.records, key=_name)]
    if media_type == NDJSON and references:
        return {
            "type": "string",
            "description": f"NDJSON: on each line a {references[0]['$ref'].rpartition('/')[2]}.",
            "x-line": references[0],
        }
    if not references or media_type != JSON:
        return dict(declared.schema or ({} if media_type.endswith("json") else {"type": "string"}))
    schema: Json = references[0] if len(references) == 1 else {"anyOf": references}
    if not declared.paged:
        return schema
    return {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": schema},
            "next": {"type": ["string", "null"], "description": "The cursor of the next page, or null."},
        },
        "required": ["items", "next"],
    }


def _name(record: type) -> str:
    return record.__name__


def _component(schema: Json) -> Json:
    """Return a published schema as a component: without its own id, with references into the document."""
    kept = {name: value for name, value in schema.items() if name not in ("$schema", "$id", "$defs")}
    component: Json = _referring(kept)
    return component


def _referring(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {
            name: value.replace("#/$defs/", _SCHEMAS) if name == "$ref" else _referring(value)
            for name, value in node.items()
        }
    return [_referring(item) for item in node] if isinstance(node, list) else node


def _server(service: str) -> Json:
    return {
        "url": "{" + service + "}",
        "description": f"The address of `{service}` in the discovery document, {PATH}.",
        "variables": {service: {"default": f"https://{service}.hub.example"}},
    }


def _security_schemes() -> Json:
    return {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "An access token from `/oauth/token`, valid for 15 minutes.",
        },
        "client": {"type": "http", "scheme": "basic", "description": "The client's id and secret."},
    }


def _description() -> str:
    rows = [
        f"| `{PROBLEM_PREFIX}{slug}` | {', '.join(map(str, statuses_of(slug)))} | {title} | {ADVICE[slug]} |"
        for slug, (title, _) in sorted(PROBLEMS.items())
    ]
    return "\n".join(
        [
            "Every refusal is a problem document (RFC 9457). Decide by its `type`:",
            "",
            "| type | status | meaning | what to do |",
            "|---|---|---|---|",
            *rows,
        ]
    )


def content() -> bytes:
    """Return the file's content."""
    return encode_json(document())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run("docs.openapi", {FILE: content}, arguments)


if __name__ == "__main__":
    sys.exit(main())
