from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import Answer, FakeHub


def test_a_story_is_printed_as_the_hub_tells_it(hub: FakeHub, run: Run) -> None:
    hub.script("GET", "/audit/v1/history/r1/story", Answer(status=200, body="# Тарыхы\n- бир\n".encode()))
    ran = run("story", "r1", "--language", "ky", "--format", "markdown")
    assert (ran.code, ran.out) == (0, "# Тарыхы\n- бир\n")
    (request,) = hub.requests_to("/audit/v1/history/r1/story")
    assert request.query == {"language": "ky", "format": "markdown"}


def test_nothing_in_a_story_steers_the_terminal(hub: FakeHub, run: Run) -> None:
    hub.script("GET", "/audit/v1/history/r1/story", Answer(status=200, body=b"a\x1b[2Jb\n"))
    assert "\x1b" not in run("story", "r1").out


def test_a_language_it_is_not_told_in_is_refused_before_anything_is_sent(hub: FakeHub, run: Run) -> None:
    assert run("story", "r1", "--language", "fr").code == 2
    assert hub.requests_to("/audit/v1/history/r1/story") == []
