"""Idempotency-Keys of HTTP requests: single and batch, on a real database."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from contracts.errors import Refused
from contracts.facts import AnswerSubmitted
from contracts.queries import PartyQuery, ReferralQuery
from runtime.access.tokens import Principal
from runtime.clock import SystemClock
from runtime.storage.database import DatabaseUnavailable
from runtime.turn import Turn
from runtime.web.request import Request, parse_json
from services.intake import api, ndjson
from services.intake.commits import ADMISSIONS_PER_COMMIT
from services.intake.domain.members import Member
from tests.unit.services.intake.intake_fixture import IntakeBench
from tests.unit.services.intake.samples import MOSCOW, OFFER, OSH, OSH_KID, REFERRAL, document, sealed

Json = dict[str, Any]


class ApiClient:
    """An organisation that calls intake's resource functions."""

    def __init__(self, bench: IntakeBench, organization: str) -> None:
        self._api = api.ApiContext(bench.handlers, "/kg/intake", SystemClock())
        self._organization = organization
        self._members = bench.members

    def _principal(self) -> Principal:
        member = self._members.get(self._organization)
        excluded = member is not None and not member.in_good_standing
        return Principal(id=self._organization, roles=frozenset({"partner"}), excluded=excluded)

    def request(self, body: bytes, key: str | None, subject: str = "") -> Request:
        """Build a request of the organisation."""
        return Request(
            method="POST",
            route="",
            path_params={"id": subject},
            headers={} if key is None else {"idempotency-key": key},
            body=body,
            caller=self._principal(),
        )

    def refer(self, body: bytes, key: str | None = None) -> str:
        """`POST /v1/referrals`; return the referral's id."""
        return str(json.loads(api.submit_referral(self._api, self.request(body, key)).body)["id"])

    def submit(self, name: str, subject: str, body: bytes, key: str | None = None) -> str:
        """`POST /v1/offers/{id}/…` or `/v1/referrals/{id}/…`; return the submission's id."""
        return str(
            json.loads(api.submit_command(self._api, self.request(body, key, subject), name).body)["id"]
        )

    def refer_many(self, body: bytes, key: str | None = None) -> list[Json]:
        """`POST /v1/referrals:batch`."""
        return results(api.submit_referral_batch(self._api, self.request(body, key)).body)

    def submit_many(self, body: bytes, key: str | None = None) -> list[Json]:
        """`POST /v1/submissions:batch`."""
        return results(api.submit_command_batch(self._api, self.request(body, key)).body)


def results(body: bytes) -> list[Json]:
    return [json.loads(line) for line in body.splitlines()]


def batch(*lines: Mapping[str, Any] | bytes) -> bytes:
    return b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)


def ids(lines: list[Json]) -> list[str]:
    assert {result["status"] for result in lines} == {202}, lines
    return [result["id"] for result in lines]


def refused(lines: list[Json]) -> dict[int, str]:
    return {
        result["line"]: result["problem"]["type"].rpartition(":")[2]
        for result in lines
        if result["status"] != 202
    }


@pytest.fixture
def osh(bench: IntakeBench) -> ApiClient:
    return ApiClient(bench, OSH)


@pytest.fixture
def moscow(bench: IntakeBench) -> ApiClient:
    """The organisation with the offer OFFER of the referral REFERRAL."""
    with bench.database.write() as transaction:
        bench.handlers._store.note_offers(transaction, [(OFFER, REFERRAL, MOSCOW)])
    view = {"sender": OSH, "offers": [{"organization": MOSCOW}]}
    bench.routing.answers[ReferralQuery(id=REFERRAL, viewer=MOSCOW, oversight=False)] = view
    return ApiClient(bench, MOSCOW)


REFERRALS = [document(sex="female"), document(sex="male"), document(sex="unknown")]


def test_line_whose_case_this_hub_may_not_store_is_refused_alone(bench: IntakeBench, osh: ApiClient) -> None:
    elsewhere = document()
    elsewhere["consent"] = {**elsewhere["consent"], "storage_countries": ["KZ"]}
    first, second, third = osh.refer_many(batch(REFERRALS[0], elsewhere, REFERRALS[1]))
    assert [first["status"], second["status"], third["status"]] == [202, 422, 202]
    assert [error["pointer"] for error in second["problem"]["errors"]] == ["/consent/storage_countries"]
    assert len(bench.sent()) == 4, "two facts of each admitted line, and no case of the refused one"


# --- The header of a batch -----------------------------------------------------------------------


def test_repeated_batch_with_header_key_returns_first_ids(bench: IntakeBench, osh: ApiClient) -> None:
    first = ids(osh.refer_many(batch(*REFERRALS), "monday"))
    assert ids(osh.refer_many(batch(*REFERRALS), "monday")) == first
    assert bench.counts() == (3, 3, 6)
    assert len(set(first)) == 3


def test_repeated_command_batch_with_header_key_returns_first_ids(
    bench: IntakeBench, moscow: ApiClient
) -> None:
    commands = batch(
        {"submit": "accept", "offer_id": OFFER},
        {"submit": "progress", "referral_id": REFERRAL, "status": "in_progress"},
    )
    first = ids(moscow.submit_many(commands, "monday"))
    assert ids(moscow.submit_many(commands, "monday")) == first
    assert bench.counts() == (0, 2, 2)


def test_two_batches_without_key_or_with_two_keys_are_admitted_twice(
    bench: IntakeBench, osh: ApiClient
) -> None:
    found = [*osh.refer_many(batch(REFERRALS[0])), *osh.refer_many(batch(REFERRALS[0]))]
    found += [*osh.refer_many(batch(REFERRALS[0]), "a"), *osh.refer_many(batch(REFERRALS[0]), "b")]
    assert len(set(ids(found))) == 4


def test_batch_with_one_line_changed_conflicts_on_that_line_only(bench: IntakeBench, osh: ApiClient) -> None:
    first = ids(osh.refer_many(batch(*REFERRALS), "monday"))
    again = osh.refer_many(batch(REFERRALS[0], document(accepts_cost=True), REFERRALS[2]), "monday")
    assert refused(again) == {2: "idempotency-conflict"}
    assert [result.get("id") for result in again] == [first[0], None, first[2]]
    assert bench.counts() == (3, 3, 6)


def test_batch_in_another_order_conflicts_and_admits_nothing_twice(
    bench: IntakeBench, osh: ApiClient
) -> None:
    osh.refer_many(batch(*REFERRALS), "monday")
    again = osh.refer_many(batch(REFERRALS[1], REFERRALS[0], REFERRALS[2]), "monday")
    assert refused(again) == {1: "idempotency-conflict", 2: "idempotency-conflict"}
    assert bench.counts() == (3, 3, 6)


def test_refused_line_corrected_in_repeated_batch_is_admitted(bench: IntakeBench, osh: ApiClient) -> None:
    first = osh.refer_many(batch(REFERRALS[0], document(sex="?"), b"{", REFERRALS[2]), "monday")
    assert refused(first) == {2: "invalid-submission", 3: "malformed-json"}
    assert bench.counts() == (2, 2, 4)
    again = ids(osh.refer_many(batch(*REFERRALS[:2], document(sex="other"), REFERRALS[2]), "monday"))
    assert (again[0], again[3]) == (first[0]["id"], first[3]["id"])
    assert bench.counts() == (4, 4, 8)


def test_blank_lines_count_and_appended_line_is_new(bench: IntakeBench, osh: ApiClient) -> None:
    first = ids(osh.refer_many(batch(REFERRALS[0], b"", b"  ", REFERRALS[1]), "monday"))
    again = osh.refer_many(batch(REFERRALS[0], b"", b"", REFERRALS[1], REFERRALS[2], b""), "monday")
    assert ids(again)[:2] == first
    assert [result["line"] for result in again] == [1, 4, 5]
    moved = osh.refer_many(batch(REFERRALS[0], b"", REFERRALS[1]), "monday")
    assert refused(moved) == {3: "idempotency-conflict"}
    assert bench.counts()[0] == 3


def test_shifted_batch_admits_no_line_twice(bench: IntakeBench, osh: ApiClient) -> None:
    """Each line gets another number; the last one gets a number that no line had."""
    osh.refer_many(batch(*REFERRALS), "monday")
    for shifted in (batch(b"", *REFERRALS), batch(document(sex="other"), *REFERRALS)):
        again = osh.refer_many(shifted, "monday")
        assert refused(again)[len(REFERRALS) + 1] == "idempotency-conflict"
    assert bench.counts()[0] == len(REFERRALS)


def test_shifted_batch_of_answers_admits_no_line_twice(bench: IntakeBench, moscow: ApiClient) -> None:
    line = {"submit": "decline", "offer_id": OFFER, "reason": "language"}
    assert refused(moscow.submit_many(batch(line), "monday")) == {}
    assert refused(moscow.submit_many(batch(b"", line), "monday")) == {2: "idempotency-conflict"}


def test_refusal_of_a_repeated_line_says_that_an_equal_line_was_admitted(
    bench: IntakeBench, moscow: ApiClient
) -> None:
    line = {"submit": "decline", "offer_id": OFFER, "reason": "language"}
    admitted, conflict = moscow.submit_many(batch(line, line), "monday")
    assert "id" in admitted
    assert "earlier in this batch" in str(conflict)


def test_line_key_takes_precedence_over_header_key(bench: IntakeBench, osh: ApiClient) -> None:
    own = {**REFERRALS[0], "idempotency_key": "mine"}
    (first,) = ids(osh.refer_many(batch(own), "monday"))
    (moved,) = ids(osh.refer_many(batch(b"", own), "tuesday"))
    alone = osh.refer(json.dumps(REFERRALS[0]).encode(), "mine")
    assert first == moved == alone
    assert bench.counts() == (1, 1, 2)


def test_null_line_key_falls_back_to_header_key(bench: IntakeBench, osh: ApiClient) -> None:
    line = {**REFERRALS[0], "idempotency_key": None}
    assert ids(osh.refer_many(batch(line), "monday")) == ids(osh.refer_many(batch(line), "monday"))


def test_line_key_derived_from_header_never_equals_request_key(bench: IntakeBench, osh: ApiClient) -> None:
    (first,) = ids(osh.refer_many(batch(REFERRALS[0]), "k"))
    body = json.dumps(REFERRALS[0]).encode()
    assert len({first, osh.refer(body, "k"), osh.refer(body, "k1"), osh.refer(body, "k 1")}) == 4
    with pytest.raises(Refused):
        osh.refer(body, "k\n1")


@pytest.mark.parametrize("key", ["", "x" * 251, "\u043a", "a\tb"])
def test_malformed_header_key_refuses_whole_batch(bench: IntakeBench, osh: ApiClient, key: str) -> None:
    own = {**REFERRALS[0], "idempotency_key": "mine"}
    for send in (osh.refer_many, osh.submit_many):
        with pytest.raises(Refused) as caught:
            send(batch(own), key)
        assert (caught.value.slug, caught.value.status) == ("invalid-parameter", 400)
    assert bench.counts() == (0, 0, 0)


def test_longest_header_key_fits_with_the_number_of_the_last_line(bench: IntakeBench, osh: ApiClient) -> None:
    body = batch(*[b""] * 999, REFERRALS[0])
    assert ids(osh.refer_many(body, "x" * 250)) == ids(osh.refer_many(body, "x" * 250))


# --- The parsed body counts, not its bytes ----------------------------------------------------

_SPELLINGS: dict[str, Callable[[Json], bytes]] = {
    "other key order": lambda body: json.dumps(dict(reversed(body.items()))).encode(),
    "white space": lambda body: json.dumps(body, indent=2).replace("\n", "\r\n").encode(),
    "no white space": lambda body: json.dumps(body, separators=(",", ":")).encode(),
    "characters without escapes": lambda body: json.dumps(body, ensure_ascii=False).encode(),
    "omitted defaults": lambda body: json.dumps(
        {name: value for name, value in body.items() if value not in (None, False, [])}
    ).encode(),
    "other time zone": lambda body: json.dumps(
        {**body, "consent": {**body["consent"], "given_at": "2026-03-01T14:30:15.25+05:00"}}
    ).encode(),
}


@pytest.mark.parametrize("spelling", _SPELLINGS)
def test_same_referral_in_other_bytes_returns_first_id(
    bench: IntakeBench, osh: ApiClient, spelling: str
) -> None:
    first = osh.refer(json.dumps(document()).encode(), "k")
    assert osh.refer(_SPELLINGS[spelling](document()), "k") == first
    line = json.loads(_SPELLINGS[spelling](document()))
    (again,) = ids(osh.refer_many(batch({"idempotency_key": "k", **line})))
    assert again == first
    assert bench.counts() == (1, 1, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"languages": ["ru", "ky"]},
        {"accepts_cost": True},
        {"case": sealed(cty="text")},  # sealed again: intake cannot compare the content
    ],
)
def test_other_referral_under_same_key_conflicts(bench: IntakeBench, osh: ApiClient, change: Json) -> None:
    osh.refer(json.dumps(document()).encode(), "k")
    with pytest.raises(Refused) as caught:
        osh.refer(json.dumps(document(**change)).encode(), "k")
    assert caught.value.slug == "idempotency-conflict"


def test_crlf_in_a_repeated_batch_returns_first_ids(bench: IntakeBench, osh: ApiClient) -> None:
    body = batch(*REFERRALS) + b"\n"
    assert ids(osh.refer_many(body.replace(b"\n", b"\r\n"), "k")) == ids(osh.refer_many(body, "k"))


def test_accept_without_body_and_with_empty_object_is_one_answer(
    bench: IntakeBench, moscow: ApiClient
) -> None:
    first = moscow.submit("accept", OFFER, b"", "k")
    assert (
        moscow.submit("accept", OFFER, b"{}", "k") == moscow.submit("accept", OFFER, b" { }\n", "k") == first
    )
    line = {"submit": "accept", "offer_id": OFFER, "idempotency_key": "k"}
    assert ids(moscow.submit_many(batch(line))) == [first]
    assert sum(isinstance(event.data, AnswerSubmitted) for event in bench.sent()) == 1


def test_omitted_note_and_null_note_of_a_decline_are_one_answer(
    bench: IntakeBench, moscow: ApiClient
) -> None:
    first = moscow.submit("decline", OFFER, b'{"reason": "language"}', "k")
    assert moscow.submit("decline", OFFER, b'{"note": null, "reason": "language"}', "k") == first


def test_command_with_other_name_or_subject_under_same_key_conflicts(
    bench: IntakeBench, moscow: ApiClient
) -> None:
    other = OFFER[:-1] + "9"
    with bench.database.write() as transaction:
        bench.handlers._store.note_offers(transaction, [(other, REFERRAL, MOSCOW)])
    moscow.submit("accept", OFFER, b"{}", "k")
    for name, subject in (("accept", other), ("revoke_consent", REFERRAL)):
        with pytest.raises(Refused) as caught:
            moscow.submit(name, subject, b"{}", "k")
        assert caught.value.slug == "idempotency-conflict"


# --- A repeated submission gets its first answer -------------------------------------------------

_COMMANDS: dict[str, tuple[str, Json]] = {
    "accept": (OFFER, {}),
    "decline": (OFFER, {"reason": "no_capacity"}),
    "withdraw": (REFERRAL, {"reason": "other"}),
    "progress": (REFERRAL, {"status": "on_hold"}),
    "complete": (REFERRAL, {"outcome": "resolved"}),
    "hand_back": (REFERRAL, {"reason": "language"}),
    "note": (REFERRAL, {"note": sealed(OSH_KID)}),
    "revoke_consent": (REFERRAL, {}),
}


def suspend(bench: IntakeBench) -> None:
    bench.members[MOSCOW] = Member(id=MOSCOW, in_good_standing=False, kid=None)


def remove_member(bench: IntakeBench) -> None:
    del bench.members[MOSCOW]


def forget_subjects(bench: IntakeBench) -> None:
    """Make intake and routing forget the offer and the party."""
    with bench.database.write() as transaction:
        transaction.exec_driver_sql("DELETE FROM offers")
    bench.routing.answers = {PartyQuery(id=REFERRAL, organization=MOSCOW): False}


@pytest.mark.parametrize("name", _COMMANDS)
@pytest.mark.parametrize("change", [suspend, remove_member, forget_subjects])
def test_repeated_command_returns_first_id_after_change(
    bench: IntakeBench, moscow: ApiClient, name: str, change: Callable[[IntakeBench], None]
) -> None:
    subject, body = _COMMANDS[name]
    first = moscow.submit(name, subject, json.dumps(body).encode(), "k")
    before = bench.counts()
    change(bench)
    assert moscow.submit(name, subject, json.dumps(body, indent=1).encode(), "k") == first
    where = "offer_id" if subject == OFFER else "referral_id"
    line = {"submit": name, where: subject, "idempotency_key": "k", **body}
    assert ids(moscow.submit_many(batch(line))) == [first]
    assert bench.counts() == before


def test_repeated_batch_returns_first_ids_after_suspension(
    bench: IntakeBench, moscow: ApiClient, osh: ApiClient
) -> None:
    commands = batch({"submit": "accept", "offer_id": OFFER}, {"submit": "withdraw", "referral_id": OFFER})
    first = moscow.submit_many(commands, "monday")
    assert refused(first) == {2: "invalid-submission"}
    referred = ids(osh.refer_many(batch(*REFERRALS), "monday"))
    suspend(bench)
    bench.members[OSH] = Member(id=OSH, in_good_standing=False, kid=None)
    after = moscow.submit_many(commands, "monday")
    assert after[0] == first[0]
    # The second line was never admitted, so its repetition is refused like everything else.
    assert refused(after) == {2: "forbidden"}
    again = osh.refer_many(batch(*REFERRALS, REFERRALS[0]), "monday")
    assert refused(again) == {4: "forbidden"}
    assert ids(again[:3]) == referred


def test_new_command_after_suspension_is_refused_under_used_key(
    bench: IntakeBench, moscow: ApiClient
) -> None:
    moscow.submit("decline", OFFER, b'{"reason": "language"}', "k")
    suspend(bench)
    for key in ("k", "unused", None):
        with pytest.raises(Refused) as caught:
            moscow.submit("accept", OFFER, b"{}", key)
        assert caught.value.slug == "forbidden"


@pytest.mark.parametrize("name", _COMMANDS)
def test_new_submission_of_suspended_organization_is_refused_whatever_its_body(
    bench: IntakeBench, moscow: ApiClient, osh: ApiClient, name: str
) -> None:
    suspend(bench)
    bench.members[OSH] = Member(id=OSH, in_good_standing=False, kid=None)
    before = bench.counts()
    subject, body = _COMMANDS[name]
    for wire in (json.dumps(body).encode(), b'{"unknown": 1}', b"{"):
        with pytest.raises(Refused) as caught:
            moscow.submit(name, subject, wire, "new")
        assert caught.value.slug == "forbidden"
        with pytest.raises(Refused) as caught:
            osh.refer(wire)
        assert caught.value.slug == "forbidden"
    assert bench.counts() == before


def test_repeated_submission_returns_first_id_when_its_body_would_be_refused_now(
    bench: IntakeBench, moscow: ApiClient, osh: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later version may refuse what an earlier one admitted: the same bytes return the first id."""
    body, decline = json.dumps(REFERRALS[0]).encode(), b'{"reason": "language"}'
    line = batch({"submit": "decline", "offer_id": OFFER, **json.loads(decline)})
    referral, answer = osh.refer(body, "k"), moscow.submit("decline", OFFER, decline, "k")
    referrals, answers = osh.refer_many(body, "b"), moscow.submit_many(line, "b")

    def refuse(*_: object, **__: object) -> None:
        raise Refused("invalid-submission", "Refused by a later version.")

    for module in (api, ndjson):
        monkeypatch.setattr(module, "load", refuse)
    assert (osh.refer(body, "k"), moscow.submit("decline", OFFER, decline, "k")) == (referral, answer)
    assert (osh.refer_many(body, "b"), moscow.submit_many(line, "b")) == (referrals, answers)
    with pytest.raises(Refused):
        osh.refer(body, "unused")


def test_batch_line_with_too_many_values_is_refused_and_others_admitted(bench: IntakeBench) -> None:
    line = json.dumps(document()).encode()
    large = json.dumps({**document(), "extra": [0] * 1000}).encode()
    deep = b'{"a":' + b"[" * 51 + b"0" + b",0" * 500_000 + b"]" * 51 + b"}"
    found = ApiClient(bench, OSH).refer_many(b"\n".join((large, line, deep)))
    assert [one["status"] for one in found] == [413, 202, 413]
    assert "1000" in found[0]["problem"]["detail"]


def test_batch_line_that_is_longer_than_a_submission_is_refused_and_others_admitted(
    bench: IntakeBench,
) -> None:
    line = json.dumps(document()).encode()
    longest = line + b" " * (ndjson.LONGEST_LINE - len(line))
    found = ApiClient(bench, OSH).refer_many(b"\n".join((longest + b" ", longest, line)))
    assert [one["status"] for one in found] == [413, 202, 202]
    assert found[0]["problem"]["detail"] == f"A line has at most {ndjson.LONGEST_LINE} bytes."


@pytest.mark.parametrize("are_referrals", [True, False])
def test_others_are_served_between_two_lines_of_a_batch(
    bench: IntakeBench, monkeypatch: pytest.MonkeyPatch, are_referrals: bool
) -> None:
    """A thousand lines with as many values as they may have take some 200 ms of processor time."""
    steps: list[str] = []

    def parsed(*arguments: Any, **options: Any) -> Any:
        steps.append("line")
        return parse_json(*arguments, **options)

    monkeypatch.setattr("services.intake.ndjson.parse_json", parsed)
    monkeypatch.setattr(Turn, "end_if_over", lambda _: steps.append("turn"))
    osh = ApiClient(bench, OSH)
    (osh.refer_many if are_referrals else osh.submit_many)(b"{}\n[]\n" + b"{}")
    assert steps[:6] == ["line", "turn"] * 3


def test_batch_whose_database_fails_in_between_answers_503_for_the_rest(
    bench: IntakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [{**document(), "idempotency_key": f"k{n}"} for n in range(ADMISSIONS_PER_COMMIT + 2)]
    body = b"\n".join(json.dumps(line).encode() for line in lines)
    record = bench.handlers.commits._record
    groups: list[int] = []

    def fail_later(transaction: Any, commands: Any) -> Any:
        groups.append(len(commands))
        if len(groups) == 2:
            raise DatabaseUnavailable("the database is away")
        return record(transaction, commands)

    monkeypatch.setattr(bench.handlers.commits._commits, "_apply", fail_later)
    client = ApiClient(bench, OSH)
    found = client.refer_many(body, "monday")
    assert [one["status"] for one in found] == [202] * ADMISSIONS_PER_COMMIT + [503] * 2
    again = client.refer_many(body, "monday")
    assert [one["id"] for one in again[:ADMISSIONS_PER_COMMIT]] == [
        one["id"] for one in found[:ADMISSIONS_PER_COMMIT]
    ]
    assert {one["status"] for one in again} == {202}


def test_refused_line_of_an_unknown_kind_names_the_ways_of_a_referral(osh: ApiClient) -> None:
    """The gateway passes lines on, so this refusal reaches partners over AMQP too."""
    (result,) = osh.submit_many(batch({"submit": "referal"}))
    (where,) = result["problem"]["errors"]
    assert where["pointer"] == "/submit"
    assert "over AMQP also referral (over HTTP, POST /v1/referrals:batch)" in where["detail"]
