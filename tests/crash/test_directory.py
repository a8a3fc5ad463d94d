"""The directory killed at each crash point of a change: answered, published, deleted, replicated.

Whatever happens, a change is made as a whole or not at all, no revision is given twice or left out, and every
replica converges to the directory's state.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.facts import OrganizationChanged, TokenKeyChanged
from services.directory.domain.entry import Subject
from tests.crash.crashing import Listener, consumed, until
from tests.crash.crashing_directory import SECRET, CrashingDirectory, DirectoryCopy
from tests.crash.faults import Moment, named
from tests.unit.services.directory.samples import OSH

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

NEW_NAME, NEWER_NAME = "Osh Legal Aid and Advice", "Osh Legal Aid Centre"


@pytest.fixture
def directory(hub_vhost: str, tmp_path: Path) -> Iterator[CrashingDirectory]:
    made = CrashingDirectory(hub_vhost, tmp_path)
    yield made
    made.close()


@pytest.fixture
def listener(directory: CrashingDirectory, hub_vhost: str, tmp_path: Path) -> Iterator[Listener]:
    """Consumes every fact of the hub."""
    made = Listener(hub_vhost, tmp_path)
    yield made
    made.close()


@pytest.fixture
def copy(directory: CrashingDirectory, hub_vhost: str, tmp_path: Path) -> Iterator[DirectoryCopy]:
    made = DirectoryCopy(hub_vhost, tmp_path)
    yield made
    made.close()


def until_settled(directory: CrashingDirectory, copy: DirectoryCopy) -> None:
    """Return once the directory has published everything since it was filled and started."""
    directory.dying.until_ready()
    copy.until_same(directory)
    directory.until_published()


@pytest.mark.parametrize(
    ("moment", "answered", "revision", "copies"),
    [
        # "committed, not yet answered"
        (Moment.before_commit, False, 1, 1),
        (Moment.committed, False, 2, 1),
        # "committed, not yet published"
        (Moment.before_publishing, None, 2, 1),
        # "confirmed, row not yet deleted"
        (Moment.confirmed, None, 2, 2),
        (Moment.forgotten, None, 2, 1),
    ],
    ids=named,
)
def test_directory_change_is_made_once_and_reaches_every_replica_when_killed(
    directory: CrashingDirectory,
    listener: Listener,
    copy: DirectoryCopy,
    moment: Moment,
    answered: bool | None,
    revision: int,
    copies: int,
) -> None:
    with directory.dying as dying:
        until_settled(directory, copy)
        directory.plan(moment)
        answer = directory.rename(dying.url, NEW_NAME)
        assert answered is None or (answer is not None) == answered
        directory.until_dead()
    assert directory.revisions(Subject.organization)[OSH][-1] == revision
    with directory.whole as whole:
        whole.until_ready()
        # A client without a response repeats its request; the next change builds on it.
        for name, number in ((NEW_NAME, 2), (NEWER_NAME, 3)):
            answer = directory.rename(whole.url, name)
            assert answer is not None
            assert (answer.status_code, answer.json()["revision"]) == (200, number)
        copy.until_same(directory)
        directory.until_published()
    heard = [fact.revision for fact in listener.effects(OrganizationChanged)]
    assert heard == directory.revisions(Subject.organization)[OSH] == [1, 2, 3]
    assert listener.most_copies(OrganizationChanged) == copies


def test_directory_commit_reported_failed_is_a_503_and_its_repetition_the_same_revision(
    directory: CrashingDirectory, listener: Listener, copy: DirectoryCopy
) -> None:
    with directory.dying as dying:
        until_settled(directory, copy)
        directory.plan(Moment.commit_reported_failed)
        answer = directory.rename(dying.url, NEW_NAME)
        assert answer is not None
        assert answer.status_code == 503
        repeated = directory.rename(dying.url, NEW_NAME)
        assert repeated is not None
        assert (repeated.status_code, repeated.json()["revision"]) == (200, 2)
        copy.until_same(directory)
        directory.until_published()
    heard = [fact.revision for fact in listener.effects(OrganizationChanged)]
    assert heard == directory.revisions(Subject.organization)[OSH] == [1, 2]


@pytest.mark.parametrize(
    ("moment", "applied", "known", "copies"),
    [
        # "delivered, not committed"
        (Moment.delivered, 1, 0, 1),
        (Moment.before_commit, 1, 0, 1),
        # "committed, not yet acknowledged"
        # The relay may have begun to publish the answer, and then does it again.
        (Moment.before_acknowledgement, 0, 1, None),
        (Moment.acknowledged, 0, 0, None),
        # "committed, not yet published" and "confirmed, row not yet deleted": of a whole answer
        (Moment.before_publishing, None, None, 1),
        (Moment.confirmed, None, None, 2),
    ],
    ids=named,
)
def test_replica_is_completed_by_one_whole_snapshot_when_directory_is_killed(
    directory: CrashingDirectory,
    copy: DirectoryCopy,
    moment: Moment,
    applied: int | None,
    known: int | None,
    copies: int | None,
) -> None:
    """applied, known: what the directory finds the request to be after the restart. None: either.

    copies: how often it publishes the answer; None: once or twice.
    """
    with directory.dying:
        until_settled(directory, copy)
        directory.plan(moment)
        copy.ask()
        directory.until_dead()
    with directory.whole as whole:
        whole.until_ready()
        copy.until_complete()
        copy.until_same(directory)
        directory.until_published()
        for result, times in (("applied", applied), ("known", known)):
            if times is not None:
                assert consumed(whole, "directory.requests", result) == times
        # A change after the answer is newer than the answer.
        directory.rename(whole.url, NEW_NAME)
        copy.until_same(directory)
    (published,) = copy.answers.values()
    assert published in ((1, 2) if copies is None else (copies,))
    assert directory.revisions(Subject.organization)[OSH] == [1, 2]


@pytest.mark.parametrize(
    ("moment", "old_is_good"), [(Moment.before_commit, True), (Moment.committed, False)], ids=named
)
def test_client_has_exactly_one_secret_when_directory_is_killed_during_rotation(
    directory: CrashingDirectory,
    listener: Listener,
    copy: DirectoryCopy,
    moment: Moment,
    old_is_good: bool,
) -> None:
    """A committed secret whose response is lost is unknown to everyone: the operator requests another."""
    with directory.dying as dying:
        until_settled(directory, copy)
        directory.plan(moment)
        assert directory.rotate_credential(dying.url) is None
        directory.until_dead()
    with directory.whole as whole:
        whole.until_ready()
        assert directory.token(whole.url, OSH, SECRET).status_code == (200 if old_is_good else 401)
        answer = directory.rotate_credential(whole.url)
        assert answer is not None
        made = answer.json()
        assert made["revision"] == (2 if old_is_good else 3)
        assert directory.token(whole.url, OSH, made["client_secret"]).status_code == 200
        assert directory.token(whole.url, OSH, SECRET).status_code == 401
        assert directory.revisions(Subject.client)[OSH] == list(range(1, made["revision"] + 1))
        directory.until_published()
    # Changes of credentials are not published: no fact is added to those of the start.
    assert len(listener.effects(OrganizationChanged)) == len(listener.effects(TokenKeyChanged)) == 1


@pytest.mark.parametrize(
    "moment",
    [Moment.before_commit, Moment.committed, Moment.before_publishing, Moment.confirmed],
    ids=named,
)
def test_old_token_key_ends_with_the_new_one_when_directory_is_killed(
    directory: CrashingDirectory, listener: Listener, copy: DirectoryCopy, moment: Moment
) -> None:
    with directory.whole as whole:
        whole.until_ready()
        copy.until_same(directory)
        directory.until_published()
    (old,) = (key for kind, key in copy.records() if kind == TokenKeyChanged.type)
    new = directory.change_signing_key()
    directory.plan(moment)
    directory.dying.process.spawn()
    directory.until_dead()
    with directory.whole as whole:
        whole.until_ready()
        copy.until_same(directory)
        directory.until_published()
        until(lambda: len(listener.effects(TokenKeyChanged)) == 3, "three facts: one key, its end, the next")
    records = copy.records()
    withdrawn = {
        key: data["withdrawn"] for (kind, key), (_, data) in records.items() if kind == TokenKeyChanged.type
    }
    assert withdrawn == {old: True, new: False}
    assert directory.revisions(Subject.token_key) == {old: [1, 2], new: [1]}
