"""The witness's responses, as https://c2sp.org/tlog-witness specifies them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kopuro_client.tlog import (
    DirectorySource,
    ForkError,
    MalformedError,
    RollbackError,
    SigningKey,
    TrustPolicy,
    UntrustedError,
    VerifierKey,
    parse_checkpoint,
    verify_log,
)
from kopuro_client.witness import AddCheckpoint, Follower, Witness, WitnessRecord, WitnessResponse
from tests.unit.client.tlog.log_writer import (
    LOG,
    ORIGIN,
    WITNESSES,
    Key,
    Log,
    b64,
    entries,
    policy_text,
    proof,
    write_files,
)

NOW = 1_800_000_000
TRUE = Log(entries(60), keys=(LOG,))
FORK = Log(entries(60, tree="fork", common=10), keys=(LOG,))


def make_witness(state: Path, key: Key = WITNESSES[0]) -> Witness:
    return Witness(
        key=SigningKey(name=key.name, seed=key.seed),
        logs=[VerifierKey.parse(LOG.vkey)],
        record=WitnessRecord(state),
        now=lambda: NOW,
    )


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return make_witness(tmp_path / "state")


def body(old: int, size: int, log: Log = TRUE, hashes: list[bytes] | None = None) -> bytes:
    proved = proof(old, log.hashes[:size]) if hashes is None else hashes
    return (
        "".join(f"{line}\n" for line in (f"old {old}", *map(b64, proved), "")).encode()
        + log.note(size).encode()
    )


def request_cosignature(
    witness: Witness, old: int, size: int, log: Log = TRUE, hashes: list[bytes] | None = None
) -> WitnessResponse:
    return witness.add_checkpoint(AddCheckpoint.parse(body(old, size, log, hashes)))


def test_witness_signs_a_cosignature_of_the_checkpoint(witness: Witness) -> None:
    response = request_cosignature(witness, 0, 5)
    assert (response.status, response.body) == (200, WITNESSES[0].line(TRUE.text(5), NOW))
    checkpoint = witness.last(ORIGIN)
    assert checkpoint is not None
    assert str(checkpoint.note) == TRUE.note(5) + response.body


def test_growing_log_is_cosigned_repeatedly(witness: Witness) -> None:
    size = 0
    for following in (0, 1, 1, 2, 8, 9, 33, 60, 60):
        assert request_cosignature(witness, size, following).status == 200
        size = following


@pytest.mark.parametrize("old", [0, 4, 6])
def test_wrong_old_size_returns_409_with_the_right_size(witness: Witness, old: int) -> None:
    request_cosignature(witness, 0, 5)
    response = request_cosignature(witness, old, 9)
    assert (response.status, response.body, response.content_type) == (409, "5\n", "text/x.tlog.size")
    assert request_cosignature(witness, 5, 9).status == 200


def test_fork_is_never_cosigned(witness: Witness, tmp_path: Path) -> None:
    request_cosignature(witness, 0, 20)
    assert request_cosignature(witness, 20, 20, FORK).status == 422
    assert request_cosignature(witness, 20, 30, FORK).status == 422
    assert request_cosignature(witness, 20, 30, FORK, proof(20, TRUE.hashes[:30])).status == 422
    assert request_cosignature(witness, 20, 30).status == 200
    (evidence,) = (tmp_path / "state").glob("*.fork")
    kept = evidence.read_text()
    assert TRUE.text(20) in kept
    assert FORK.text(20) in kept


def test_fork_split_between_two_witnesses_has_no_quorum(tmp_path: Path) -> None:
    """Each witness has seen another of two trees, and no request makes both sign the same one."""
    one, two = (make_witness(tmp_path / key.name[-3:], key) for key in WITNESSES)
    by_one, by_two = request_cosignature(one, 0, 30, TRUE), request_cosignature(two, 0, 30, FORK)
    policy = TrustPolicy.parse(policy_text())
    for log, line in ((TRUE, by_one.body), (FORK, by_two.body)):
        write_files(tmp_path / "log", {**log.files(30), "checkpoint": (log.note(30) + line).encode()})
        with pytest.raises(UntrustedError, match="too few witnesses"):
            verify_log(DirectorySource(tmp_path / "log"), policy)
    for other, log in ((two, TRUE), (one, FORK)):
        for size in (30, 40):
            assert request_cosignature(other, 30, size, log).status == 422
            assert request_cosignature(other, 0, size, log).status == 409
    # One witness's checkpoint is enough to detect the other tree.
    seen = one.last(ORIGIN)
    assert seen is not None
    with pytest.raises(ForkError):
        verify_log(
            DirectorySource(tmp_path / "log"),
            TrustPolicy.parse(f"log {LOG.vkey}\nquorum none\n"),
            known=[seen],
        )


@pytest.mark.parametrize(
    ("old", "size", "hashes", "status"),
    [
        (0, 5, [bytes(32)], 422),  # nothing to prove from the empty tree
        (9, 5, [], 400),
        (0, 61, [], 403),
    ],
)
def test_invalid_request_returns_its_status(
    witness: Witness, old: int, size: int, hashes: list[bytes], status: int
) -> None:
    log = TRUE if size <= 60 else Log(entries(61), keys=(Key(ORIGIN, 1, b"x" * 32),))
    assert request_cosignature(witness, old, size, log, hashes).status == status
    assert witness.last(ORIGIN) is None


def test_unknown_log_is_refused_before_its_signature_is_verified(witness: Witness) -> None:
    stranger = Key("kopuro/unknown", 1, b"x" * 32)
    text = TRUE.text(5).replace(ORIGIN, stranger.name)
    request = AddCheckpoint.parse(f"old 0\n\n{text}\n{stranger.line(text)}".encode())
    assert witness.add_checkpoint(request).status == 404
    text = TRUE.text(5)
    wrong = AddCheckpoint.parse(f"old 0\n\n{text}\n{LOG.line(text + 'x')}".encode())
    assert witness.add_checkpoint(wrong).status == 403
    beside = AddCheckpoint.parse(f"old 0\n\n{text}\n{LOG.line(text)}{stranger.line(text)}".encode())
    assert witness.add_checkpoint(beside).status == 200
    last = witness.last(ORIGIN)
    assert last is not None
    assert stranger.name not in str(last.note)  # the line of an unknown key is dropped


def test_empty_tree_with_wrong_root_is_refused(witness: Witness) -> None:
    text = f"{ORIGIN}\n0\n{b64(bytes(32))}\n"
    request = AddCheckpoint.parse(f"old 0\n\n{text}\n{LOG.line(text)}".encode())
    assert witness.add_checkpoint(request).status == 422


def test_note_without_checkpoint_is_refused(witness: Witness) -> None:
    text = f"{ORIGIN}\nfive\n"
    assert (
        witness.add_checkpoint(AddCheckpoint.parse(f"old 0\n\n{text}\n{LOG.line(text)}".encode())).status
        == 400
    )


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"old 0\n" + TRUE.note(5).encode(),
        b"old 00\n\n" + TRUE.note(5).encode(),
        b"old -1\n\n" + TRUE.note(5).encode(),
        b"old 9223372036854775808\n\n" + TRUE.note(5).encode(),
        b"new 0\n\n" + TRUE.note(5).encode(),
        b"old 1\nAAAA\n\n" + TRUE.note(5).encode(),
        b"old 1\n" + (b64(bytes(32)) + "\n").encode() * 64 + b"\n" + TRUE.note(5).encode(),
        b"old 0\r\n\r\n" + TRUE.note(5).encode(),
        b"old 0\n\n" + TRUE.note(5).encode()[:-1],
        b"\xff\n\n",
    ],
)
def test_malformed_request_is_refused(wrong: bytes) -> None:
    with pytest.raises(MalformedError):
        AddCheckpoint.parse(wrong)


def test_request_round_trips() -> None:
    assert str(AddCheckpoint.parse(body(5, 9))).encode() == body(5, 9)


def test_damaged_record_is_refused_and_not_replaced(witness: Witness, tmp_path: Path) -> None:
    request_cosignature(witness, 0, 20)
    (record,) = (tmp_path / "state").glob("*.checkpoint")
    content = record.read_bytes()
    for bit in range(0, len(content) * 8, 3):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        record.write_bytes(changed)
        with pytest.raises(UntrustedError, match="is damaged"):
            request_cosignature(witness, 0, 30, FORK)


def test_concurrent_requests_get_consistent_responses(witness: Witness) -> None:
    """No two signed trees contradict each other, in whatever order the requests arrive."""
    logs = [Log(entries(60, tree=str(at), common=1), keys=(LOG,)) for at in range(4)]

    def climb(log: Log) -> list[int]:
        size, signed = 0, []
        for _ in range(12):
            response = request_cosignature(witness, size, min(size + 1, 60), log)
            if response.status == 200:
                size = size + 1
                signed.append(size)
            elif response.status == 409:
                size = int(response.body)
        return signed

    with ThreadPoolExecutor(4) as pool:
        signed = list(pool.map(climb, logs))
    beyond = [at for at, sizes in enumerate(signed) if any(size > 1 for size in sizes)]
    assert len(beyond) == 1  # the trees differ after their first leaf


def test_follower_computes_its_own_proof(tmp_path: Path) -> None:
    witness = make_witness(tmp_path / "state")
    root = TRUE.write(tmp_path / "log", 3)
    follower = Follower(witness=witness, source=DirectorySource(root), log_key=VerifierKey.parse(LOG.vkey))
    for size in (3, 3, 40, 60):
        TRUE.write(root, size)
        cosigned = follower.turn()
        keys = [VerifierKey.parse(key.vkey) for key in (LOG, WITNESSES[0])]
        assert cosigned.size == size
        assert len(parse_checkpoint(str(cosigned.note), keys).signatures) == 2
    TRUE.write(root, 50)
    with pytest.raises(RollbackError) as rolled_back:
        follower.turn()
    assert len(rolled_back.value.evidence) == 2
    longer = Log(entries(80, tree="fork", common=59), keys=(LOG,))
    longer.write(root)
    with pytest.raises(ForkError):
        follower.turn()
    last = witness.last(ORIGIN)
    assert last is not None
    assert last.size == 60


def test_follower_refuses_checkpoint_of_another_log(tmp_path: Path) -> None:
    text = TRUE.text(3).replace(ORIGIN, "kopuro/other")
    write_files(tmp_path, {"checkpoint": f"{text}\n{LOG.line(text)}".encode()})
    follower = Follower(
        witness=make_witness(tmp_path / "state"),
        source=DirectorySource(tmp_path),
        log_key=VerifierKey.parse(LOG.vkey),
    )
    with pytest.raises(UntrustedError, match="another log"):
        follower.turn()
