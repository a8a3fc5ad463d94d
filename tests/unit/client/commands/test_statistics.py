from typing import Any

from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, Response, json_response

TABLE: dict[str, Any] = {
    "by": ["sex"],
    "from": None,
    "to": None,
    "unit": "referral",
    "figures": [
        {
            "values": {"sex": "female"},
            "count": 9,
            "withheld": False,
            "times_withheld": False,
            "answered_median_seconds": 3 * 3600 + 120,
            "answered_p90_seconds": 50 * 3600,
        },
        {
            "values": {"sex": "combined"},
            "count": None,
            "withheld": True,
            "times_withheld": True,
            "answered_median_seconds": None,
            "answered_p90_seconds": None,
        },
        {
            "values": {},
            "count": 17,
            "withheld": False,
            "times_withheld": True,
            "answered_median_seconds": None,
            "answered_p90_seconds": None,
        },
    ],
    "combined": {"sex": ["male", "other", "unknown"]},
    "exact": False,
    "withheld": True,
    "log_size": 120,
}


def test_statistics_table_marks_withheld_figures(hub: FakeHub, run: Run) -> None:
    hub.script("GET", "/audit/v1/statistics", json_response(TABLE))
    ran = run("statistics", "--by", "sex", "--from", "2026-01-01T00:00:00Z")
    assert ran.out.splitlines()[1].split() == ["female", "9", "3", "h", "2", "min", "2", "d", "2", "h"]
    assert ran.out.splitlines()[2].split() == ["combined", "withheld", "withheld", "withheld"]
    assert ran.out.splitlines()[3].split() == ["all", "17", "withheld", "withheld"]
    assert "sex combined: male, other, unknown\n" in ran.err
    assert "withheld: figures below 5" in ran.err
    assert "120 entries" in ran.err
    (request,) = hub.requests_to("/audit/v1/statistics")
    assert request.query == {"by": "sex", "from": "2026-01-01T00:00:00Z"}
    assert run("statistics", "--by", "sex", "--json").json() == TABLE


def test_dimension_with_only_a_combined_row_is_shown_as_withheld(hub: FakeHub, run: Run) -> None:
    table = {
        **TABLE,
        "figures": [{**TABLE["figures"][2], "values": {"sex": "combined"}}, TABLE["figures"][2]],
        "combined": {"sex": ["female", "male", "other", "unknown"]},
    }
    hub.script("GET", "/audit/v1/statistics", json_response(table))
    ran = run("statistics", "--by", "sex")
    assert "sex: withheld, because a row for any class would reveal one with fewer than 5\n" in ran.err
    assert "sex combined" not in ran.err


def test_statistics_csv_is_printed_verbatim(hub: FakeHub, run: Run) -> None:
    hub.script("GET", "/audit/v1/statistics", Response(status=200, body=b"sex,count\r\nfemale,9\r\n"))
    assert run("statistics", "--by", "sex", "--csv").out == "sex,count\r\nfemale,9\r\n"


def test_exact_statistics_are_requested_and_labelled(hub: FakeHub, run: Run) -> None:
    hub.script("GET", "/audit/v1/statistics", json_response({**TABLE, "exact": True}))
    ran = run("statistics", "--by", "need,region", "--exact")
    assert "do not publish" in ran.err
    (request,) = hub.requests_to("/audit/v1/statistics")
    assert request.query == {"by": "need,region", "exact": "true"}


def test_figure_is_traced_to_entries_over_all_pages(hub: FakeHub, run: Run) -> None:
    hub.script(
        "GET",
        "/audit/v1/statistics/entries",
        json_response({"items": [{"referral_id": "r1", "entries": [1, 4]}], "next": "c"}),
        json_response({"items": [{"referral_id": "r2", "entries": [2]}], "next": None}),
    )
    ran = run("statistics", "--trace", "sex=female", "--trace", "outcome=resolved")
    assert ran.out == "r1  1 4\nr2  2\n"
    first, second = hub.requests_to("/audit/v1/statistics/entries")
    assert first.query == {"sex": "female", "outcome": "resolved"}
    assert second.query["after"] == "c"


def test_statistics_without_dimension_sends_no_request(hub: FakeHub, run: Run) -> None:
    for wrong in (
        (),
        ("--by", "sex", "--trace", "sex=female"),
        ("--trace", "sex"),
        ("--trace", "sex=female", "--exact"),
    ):
        assert run("statistics", *wrong).code == 2
    assert hub.requests_to("/audit/v1/statistics") == []
