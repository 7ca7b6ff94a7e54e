"""Stations and metrics on PostgreSQL: the same judgement, strips and days as on SQLite."""

from datetime import timedelta

from sqlalchemy import insert

from edge.store.schema import station_health, station_state
from tests.web_rig import NOW, SITE, WebRig


def test_stations_are_judged_as_on_sqlite(tmp_path, postgres):
    postgres.emptied()
    address = postgres.address("site", driver="")
    with WebRig(tmp_path, f"{SITE}database: {address}\n") as rig:
        assert rig.plan.database_url.startswith("postgresql")
        rig.record("cam-01", "a", at=NOW - timedelta(days=40))
        with rig.store.transaction() as connection:
            for day, volts in enumerate((12.0, 12.1, 12.2, 12.3)):
                at = NOW - timedelta(days=day, minutes=-1 if day else 0)
                row = {"station": "cam-02", "at": at, "received_at": at, "drift_s": 0.5}
                connection.execute(insert(station_health).values(**row, health={"battery": {"volts": volts}}))
            said = {"station": "cam-02", "online": True, "heard_at": NOW, "health_at": NOW, "drift_s": 0.5}
            connection.execute(insert(station_state).values(**said, health={"battery": {"volts": 12.0}}))
        client = rig.client("manager")

        found = {each["name"]: each for each in client.get("/api/v1/stations").json()["items"]}

        assert [each["sort"] for each in found["cam-01"]["troubles"]] == ["silent"]
        assert [each["sort"] for each in found["cam-02"]["troubles"]] == ["fading"]
        assert [each["volts"] for each in client.get("/api/v1/stations/cam-02/health").json()["items"]] == [
            *(12.3, 12.2, 12.1, 12.0)
        ]
        page = client.get("/stations/cam-02").text
        assert page.count('class="heard l0"') == 4
        for path in ("/stations", "/stations/cam-02", "/metrics", "/readyz", "/export"):
            assert client.get(path).status_code == 200
