import json

import pytest

from kopuro_client.tlog import MalformedError, TrustPolicy, UntrustedError
from tests.unit.client.tlog.log_writer import LOG, WITNESSES, Key, Log, entries, policy_text

LEAVES = entries(4)
ONE, TWO = WITNESSES
THREE = Key("witness.example/three", 4, b"3" * 32)


def note(*witnesses: Key) -> str:
    return Log(LEAVES, keys=(LOG, *witnesses)).note()


@pytest.mark.parametrize(
    ("needed", "witnesses", "holds"),
    [
        ("all", (ONE, TWO), True),
        ("all", (ONE,), False),
        ("any", (TWO,), True),
        ("any", (), False),
        ("any", (THREE,), False),  # not in the policy
        ("2", (ONE, TWO, THREE), True),
        ("2", (ONE, ONE, THREE), False),
    ],
)
def test_quorum_counts_witnesses(needed: str, witnesses: tuple[Key, ...], holds: bool) -> None:
    policy = TrustPolicy.parse(policy_text(needed=needed))
    if holds:
        assert policy.accept(note(*witnesses)).checkpoint.size == 4
        return
    with pytest.raises(UntrustedError, match="too few witnesses"):
        policy.accept(note(*witnesses))
    assert not policy.is_witnessed(policy.accept(note(*witnesses), witnessed=False))


def test_quorum_counts_nested_groups() -> None:
    text = f"""
    # both of "ours", or three
    log {LOG.vkey}\thttps://audit.example
    witness one {ONE.vkey} https://one.example
    witness two {TWO.vkey}
    witness three {THREE.vkey}
    group ours all one two
    group either any ours three
    quorum either
    """
    policy = TrustPolicy.parse(text)
    assert [witness.url for witness in policy.witnesses] == ["https://one.example", None, None]
    assert policy.accept(note(THREE)).cosigned
    assert policy.accept(note(ONE, TWO)).cosigned
    with pytest.raises(UntrustedError):
        policy.accept(note(ONE))


def test_hub_policy_file_is_parsed() -> None:
    witnesses = [{"name": key.name, "vkey": key.vkey, "url": "https://w.example"} for key in WITNESSES]
    policy = TrustPolicy.parse(json.dumps({"witnesses": witnesses, "threshold": 1}))
    both = TrustPolicy(
        logs=TrustPolicy.parse(policy_text()).logs,
        witnesses=policy.witnesses,
        quorum=policy.quorum,
    )
    assert len(both.accept(note(TWO)).cosigned) == 1
    with pytest.raises(UntrustedError):
        both.accept(note())


def test_policy_accepts_only_named_log_under_its_own_origin() -> None:
    stranger = Key("kopuro/other", 1, b"o" * 32)
    policy = TrustPolicy.parse(f"log {stranger.vkey}\nquorum none\n")
    with pytest.raises(UntrustedError, match="no trusted key"):
        policy.accept(note())
    # A log's key must not be accepted for another log's checkpoint.
    with pytest.raises(UntrustedError, match="no trusted key"):
        policy.accept(Log(LEAVES, keys=(stranger,)).note())


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"log {LOG.vkey}\n",
        "quorum nobody\n",
        "quorum none\nquorum none\n",
        f"log {LOG.vkey}\nlog {LOG.vkey}\nquorum none\n",
        f"witness a {ONE.vkey}\nwitness b {ONE.vkey}\nquorum a\n",
        f"witness a {ONE.vkey}\nwitness a {TWO.vkey}\nquorum a\n",
        f"witness none {ONE.vkey}\nquorum none\n",
        f"witness a {LOG.vkey}\nquorum a\n",
        f"witness a {ONE.vkey}\ngroup g 2 a\nquorum g\n",
        f"witness a {ONE.vkey}\ngroup g 0 a\nquorum g\n",
        f"witness a {ONE.vkey}\ngroup g all a a\nquorum g\n",
        f"witness a {ONE.vkey}\ngroup g all a\ngroup h all a\nquorum h\n",
        f"group g all a\nwitness a {ONE.vkey}\nquorum g\n",
        "group g all\nquorum g\n",
        "what is this\nquorum none\n",
        "quorum none\r\n",
        "{}",
        '{"witnesses": [], "threshold": 1}',
        '{"witnesses": [], "threshold": true}',
        '{"witnesses": [{"name": 1, "vkey": "x", "url": "y"}], "threshold": 1}',
        "{",
    ],
)
def test_invalid_policy_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        TrustPolicy.parse(text)
