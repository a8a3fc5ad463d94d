"""Idempotency-Keys at the HTTP doors: single requests and batches, on a real database."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from contracts.errors import Refused
from contracts.facts import AnswerSubmitted
from contracts.queries import PartyQuery
from runtime.access.tokens import Principal
from runtime.clock import SystemClock
from runtime.web.request import Request
from services.intake import api, ndjson
from services.intake.domain.members import Member
from tests.unit.services.intake.desk import Desk
from tests.unit.services.intake.samples import MOSCOW, MOSCOW_KID, OFFER, OSH, REFERRAL, document, sealed

Json = dict[str, Any]


class Caller:
    """An organisation at the doors of a desk."""

    def __init__(self, desk: Desk, organization: str) -> None:
        self._door = api.ApiContext(desk.handlers, "/kg/intake", SystemClock())
        self._principal = Principal(id=organization, roles=frozenset({"partner"}))

    def request(self, body: bytes, key: str | None, subject: str = "") -> Request:
        return Request(
            method="POST",
            route="",
            path_params={"id": subject},
            headers={} if key is None else {"idempotency-key": key},
            body=body,
            caller=self._principal,
        )

    def refer(self, body: bytes, key: str | None = None) -> str:
        """`POST /v1/referrals`; the referral's id."""
        return str(json.loads(api.submit_referral(self._door, self.request(body, key)).body)["id"])

    def say(self, name: str, subject: str, body: bytes, key: str | None = None) -> str:
        """`POST /v1/offers/{id}/…` or `/v1/referrals/{id}/…`; the submission's id."""
        return str(
            json.loads(api.submit_command(self._door, self.request(body, key, subject), name).body)["id"]
        )

    def refer_many(self, body: bytes, key: str | None = None) -> list[Json]:
        """`POST /v1/referrals:batch`."""
        return results(api.submit_referral_batch(self._door, self.request(body, key)).body)

    def say_many(self, body: bytes, key: str | None = None) -> list[Json]:
        """`POST /v1/submissions:batch`."""
        return results(api.submit_command_batch(self._door, self.request(body, key)).body)


def results(body: bytes) -> list[Json]:
    return [json.loads(line) for line in body.splitlines()]


def batch(*lines: Mapping[str, Any] | bytes) -> bytes:
    return b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)


def ids(answered: list[Json]) -> list[str]:
    assert {result["status"] for result in answered} == {202}, answered
    return [result["id"] for result in answered]


def refused(answered: list[Json]) -> dict[int, str]:
    return {
        result["line"]: result["problem"]["type"].rpartition(":")[2]
        for result in answered
        if result["status"] != 202
    }


@pytest.fixture
def osh(desk: Desk) -> Caller:
    return Caller(desk, OSH)


@pytest.fixture
def moscow(desk: Desk) -> Caller:
    """Holds the offer OFFER of the referral REFERRAL."""
    with desk.database.write() as transaction:
        desk.handlers._store.note_offers(transaction, [(OFFER, REFERRAL, MOSCOW)])
    return Caller(desk, MOSCOW)


PEOPLE = [document(sex="female"), document(sex="male"), document(sex="unknown")]


# --- The header of a batch -----------------------------------------------------------------------


def test_repeated_batch_with_header_key_returns_first_ids(desk: Desk, osh: Caller) -> None:
    first = ids(osh.refer_many(batch(*PEOPLE), "monday"))
    assert ids(osh.refer_many(batch(*PEOPLE), "monday")) == first
    assert desk.counts() == (3, 3, 6)
    assert len(set(first)) == 3


def test_repeated_batch_of_statements_with_header_key_returns_first_ids(desk: Desk, moscow: Caller) -> None:
    said = batch(
        {"submit": "accept", "offer_id": OFFER},
        {"submit": "progress", "referral_id": REFERRAL, "status": "in_progress"},
    )
    first = ids(moscow.say_many(said, "monday"))
    assert ids(moscow.say_many(said, "monday")) == first
    assert desk.counts() == (0, 2, 2)


def test_two_batches_without_key_or_with_two_keys_are_admitted_twice(desk: Desk, osh: Caller) -> None:
    found = [*osh.refer_many(batch(PEOPLE[0])), *osh.refer_many(batch(PEOPLE[0]))]
    found += [*osh.refer_many(batch(PEOPLE[0]), "a"), *osh.refer_many(batch(PEOPLE[0]), "b")]
    assert len(set(ids(found))) == 4


def test_batch_with_one_line_changed_conflicts_on_that_line_only(desk: Desk, osh: Caller) -> None:
    first = ids(osh.refer_many(batch(*PEOPLE), "monday"))
    again = osh.refer_many(batch(PEOPLE[0], document(accepts_cost=True), PEOPLE[2]), "monday")
    assert refused(again) == {2: "idempotency-conflict"}
    assert [result.get("id") for result in again] == [first[0], None, first[2]]
    assert desk.counts() == (3, 3, 6)


def test_batch_in_another_order_conflicts_and_admits_nothing_twice(desk: Desk, osh: Caller) -> None:
    osh.refer_many(batch(*PEOPLE), "monday")
    again = osh.refer_many(batch(PEOPLE[1], PEOPLE[0], PEOPLE[2]), "monday")
    assert refused(again) == {1: "idempotency-conflict", 2: "idempotency-conflict"}
    assert desk.counts() == (3, 3, 6)


def test_refused_line_corrected_in_repeated_batch_is_admitted(desk: Desk, osh: Caller) -> None:
    first = osh.refer_many(batch(PEOPLE[0], document(sex="?"), b"{", PEOPLE[2]), "monday")
    assert refused(first) == {2: "invalid-submission", 3: "malformed-json"}
    assert desk.counts() == (2, 2, 4)
    again = ids(osh.refer_many(batch(*PEOPLE[:2], document(sex="other"), PEOPLE[2]), "monday"))
    assert (again[0], again[3]) == (first[0]["id"], first[3]["id"])
    assert desk.counts() == (4, 4, 8)


def test_blank_lines_count_and_a_line_added_at_the_end_is_new(desk: Desk, osh: Caller) -> None:
    first = ids(osh.refer_many(batch(PEOPLE[0], b"", b"  ", PEOPLE[1]), "monday"))
    again = osh.refer_many(batch(PEOPLE[0], b"", b"", PEOPLE[1], PEOPLE[2], b""), "monday")
    assert ids(again)[:2] == first
    assert [result["line"] for result in again] == [1, 4, 5]
    assert refused(osh.refer_many(batch(PEOPLE[0], b"", PEOPLE[1]), "monday")) == {}
    assert desk.counts() == (4, 4, 8)


def test_own_key_of_a_line_counts_before_the_header(desk: Desk, osh: Caller) -> None:
    own = {**PEOPLE[0], "idempotency_key": "mine"}
    (first,) = ids(osh.refer_many(batch(own), "monday"))
    (moved,) = ids(osh.refer_many(batch(b"", own), "tuesday"))
    alone = osh.refer(json.dumps(PEOPLE[0]).encode(), "mine")
    assert first == moved == alone
    assert desk.counts() == (1, 1, 2)


def test_null_key_of_a_line_leaves_it_to_the_header(desk: Desk, osh: Caller) -> None:
    line = {**PEOPLE[0], "idempotency_key": None}
    assert ids(osh.refer_many(batch(line), "monday")) == ids(osh.refer_many(batch(line), "monday"))


def test_header_key_with_line_number_is_no_key_of_a_single_request(desk: Desk, osh: Caller) -> None:
    (first,) = ids(osh.refer_many(batch(PEOPLE[0]), "k"))
    body = json.dumps(PEOPLE[0]).encode()
    assert len({first, osh.refer(body, "k"), osh.refer(body, "k1"), osh.refer(body, "k 1")}) == 4
    with pytest.raises(Refused):
        osh.refer(body, "k\n1")


@pytest.mark.parametrize("key", ["", "x" * 251, "\u043a", "a\tb"])
def test_header_key_that_cannot_be_repeated_refuses_the_whole_batch(
    desk: Desk, osh: Caller, key: str
) -> None:
    own = {**PEOPLE[0], "idempotency_key": "mine"}
    for send in (osh.refer_many, osh.say_many):
        with pytest.raises(Refused) as caught:
            send(batch(own), key)
        assert (caught.value.slug, caught.value.status) == ("invalid-parameter", 400)
    assert desk.counts() == (0, 0, 0)


def test_longest_header_key_fits_with_the_number_of_the_last_line(desk: Desk, osh: Caller) -> None:
    body = batch(*[b""] * 999, PEOPLE[0])
    assert ids(osh.refer_many(body, "x" * 250)) == ids(osh.refer_many(body, "x" * 250))


# --- What is understood counts, not its bytes ----------------------------------------------------

_SPELLINGS: dict[str, Callable[[Json], bytes]] = {
    "other key order": lambda body: json.dumps(dict(reversed(body.items()))).encode(),
    "white space": lambda body: json.dumps(body, indent=2).replace("\n", "\r\n").encode(),
    "no white space": lambda body: json.dumps(body, separators=(",", ":")).encode(),
    "letters spelled out": lambda body: json.dumps(body, ensure_ascii=False).encode(),
    "omitted defaults": lambda body: json.dumps(
        {name: value for name, value in body.items() if value not in (None, False, [])}
    ).encode(),
    "the moment in another zone": lambda body: json.dumps(
        {**body, "consent": {**body["consent"], "given_at": "2026-03-01T14:30:15.25+05:00"}}
    ).encode(),
}


@pytest.mark.parametrize("spelling", _SPELLINGS)
def test_same_referral_in_other_bytes_returns_first_id(desk: Desk, osh: Caller, spelling: str) -> None:
    first = osh.refer(json.dumps(document()).encode(), "k")
    assert osh.refer(_SPELLINGS[spelling](document()), "k") == first
    line = json.loads(_SPELLINGS[spelling](document()))
    (again,) = ids(osh.refer_many(batch({"idempotency_key": "k", **line})))
    assert again == first
    assert desk.counts() == (1, 1, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"languages": ["ru", "ky"]},
        {"accepts_cost": True},
        {"case": sealed(cty="text")},  # sealed again: nobody here can tell what is inside
    ],
)
def test_another_referral_under_the_same_key_conflicts(desk: Desk, osh: Caller, change: Json) -> None:
    osh.refer(json.dumps(document()).encode(), "k")
    with pytest.raises(Refused) as caught:
        osh.refer(json.dumps(document(**change)).encode(), "k")
    assert caught.value.slug == "idempotency-conflict"


def test_crlf_in_a_repeated_batch_returns_first_ids(desk: Desk, osh: Caller) -> None:
    body = batch(*PEOPLE) + b"\n"
    assert ids(osh.refer_many(body.replace(b"\n", b"\r\n"), "k")) == ids(osh.refer_many(body, "k"))


def test_accept_without_body_and_with_empty_object_is_one_answer(desk: Desk, moscow: Caller) -> None:
    first = moscow.say("accept", OFFER, b"", "k")
    assert moscow.say("accept", OFFER, b"{}", "k") == moscow.say("accept", OFFER, b" { }\n", "k") == first
    line = {"submit": "accept", "offer_id": OFFER, "idempotency_key": "k"}
    assert ids(moscow.say_many(batch(line))) == [first]
    assert sum(isinstance(event.data, AnswerSubmitted) for event in desk.sent()) == 1


def test_omitted_note_and_null_note_of_a_decline_are_one_answer(desk: Desk, moscow: Caller) -> None:
    first = moscow.say("decline", OFFER, b'{"reason": "language"}', "k")
    assert moscow.say("decline", OFFER, b'{"note": null, "reason": "language"}', "k") == first


def test_statement_with_another_name_or_subject_under_the_same_key_conflicts(
    desk: Desk, moscow: Caller
) -> None:
    other = OFFER[:-1] + "9"
    with desk.database.write() as transaction:
        desk.handlers._store.note_offers(transaction, [(other, REFERRAL, MOSCOW)])
    moscow.say("accept", OFFER, b"{}", "k")
    for name, subject in (("accept", other), ("revoke_consent", REFERRAL)):
        with pytest.raises(Refused) as caught:
            moscow.say(name, subject, b"{}", "k")
        assert caught.value.slug == "idempotency-conflict"


# --- A repeated submission gets its first answer -------------------------------------------------

_STATEMENTS: dict[str, tuple[str, Json]] = {
    "accept": (OFFER, {}),
    "decline": (OFFER, {"reason": "no_capacity"}),
    "withdraw": (REFERRAL, {"reason": "other"}),
    "progress": (REFERRAL, {"status": "on_hold"}),
    "complete": (REFERRAL, {"outcome": "resolved"}),
    "note": (REFERRAL, {"note": sealed(MOSCOW_KID)}),
    "revoke_consent": (REFERRAL, {}),
}


def suspended(desk: Desk) -> None:
    desk.members[MOSCOW] = Member(id=MOSCOW, in_good_standing=False, kid=None)


def gone(desk: Desk) -> None:
    del desk.members[MOSCOW]


def forgotten(desk: Desk) -> None:
    """Neither intake nor routing knows the offer or the party any more."""
    with desk.database.write() as transaction:
        transaction.exec_driver_sql("DELETE FROM offers")
    desk.routing.answers = {PartyQuery(id=REFERRAL, organization=MOSCOW): False}


@pytest.mark.parametrize("name", _STATEMENTS)
@pytest.mark.parametrize("change", [suspended, gone, forgotten])
def test_repeated_statement_returns_first_id_after(
    desk: Desk, moscow: Caller, name: str, change: Callable[[Desk], None]
) -> None:
    subject, body = _STATEMENTS[name]
    first = moscow.say(name, subject, json.dumps(body).encode(), "k")
    before = desk.counts()
    change(desk)
    assert moscow.say(name, subject, json.dumps(body, indent=1).encode(), "k") == first
    where = "offer_id" if subject == OFFER else "referral_id"
    line = {"submit": name, where: subject, "idempotency_key": "k", **body}
    assert ids(moscow.say_many(batch(line))) == [first]
    assert desk.counts() == before


def test_repeated_batch_returns_first_ids_after_suspension(desk: Desk, moscow: Caller, osh: Caller) -> None:
    said = batch({"submit": "accept", "offer_id": OFFER}, {"submit": "withdraw", "referral_id": OFFER})
    first = moscow.say_many(said, "monday")
    assert refused(first) == {2: "invalid-submission"}
    referred = ids(osh.refer_many(batch(*PEOPLE), "monday"))
    suspended(desk)
    desk.members[OSH] = Member(id=OSH, in_good_standing=False, kid=None)
    assert moscow.say_many(said, "monday") == first
    again = osh.refer_many(batch(*PEOPLE, PEOPLE[0]), "monday")
    assert refused(again) == {4: "forbidden"}
    assert ids(again[:3]) == referred


def test_new_statement_after_suspension_is_refused_under_a_used_key_too(desk: Desk, moscow: Caller) -> None:
    moscow.say("decline", OFFER, b'{"reason": "language"}', "k")
    suspended(desk)
    for key in ("k", "unused", None):
        with pytest.raises(Refused) as caught:
            moscow.say("accept", OFFER, b"{}", key)
        assert caught.value.slug == "forbidden"


def test_repeated_submission_returns_first_id_when_its_body_would_be_refused_now(
    desk: Desk, moscow: Caller, osh: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later version may refuse what an earlier one admitted: the same bytes keep their answer."""
    body, decline = json.dumps(PEOPLE[0]).encode(), b'{"reason": "language"}'
    line = batch({"submit": "decline", "offer_id": OFFER, **json.loads(decline)})
    referral, answer = osh.refer(body, "k"), moscow.say("decline", OFFER, decline, "k")
    referrals, answers = osh.refer_many(body, "b"), moscow.say_many(line, "b")

    def refuse(*_: object, **__: object) -> None:
        raise Refused("invalid-submission", "Not any more.")

    for module in (api, ndjson):
        monkeypatch.setattr(module, "load", refuse)
    assert (osh.refer(body, "k"), moscow.say("decline", OFFER, decline, "k")) == (referral, answer)
    assert (osh.refer_many(body, "b"), moscow.say_many(line, "b")) == (referrals, answers)
    with pytest.raises(Refused):
        osh.refer(body, "unused")
