"""An auditor's reads of the running service: search, story, statistics, export, erasure."""

from __future__ import annotations

import csv
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import orjson
import pytest
from pypdf import PdfReader

from contracts.codes import DeclineReason, Sex, Urgency
from contracts.facts import LogExported, OfferDeclined, ReferralSubmitted, ReferralWithdrawn
from kopuro_client.commands.story_pdf import story_pdf
from runtime.identifiers import new_id
from runtime.web.paging import encode_cursor
from services.audit.adapters.tables import FACETS, OPENINGS
from services.audit.log.domain.merkle import Frontier, leaf_hash
from tests.services.audited_hub import MOSCOW, OSH, AuditedHub, event_of
from tests.services.made_cursors import made_cursors
from tests.unit.services.routing.samples import consent, facts

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
FACTS = facts(
    urgency=Urgency.urgent, sex=Sex.female, consent=consent(given_at=datetime(2026, 1, 1, tzinfo=UTC))
)


@pytest.fixture
def hub(hub_vhost: str, database_url: str, tmp_path: Path) -> Iterator[AuditedHub]:
    made = AuditedHub(hub_vhost, database_url, tmp_path)
    yield made
    made.close()


def test_referral_is_found_narrated_counted_exported_and_erased(hub: AuditedHub) -> None:
    referrals = [new_id() for _ in range(5)]
    told = [
        event
        for number in referrals
        for event in (
            event_of(ReferralSubmitted(referral_id=number, sender=OSH, facts=FACTS), number),
            event_of(
                OfferDeclined(
                    referral_id=number,
                    offer_id=new_id(),
                    organization=MOSCOW,
                    sender=OSH,
                    reason=DeclineReason.no_capacity,
                    note="<b>До мая мест нет</b>",
                ),
                number,
            ),
        )
    ]
    hub.answer_as_the_directory()
    hub.publish(told)
    with hub.service:
        hub.service.until_ready()
        hub.until_logged(told)
        hub.until(lambda: hub.checkpoint().size >= len(hub.logged()))

        found = hub.get("/v1/history", corridor="KG-RU", need="legal").json()["items"]
        assert [item["referral_id"] for item in found] == referrals
        assert hub.get("/v1/history", corridor="KG-KZ").json()["items"] == []
        assert hub.get("/v1/history?need=Азамат").status_code == 400

        first = referrals[0]
        story = hub.get(f"/v1/history/{first}/story", language="ru", format="html", role="coordinator")
        assert story.headers["content-type"] == "text/html; charset=utf-8"
        assert "нет возможности принять" in story.text
        assert "&lt;b&gt;До мая мест нет&lt;/b&gt;" in story.text
        assert (story.headers["content-language"], story.headers["vary"]) == ("ru", "Accept-Language")
        assert hub.get(f"/v1/history/{first}/story", language="fr").status_code == 400
        assert hub.get(f"/v1/history/{first}/story", format="exe").status_code == 400
        assert hub.get(f"/v1/history/{new_id()}/story").status_code == 404
        own = hub.get(f"/v1/history/{first}/story", role="partner", reader=OSH)
        assert f"{MOSCOW} declined" in own.text
        assert hub.get(f"/v1/history/{first}/story", role="partner", reader="kz.other").status_code == 404
        assert hub.get(f"/v1/history/{first}", role="partner", reader=OSH).status_code == 403
        parts = hub.get(f"/v1/history/{first}/story", language="ky", format="json")
        assert parts.headers["content-type"] == "application/json"
        pdf = PdfReader(BytesIO(story_pdf(parts.json())))
        assert f"{OSH} жолдомо жөнөттү." in " ".join(pdf.pages[0].extract_text().split())

        table = hub.get("/v1/statistics", by="sex,region").json()
        assert table["figures"][0]["values"] == {"sex": "female", "region": "RU-MOW"}
        assert table["figures"][0]["count"] == 5
        rows = list(csv.reader(hub.get("/v1/statistics", by="sex", format="csv").text.splitlines()))
        assert rows[0] == ["sex", "count", "answered_median_seconds", "answered_p90_seconds"]
        assert rows[1][:2] == ["female", "5"]
        narrow = {"by": "sex,need", "from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}
        assert hub.get("/v1/statistics", **narrow).json()["figures"][0]["withheld"]
        assert (
            hub.get("/v1/statistics", **narrow, format="csv").text.splitlines()[1]
            == '"","","withheld","withheld","withheld"'
        )
        for role, status in (("auditor", 200), ("coordinator", 200), ("operator", 403)):
            assert hub.get("/v1/statistics", by="need,region", exact="true", role=role).status_code == status
        assert hub.get("/v1/statistics/entries", sex="combined").status_code == 400
        counted = hub.get("/v1/statistics/entries", sex="female", limit=3).json()
        assert [item["referral_id"] for item in counted["items"]] == referrals[:3]
        rest = hub.get("/v1/statistics/entries", sex="female", after=counted["next"]).json()
        assert [item["referral_id"] for item in rest["items"]] == referrals[3:]
        assert hub.get("/v1/statistics/entries", sex="female", role="operator").status_code == 403
        for wrong in (
            "",
            "by=name",
            "by=sex,sex",
            "by=sex,region,need",
            "by=sex&format=xml",
            "by=sex&exact=yes",
            "by=sex&from=now",
        ):
            assert hub.get(f"/v1/statistics?{wrong}").status_code == 400, wrong
        for path, scope in (
            ("/v1/history", "history"),
            (f"/v1/history/{first}", "history"),
            ("/v1/export", "export"),
            ("/v1/statistics/entries?sex=female", "statistics"),
        ):
            join = "&" if "?" in path else "?"
            for cursor in (*made_cursors(scope), encode_cursor(scope, (2**53, 2**53))):
                assert hub.get(f"{path}{join}after={cursor}").status_code == 400, (path, cursor)
        backwards = encode_cursor("export", (2, 1))
        assert hub.get("/v1/export", after=backwards).json()["type"].endswith("invalid-cursor")
        for path in ("/v1/statistics?by=sex", "/v1/export"):
            assert hub.get(path, role="partner").status_code == 403
        # A party gets its own entries, and this partner is not a party.
        assert hub.get(f"/v1/history/{first}/bundle", role="partner").status_code == 404

        hub.until(lambda: hub.checkpoint().size >= len(hub.logged()))
        lines = [orjson.loads(line) for line in hub.get("/v1/export", limit=5000).text.splitlines()]
        *entries, last = lines
        assert last["next"] is None
        assert len(entries) == last["size"]
        assert last["checkpoint"].splitlines()[1] == str(last["size"])
        computed = Frontier().extend([leaf_hash(entry["leaf"].encode()) for entry in entries]).root()
        assert b64decode(last["checkpoint"].splitlines()[2]) == computed
        page = hub.get("/v1/export", format="csv", limit=2)
        assert len(page.text.splitlines()) == 3
        assert 'rel="next"' in page.headers["link"]
        asked = {"type": LogExported.type, "actor": "ann"}
        hub.until(lambda: len(hub.get("/v1/history", **asked).json()["items"]) == 2)
        assert hub.get("/v1/history", type=LogExported.type, actor="eve").json()["items"] == []

        withdrawn = ReferralWithdrawn(
            referral_id=first, sender=OSH, organization=None, reason="consent_revoked"
        )
        hub.publish([event_of(withdrawn, first)])

        def erased() -> bool:
            text = hub.get(f"/v1/history/{first}/story", format="text").text
            return "declined" not in text.replace("offer.declined", "")

        hub.until(erased)
        stated = hub.get("/v1/history", referral=first, type=told[0].type).json()["items"][0]["index"]
        with hub.database.read() as transaction:
            opening = transaction.execute(OPENINGS.select().where(OPENINGS.c.leaf_index == stated)).all()
            facets = transaction.execute(FACETS.select().where(FACETS.c.leaf_index == stated)).all()
        assert opening == []
        assert {(row.facet, row.value) for row in facets} == {("actor", "/kg/intake")}
        found = hub.get("/v1/history", corridor="KG-RU").json()["items"]
        assert [item["referral_id"] for item in found] == referrals[1:]
