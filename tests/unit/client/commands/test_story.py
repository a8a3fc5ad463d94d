from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, Response, json_response


def test_story_is_printed_verbatim(hub: FakeHub, run: Run) -> None:
    hub.script("GET", "/audit/v1/history/r1/story", Response(status=200, body="# Тарыхы\n- бир\n".encode()))
    ran = run("story", "r1", "--language", "ky", "--format", "markdown")
    assert (ran.code, ran.out) == (0, "# Тарыхы\n- бир\n")
    (request,) = hub.requests_to("/audit/v1/history/r1/story")
    assert request.query == {"language": "ky", "format": "markdown"}


def test_story_cannot_control_the_terminal(hub: FakeHub, run: Run) -> None:
    hub.script("GET", "/audit/v1/history/r1/story", Response(status=200, body=b"a\x1b[2Jb\n"))
    assert "\x1b" not in run("story", "r1").out


def test_story_in_unsupported_language_sends_no_request(hub: FakeHub, run: Run) -> None:
    assert run("story", "r1", "--language", "fr").code == 2
    assert hub.requests_to("/audit/v1/history/r1/story") == []


def test_story_as_json_has_every_entry(hub: FakeHub, run: Run) -> None:
    sentences = [{"index": 1, "time": "2026-03-01T12:00:00Z", "type": "kopuro.referral.read.v1", "text": "1"}]
    document = {"language": "ky", "title": "Тарыхы", "events": {"heading": "", "sentences": sentences}}
    hub.script("GET", "/audit/v1/history/r1/story", json_response(document))
    assert run("story", "r1", "--language", "ky", "--json").json() == {"referral": "r1", **document}
    (request,) = hub.requests_to("/audit/v1/history/r1/story")
    assert request.query == {"language": "ky", "format": "json"}
