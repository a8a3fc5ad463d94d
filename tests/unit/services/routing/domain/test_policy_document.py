"""Reading a policy's document: what is refused, where and why."""

from __future__ import annotations

import codecs
import json

import pytest

from contracts.errors import Refused
from services.routing.domain.policy import RoutingPolicy, Weights
from services.routing.domain.policy_document import configured_policy, digest_of, document_of, parse_policy

REMIND = {"at": 0.5, "act": "remind"}
ZERO = dict.fromkeys(RoutingPolicy().weights.by_name(), 0)


def test_document_with_defaults_is_complete_and_reads_back_equal() -> None:
    document = parse_policy(b'{"version": "v2", "emergency_offers": 5, "weights": {"cost": 0}}')
    assert document.policy == RoutingPolicy(version="v2", emergency_offers=5, weights=Weights(cost=0.0))
    assert document.content["routine"] == {"answer": 259200, "progress": 1209600, "on_hold": None}
    again = parse_policy(json.dumps(document.content, indent=3, sort_keys=True).encode())
    assert again == document
    assert document == document_of(document.policy)
    assert document.digest == digest_of(document.content)


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"emergency_offers": 0}, ["/emergency_offers"]),
        ({"weights": ZERO}, ["/weights"]),
        ({"weights": {"cost": -1}}, ["/weights/cost"]),
        ({"weights": {"beauty": 1}}, ["/weights/beauty"]),
        ({"emergency": {"answer": 0, "progress": 900}}, ["/emergency/answer"]),
        ({"emergency": {"answer": 86401, "progress": 900}}, ["/emergency/answer"]),
        ({"emergency": {"answer": 299, "progress": 900}}, ["/emergency/answer"]),
        (
            {"urgent": {"answer": 1, "progress": 900}, "routine": {"answer": 299, "progress": 900}},
            ["/urgent/answer", "/routine/answer"],
        ),
        ({"urgent": {"answer": 15 * 86400, "progress": 900}}, ["/urgent/answer"]),
        ({"routine": {"answer": 61 * 86400, "progress": 900}}, ["/routine/answer"]),
        ({"emergency": {"answer": 300, "progress": 15 * 86400}}, ["/emergency/progress"]),
        ({"urgent": {"answer": 300, "progress": 899}}, ["/urgent/progress"]),
        ({"version": " "}, ["/version"]),
        ({"emergency": {"answer": 300, "progress": 5 * 86400}}, ["/emergency/progress"]),
        ({"urgent": {"answer": 300, "progress": 900, "on_hold": 61 * 86400}}, ["/urgent/on_hold"]),
        ({"full_for": {"emergency": 86401}}, ["/full_for/emergency"]),
        ({"full_for": {"routine": 61 * 86400}}, ["/full_for/routine"]),
        ({"offers_per_sender": {"least": 5, "most": 4}}, ["/offers_per_sender/most"]),
        ({"backlog": 86401}, ["/backlog"]),
        ({"backlog": 1}, ["/backlog"]),
        ({"offers_per_sender": {"most": 1}}, ["/offers_per_sender/most"]),
        ({"urgent": {"answer": 300, "progress": 900, "on_hold": 1}}, ["/urgent/on_hold"]),
        ({"escalation": {"urgent": [REMIND, REMIND]}}, ["/escalation/urgent/1/at"]),
        ({"escalation": {"routine": [{"at": 1, "act": "remind"}]}}, ["/escalation/routine/0/at"]),
        ({"escalation": {"emergency": [{"at": 0.5, "act": "close"}]}}, ["/escalation/emergency/0/act"]),
        ({"weights": ZERO, "backlog": 86401}, ["/weights", "/backlog"]),
    ],
)
def test_starving_or_malformed_policy_is_refused_with_its_places(
    changes: dict[str, object], pointers: list[str]
) -> None:
    with pytest.raises(Refused) as refused:
        parse_policy(json.dumps({"version": "bad", **changes}).encode())
    assert [error.pointer for error in refused.value.errors] == pointers
    assert all(error.detail for error in refused.value.errors)


@pytest.mark.parametrize(("answer", "practice"), [(300, False), (1, True)])
def test_shortest_answer_is_five_minutes_except_for_practice(answer: int, *, practice: bool) -> None:
    deadlines = {"answer": answer, "progress": 900}
    written = {"version": "short", "practice": practice, "emergency": deadlines}
    assert parse_policy(json.dumps(written).encode()).policy.emergency.answer == answer


@pytest.mark.parametrize("text", [b"{}", b'{"emergency_offers": 4}'])
def test_policy_without_a_version_is_refused(text: bytes) -> None:
    with pytest.raises(Refused) as refused:
        parse_policy(text)
    assert [error.pointer for error in refused.value.errors] == ["/version"]


@pytest.mark.parametrize("version", ["v\0", "v\n2", "\x1b[31mv2"])
def test_version_with_control_characters_is_refused(version: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_policy(json.dumps({"version": version}).encode())
    assert [error.pointer for error in refused.value.errors] == ["/version"]


@pytest.mark.parametrize("depth", [70, 300, 1000, 5000])
def test_policy_that_is_nested_too_deep_is_refused(depth: int) -> None:
    text = b'{"version": "v2", "weights": ' + b"[" * depth + b"]" * depth + b"}"
    with pytest.raises(Refused) as refused:
        parse_policy(text)
    assert refused.value.slug == "malformed-json"


def test_policy_with_too_many_members_is_refused_without_an_error_for_each() -> None:
    members = {f"member_{number}": number for number in range(20_000)}
    with pytest.raises(Refused) as refused:
        parse_policy(json.dumps({"version": "v2", **members}).encode())
    assert refused.value.slug == "body-too-large"
    assert not refused.value.errors


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", '"NaN"', "true", "null"])
def test_weight_that_is_no_finite_number_is_refused(number: str) -> None:
    with pytest.raises(Refused):
        parse_policy(f'{{"version": "v2", "weights": {{"cost": {number}}}}}'.encode())


def test_malformed_json_is_refused_with_line_and_column() -> None:
    with pytest.raises(Refused, match="line 2, column 14") as refused:
        parse_policy(b'{"version": "x",\n "backlog": 9,}')
    assert refused.value.slug == "malformed-json"


def test_number_that_is_not_finite_is_refused_with_its_pointer() -> None:
    with pytest.raises(Refused, match="The policy has malformed JSON at line 1") as refused:
        parse_policy(b'{"version": "x", "weights": {"load": NaN}}')
    assert [error.pointer for error in refused.value.errors] == ["/weights/load"]


def test_byte_order_mark_of_a_file_is_ignored() -> None:
    text = b'{"version": "x"}'
    assert parse_policy(codecs.BOM_UTF8 + text) == parse_policy(text)
    assert configured_policy(codecs.BOM_UTF8 + text) == configured_policy(text)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_file_in_another_encoding_is_refused_with_advice(encoding: str) -> None:
    with pytest.raises(Refused, match="save it as UTF-8"):
        parse_policy('{"version": "x"}'.encode(encoding))


def test_repeated_name_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        parse_policy(b'{"version": "x", "backlog": 1, "backlog": 2}')
    assert [error.pointer for error in refused.value.errors] == ["/backlog"]


def test_default_policy_can_be_applied() -> None:
    assert parse_policy(json.dumps(document_of(RoutingPolicy()).content).encode()).policy == RoutingPolicy()
