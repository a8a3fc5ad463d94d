import datetime as dt
import json
import tracemalloc

import pytest

from contracts.errors import PROBLEMS, Refused
from kopuro_client import (
    AuthenticationError,
    ClientError,
    DefectError,
    FieldError,
    RefusedError,
    UnavailableError,
)
from kopuro_client.errors import Problem
from kopuro_client.responses import (
    MOST_SEPARATORS,
    error_of,
    json_lines,
    json_objects,
    json_page,
    seconds_until,
)

NOW = dt.datetime(2026, 5, 1, 12, 0, 0, tzinfo=dt.UTC)


def of(status: int, body: bytes = b"", retry_after: str | None = None) -> ClientError | None:
    return error_of(status=status, reason="Reason", body=body, retry_after=retry_after, now=NOW)


@pytest.mark.parametrize(
    ("status", "family"),
    [
        (301, DefectError),
        (400, RefusedError),
        (401, AuthenticationError),
        (403, RefusedError),
        (404, RefusedError),
        (409, RefusedError),
        (413, RefusedError),
        (422, RefusedError),
        (408, UnavailableError),
        (429, UnavailableError),
        (500, DefectError),
        (502, UnavailableError),
        (503, UnavailableError),
        (504, UnavailableError),
    ],
)
def test_error_status_maps_to_its_error_class(status: int, family: type[ClientError]) -> None:
    assert type(of(status)) is family


def test_success_status_is_not_an_error() -> None:
    assert of(202) is None
    assert of(204) is None


def test_refused_error_has_the_problems_members() -> None:
    error = of(
        422,
        b'{"type":"urn:kopuro:problem:invalid-submission","title":"T","status":400,"detail":"D.",'
        b'"errors":[{"pointer":"/needs/0","detail":"Unknown."}],"more":1}',
    )
    assert isinstance(error, RefusedError)
    assert (error.type, error.title, error.status, error.detail) == (
        "urn:kopuro:problem:invalid-submission",
        "T",
        422,  # the response's status counts, not the body's
        "D.",
    )
    assert error.errors == (FieldError(pointer="/needs/0", detail="Unknown."),)
    assert str(error) == "D."


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"errors":7,"title":[]}', b"[" * 100_000])
def test_refusal_without_problem_body_is_refused_error(body: bytes) -> None:
    error = of(404, body)
    assert isinstance(error, RefusedError)
    assert (error.type, error.title, error.errors) == ("about:blank", "Reason", ())


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Fri, 01 May 2026 12:01:30 GMT", 90.0),
        ("Fri, 01 May 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
        ("1000000000", 1e9),
        ("1000000001", None),
        ("9" * 400, None),
        ("9" * 5000, None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("Fri, 01 May 99999999999999999999 12:00:00 GMT", None),
        ("Fri, 01 May 2026 99999999999999999999:00:00 GMT", None),
        ("Fri, 01 May 2026 12:00:00 +99999999999999", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_accepts_number_and_date(header: str | None, seconds: float | None) -> None:
    assert seconds_until(header, now=NOW) == seconds
    error = of(503, retry_after=header)
    assert isinstance(error, UnavailableError)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"items":{}}', b'{"items":[],"next":5}', b'{"items":1,"next":null}']
)
def test_invalid_page_raises_defect_error(body: bytes) -> None:
    with pytest.raises(DefectError):
        json_page(body)


def test_batch_response_with_too_few_lines_raises_defect_error() -> None:
    assert json_lines(b'{"line":1}\n{"line":2}\n', expected=2) == [{"line": 1}, {"line": 2}]
    with pytest.raises(DefectError, match="1 results for a batch of 2 lines"):
        json_lines(b'{"line":1}\n', expected=2)


def test_batch_response_with_too_many_lines_raises_defect_error_at_the_first_of_them() -> None:
    body = b'{"line":1}\r\n\n{"line":2}\n{"line":3}\nno JSON\n'
    with pytest.raises(DefectError, match="more than 2 results for a batch of 2 lines"):
        json_lines(body, expected=2)
    with pytest.raises(DefectError, match="not a JSON object"):
        json_lines(body, expected=4)


def test_refusal_has_the_time_until_which_it_holds() -> None:
    until = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
    refused = of(409, json.dumps(Refused("conflict", "Wait.", until=until).problem()).encode())
    assert isinstance(refused, RefusedError)
    assert refused.until == until
    assert Problem.read(refused.problem.as_json(), status=409, reason="") == refused.problem
    for text in ("tomorrow", "2026-03-02T12:00:00", 12):
        odd = of(409, json.dumps({"title": "Wait", "until": text}).encode())
        assert isinstance(odd, RefusedError)
        assert odd.until is None


def test_refusal_message_omits_repeated_title_and_status() -> None:
    for slug, (title, status) in PROBLEMS.items():
        body = json.dumps(Refused(slug, "This says more.").problem()).encode()
        said = str(of(status, body))
        assert said == (
            "This says more." if status < 500 or status == 503 else f"This says more. (HTTP status {status})"
        )
        assert title not in said
    fault = Refused("internal", "The request failed.").problem() | {"reference": "4bf92f35"}
    assert str(of(500, json.dumps(fault).encode())) == (
        "The request failed. (HTTP status 500, reference 4bf92f35)"
    )
    foreign = {"type": "about:blank", "title": "Bad gateway", "detail": "The peer is away."}
    assert str(of(404, json.dumps(foreign).encode())) == "Bad gateway: The peer is away."
    foreign["detail"] = "Bad gateway: the peer is away."
    assert str(of(404, json.dumps(foreign).encode())) == "Bad gateway: the peer is away."
    assert str(of(404, json.dumps({"title": "Not here"}).encode())) == "Not here"


@pytest.mark.parametrize("values", [b"[]", b"{}", b"0"])
def test_response_of_millions_of_values_is_refused_before_it_takes_memory(values: bytes) -> None:
    body = b'{"items": [' + b",".join([values] * (MOST_SEPARATORS + 1)) + b'], "next": null}'
    tracemalloc.start()
    try:
        with pytest.raises(DefectError):
            json_page(body)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1_000_000
    failed = error_of(status=422, reason="No", body=body, retry_after=None, now=dt.datetime.now(dt.UTC))
    assert isinstance(failed, RefusedError)


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b'{"a":[1,2,3,4]}\n', b"\r\n"])
def test_response_of_millions_of_lines_is_refused_before_it_takes_memory(line: bytes) -> None:
    body = line * (MOST_SEPARATORS + 1)
    tracemalloc.start()
    try:
        with pytest.raises(DefectError, match="more lines and values"):
            json_lines(body, expected=1)
        with pytest.raises(DefectError, match="more lines and values"):
            list(json_objects(body))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1_000_000
