"""`--simulate`: the effect of a policy on the last referrals, before it is applied."""

from __future__ import annotations

import io
import json
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from admin.operator_name import login_name
from contracts.codes import Answer, DeclineReason, Urgency
from contracts.envelope import Event, decode
from contracts.facts import AnswerSubmitted, Fact, OfferOpened, ReferralRead
from kopuro_client.commands import main
from runtime.identifiers import new_id
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.outbox.outbox import Outbox
from runtime.storage.database import Database
from services.routing.adapters.tables import MESSAGING
from services.routing.domain.fairness import Fairness
from services.routing.domain.policy import Weights
from tests.unit.admin.routed_network import CITIES, SENDERS, RoutedNetwork
from tests.unit.services.routing.samples import organization, service
from tests.unit.services.routing.workbench import event, submitted

# They differ only in what two weights count: the city or the whole country, and an interpreter's language.
NEAR = organization("ru.near", service(areas=(CITIES[0],), languages=("ru",), interpretation=("ky",)))
FLUENT = organization("ru.fluent", service(areas=("RU",), languages=("ky",)))


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RoutedNetwork:
    """Four referrals: two in the city, which prefer the near service, and two elsewhere."""
    network = RoutedNetwork(tmp_path, seed=1)
    network.put(*(replace(organization(f"ru.receiver-{n}"), active=False) for n in range(8)))
    network.put(NEAR, FLUENT)
    # Exploration depends on the referrals' ids, which are new in each run.
    network.apply(weights=Weights(nearness=9.0, language=1.0), fairness=Fairness(explore=0.0))
    for region in (CITIES[0], CITIES[0], CITIES[1], CITIES[1]):
        network.bench.take(submitted(new_id(), SENDERS[0], region=region))
    network.bench.take(submitted(new_id(), SENDERS[0], region=CITIES[0], urgency=Urgency.emergency))
    network.close()
    monkeypatch.setenv("KOPURO_DATABASE_TEMPLATE", f"sqlite:///{tmp_path}/{{service}}.sqlite")
    monkeypatch.setenv("KOPURO_DATABASE_URL", network.urls["routing"])
    return network


def written(folder: Path, **policy: object) -> str:
    file = folder / "policy.json"
    file.write_text(json.dumps(policy), encoding="utf-8")
    return str(file)


def test_simulation_shows_moved_offers_and_changed_scores(
    network: RoutedNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(
        tmp_path, version="fluent", weights={"nearness": 1, "language": 9}, fairness={"explore": 0}
    )
    assert main(["routing", "policy", "check", file, "--simulate", "4", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["simulation"]
    # The last four of five. The emergency asks both either way, but in another order.
    assert (shown["referrals"], len(shown["elsewhere"]), shown["left_out"]) == (4, 2, {})
    routine, emergency = shown["elsewhere"]
    assert (routine["before"], routine["after"]) == (["ru.near"], ["ru.fluent"])
    assert emergency["before"] == emergency["after"][::-1] == ["ru.near", "ru.fluent"]
    fluent = next(one for one in routine["standings"] if one["organization"] == "ru.fluent")
    assert fluent["ranks"] == [2, 1]
    assert set(fluent["shares"]) >= {"nearness", "language"}
    for one in routine["standings"]:
        for position in (0, 1):
            changed = sum(values[position] for values in one["shares"].values())
            assert changed <= one["scores"][position] + 1e-5
        moved = sum(new - old for old, new in one["shares"].values())
        assert moved == pytest.approx(one["scores"][1] - one["scores"][0], abs=1e-5)


def test_simulation_shows_whose_turn_it_is_before_and_after(
    network: RoutedNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fairness = {"explore": 0, "band": 0.3}
    file = written(tmp_path, version="wide", weights={"nearness": 1, "language": 1}, fairness=fairness)
    line = ["routing", "policy", "check", file, "--simulate", "5"]
    assert main([*line, "--json"]) == 0
    firsts = [one["firsts"] for one in json.loads(capsys.readouterr().out)["simulation"]["elsewhere"]]
    assert {before["why"] for before, _ in firsts} == {"best"}
    assert {after["why"] for _, after in firsts} == {"turn", "turn_by_score"}
    assert main(line) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "before: ru.near was asked because it comes first by capacity and score." in out
    assert "after: ru.fluent was asked because it was asked least recently among 2 equals" in out


def test_simulation_of_the_policy_in_force_changes_nothing(
    network: RoutedNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["routing", "policy", "show"]) == 0
    file = tmp_path / "same.json"
    file.write_text(capsys.readouterr().out)
    assert main(["routing", "policy", "check", str(file), "--simulate", "100"]) == 0
    assert "0 of 5 referrals would have gone elsewhere\n" in capsys.readouterr().out


def test_applied_policy_is_simulated_first_and_then_in_force(
    network: RoutedNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A bound of one per sender excludes organisations that hold the sender's offers already.
    file = written(
        tmp_path,
        version="one",
        practice=True,
        offers_per_sender={"most": 1},
        weights={"nearness": 9, "language": 1},
    )
    assert main(["routing", "policy", "apply", file, "--simulate", "5", "--yes"]) == 0
    out = capsys.readouterr().out
    assert "now excluded: no place left" in " ".join(out.split())
    assert "routine; unpaid wages; " in out
    assert max(map(len, out.splitlines()[:-1])) <= 80
    assert out.splitlines()[-1].startswith("one is in force")
    assert main(["routing", "policy", "show", "--version", "one"]) == 0


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_read_of_a_simulation_is_recorded_with_the_operator_and_the_referrals(
    network: RoutedNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: tuple[str, ...]
) -> None:
    file = written(
        tmp_path, version="fluent", weights={"nearness": 1, "language": 9}, fairness={"explore": 0}
    )
    assert main(["routing", "policy", "check", file, "--simulate", "4", *form]) == 0
    shown = capsys.readouterr().out
    (read,) = recorded_reads(network)
    assert (read.reader, read.roles, read.resource) == (
        login_name(),
        ("operator",),
        "kopuro routing policy --simulate",
    )
    assert read.filter["referrals"] == "4"
    assert len(read.referral_ids) == read.entries == 2
    assert all(referral in shown for referral in read.referral_ids)


def test_read_of_a_simulation_names_the_hub_of_the_command(network: RoutedNetwork, tmp_path: Path) -> None:
    file = written(tmp_path, version="fluent", weights={"nearness": 1, "language": 9})
    line = ["routing", "policy", "check", file, "--simulate", "4"]
    assert main([*line, "--hub", "uz"]) == main(line) == 0
    assert sources_of_reads(network) == ["/uz/routing", "/kg/routing"]


def test_simulation_that_cannot_be_recorded_shows_nothing(
    network: RoutedNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Database.open(network.urls["routing"])) as database, database.write() as transaction:
        transaction.exec_driver_sql("ALTER TABLE outbox RENAME TO gone")
    file = written(
        tmp_path, version="fluent", weights={"nearness": 1, "language": 9}, fairness={"explore": 0}
    )
    assert main(["routing", "policy", "check", file, "--simulate", "4"]) != 0
    assert "unpaid wages" not in capsys.readouterr().out


def recorded_reads(network: RoutedNetwork) -> list[ReferralRead]:
    assert set(sources_of_reads(network)) == {"/kg/routing"}
    return [one.data for one in in_outbox(network) if isinstance(one.data, ReferralRead)]


def sources_of_reads(network: RoutedNetwork) -> list[str]:
    return [one.source for one in in_outbox(network) if isinstance(one.data, ReferralRead)]


def in_outbox(network: RoutedNetwork) -> list[Event[Fact]]:
    with closing(Database.open(network.urls["routing"])) as database, database.read() as transaction:
        messages = [message for _, message in Outbox(MESSAGING.outbox).oldest(transaction, 1000)]
    return [decode(body) for message in messages for body in decode_batch(message.body)]


def test_simulation_lists_a_referral_whose_later_offer_would_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = RoutedNetwork(tmp_path, seed=1)
    network.put(*(replace(organization(f"ru.receiver-{n}"), active=False) for n in range(8)))
    first = organization("ru.first", service(areas=(CITIES[0],), languages=("ky",)))
    network.put(first, NEAR, FLUENT)
    network.apply(weights=Weights(nearness=9.0, language=1.0), fairness=Fairness(explore=0.0, band=0.0))
    [opened] = network.bench.take(submitted(referral := new_id(), SENDERS[0], region=CITIES[0]))
    assert isinstance(opened, OfferOpened)
    assert opened.organization == "ru.first", "it is first under both policies"
    declined = AnswerSubmitted(
        referral_id=referral,
        offer_id=opened.offer_id,
        organization="ru.first",
        answer=Answer.decline,
        reason=DeclineReason.other,
    )
    network.bench.take(event(declined, referral, network.bench.clock.time))
    network.close()
    monkeypatch.setenv("KOPURO_DATABASE_TEMPLATE", f"sqlite:///{tmp_path}/{{service}}.sqlite")
    monkeypatch.setenv("KOPURO_DATABASE_URL", network.urls["routing"])
    weights = {"nearness": 1, "language": 9}
    file = written(tmp_path, version="fluent", weights=weights, fairness={"explore": 0, "band": 0})
    line = ["routing", "policy", "check", file, "--simulate", "5"]
    assert main([*line, "--json"]) == 0
    [changed] = json.loads(capsys.readouterr().out)["simulation"]["elsewhere"]
    assert (changed["referral_id"], changed["trigger"]) == (referral, "declined")
    assert (changed["before"], changed["after"]) == (["ru.near"], ["ru.fluent"])
    assert main(line) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "when the organisation that was asked declined: ru.near -> ru.fluent" in out
    assert "1 of 1 referral would have gone elsewhere" in out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "status"), [("n\n", 2), ("\n", 2), ("y\n", 0)])
def test_simulated_policy_is_applied_only_after_a_yes(
    network: RoutedNetwork,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    status: int,
) -> None:
    file = written(tmp_path, version="one")
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert main(["routing", "policy", "apply", file, "--simulate", "5"]) == 0
    captured = capsys.readouterr()
    assert "of 5 referrals would have gone elsewhere" in captured.out
    assert "apply the policy one? [y/N]" in captured.err
    assert main(["routing", "policy", "show", "--version", "one"]) == status


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_simulated_policy_is_refused_where_nobody_can_be_asked(
    network: RoutedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    file = written(tmp_path, version="one")
    monkeypatch.setattr(sys, "stdin", Terminal("y\n") if options else io.StringIO("y\n"))
    assert main(["routing", "policy", "apply", file, "--simulate", "5", *options]) == 2
    assert main(["routing", "policy", "show", "--version", "one"]) == 2
