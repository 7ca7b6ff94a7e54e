"""The review on PostgreSQL: the same lists, answers and undo as on SQLite."""

from datetime import timedelta

from sqlalchemy import select

from edge.model import AgentFacts
from edge.store.schema import frames, observations
from tests.alert_rig import JAGUAR, PUMA, animal
from tests.review_rig import review_rig
from tests.web_rig import NOW, SITE


def test_lists_answers_and_undo_are_those_of_sqlite(tmp_path, postgres):
    postgres.emptied()
    address = postgres.address("site", driver="")
    with review_rig(tmp_path, f"{SITE}database: {address}\n") as rig:
        assert rig.plan.database_url.startswith("postgresql")
        shown = [((animal((PUMA, JAGUAR)[number % 2]),), ()) for number in range(5)]
        hours = [NOW - timedelta(hours=number) for number in range(5)]
        pks = [rig.sequence("cam-01", f"s{at:%H}", *each, at=at) for each, at in zip(shown, hours, strict=True)]
        rig.sum_up()
        client = rig.client("manager", name="ana", stations=["cam-01", "cam-02"])

        def listed(query=""):
            return [each["pk"] for each in client.get(f"/api/v1/sequences?{query}").json()["items"]]

        assert listed() == pks
        assert listed("order=oldest&species=Felidae") == pks[::-1]
        assert listed("species=puma&unreviewed=1&score_from=0.5&from=2026-01-01") == pks[::2]
        first = client.get("/api/v1/sequences?limit=2").json()
        assert listed(f"cursor={first['next']}") == pks[2:]

        said = {"action": "on-postgresql", "sequences": pks[:2], "kind": "human", "seen": 0}
        assert client.post("/api/v1/reviews", json=said).json()["repeated"] is False
        assert client.post("/api/v1/reviews", json=said).json()["repeated"] is True
        assert listed("kind=human") == listed("disagrees=1") == listed("people=1") == pks[:2]
        assert client.delete("/api/v1/reviews/on-postgresql").status_code == 200
        with rig.readers.read() as connection:
            assert not any(connection.scalars(select(frames.c.people)))
        confirmed = {"action": "right-it-is", "sequences": pks, "kind": "confirm"}
        assert client.post("/api/v1/reviews", json=confirmed).status_code == 200
        assert listed("unreviewed=1") == []

        assert client.put(f"/api/v1/favourites/{pks[3]}").status_code == 200
        assert listed("favourite=1") == [pks[3]]
        for path in ("/review", f"/review/{pks[0]}?kind=animal", "/review/progress", "/api/v1/frames"):
            assert client.get(path).status_code == 200


def test_a_full_frame_has_what_was_said_of_its_thumbnail_as_on_sqlite(tmp_path, postgres):
    postgres.emptied()
    address = postgres.address("site", driver="")
    with review_rig(tmp_path, f"{SITE}database: {address}\n") as rig:
        small = AgentFacts("boot", 1, 1, 1.0, "sure", "pir", "full", None)
        thumbnail = rig.record("cam-01", "small", [animal(PUMA)], agent=small)
        rig.sum_up()
        client = rig.client("reviewer", name="ana")
        with rig.readers.read() as connection:
            box = connection.scalar(select(observations.c.pk))
        said = {"action": "of-the-box", "observations": [box], "kind": "animal", "species": "jaguar"}
        assert client.post("/api/v1/reviews", json=said).status_code == 200
        assert client.put(f"/api/v1/favourites/{thumbnail}").status_code == 200

        full = rig.record("cam-01", "full", [animal(PUMA, side=0.31)])
        rig.sum_up()

        row = rig.row(full)
        assert (row["shown_taxon"], row["unreviewed"], row["favourite"]) == ("Panthera onca", 0, True)
        assert client.delete("/api/v1/reviews/of-the-box").json()["sequences"][0]["taxon"] == "Puma concolor"
        assert client.get("/review").status_code == client.get(f"/review/{full}").status_code == 200
