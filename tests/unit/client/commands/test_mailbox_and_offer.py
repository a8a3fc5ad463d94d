import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from kopuro_client import generate_key, open_sealed, public_key, seal
from kopuro_client.commands.labels import LANGUAGES
from kopuro_client.commands.mailbox import fact_of
from kopuro_client.commands.message_words import message_words
from kopuro_client.commands.printable import moment, one_line
from services.delivery.domain.recipients import COORDINATED, RECIPIENTS
from tests.unit.client.commands.conftest import Run
from tests.unit.client.commands.samples import OFFER_OPENED, REFERRAL
from tests.unit.client.fake_hub import FakeHub, Response, json_response, problem

MAILBOX = "/delivery/v1/mailbox"
ACKNOWLEDGE = f"{MAILBOX}/{OFFER_OPENED['id']}/acknowledge"
SUBMITTED = json_response({"id": "s1", "status": "submitted"}, status=202)
_CLOSED = Path(__file__).parents[4] / "contracts" / "schemas" / "events" / "message.closed.v1.json"
REASONS_OF_END = json.loads(_CLOSED.read_text(encoding="utf-8"))["$defs"]["MessageClosed"]["properties"][
    "reason"
]["enum"]


def test_mailbox_list_shows_offer_details(hub: FakeHub, run: Run) -> None:
    page = {"items": [OFFER_OPENED], "next": "1"}
    hub.script("GET", MAILBOX, json_response(page))
    ran = run("mailbox", "list")
    [line] = ran.out.splitlines()
    for word in (
        "offer.opened",
        REFERRAL["id"],
        "urgent",
        "unpaid wages",
        OFFER_OPENED["data"]["offer_id"],
    ):
        assert word in line
    assert run("mailbox", "list", "--json").json() == page


def test_mailbox_summary_counts_every_page_by_type_with_the_oldest_first(hub: FakeHub, run: Run) -> None:
    def alert(fact: str, time: str) -> dict[str, Any]:
        return {**OFFER_OPENED, "type": f"kopuro.{fact}.v1", "time": time, "data": {"referral_id": "r1"}}

    first = [
        alert("referral.unplaced", "2026-05-01T09:00:00Z"),
        alert("referral.overdue", "2026-05-01T10:00:00Z"),
    ]
    second = [alert("referral.unplaced", "2026-05-01T11:00:00Z")]
    pages = [
        json_response({"items": first, "next": "2"}),
        json_response({"items": second, "next": None}),
    ]
    hub.script("GET", MAILBOX, *pages)
    assert run("mailbox", "summary", "--as", "coordinator", "--json").json()["items"] == [
        {
            "type": "referral.unplaced",
            "count": 2,
            "oldest": "2026-05-01T09:00:00Z",
            "newest": "2026-05-01T11:00:00Z",
        },
        {
            "type": "referral.overdue",
            "count": 1,
            "oldest": "2026-05-01T10:00:00Z",
            "newest": "2026-05-01T10:00:00Z",
        },
    ]


def test_mailbox_summary_is_a_line_for_each_type(hub: FakeHub, run: Run) -> None:
    hub.script("GET", MAILBOX, json_response({"items": [OFFER_OPENED, OFFER_OPENED], "next": None}))
    _, line = run("mailbox", "summary").out.splitlines()
    assert line.split()[:2] == ["offer.opened", "2"]


@pytest.mark.parametrize(
    ("language", "heading"),
    [
        ("en", ["type", "messages", "oldest", "newest"]),
        ("ru", ["тип", "сообщения", "самое раннее", "самое позднее"]),
        ("ky", ["түрү", "билдирүүлөр", "эң эскиси", "эң жаңысы"]),
    ],
)
def test_mailbox_summary_has_its_columns_in_the_language(
    hub: FakeHub, run: Run, language: str, heading: list[str]
) -> None:
    hub.script("GET", MAILBOX, json_response({"items": [OFFER_OPENED], "next": None}))
    shown, line = run("mailbox", "summary", "--language", language).out.splitlines()
    assert re.split(r"\s{2,}", shown.strip()) == heading
    assert line.split()[0] == "offer.opened"


def test_mailbox_list_shows_which_message_was_closed_and_why(hub: FakeHub, run: Run) -> None:
    data = {
        "referral_id": REFERRAL["id"],
        "message_type": "kopuro.offer.opened.v1",
        "reason": "consent_revoked",
        "closed_at": "2026-05-01T12:00:00Z",
    }
    closed = {**OFFER_OPENED, "type": "kopuro.message.closed.v1", "data": data}
    hub.script("GET", MAILBOX, json_response({"items": [closed], "next": None}))
    [line] = run("mailbox", "list").out.splitlines()
    reason = "reason=the person withdrew the consent"
    for word in ("message.closed", "closed=offer.opened", reason, OFFER_OPENED["id"]):
        assert word in line


@pytest.mark.parametrize(
    ("language", "reason"),
    [
        ("en", "reason=no action is left"),
        ("ru", "причина=действий больше не требуется"),
        ("ky", "себеби=мындан ары аракет талап кылынбайт"),
    ],
)
def test_end_of_an_alert_is_in_words(hub: FakeHub, run: Run, language: str, reason: str) -> None:
    data = {
        "referral_id": REFERRAL["id"],
        "message_type": "kopuro.referral.unplaced.v1",
        "reason": "acted_on",
        "closed_at": "2026-05-01T12:00:00Z",
    }
    closed = {**OFFER_OPENED, "type": "kopuro.message.closed.v1", "data": data}
    hub.script("GET", MAILBOX, json_response({"items": [closed], "next": None}))
    assert reason in run("mailbox", "list", "--language", language).out


@pytest.mark.parametrize("reason", REASONS_OF_END)
def test_every_reason_of_an_end_is_in_words(reason: str) -> None:
    for language in LANGUAGES:
        words = message_words("message.closed", {"reason": reason}, language)
        assert reason not in words.values()


def test_refusal_says_once_what_its_only_error_says(hub: FakeHub, run: Run) -> None:
    said = "A reason is required."
    problem = {"detail": said, "errors": [{"pointer": "/reason", "detail": said}]}
    data = {"referral_id": REFERRAL["id"], "problem": problem}
    refused = {**OFFER_OPENED, "type": "kopuro.placement.refused.v1", "data": data}
    hub.script("GET", MAILBOX, json_response({"items": [refused], "next": None}))
    [line] = run("mailbox", "list").out.splitlines()
    assert line.count(said) == 1
    assert f"{said} (/reason)" in line


def test_watch_prints_one_line_per_message_until_silence(hub: FakeHub, run: Run) -> None:
    second = {**OFFER_OPENED, "id": "m2", "type": "kopuro.case.released.v1", "data": {"referral_id": "r2"}}
    hub.script(
        "GET",
        MAILBOX,
        json_response({"items": [OFFER_OPENED, second], "next": "2"}),
        slow_silence,
    )
    ran = run("mailbox", "watch", "--for", "1", "--json")
    assert ran.code == 0
    assert [json.loads(line) for line in ran.out.splitlines()] == [OFFER_OPENED, second]
    assert hub.requests_to(MAILBOX)[1].query["after"] == "2"
    assert "Ctrl-C" in ran.err


def test_watch_acknowledges_printed_messages(hub: FakeHub, run: Run) -> None:
    hub.script("GET", MAILBOX, json_response({"items": [OFFER_OPENED], "next": "1"}), slow_silence)
    hub.script("POST", ACKNOWLEDGE, Response(status=204))
    ran = run("mailbox", "watch", "--ack", "--for", "1")
    assert "offer.opened" in ran.out
    assert "\x1b" not in ran.out
    assert len(hub.requests_to(ACKNOWLEDGE)) == 1


def test_sealed_note_is_opened_only_with_the_receivers_key(
    hub: FakeHub, run: Run, sealing_key: dict[str, Any]
) -> None:
    words = {"text": "Звоните после шести."}
    notes = [
        seal(words, public_key(sealing_key)),
        seal(words, public_key(generate_key())),
        "Ремонт. Закрыто.",
    ]
    items = [{**OFFER_OPENED, "id": f"m{n}", "data": {"note": note}} for n, note in enumerate(notes)]
    hub.script("GET", MAILBOX, json_response({"items": items, "next": None}))
    own_note, foreign_note, open_note = run("mailbox", "list").out.splitlines()
    assert "note=Звоните после шести." in own_note
    assert "note=(sealed to a key that is not available here)" in foreign_note
    assert "note=Ремонт. Закрыто." in open_note


def test_mailbox_shows_why_an_answer_was_refused(hub: FakeHub, run: Run) -> None:
    refused = {
        **OFFER_OPENED,
        "type": "kopuro.answer.refused.v1",
        "data": {"problem": {"title": "The offer is no longer open", "detail": "It expired."}},
    }
    hub.script("GET", MAILBOX, json_response({"items": [refused], "next": None}))
    assert "refused=It expired." in run("mailbox", "list").out


def test_mailbox_shows_which_submission_over_amqp_was_answered_and_where_its_fault_is(
    hub: FakeHub, run: Run
) -> None:
    errors = [{"pointer": "/status", "detail": "Must be one of: in_progress, on_hold."}]
    data = {
        "admitted": {"message_id": "ours-1", "submission_id": "s1"},
        "refused": {"message_id": "ours-2", "problem": {"detail": "Correct /status.", "errors": errors}},
    }
    items = [
        {**OFFER_OPENED, "id": name, "type": f"kopuro.submission.{name}.v1", "data": members}
        for name, members in data.items()
    ]
    hub.script("GET", MAILBOX, json_response({"items": items, "next": None}))
    admitted, refused = run("mailbox", "list").out.splitlines()
    assert "key=ours-1, submission=s1" in admitted
    assert "key=ours-2, refused=Correct /status. /status: Must be one of: in_progress, on_hold." in refused


def test_receipts_message_shows_no_referral(hub: FakeHub, run: Run) -> None:
    receipts = {
        **OFFER_OPENED,
        "type": "kopuro.receipts.issued.v1",
        "partitionkey": "kg.osh-legal-aid",
        "data": {"organization": "kg.osh-legal-aid", "checkpoint": "", "hashes": [], "receipts": []},
    }
    hub.script("GET", MAILBOX, json_response({"items": [receipts], "next": None}))
    assert run("mailbox", "list").out.split()[2:] == [
        "receipts.issued",
        "organization=kg.osh-legal-aid",
        f"message={receipts['id']}",
    ]


def test_mailbox_shows_coordinators_the_members_to_act_on(hub: FakeHub, run: Run) -> None:
    data: dict[str, dict[str, Any]] = {
        "referral.unplaced": {"urgency": "emergency", "region": "RU-MOW", "needs": ["health"], "reason": "x"},
        "placement.answered": {"organization": "ru.one", "coordinator": "kg.desk", "result": "declined"},
        "placement.refused": {"organization": "ru.one", "problem": {"detail": "It is placed already."}},
        "referral.overdue": {"organization": "ru.one", "due_at": "2026-03-01T12:00:00Z"},
        "coordination.digest": {
            "period": "2026-03-01",
            "as_of": "2026-03-01T02:00:00Z",
            "queues": [{"queue": "unplaced", "referrals": 3}, {"queue": "overdue", "referrals": 0}],
        },
    }
    items = [
        {**OFFER_OPENED, "id": fact, "type": f"kopuro.{fact}.v1", "data": {"referral_id": "r1", **members}}
        for fact, members in data.items()
    ]
    hub.script("GET", MAILBOX, json_response({"items": items, "next": None, "resume": "4"}))
    unplaced, answered, refused, overdue, digest = run(
        "mailbox", "list", "--as", "coordinator"
    ).out.splitlines()
    for word in ("referral.unplaced", "urgency=emergency", "needs=health", "region=Moscow"):
        assert word in unplaced
    assert "organization=ru.one, coordinator=kg.desk, result=declined" in answered
    assert "refused=It is placed already." in refused
    assert "due_at=2026-03-01 12:00:00Z" in overdue
    assert "period=2026-03-01, as_of=2026-03-01 02:00:00Z, unplaced=3, overdue=0" in digest


def test_ack_accepts_several_messages(hub: FakeHub, run: Run) -> None:
    hub.script("POST", ACKNOWLEDGE, Response(status=204))
    hub.script("POST", f"{MAILBOX}/m2/acknowledge", Response(status=204))
    ran = run("mailbox", "ack", OFFER_OPENED["id"], "m2")
    assert (ran.code, ran.out) == (0, "")
    assert len(hub.requests_to(f"{MAILBOX}/m2/acknowledge")) == 1


def test_offer_accept_and_decline_send_answers(hub: FakeHub, run: Run) -> None:
    key = generate_key()
    hub.script("GET", "/intake/v1/offers/o1", json_response({"id": "o1", "sender": "kg.osh-legal-aid"}))
    hub.script(
        "GET",
        "/directory/v1/organizations/kg.osh-legal-aid",
        json_response({"sealing_key": public_key(key)}),
    )
    hub.script("POST", "/intake/v1/offers/o1/accept", SUBMITTED)
    hub.script("POST", "/intake/v1/offers/o1/decline", SUBMITTED)
    assert run("offer", "accept", "o1").out == "s1\n"
    assert run("offer", "decline", "o1", "--reason", "other", "--note", "Ремонт").code == 0
    sent = hub.requests_to("/intake/v1/offers/o1/decline")[0].json()
    assert (sent["reason"], open_sealed(sent["note"], key)) == ("other", {"text": "Ремонт"})
    assert "(requires --note)" in " ".join(run("offer", "decline", "--help").out.replace("│", " ").split())
    assert run("offer", "decline", "o1").code == 2  # a decline has a reason


def test_hand_back_sends_reason_and_note_sealed_to_sender(hub: FakeHub, run: Run) -> None:
    key = generate_key()
    path = "/intake/v1/referrals/r1/hand-back"
    hub.script("GET", "/intake/v1/referrals/r1", json_response({"id": "r1", "sender": "kg.osh-legal-aid"}))
    hub.script(
        "GET",
        "/directory/v1/organizations/kg.osh-legal-aid",
        json_response({"sealing_key": public_key(key)}),
    )
    hub.script("POST", path, SUBMITTED)
    assert run("referral", "hand-back", "r1", "--reason", "other", "--note", "Ремонт").out == "s1\n"
    (sent,) = [request.json() for request in hub.requests_to(path)]
    assert (sent["reason"], open_sealed(sent["note"], key)) == ("other", {"text": "Ремонт"})
    assert run("referral", "hand-back", "r1").code == 2  # a hand-back has a reason
    given = ("--reason", "other", "--note", "moving", "--idempotency-key", "k1")
    assert run("referral", "hand-back", "r1", *given).code == 2
    assert len(hub.requests_to(path)) == 1


def test_note_with_idempotency_key_is_refused_before_any_request(hub: FakeHub, run: Run) -> None:
    given = ("--reason", "other", "--note", "moving", "--idempotency-key", "k1")
    ran = run("offer", "decline", "o1", *given)
    assert ran.code == 2
    assert "each sealing yields another request" in ran.err
    assert hub.requests_to("/intake/v1/offers/o1/decline") == []


def test_answer_with_idempotency_key_sends_it(hub: FakeHub, run: Run) -> None:
    for arguments in (["accept", "o1"], ["decline", "o1", "--reason", "language"]):
        path = f"/intake/v1/offers/o1/{arguments[0]}"
        hub.script("POST", path, SUBMITTED)
        assert run("offer", *arguments, "--idempotency-key", "k1").code == 0
        assert hub.requests_to(path)[0].headers["idempotency-key"] == "k1"


GOLDEN = Path(__file__).parents[3] / "golden_messages"
# Members that the line of a message leaves out or shows under another name.
NOT_IN_A_LINE = {
    "referral_id",
    "id",  # of an approval: `approval=`
    "facts",  # urgency, needs and region
    "problem",  # `refused=`
    "content",  # a commitment
    "commitment",
    "secret",  # the digest of a sealed one
    "queues",  # of a digest: the number of each
    "employer",  # its name
    "recipients",  # the reader is one of them
    "note",
    "rank",
    "opened_at",
    "decision_id",
    "submission_id",
    "digest",
    "principal",
    "roles",
    "replaced",
    "previous",
    "endorsed_by",
    "message_id",
    "message_type",
    "leaf",
    "proof",
    "checkpoint",
    "hashes",
    "receipts",
}


def slow_silence() -> Response:
    """Return an empty page after one second, as a hub that holds a long poll."""
    threading.Event().wait(1.0)
    return json_response({"items": [], "next": None})


def note_message(number: int, note: str) -> dict[str, Any]:
    data = {"referral_id": "r1", "author": "ru.one", "note": note}
    return {**OFFER_OPENED, "id": f"m{number}", "type": "kopuro.note.delivered.v1", "data": data}


def test_watch_reports_unreadable_note_and_continues(
    hub: FakeHub, run: Run, sealing_key: dict[str, Any]
) -> None:
    own_key = public_key(sealing_key)
    readable, damaged = seal({"text": "Алло"}, own_key), seal({"text": "Алло"}, own_key)[:-4] + "AAAA"
    items = [
        note_message(1, damaged),
        note_message(2, seal({"text": "x"}, public_key(generate_key()))),
        {**OFFER_OPENED, "id": "m3", "type": "kopuro.of.tomorrow.v9", "data": {"never": ["seen"]}},
        note_message(4, readable),
    ]
    hub.script("GET", MAILBOX, json_response({"items": items, "next": "4"}), slow_silence)
    for number in (1, 3):
        hub.script("POST", f"{MAILBOX}/m{number}/acknowledge", Response(status=204))
    hub.script("POST", f"{MAILBOX}/m4/acknowledge", problem(409, "conflict", "Too early"))
    hub.script("POST", "/intake/v1/referrals/r1/unreadable", SUBMITTED)
    ran = run("mailbox", "watch", "--ack", "--for", "1")
    assert ran.code == 0
    notes = [line.partition(" note=")[2].partition(" message=")[0] for line in ran.out.splitlines()]
    assert [note.strip() for note in notes] == [
        "(unreadable)",
        "(sealed to a key that is not available here)",
        "",
        "Алло",
    ]
    assert "of.tomorrow" in ran.out
    (report,) = hub.requests_to("/intake/v1/referrals/r1/unreadable")
    assert report.json() == {"reason": "cannot_decrypt", "content": "note", "author": "ru.one"}
    acknowledged = [r.path for r in hub.received if r.path.endswith("/acknowledge")]
    assert acknowledged == [f"{MAILBOX}/m{number}/acknowledge" for number in (1, 3, 4)]
    assert "m4: Too early" in ran.err


def test_unreadable_case_is_reported_and_replaced_by_command(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    where = f"/intake/v1/referrals/{REFERRAL['id']}"
    hub.script("POST", f"{where}/unreadable", SUBMITTED)
    assert run("case", "unreadable", REFERRAL["id"], "--reason", "key_lost").out == "s1\n"
    assert hub.requests_to(f"{where}/unreadable")[0].json() == {"reason": "key_lost", "content": "case"}

    key = generate_key()
    hub.script("GET", where, json_response({"acceptor": "ru.one", "facts": {"to": "ru.one"}}))
    hub.script("GET", "/directory/v1/organizations/ru.one", json_response({"sealing_key": public_key(key)}))
    hub.script("POST", f"{where}/case", SUBMITTED)
    (tmp_path / "referral.json").write_text('{"case": {"name": "Азамат"}}')
    assert run("case", "replace", REFERRAL["id"], str(tmp_path / "referral.json")).code == 0
    sent = hub.requests_to(f"{where}/case")[0].json()
    assert (sent["to"], open_sealed(sent["case"], key)) == ("ru.one", {"name": "Азамат"})


# Others only close messages.
IN_A_MAILBOX = [type_ for type_, fields in RECIPIENTS.items() if fields or type_ in COORDINATED]


@pytest.mark.parametrize("type_", IN_A_MAILBOX)
def test_line_of_a_message_shows_what_its_reader_acts_on(hub: FakeHub, run: Run, type_: str) -> None:
    message = json.loads((GOLDEN / f"{type_}.json").read_text(encoding="utf-8"))
    hub.script("GET", MAILBOX, json_response({"items": [message], "next": None, "resume": "1"}))
    line, fact = run("mailbox", "list").out, fact_of(message)
    hidden = {*NOT_IN_A_LINE, *({"organization"} if type_ == "kopuro.offer.opened.v1" else ())}
    for name, value in message["data"].items():
        if name not in hidden and value is not None:
            [said] = message_words(fact, {name: value}, "en").values()
            assert f"{name}={moment(one_line(said))}" in line, name
    if ".approval." in type_:
        assert f"approval={message['data']['id']}" in line
