"""*Now*: encounters as cards, what matters above them, one encounter with its story, and who sees to it."""

import json
import re
from datetime import timedelta

import pytest
from sqlalchemy import event, select

from edge.alerts.desk import AlertDesk, AlertSettings
from edge.store import encounters as encounter_rows
from edge.store import notices as rows
from edge.store.notices import Notices
from edge.store.schema import audit, encounters, frames, mutes, notices, station_state
from edge.store.web_schema import days
from tests.alert_rig import JAGUAR, PUMA, animal, person
from tests.web_rig import NOW, SITE, WebRig

PEOPLE = (
    SITE.replace("web: {}", "recipients: [{name: ana, reach: {log: x}}]\nweb: {}")
    .replace(
        "{name: log, use: console}",
        "{name: log, use: email, host: localhost, security: none, sender: a@b.org, recipients: [x@b.org]}",
    )
    .replace("reach: {log: x}", "reach: {log: ana@b.org}")
)


@pytest.fixture
def rig(tmp_path):
    with WebRig(tmp_path, PEOPLE) as rig:
        desk = AlertDesk(rig.plan.rules, rig.plan.directory, rig.plan.stations, AlertSettings())

        def see(station: str, frame_id: str, *seen, at=None) -> int:
            pk = rig.record(station, frame_id, seen, at=at or rig.clock.now())
            outcome = rig.store.outcome(pk)
            with rig.store.transaction() as connection:
                desk.note(connection, outcome, rig.clock.now())
            return pk

        rig.see = see
        yield rig


def cards(page: str) -> list[str]:
    """uids of the cards, in order."""
    return re.findall(r'<li class="card encounter[^"]*" id="e-(\w+)"', page)


def uid_of(rig: WebRig) -> str:
    """The newest encounter."""
    return rig.client("viewer").get("/api/v1/encounters?limit=1").json()["items"][0]["uid"]


# the list


def test_a_card_has_both_names_the_station_its_local_time_and_who_was_told(rig):
    pk = rig.see("cam-01", "a", animal(PUMA, score=0.9))
    [row] = Notices(rig.store).newest(1)
    Notices(rig.store).sent(row.pk, NOW, receipt="")

    page = rig.client("viewer", language="es").get("/").text

    assert "Puma concolor" in page
    assert ">Puma<" in page
    assert "10:00" in page  # 15:00 UTC at a station in Bogotá
    assert f"/media/{pk}/card-0.webp" in page
    assert '<rect class="animal"' in page
    assert "avisados: log" in page
    assert f"/encounters/{uid_of(rig)}" in page


def test_filters_show_what_fits_and_an_empty_list_says_what_to_do(rig):
    assert "/upload" in rig.client("manager").get("/").text
    rig.see("cam-01", "a", animal(JAGUAR))
    rig.see("cam-02", "b", person())  # no rule is about people
    client = rig.client("viewer")

    found = {
        query: len(cards(client.get(f"/{query}").text))
        for query in ("", "?station=cam-01", "?kind=person", "?alerts=1")
    }

    assert found == {"": 2, "?station=cam-01": 1, "?kind=person": 1, "?alerts=1": 1}
    assert "No encounter fits this filter" in client.get("/?kind=vehicle").text
    assert client.get("/?kind=dragon").status_code == 422


def test_pages_go_on_where_the_last_ended_without_gaps_or_doubles(rig):
    for number in range(30):
        rig.see(("cam-01", "cam-02")[number % 2], f"f{number}", animal(JAGUAR), at=NOW)  # two at one time
        if number % 2:
            with rig.store.transaction() as connection:
                moved = encounters.update().values(last_at=encounters.c.last_at)
                connection.execute(moved)
                connection.execute(
                    encounters.update()
                    .where(encounters.c.last_at == NOW)
                    .values(last_at=NOW - timedelta(hours=number), started_at=NOW - timedelta(hours=number))
                )
    client = rig.client("viewer")
    first = client.get("/").text
    following = re.search(r'href="(/\?[^"]*before=[^"]*)"', first)[1].replace("&amp;", "&")
    second = client.get(following).text
    part = client.get(following, headers={"hx-request": "true"}).text

    assert len(cards(first)) == 24
    assert len(cards(second)) == 6
    assert not set(cards(first)) & set(cards(second))
    assert "<html" not in part
    assert cards(part) == cards(second)
    # three pages of programs, of one who sees two stations by name
    scoped, seen, before = rig.client("viewer", stations=["cam-01", "cam-02"]), [], ""
    while True:
        answer = scoped.get(f"/api/v1/encounters?limit=11&cursor={before}").json()
        seen += [each["uid"] for each in answer["items"]]
        if answer["next"] is None:
            break
        before = answer["next"]
    assert seen == cards(first) + cards(second)


def test_a_cursor_of_another_list_or_a_made_up_one_is_refused(rig):
    rig.see("cam-01", "a", animal(JAGUAR))

    for forged in ("x", "AAAA", "é", "'; drop table frames; --"):
        assert rig.client("viewer").get("/", params={"before": forged}).status_code == 400
        assert rig.client("viewer").get("/api/v1/encounters", params={"cursor": forged}).status_code == 400


def test_who_sees_some_stations_finds_nothing_of_the_others(rig):
    rig.see("cam-01", "a", animal(JAGUAR))
    uid = uid_of(rig)
    other = rig.client("reviewer", stations=["cam-02"])

    assert cards(other.get("/").text) == []
    assert cards(other.get("/?station=cam-01").text) == []
    assert 'value="cam-01"' not in other.get("/").text
    assert other.get(f"/encounters/{uid}").status_code == 404
    assert other.post(f"/encounters/{uid}/ack").status_code == 404
    assert other.get(f"/api/v1/encounters/{uid}").status_code == 404


def test_names_that_are_markup_are_shown_as_text(tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    with WebRig(tmp_path, SITE.replace("Reserva El Silencio", "'" + evil + "'")) as rig:
        page = rig.client("viewer").get("/").text

        assert evil not in page
        assert "&lt;img src=x" in page
        assert rig.client("viewer").get("/", params={"station": evil}).text.count(evil) == 0


# what matters


def test_what_matters_stands_on_top_and_leads_to_the_page_that_helps(rig):
    lane = {"mail": {"state": "fails"}}
    status = {"at": (NOW - timedelta(hours=3)).isoformat(), "channels": lane}
    (rig.plan.state_dir / "status.json").write_text(json.dumps(status), "utf-8")
    rig.see("cam-01", "a", animal(JAGUAR))
    with rig.store.transaction() as connection:
        connection.execute(notices.update().values(state="failed"))
        for name in ("cam-01", "cam-02"):
            connection.execute(station_state.insert().values(station=name, online=False, heard_at=NOW))
        counts = dict.fromkeys(("frames", "blanks", "animals", "humans", "vehicles", "sequences", "unreviewed"), 7)
        row = {"station": "cam-01", "day": "2026-03-10", "first_at": NOW, "last_at": NOW, "received": NOW}
        connection.execute(days.insert().values(**counts, **row))

    found = re.findall(
        r'<li><a href="([^"]*)" class="(\w*)">([^<]*)</a>', rig.client("manager").get("/now/matters").text
    )

    assert (
        "/system",
        "bad",
        "The pipeline does not run: last heard of 3 hours ago. New pictures wait until it starts",
    ) in found
    assert ("/alerts", "bad", "Channel mail takes no messages") in found
    assert ("/alerts?state=failed", "bad", "1 message reached nobody") in found
    assert ("/stations", "warn", "2 stations are silent") in found
    assert any(text == "7 pictures today" for _path, _tone, text in found)
    assert 'href="/system' not in rig.client("viewer").get("/now/matters").text  # they may not open it
    scoped = rig.client("viewer", stations=["cam-02"]).get("/now/matters").text
    assert 'href="/stations/cam-02"' in scoped
    assert "cam-02 is silent" in scoped
    assert "reached nobody" not in scoped


def test_a_status_file_that_is_half_written_is_no_error(rig):
    (rig.plan.state_dir / "status.json").write_text('{"at": "2026', "utf-8")

    assert rig.client("viewer").get("/").status_code == 200


# one encounter


def test_an_encounter_shows_its_pictures_why_and_who_was_told(rig):
    first = rig.see("cam-01", "a", animal(JAGUAR, side=0.3))
    rig.clock.step(60)
    second = rig.see("cam-01", "b", animal(JAGUAR, side=0.2))
    rig.see("cam-02", "c", animal(JAGUAR))
    with rig.store.transaction() as connection:
        found = encounter_rows.near(connection, "cam-01", "animal", at=NOW, gap=timedelta(minutes=5))[0]

    page = rig.client("viewer").get(f"/encounters/{found.code.lower()}").text
    judged = rig.client("viewer").get(f"/encounters/{found.uid}?why=1").text
    story = rig.client("viewer").get(f"/api/v1/encounters/{found.uid}").json()

    assert f"/media/{first}/view-0.webp" in page
    assert f"/media/{second}/thumb-0.webp" in page
    assert "category: it is animal" in page
    assert "@log" in page
    assert "holds" in judged
    assert [each["id"] for each in story["shots"]] == ["a", "b"]
    assert story["rules"][0]["rule"] == "cats"
    assert story["messages"][0]["state"] == "pending"
    assert rig.client("viewer").get("/encounters/none").status_code == 404


def test_a_picture_that_somebody_has_marked_says_why_it_is_hidden_and_has_another_address_in_a_page_that_is_open(rig):
    pk = rig.see("cam-01", "a", animal(JAGUAR))
    reviewer, viewer = rig.client("reviewer"), rig.client("viewer")
    said = {"frames": [pk], "kind": "human", "action": "an-action-0001"}
    [uid] = [each["uid"] for each in viewer.get("/api/v1/encounters").json()["items"]]
    before = viewer.get(f"/encounters/{uid}").text

    assert reviewer.post("/api/v1/reviews", json=said).status_code == 200
    marked, card = viewer.get(f"/encounters/{uid}").text, viewer.get("/").text
    assert reviewer.delete("/api/v1/reviews/an-action-0001").status_code == 200
    undone = viewer.get(f"/encounters/{uid}").text

    assert (f"/media/{pk}/view-0.webp?people" in marked, "People are on it, and hidden." in marked) == (True, True)
    assert f"/media/{pk}/card-0.webp?people" in card
    for each in (before, undone):
        assert f'/media/{pk}/view-0.webp"' in each
        assert "People are on it" not in each


def test_what_came_by_at_the_same_time_is_another_encounter_with_pictures_of_its_own(rig):
    rig.see("cam-01", "a", animal(JAGUAR))
    rig.clock.step(60)
    rig.see("cam-01", "b", animal(PUMA))
    rig.clock.step(60)
    rig.see("cam-01", "c", animal(JAGUAR))
    client = rig.client("viewer")
    by_taxon = {each["taxon"]: each["uid"] for each in client.get("/api/v1/encounters").json()["items"]}

    shots = client.get(f"/api/v1/encounters/{by_taxon['Panthera onca']}").json()["shots"]

    assert [each["id"] for each in shots] == ["a", "c"]


def test_acknowledging_ends_it_for_all_names_the_first_and_is_written_down(rig):
    rig.see("cam-01", "a", animal(JAGUAR))
    uid = uid_of(rig)
    assert "/ack" not in rig.client("viewer").get(f"/encounters/{uid}").text
    assert rig.client("viewer").post(f"/encounters/{uid}/ack").status_code == 403

    first = rig.client("reviewer", name="beatriz").post(f"/encounters/{uid}/ack", follow_redirects=False)
    second = rig.client("reviewer", name="carlos").post(f"/encounters/{uid}/ack", headers={"hx-request": "true"})
    third = rig.client("manager", name="dora").post(f"/api/v1/encounters/{uid}/ack").json()

    assert first.status_code == 303
    assert "beatriz" in second.text
    assert "Somebody had seen to it already" in second.headers["hx-trigger"]
    assert (third["first"], third["acknowledged_by"]) == (False, "beatriz")
    with rig.store.transaction() as connection:
        found = connection.execute(select(audit.c.who, audit.c.action)).all()
    assert [tuple(each) for each in found] == [("beatriz", "acknowledge")]


def test_one_mutes_oneself_and_others_only_who_manages(rig):
    rig.see("cam-01", "a", animal(JAGUAR))
    path = f"/encounters/{uid_of(rig)}/mute"
    form = {"who": "ana", "hours": "2"}

    assert rig.client("reviewer", name="beatriz").post(path, data=form).status_code == 403
    assert rig.client("reviewer", name="Ana").post(path, data=form, follow_redirects=False).status_code == 303
    assert rig.client("manager").post(path, data=form | {"who": "nobody"}).status_code == 422
    forever = form | {"hours": "0", "everywhere": "1"}
    assert rig.client("reviewer", name="ana").post(path, data=forever).status_code == 403
    of_one = rig.client("manager", stations=["cam-01"])
    assert of_one.post(path, data=form | {"everywhere": "1"}).status_code == 403

    with rig.store.transaction() as connection:
        [mute] = rows.mutes_of(connection, "ana", NOW)
        assert (mute.station, mute.until) == ("cam-01", NOW + timedelta(hours=2))
        connection.execute(mutes.delete())


# cost


def test_no_query_of_the_page_reads_a_large_table_from_end_to_end(rig):
    for number in range(5):
        rig.see("cam-01", f"f{number}", animal(JAGUAR))
        rig.clock.step(3600)
    uid = uid_of(rig)
    asked: dict[str, object] = {}
    with rig.readers.read() as connection:
        event.listen(connection.engine, "before_cursor_execute", lambda *each: asked.update({each[2]: each[3]}))
    for path in (
        "/",
        "/?station=cam-01",
        "/?kind=animal&alerts=1",
        f"/encounters/{uid}?why=1",
        "/alerts",
        "/alerts?state=failed",
    ):
        assert rig.client("viewer", stations=["cam-01", "cam-02"]).get(path).status_code == 200
        assert rig.client("viewer").get(path).status_code == 200

    large = ("frames", "observations", "encounters", "notices", "matches", "sequences", "sequence_frames", "days")
    scans = []
    with rig.readers.read() as connection:
        for sql, values in list(asked.items()):
            if not sql.startswith("SELECT"):
                continue
            plans = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]
            sorts = any("TEMP B-TREE FOR ORDER" in each for each in plans)
            # a window of so many rows along an index; what is sorted is the window
            bounded = "LIMIT" in sql and (not sorts or re.search(r"LIMIT \? OFFSET \?\) AS", sql))
            scans += [
                (plan, sql) for plan in plans if plan.startswith("SCAN") and plan.split()[1] in large and not bounded
            ]
    assert len(asked) > 15
    assert not scans


def test_frames_that_come_later_do_not_change_what_a_person_saw(rig):
    """The old page's links stay good: an encounter is named by its uid, which is never used again."""
    rig.see("cam-01", "a", animal(JAGUAR))
    uid = uid_of(rig)
    with rig.store.transaction() as connection:
        assert connection.scalar(select(frames.c.id)) == "a"
    rig.clock.step(30)
    rig.see("cam-01", "b", animal(JAGUAR))

    assert uid_of(rig) == uid
    assert rig.client("viewer").get("/api/v1/encounters").json()["items"][0]["frames"] == 2
