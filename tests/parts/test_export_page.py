"""Exports from the page: made by a process of its own, one after the other, for nobody else's stations."""

import csv
import json
import re
from datetime import timedelta
from html import unescape

import pytest
from sqlalchemy import insert, select

from edge.store.schema import audit
from edge.store.web_schema import tallies
from server.export import runner as runners
from server.export.jobs import KEPT, Asked, end_job, folder_of, forget_old, new_job, read_job
from server.export.runner import runner_of
from server.now import names
from tests.alert_rig import animal
from tests.web_rig import NOW, WebRig


@pytest.fixture
def rig(tmp_path, monkeypatch):
    monkeypatch.setattr(names, "GOOD_FOR_S", 0.0)
    with WebRig(tmp_path) as rig:
        for station, name in (("cam-01", "a"), ("cam-01", "b"), ("cam-02", "c")):
            rig.record(station, name, [animal()])
        yield rig


@pytest.fixture
def waiting(monkeypatch):
    """Nothing is begun."""
    monkeypatch.setattr(runners.Runner, "wake", lambda _self: None)


def rows_of(answer):
    return list(csv.DictReader(answer.text.splitlines()))


def audited(rig):
    with rig.store.transaction() as connection:
        return connection.execute(select(audit.c.action, audit.c.who).order_by(audit.c.pk)).all()


def test_an_export_is_made_beside_the_page_and_downloaded_in_ranges(rig):
    client = rig.client("reviewer", name="ana", follow_redirects=False)
    assert client.post("/export", data={"format": "csv", "station": "cam-01"}).status_code == 303
    runner_of(rig.web).wait()

    [job] = client.get("/api/v1/exports").json()["items"]
    assert (job["state"], job["frames"], job["read"], job["total"]) == ("done", 2, 2, 2), job["reason"]
    whole = client.get(f"/export/{job['id']}/file")
    part = client.get(f"/api/v1/exports/{job['id']}/file", headers={"range": "bytes=3-9"})

    assert {row["station"] for row in rows_of(whole)} == {"cam-01"}
    assert whole.headers["content-disposition"] == 'attachment; filename="Reserva-El-Silencio-csv-2026-03-10.csv"'
    assert (part.status_code, part.content) == (206, whole.content[3:10])
    assert audited(rig) == [("export.make", "ana"), ("export.download", "ana"), ("export.download", "ana")]
    assert "ready" in client.get("/export").text


def test_who_sees_some_stations_gets_only_those(rig, waiting):
    client = rig.client("reviewer", stations=["cam-02"])

    made = client.post("/api/v1/exports", json={"format": "csv"}).json()
    other = client.post("/api/v1/exports", json={"format": "csv", "stations": ["cam-01"]})
    nothing = rig.client("reviewer", stations=[]).post("/api/v1/exports", json={"format": "csv"})

    assert made["stations"] == ["cam-02"]
    assert other.status_code == 422
    assert "no such station" in other.json()["detail"]
    assert nothing.status_code == 422
    assert "cam-01" not in client.get("/export").text


def test_exports_of_others_and_of_stations_that_were_taken_away_are_not_there(rig, waiting):
    made = rig.client("reviewer", name="ana").post("/api/v1/exports", json={"format": "csv"}).json()
    path = f"/api/v1/exports/{made['id']}"

    assert rig.client("manager", name="bob").get(path).status_code == 404
    assert rig.client("reviewer", name="ana", stations=["cam-01"]).get(path).status_code == 404
    assert rig.client("admin", name="eva").get(path).status_code == 200


def test_viewers_export_nothing(rig):
    client = rig.client("viewer")

    assert client.get("/export").status_code == 403
    assert client.post("/export", data={"format": "csv"}).status_code == 403
    assert client.post("/api/v1/exports", json={"format": "csv"}).status_code == 403


def test_pictures_as_they_came_and_people_are_for_those_who_may(tmp_path):
    site = WebRig.__init__.__defaults__[0].replace("web: {}", "web: {sees_originals: admin, sees_people: admin}")
    with WebRig(tmp_path, site) as rig:
        reviewer = rig.client("reviewer")
        names = [each["name"] for each in reviewer.get("/api/v1/export-formats").json()["items"]]
        assert "tags" not in names
        assert "yolo" not in names
        assert reviewer.post("/api/v1/exports", json={"format": "tags"}).status_code == 422

    site = WebRig.__init__.__defaults__[0].replace("web: {}", "web: {sees_people: admin}")
    (tmp_path / "other").mkdir()
    with WebRig(tmp_path / "other", site) as rig:
        body = {"format": "tags", "options": {"people": "include"}}
        refused = rig.client("reviewer").post("/api/v1/exports", json=body)
        assert "for those who may see them" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("since", "ayer", "escriba una fecha"),
        ("independent", "pronto", "escriba un intervalo"),
        ("taxon", "unicornio", "unicornio"),
        ("station", "../x", "../x"),
        ("set-csv-nothing", "1", "nothing"),
    ],
)
def test_what_cannot_be_read_is_told_beside_its_field(rig, waiting, field, value, told):
    answer = rig.client("reviewer", language="es").post("/export", data={"format": "csv", field: value})

    assert answer.status_code == 422
    assert told in answer.text
    assert not folder_of(rig.web).exists()


def test_one_that_waits_is_cancelled_and_one_that_is_over_removed(rig, waiting):
    client = rig.client("reviewer", name="ana")
    number = client.post("/api/v1/exports", json={"format": "csv"}).json()["id"]

    assert client.get(f"/export/{number}/file").status_code == 409
    assert client.post(f"/export/{number}/remove").status_code == 409
    client.post(f"/export/{number}/cancel")
    assert client.get(f"/api/v1/exports/{number}").json()["state"] == "cancelled"
    assert client.delete(f"/api/v1/exports/{number}").status_code == 204
    assert client.get("/api/v1/exports").json()["items"] == []


def test_one_that_is_being_made_is_stopped_when_it_would_fill_the_disk(rig, monkeypatch):
    monkeypatch.setattr(runners, "LEAST_FREE_BYTES", 10**18)
    monkeypatch.setattr(runners, "LOOK_S", 0.001)
    client = rig.client("reviewer")
    number = client.post("/api/v1/exports", json={"format": "csv"}).json()["id"]
    runner_of(rig.web).wait()

    found = client.get(f"/api/v1/exports/{number}").json()

    assert (found["state"], found["reason"]) == ("failed", "the disk is nearly full")
    assert {each.name for each in (folder_of(rig.web) / number).iterdir()} <= {
        *("job.json", "progress.json", "result.json")
    }


def test_what_a_restart_interrupted_is_made_anew(rig, waiting):
    client = rig.client("reviewer")
    number = client.post("/api/v1/exports", json={"format": "csv"}).json()["id"]
    (folder_of(rig.web) / number / "progress.json").write_text('{"read": 1, "total": 3}', "utf-8")
    (folder_of(rig.web) / number / "half.part").write_text("x", "utf-8")

    assert client.get(f"/api/v1/exports/{number}").json()["state"] == "queued"
    end_job(folder_of(rig.web) / number, "done", NOW, frames=1)
    assert not (folder_of(rig.web) / number / "half.part").exists()


def test_files_are_deleted_after_some_days(rig):
    job = new_job(rig.web, Asked("csv"), who="ana", language="en", suffix=".csv")
    folder = folder_of(rig.web) / job.id
    end_job(folder, "done", NOW)

    forget_old(rig.web, NOW + KEPT - timedelta(seconds=1))
    assert read_job(folder).state == "done"
    forget_old(rig.web, NOW + KEPT)
    assert not folder.exists()


def test_nobody_fills_the_queue(rig, waiting):
    client = rig.client("reviewer", name="ana")
    days = [{"format": "csv", "since": f"2026-03-0{number}"} for number in range(1, 7)]
    answers = [client.post("/api/v1/exports", json=each).status_code for each in days]

    assert answers == [202] * 5 + [422]


def test_an_export_that_is_asked_for_twice_is_made_once(rig, waiting):
    client, body = rig.client("reviewer", name="ana"), {"format": "csv", "taxa": ["puma"]}

    first, again = (client.post("/api/v1/exports", json=body).json() for _time in range(2))
    other = rig.client("reviewer", name="rosa").post("/api/v1/exports", json=body).json()

    assert again["id"] == first["id"] != other["id"]
    assert [each["id"] for each in client.get("/api/v1/exports").json()["items"]] == [first["id"]]


def test_made_up_ids_and_names_lead_nowhere(rig, waiting):
    client = rig.client("admin")

    for number in ("../job", "..%2f..%2fsite.yaml", "20260310T150000000000-deadbeef", "x" * 60):
        assert client.get(f"/export/{number}/file").status_code in {404, 422}
        assert client.get(f"/api/v1/exports/{number}").status_code in {404, 422}


def test_a_site_with_a_strange_name_has_files_with_plain_ones(tmp_path):
    site = WebRig.__init__.__defaults__[0].replace("Reserva El Silencio", '"../a\\"b X: ñ"')
    with WebRig(tmp_path, site) as rig:
        job = new_job(rig.web, Asked("csv"), who="ana", language="en", suffix=".csv")

    assert job.name == "a-b-X-csv-2026-03-10.csv"
    assert json.loads((folder_of(rig.web) / job.id / "job.json").read_bytes())["name"] == job.name


def form_of(client, query):
    """Name → values of the fields as the page shows them filled in, and the page."""
    page = client.get(f"/export?{query}").text
    fields = {name: re.search(rf'name="{name}"[^>]* value="([^"]*)"', page)[1] for name in ("since", "until", "taxon")}
    return fields | {"station": re.findall(r"<option selected>([^<]+)", page)}, page


def test_a_link_fills_the_form_in(rig, waiting):
    query = "taxon=Puma+concolor&taxon=Felidae&station=cam-01&since=2026-01-01&until=2026-02-28&format=csv"

    fields, page = form_of(rig.client("reviewer"), query)

    assert fields == {
        "taxon": "Puma concolor, Felidae",
        "station": ["cam-01"],
        "since": "2026-01-01",
        "until": "2026-02-28",
    }
    assert re.search(r'value="csv" checked', page)
    assert "Left out" not in page


@pytest.mark.parametrize(
    "part",
    [
        "since=ayer",
        "until=9999-01-01",
        "taxon=unicornio",
        "station=cam-99",
        "format=exe",
        "min_score=nan",
        "min_score=7",
        "category=ghost",
        "independent=soon",
        "station=%00",
    ],
)
def test_what_a_link_says_and_nobody_can_use_is_left_out_and_told(rig, part):
    answer = rig.client("reviewer").get(f"/export?{part}&taxon=Puma+concolor")

    assert answer.status_code == 200
    assert "Left out of the link" in answer.text
    assert part.partition("=")[0] + "=" in unescape(answer.text)
    assert 'value="Puma concolor"' in answer.text


def test_a_link_with_markup_or_another_stations_name_gives_nothing_away(rig):
    client = rig.client("reviewer", stations=["cam-01"])

    page = client.get("/export?station=cam-02&taxon=<script>alert(1)</script>").text

    assert "<script>alert" not in page
    assert "<option>cam-02" not in page
    assert "<option selected>" not in page


def test_a_name_that_only_the_record_has_can_be_exported(rig, waiting):
    with rig.store.transaction() as connection:
        at = {"first_at": NOW, "last_at": NOW, "hours": [0] * 24, "events": 1, "frames": 1, "individuals": 1}
        connection.execute(insert(tallies).values(station="", period="", kind="animal", taxon="Mazama rufa", **at))
    client = rig.client("reviewer", follow_redirects=False)

    assert 'value="Mazama rufa"' in client.get("/export?taxon=Mazama+rufa").text
    assert client.post("/export", data={"format": "csv", "taxon": "Mazama rufa"}).status_code == 303


def test_days_in_the_wrong_order_are_told_instead_of_an_empty_file(rig, waiting):
    said = {"format": "csv", "since": "2026-03-02", "until": "2026-03-01"}

    answer = rig.client("reviewer", language="en").post("/export", data=said)

    assert answer.status_code == 422
    assert "is before the first day" in answer.text


def test_exports_that_wait_are_told_apart_by_what_was_chosen(rig, waiting):
    client = rig.client("reviewer", language="en")
    said = {"format": "csv", "taxon": "Puma concolor", "category": "animal", "min_score": "0.75", "independent": "30m"}

    page = client.post("/export", data=said).text

    assert "· puma · animals · ≥ 0.75 · 30m</div>" in page
