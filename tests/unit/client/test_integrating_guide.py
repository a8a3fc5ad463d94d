"""The commands and programs in docs/integrating.md work."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from joserfc import jwe
from joserfc.jwk import OKPKey
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from contracts.organization import Service
from contracts.records import read
from kopuro_client import check_case, generate_key, public_key, seal
from kopuro_client.commands import ExitCode, main
from kopuro_client.records import Jwk
from tests.unit.client.fake_hub import FakeHub, Response, json_response, problem

CONTRACTS = Path(__file__).parents[3] / "contracts"
GUIDE = (Path(__file__).parents[3] / "docs" / "integrating.md").read_text(encoding="utf-8")

SAMPLE_ID = "0199a0de-0000-7000-8000-000000000001"


def _with_ids(line: str) -> str:
    """Return the command with ids of the right form: the 404 of another one is the caller's mistake."""
    sample = "kg.osh-legal-aid" if line.strip().startswith("kopuro organization") else SAMPLE_ID
    return re.sub(r"\$\w+|\bID\b", sample, line)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, flags=re.DOTALL)


def commands() -> list[str]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    inline = re.findall(r"`(kopuro [^`]+)`", GUIDE)
    within = [found for line in lines for found in re.findall(r"\$\((kopuro [^)|]+)", line)]
    found = [line.split(" > ")[0] for line in [*lines, *inline, *within] if line.startswith("kopuro ")]
    return sorted({_with_ids(line).strip() for line in found})


# `up` is a server command.
@pytest.mark.parametrize("command", [line for line in commands() if not line.startswith("kopuro up")])
def test_guide_command_is_accepted(
    hub: FakeHub,
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "changes.json").write_text("{}")
    (tmp_path / "offer.json").write_text("{}")
    (tmp_path / "public.json").write_text('{"keys": []}')
    for name in ("referral.json", "sealed.json"):
        (tmp_path / name).write_text('{"case": "sealed"}' if name == "sealed.json" else blocks("json")[0])
    for name in ("KOPURO_CLIENT_ID", "KOPURO_CLIENT_SECRET"):
        monkeypatch.setenv(name, "x")
    arguments = shlex.split(command)[1:]
    # `verify` asks no hub: it reads files that only a hub's log can give.
    if "--as" in arguments or "verify" in arguments:
        assert main([*arguments, "--help"]) == ExitCode.OK
        return
    if "publish" in arguments or "replace" in arguments:
        for name in ("sealing-key.json", "new-sealing-key.json"):
            (tmp_path / name).write_text(json.dumps(generate_key()))
    if "generate" in arguments or "secret" in arguments or arguments[:2] == ["credential", "key"]:
        assert main(arguments) == ExitCode.OK
        return
    # This hub refuses all requests; sealing needs only its key.
    asked = main([*arguments, "--discovery", hub.url])
    if "add --yes" in capsys.readouterr().err:  # on a terminal it asks first
        asked = main([*arguments, "--yes", "--discovery", hub.url])
    assert asked == (ExitCode.OK if "seal" in arguments else ExitCode.REFUSED)


def test_guide_referral_has_a_valid_case() -> None:
    [text] = blocks("json")
    check_case(json.loads(text)["case"])


def test_webhook_body_in_the_guide_follows_its_schema() -> None:
    (body,) = [text for text in blocks("text") if '"timestamp"' in text]
    schema = json.loads((CONTRACTS / "schemas" / "webhook.json").read_bytes())
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(json.loads(body))


def test_services_in_the_guide_follow_the_contract() -> None:
    (body,) = [text for text in blocks("text") if '"services"' in text]
    [service] = json.loads(body)["services"]
    assert read(Service, service).capacity.maximum == 20


def test_watch_report_in_the_guide_follows_the_published_contract() -> None:
    (body,) = [text for text in blocks("text") if '"evidence"' in text]
    openapi = json.loads((CONTRACTS / "openapi.json").read_bytes())
    schema = {"$ref": "#/components/schemas/EmployerReportInput", "components": openapi["components"]}
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(json.loads(body))


def test_guide_exit_codes_match_the_command() -> None:
    rows = re.findall(r"^\|.*\| (\d+) \|$", GUIDE, flags=re.MULTILINE)
    assert [int(row) for row in rows] == [code.value for code in ExitCode]


def hello(key: Jwk) -> str:
    """Return sealed content that this client would refuse to seal."""
    public = OKPKey.import_key({name: key[name] for name in ("kty", "crv", "x")})
    header = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": key["kid"]}
    return jwe.encrypt_compact(header, b"hello", public, algorithms=["ECDH-ES+A256KW", "A256GCM"])


UNREADABLE: dict[str, Callable[[Jwk], str]] = {
    "hello": hello,
    "no-case": lambda key: seal({"hello": 1}, public_key(key)),
    "lying-kid": lambda key: hello({**generate_key(), "kid": key["kid"]}),
    "damaged": lambda key: seal({"name": "x"}, public_key(key))[:-4] + "AAAA",
}


def test_guide_program_accepts_opens_and_reports(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = generate_key()
    (tmp_path / "key.json").write_text(json.dumps(key))
    for name, value in {
        "SEALING_KEY": str(tmp_path / "key.json"),
        "DISCOVERY_URL": hub.url,
        "CLIENT_ID": "id",
        "CLIENT_SECRET": "secret",
    }.items():
        monkeypatch.setenv(f"KOPURO_{name}", value)
    note = {"referral_id": "r3", "author": "kg.osh"}
    readable = seal({"text": "Алло"}, public_key(key))
    messages = [
        {"id": "m1", "type": "kopuro.offer.opened.v1", "data": {"offer_id": "o1", "referral_id": "r1"}},
        {"id": "m2", "type": "kopuro.offer.opened.v1", "data": {"offer_id": "late", "referral_id": "r2"}},
        {"id": "m3", "type": "kopuro.case.released.v1", "data": {"referral_id": "r1"}},
        *(
            {"id": f"m-{n}", "type": "kopuro.case.released.v1", "data": {"referral_id": n}}
            for n in UNREADABLE
        ),
        {"id": "m4", "type": "kopuro.note.delivered.v1", "data": {**note, "note": "a.b.c.d.e"}},
        {"id": "m5", "type": "kopuro.of.tomorrow.v9", "data": {"never": "seen"}},
        {"id": "m6", "type": "kopuro.case.released.v1", "data": {"referral_id": "last-years-key"}},
        {"id": "m7", "type": "kopuro.note.delivered.v1", "data": {**note, "note": readable}},
    ]
    submitted = json_response({"id": "s1", "status": "submitted"}, status=202)
    hub.script(
        "GET", "/delivery/v1/mailbox", json_response({"items": messages, "next": "3"}), Response(status=500)
    )
    hub.script("POST", "/intake/v1/offers/o1/accept", submitted)
    hub.script("POST", "/intake/v1/offers/late/accept", problem(409, "offer-closed", "T", detail="Too late."))
    hub.script("POST", "/intake/v1/referrals/r1/progress", submitted)
    sealed = seal({"name": "Азамат"}, public_key(key))
    hub.script("GET", "/delivery/v1/case/r1", json_response({"referral_id": "r1", "case": sealed}))
    for referral, content in UNREADABLE.items():
        hub.script("GET", f"/delivery/v1/case/{referral}", json_response({"case": content(key)}))
    for referral in ("r3", *list(UNREADABLE)[1:]):
        hub.script("POST", f"/intake/v1/referrals/{referral}/unreadable", submitted)
    hub.script("POST", "/intake/v1/referrals/hello/unreadable", problem(409, "not-in-this-state", "T"))
    old = seal({"name": "Азамат"}, public_key(generate_key()))
    hub.script("GET", "/delivery/v1/case/last-years-key", json_response({"case": old}))
    for message in messages:
        hub.script("POST", f"/delivery/v1/mailbox/{message['id']}/acknowledge", Response(status=204))

    [program] = blocks("python")
    with pytest.raises(Exception, match="500"):  # how this test ends the watch
        exec(compile(program, "integrating.md", "exec"), {})  # noqa: S102  # our own guide
    out = capsys.readouterr().out
    assert out.startswith("urn:kopuro:problem:offer-closed Too late.\nwe can help Азамат\n")
    assert out.endswith("a note from kg.osh Алло\n")
    assert out.count("start again with the key it is sealed to") == 1
    reports = [r.json() for r in hub.received if r.path.endswith("/unreadable")]
    assert [r["reason"] for r in reports] == [
        "not_understood",
        "not_understood",
        "cannot_decrypt",
        "cannot_decrypt",
        "cannot_decrypt",
    ]
    assert reports[-1] == {"reason": "cannot_decrypt", "content": "note", "author": "kg.osh"}
    acknowledged = [r.path.split("/")[-2] for r in hub.received if r.path.endswith("/acknowledge")]
    assert acknowledged == [m["id"] for m in messages if m["id"] != "m6"]
    assert hub.requests_to("/intake/v1/referrals/r1/progress")[0].json() == {"status": "in_progress"}
