"""The HTTP behaviour of a service, over real sockets."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest

from admin.embedded_broker import LOOPBACK
from tests.journey.waiting import until
from tests.runtime.sample_process import SampleProcess, new_signer
from tests.runtime.sample_service.handlers import SECRET
from tests.support.raw_http import exchange

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

TEN_MEGABYTES = 10 * 1024 * 1024


def problem(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """Check that the response is this problem and return its body."""
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["type"]) == (status, f"urn:kopuro:problem:{slug}")
    assert response.headers["content-type"] == "application/problem+json"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


def post(sample: SampleProcess, body: bytes | Iterator[bytes]) -> httpx.Response:
    return httpx.post(sample.url + "/v1/echo", content=body, headers=sample.token("partner"))


def test_valid_request_gets_the_response_of_its_handler(sample: SampleProcess) -> None:
    response = post(sample, b'{"name": "\xd0\x90\xd0\xb9"}')
    assert response.status_code == 202
    assert response.json() == {"caller": "kg.sample", "document": {"name": "Ай"}}


def test_chunked_body_is_read(sample: SampleProcess) -> None:
    response = post(sample, iter([b'{"a":', b" [1,", b"2]}"]))
    assert response.json()["document"] == {"a": [1, 2]}


def test_path_and_query_reach_the_handler_decoded(sample: SampleProcess) -> None:
    response = httpx.get(sample.url + "/v1/things/Ош?a=%D1%8F&b=", headers=sample.token("partner"))
    assert response.json() == {"id": "Ош", "query": {"a": "я", "b": ""}}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{'a': 1}", b"[1, NaN]", b"\xff", b'"\\ud800"', b'{"a": "\\u0000"}']
)
def test_body_that_is_not_json_is_refused(sample: SampleProcess, body: bytes) -> None:
    problem(post(sample, body), 400, "malformed-json")


@pytest.mark.parametrize("depth", [65, 10_000])
def test_deeply_nested_body_is_refused(sample: SampleProcess, depth: int) -> None:
    problem(post(sample, b"[" * depth + b"]" * depth), 400, "malformed-json")


def test_announced_large_body_is_refused_before_it_is_sent(sample: SampleProcess) -> None:
    authorization = sample.token("partner")["Authorization"]
    answer = exchange(
        sample.port,
        b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: %b\r\nContent-Length: %d\r\n\r\n"
        % (authorization.encode(), TEN_MEGABYTES),
    )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"urn:kopuro:problem:body-too-large" in answer


def test_body_of_ten_megabytes_is_refused_although_sent(sample: SampleProcess) -> None:
    problem(post(sample, b"x" * TEN_MEGABYTES), 413, "body-too-large")


def test_chunked_body_of_ten_megabytes_is_refused(sample: SampleProcess) -> None:
    piece = b"x" * 65536
    problem(post(sample, (piece for _ in range(TEN_MEGABYTES // len(piece)))), 413, "body-too-large")


def test_large_body_of_caller_without_token_is_not_read(sample: SampleProcess) -> None:
    answer = exchange(sample.port, b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"Connection: close" in answer


def test_connection_stays_usable_after_refused_small_body(sample: SampleProcess) -> None:
    with httpx.Client(base_url=sample.url) as client:
        problem(client.post("/v1/echo", content=b"{}"), 401, "missing-token")
        answer = client.post("/v1/echo", content=b"{}", headers=sample.token("partner"))
        assert answer.status_code == 202


def test_unsupported_transfer_coding_cannot_smuggle_a_second_request(sample: SampleProcess) -> None:
    smuggled = b"GET /v1/ping HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = exchange(
        sample.port,
        b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: %b\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
        % sample.token("partner")["Authorization"].encode()
        + smuggled,
    )
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_endless_chunk_header_is_abandoned(sample: SampleProcess) -> None:
    answer = exchange(
        sample.port,
        b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
        % sample.token("partner")["Authorization"].encode()
        + b"1" * 20_000,
    )
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_aborted_request_ends_only_its_own_connection(sample: SampleProcess) -> None:
    reset = struct.pack("ii", 1, 0)  # SO_LINGER 0: close with a reset
    for start in (
        b"",
        b"POST /v1/ec",
        b"POST /v1/echo HTTP/1.1\r\nContent-Length: 9\r\n\r\nx",
        b"\x16\x03\x01\0",
    ):
        connection = socket.create_connection((LOOPBACK, sample.port))
        connection.sendall(start)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        connection.close()
    assert httpx.get(sample.url + "/v1/ping").status_code == 200
    assert sample.process.running()


def test_each_token_fault_has_its_own_problem(sample: SampleProcess) -> None:
    def ask(headers: dict[str, str]) -> httpx.Response:
        return httpx.post(sample.url + "/v1/echo", content=b"{}", headers=headers)

    missing = ask({})
    problem(missing, 401, "missing-token")
    assert missing.headers["www-authenticate"].startswith("Bearer")
    problem(ask({"Authorization": "Basic YTpi"}), 401, "missing-token")
    problem(ask({"Authorization": "Bearer a.b.c"}), 401, "invalid-token")
    problem(ask(sample.token("partner", signer=new_signer())), 401, "invalid-token")
    problem(ask(sample.token("partner", age=timedelta(hours=1))), 401, "expired-token")
    problem(ask(sample.token("auditor")), 403, "forbidden")
    assert ask(sample.token("auditor", "partner")).status_code == 202


@pytest.mark.parametrize("path", ["/", "/v1/ping/", "/v1/things", "/v1/things/a/b", "/v1/%D1%8F"])
def test_unknown_path_becomes_problem(sample: SampleProcess, path: str) -> None:
    request = b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode()
    answer = exchange(sample.port, request)
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"urn:kopuro:problem:not-found" in answer


def test_head_is_get_without_the_body(sample: SampleProcess) -> None:
    answer = exchange(sample.port, b"HEAD /v1/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Length: 13\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_wrong_method_is_refused_with_allowed_methods(sample: SampleProcess) -> None:
    response = httpx.delete(sample.url + "/v1/ping")
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "query", ["limt=1", "a=1&a=2", "a=%ff", "a=%00", "&".join(f"a{i}=1" for i in range(99))]
)
def test_unusable_parameters_are_refused(sample: SampleProcess, query: str) -> None:
    response = httpx.get(f"{sample.url}/v1/things/1?{query}", headers=sample.token("partner"))
    problem(response, 400, "invalid-parameter")


def test_refusal_of_handler_becomes_problem(sample: SampleProcess) -> None:
    body = problem(httpx.post(sample.url + "/v1/refuse"), 409, "conflict")
    assert body["detail"] == "The sample always refuses."


def test_temporary_failure_is_a_503_with_retry_after(sample: SampleProcess) -> None:
    response = httpx.post(sample.url + "/v1/fail/unavailable")
    problem(response, 503, "unavailable")
    assert response.headers["retry-after"] == "7"
    problem(httpx.post(sample.url + "/v1/fail/database"), 503, "unavailable")


def test_failure_puts_no_content_into_response_or_log(sample: SampleProcess) -> None:
    response = httpx.post(sample.url + "/v1/fail/bug")
    reference = problem(response, 500, "internal")["reference"]
    httpx.post(sample.url + "/v1/fail/database")
    assert SECRET not in response.text
    assert SECRET not in sample.log.read_text()
    line = next(line for line in sample.log_lines() if line.get("trace_id") == reference)
    classes = [link["class"] for link in line["exception"]]
    assert classes == ["RuntimeError", "ValueError"]
    assert line["exception"][0]["frames"][-1].startswith("tests.runtime.sample_service.handlers:")


def test_failure_of_a_greenlet_that_waited_for_a_socket_puts_no_content_into_the_log(
    sample: SampleProcess,
) -> None:
    """eventlet's hub would print it, with the exception's text."""

    def failures() -> list[str]:
        lines = [line for line in sample.log_lines() if line["message"] == "uncaught exception"]
        return [line["exception"][0]["class"] for line in lines]

    before = len(failures())
    assert httpx.post(sample.url + "/v1/fail/greenlet").status_code == 204
    assert until(lambda: failures()[before:] or None, "the failure in the log") == ["ValueError"]
    assert SECRET not in sample.log.read_text()
    assert httpx.get(sample.url + "/v1/ping").status_code == 200


def test_trace_of_request_is_continued(sample: SampleProcess) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    response = httpx.post(sample.url + "/v1/fail/bug", headers={"traceparent": parent})
    assert response.json()["reference"] == "0af7651916cd43dd8448eb211c80319c"
    version, trace_id, span_id, _ = response.headers["traceparent"].split("-")
    assert (version, trace_id) == ("00", "0af7651916cd43dd8448eb211c80319c")
    assert span_id != "b7ad6b7169203331"


def test_waiting_requests_do_not_block_others(sample: SampleProcess) -> None:
    waiting = 12  # an address has 16 requests of a public resource in progress at a time
    with ThreadPoolExecutor(waiting) as callers:
        waits = [
            callers.submit(httpx.get, sample.url + "/v1/wait?seconds=3", timeout=30) for _ in range(waiting)
        ]
        assert httpx.get(sample.url + "/v1/ping").status_code == 200
        assert not any(wait.done() for wait in waits)
        assert {wait.result().status_code for wait in waits} == {200}


def test_flood_of_one_caller_waits_for_its_own_requests_only(sample: SampleProcess) -> None:
    """Twice as many requests as a caller may have in progress, each of a second."""
    flood = 32
    with ThreadPoolExecutor(flood) as callers:
        headers = sample.token("partner")
        held = [
            callers.submit(httpx.get, sample.url + "/v1/hold?seconds=1", headers=headers, timeout=60)
            for _ in range(flood)
        ]
        _until_in_flight(sample, flood)
        started = time.monotonic()
        other = sample.token("partner", client="other")
        assert httpx.get(sample.url + "/v1/hold?seconds=0", headers=other, timeout=60).status_code == 200
        assert sum(one.done() for one in held) < flood
        assert {one.result().status_code for one in held} == {200}
        assert time.monotonic() - started > 1  # the second half waited for the first


def _until_in_flight(sample: SampleProcess, count: int) -> None:
    end = time.monotonic() + 20
    while (
        f"kopuro_http_requests_in_flight {float(count)}"
        not in httpx.get(sample.operations_url + "/metrics", timeout=20).text
        and time.monotonic() < end
    ):
        time.sleep(0.05)


def test_discovery_is_served_without_token(sample: SampleProcess) -> None:
    found = httpx.get(sample.url + "/.well-known/kopuro").json()
    assert {name: found[name] for name in ("hub", "version")} == {"hub": "kg", "version": "1"}
    for path in found["documents"].values():
        assert httpx.get(sample.url + path).status_code == 200


def test_readiness_gives_the_reason_while_not_ready(sample: SampleProcess) -> None:
    sample.marker.unlink(missing_ok=True)
    response = httpx.get(sample.operations_url + "/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["marker"] == "the marker file is missing"
    sample.marker.touch()
    response = httpx.get(sample.operations_url + "/readyz")
    assert (response.status_code, response.json()["ready"]) == (200, True)
    assert set(response.json()["checks"].values()) == {"ok"}


def test_metrics_show_which_check_of_readiness_fails(sample: SampleProcess) -> None:
    def until_shown(value: float) -> None:
        end = time.monotonic() + 20
        while (
            f'kopuro_unready{{check="marker"}} {value}'
            not in httpx.get(sample.operations_url + "/metrics").text
        ):
            assert time.monotonic() < end
            time.sleep(0.1)

    sample.marker.unlink(missing_ok=True)
    until_shown(1.0)
    sample.marker.touch()
    until_shown(0.0)
    assert 'kopuro_unready{check="process"} 0.0' in httpx.get(sample.operations_url + "/metrics").text


def test_metrics_count_by_route_template_and_never_by_path(sample: SampleProcess) -> None:
    httpx.get(sample.url + "/v1/things/kg.secret-name", headers=sample.token("partner"))
    httpx.request("BREW", sample.url + "/kg.secret-name")
    metrics = httpx.get(sample.operations_url + "/metrics").text
    counted = 'kopuro_http_requests_total{method="GET",route="/v1/things/<id>",status="200"}'
    assert counted in metrics
    assert 'kopuro_http_request_seconds_bucket{le="0.1",method="GET",route="/v1/things/<id>"' in metrics
    assert "process_resident_memory_bytes" in metrics
    assert "secret-name" not in metrics
    assert "BREW" not in metrics


def test_metrics_name_the_trace_of_a_response_as_exemplar(sample: SampleProcess) -> None:
    response = httpx.get(sample.url + "/v1/things/kg.a", headers=sample.token("partner"))
    trace_id = response.headers["traceparent"].split("-")[1]
    accepted = {"Accept": "application/openmetrics-text; version=1.0.0"}
    exposed = httpx.get(sample.operations_url + "/metrics", headers=accepted).text
    assert f'# {{trace_id="{trace_id}"}}' in exposed


def test_operations_paths_are_not_on_the_public_port(sample: SampleProcess) -> None:
    problem(httpx.get(sample.url + "/metrics"), 404, "not-found")


@pytest.mark.parametrize("accept", ["application/openmetrics-text; version=abc", "a/b; version=1.x.0", "1=0"])
def test_metrics_with_malformed_accept_header_are_text(sample: SampleProcess, accept: str) -> None:
    response = httpx.get(sample.operations_url + "/metrics", headers={"Accept": accept})
    assert response.status_code == 200
    assert "process_resident_memory_bytes" in response.text


def test_metrics_include_memory(sample: SampleProcess) -> None:
    print(f"\nresident memory of the sample service: {sample.resident_megabytes():.0f} MB")  # noqa: T201


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
def test_operations_port_refuses_unknown_parameters_with_their_names(
    sample: SampleProcess, path: str
) -> None:
    response = httpx.get(f"{sample.operations_url}{path}?verbose=1")
    assert response.status_code == 400
    assert "`verbose` is not a parameter of this resource" in response.json()["status"]
    assert httpx.get(sample.operations_url + path).status_code in (200, 503)


def test_unknown_path_of_operations_port_is_not_found_for_every_method(sample: SampleProcess) -> None:
    assert httpx.get(sample.operations_url + "/nothing?x=1").status_code == 404
    assert httpx.post(sample.operations_url + "/nothing").status_code == 404
    assert httpx.post(sample.operations_url + "/metrics").status_code == 405
