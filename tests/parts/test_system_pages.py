"""The system page: what runs and how fast, quarantine, the audit, and the configuration, for those who may."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import event, insert

from edge.configuring.changes import Changes
from edge.daemon import only_one
from edge.model import VERBS
from edge.store.quarantine import page_of
from edge.store.schema import audit, notices
from server.system import queries
from server.system.status import History, read_status
from tests.web_rig import NOW, SITE, WebRig

PAGES = ("/system", "/system/quarantine", "/system/audit", "/system/configuration")
ONLY_ADMIN = ("/system/audit", "/system/configuration")


@pytest.fixture
def rig(tmp_path):
    with WebRig(tmp_path) as rig:
        yield rig


def write_status(rig, at, done=0, **fields):
    verbs = {verb: {"done": done, "failed": 0} for verb in VERBS}
    body = {
        "pid": 7,
        "at": at.isoformat(),
        "started_at": (NOW - timedelta(hours=1)).isoformat(),
        "verbs": verbs,
        **fields,
    }
    (rig.plan.state_dir / "status.json").write_text(json.dumps(body))


def quarantined(rig, name="a", station="cam-01", *, file=True, reason="not a <picture>"):
    """A frame in quarantine."""
    from edge.model import CaptureTime, SpooledFrame  # noqa: PLC0415  # because only this needs them

    path = rig.folder / f"{name}.jpg"
    if file:
        path.write_bytes(b"no picture")
    captured = CaptureTime(NOW, NOW.isoformat(), "UTC", "exif")
    frame = SpooledFrame(
        station=station, id=name, kind="still", path=path, name=f"{name}.jpg", sha256="0" * 64, size_bytes=10,
        source="watch", captured=captured, received_at=NOW,
    )  # fmt: skip
    rig.store.add_frames([(frame, 0)])
    rig.store.quarantine_frame(rig.store.claim_next(NOW), reason=reason, now=NOW)


def test_every_page_is_shown_to_an_admin_in_both_languages(rig):
    for language in ("en", "es"):
        client = rig.client("admin", language=language)
        for page in map(client.get, PAGES):
            assert page.status_code == 200
            assert f'<html lang="{language}">' in page.text
            assert " style=" not in page.text
            assert "<script>" not in page.text


def test_why_a_file_is_in_quarantine_is_told_in_the_readers_language(rig):
    quarantined(rig, reason="a.jpg: empty file (0 bytes): copy it again from the card, or delete it")

    assert "a.jpg: archivo vacío (0 bytes): vuelva a" in rig.client("manager", language="es").get(PAGES[1]).text
    assert "a.jpg: empty file (0 bytes): copy it" in rig.client("manager", language="en").get(PAGES[1]).text


def test_who_may_not_is_refused(rig):
    for role in ("viewer", "reviewer", "manager"):
        client = rig.client(role)
        for path in PAGES:
            expected = 200 if role == "manager" and path not in ONLY_ADMIN else 403
            assert [client.get(path).status_code, client.get(f"/api/v1{path}").status_code] == [expected, expected]


def test_a_daemon_that_does_not_run_is_said_first(rig):
    assert "Tigrillo does not run" in rig.client("manager").get("/system").text
    with only_one(rig.plan.state_dir):
        write_status(rig, NOW)
        assert "Tigrillo runs since" in rig.client("manager").get("/system").text
        write_status(rig, NOW - timedelta(minutes=5))
        assert "has said nothing since" in rig.client("manager").get("/system").text


def test_rates_are_differences_within_five_minutes(rig):
    history = History()
    for minutes, done in ((0, 0), (3, 30), (7, 150)):
        write_status(rig, NOW + timedelta(minutes=minutes), done)
        history.add(read_status(rig.plan.state_dir))

    assert history.rates()["record"] == pytest.approx((150 - 30) / 4)


def test_the_first_look_gives_the_mean_since_the_start_and_a_new_start_begins_anew(rig):
    history = History()
    write_status(rig, NOW, 120)
    history.add(read_status(rig.plan.state_dir))
    first = history.rates()["record"]
    write_status(rig, NOW + timedelta(minutes=1), 6, pid=8)
    history.add(read_status(rig.plan.state_dir))

    assert first == pytest.approx(2)  # in an hour
    assert history.rates()["record"] == pytest.approx(6 / 61)


def test_a_status_file_that_says_nothing_right_breaks_nothing(rig):
    client = rig.client("manager")
    odd = '{"verbs": 3, "at": 5, "channels": [], "pid": "x"}'
    for text in ("", "[]", "{", odd, '{"at": "2026-01-01"}', '{"deferred": 1, "runs": [2]}'):
        (rig.plan.state_dir / "status.json").write_text(text)

        assert client.get("/system").status_code == 200
        assert client.get("/api/v1/system").json()["running"] is False


def test_what_waits_is_counted(rig):
    rig.record("cam-01", "done")
    quarantined(rig)
    row = {"kind": "alert", "addressee": "x", "who": "x", "channel": "log", "severity": "info", "created_at": NOW}
    with rig.store.transaction() as connection:
        for key, state in (("a", "pending"), ("b", "failed"), ("c", "sent")):
            connection.execute(insert(notices).values(**row, key=key, state=state, next_attempt_at=NOW))

    said = rig.client("manager").get("/api/v1/system").json()

    assert (said["waiting"], said["in_work"], said["messages_to_send"], said["messages_failed"]) == (0, 0, 1, 1)
    assert said["quarantined"] == 1
    assert said["disk_free_bytes"] > 0
    assert said["workers"] == 2
    page = rig.client("manager").get("/system").text
    assert "1 message waits to be sent" in page
    assert 'href="/alerts?state=failed"' in page
    assert 'href="/system/quarantine">In quarantine: 1<' in page


def test_htmx_is_given_the_changing_part_alone(rig):
    part = rig.client("manager").get("/system", headers={"hx-request": "true"}).text

    assert part.lstrip().startswith('<div id="now"')
    assert "<html" not in part


def test_a_channel_that_fails_is_named_with_its_error(rig):
    write_status(rig, NOW, channels={"mail": {"state": "fails", "error": "no <route>"}})

    page = rig.client("manager").get("/system").text

    assert "no &lt;route&gt;" in page
    assert '<span class="chip bad">fails</span>' in page


def test_a_frame_is_tried_again_from_the_page_and_audited(rig):
    quarantined(rig)
    client = rig.client("manager", name="ana", follow_redirects=False)
    before = client.get("/system/quarantine").text
    [row] = client.get("/api/v1/system/quarantine").json()["items"]

    answer = client.post(f"/system/quarantine/{row['pk']}/retry")

    assert "not a &lt;picture&gt;" in before
    assert row["can_retry"] is True
    assert (answer.status_code, answer.headers["location"]) == (303, "/system/quarantine?again=1")
    assert "To be looked at again: 1" in client.get(answer.headers["location"]).text
    assert rig.store.claim_next(NOW).id == "a"
    assert "Nothing is in quarantine" in client.get("/system/quarantine").text
    assert "quarantine.retry" in rig.client("admin").get("/system/audit").text


def test_all_that_somebody_saw_are_tried_again_and_none_of_other_stations(rig):
    for name, station in (("a", "cam-01"), ("b", "cam-01"), ("c", "cam-02")):
        quarantined(rig, name, station)
    quarantined(rig, "gone", file=False)
    client = rig.client("manager", name="ana", stations=["cam-01"], follow_redirects=False)
    page = client.get("/system/quarantine").text
    newest = max(row["pk"] for row in client.get("/api/v1/system/quarantine").json()["items"])
    quarantined(rig, "later")

    answer = client.post("/system/quarantine/retry", data={"upto": newest})

    assert f'name="upto" value="{newest}"' in page
    assert answer.headers["location"] == "/system/quarantine?again=2"
    assert "To be looked at again: 2" in client.get(answer.headers["location"]).text
    everybody = rig.client("manager", name="ben")
    left = [row["frame"] for row in everybody.get("/api/v1/system/quarantine").json()["items"]]
    assert left == ["later", "gone", "c"]
    assert everybody.post("/api/v1/system/quarantine/retry", json={"upto": 2**63 - 1}).json() == {"count": 2, "gone": 1}
    rows = rig.client("admin").get("/api/v1/system/audit?action=quarantine.retry").json()["items"]
    assert [(row["who"], row["subject"]) for row in rows] == [("ben", "2 frames"), ("ana", "2 frames")]


def test_a_retry_that_is_refused_says_why(rig):
    quarantined(rig, file=False)
    client = rig.client("manager")
    [row] = client.get("/api/v1/system/quarantine").json()["items"]

    page = client.post(f"/system/quarantine/{row['pk']}/retry")
    api = client.post(f"/api/v1/system/quarantine/{row['pk']}/retry")

    assert page.status_code == api.status_code == 409
    assert "its file is gone" in page.text
    assert "its file is gone" in api.json()["detail"]


def test_people_of_other_stations_neither_see_nor_retry(rig):
    quarantined(rig)
    [row] = rig.client("manager").get("/api/v1/system/quarantine").json()["items"]
    scoped = rig.client("manager", stations=["cam-02"])

    assert scoped.get("/api/v1/system/quarantine").json()["items"] == []
    assert scoped.post(f"/api/v1/system/quarantine/{row['pk']}/retry").status_code == 409
    assert rig.client("manager").get("/api/v1/system/quarantine").json()["items"] == [row]


def test_lists_go_on_with_a_cursor_and_a_forged_one_is_refused(rig):
    with rig.store.transaction() as connection:
        for number in range(5):
            row = {"at": NOW, "who": "ana", "action": "x", "subject": f"s{number}"}
            connection.execute(insert(audit).values(**row))
    client = rig.client("admin")

    first = client.get("/api/v1/system/audit?limit=3").json()
    rest = client.get(f"/api/v1/system/audit?limit=3&cursor={first['next']}").json()

    assert [row["subject"] for row in first["items"] + rest["items"]] == ["s4", "s3", "s2", "s1", "s0"]
    assert rest["next"] is None
    for path in ("/system/audit", "/system/quarantine"):
        assert client.get(f"{path}?after=AAAA").status_code == 400
        assert client.get(f"/api/v1{path}?cursor=AAAA").status_code == 400
    other = client.get(f"/api/v1/system/quarantine?cursor={first['next']}")
    assert other.status_code == 400  # a cursor of another list


def test_a_name_that_stands_nowhere_is_looked_for_in_parts(rig, monkeypatch):
    monkeypatch.setattr(queries, "SEARCHED", 2)
    with rig.store.transaction() as connection:
        for number, who in enumerate(["rare", "ana", "ana", "ana", "ana"]):
            connection.execute(insert(audit).values(at=NOW, who=who, action="x", subject=f"s{number}"))
    client, found, after = rig.client("admin"), [], ""
    for _part in range(3):
        said = client.get(f"/api/v1/system/audit?who=rare&cursor={after}").json()
        found.append([row["subject"] for row in said["items"]])
        after = said["next"]

    assert found == [[], [], ["s0"]]
    assert after is None
    assert "not in this part of the list" in client.get("/system/audit?who=rare").text


def test_no_query_of_the_page_looks_through_a_table(rig):
    seen = []
    with rig.web.readers.read() as connection:
        event.listen(connection, "before_cursor_execute", lambda *args: seen.append((args[2], args[3])))
        queries.depths(connection)
        queries.audited(connection, who="ana", action="x")
        page_of(connection, before=5, stations=frozenset({"cam-01"}))
        plans = [
            str(row[3])
            for sql, values in list(seen)
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
        ]

    assert len(plans) > 8
    # what is taken off the end of a key, or is a bounded part, is no look through the table
    scans = [plan for plan in plans if plan.startswith("SCAN") and not plan.startswith(("SCAN (subquery", "SCAN anon"))]
    assert scans == [], plans


def test_a_text_with_a_fault_comes_back_with_the_place_and_nothing_is_written(rig):
    page = rig.client("admin").post("/system/configuration/check", data={"text": SITE + "rulez: []\n"})

    line = SITE.count("\n") + 1
    assert f"site.yaml:{line}:1 rulez: nothing is called" in page.text
    assert "formaction" not in page.text
    assert rig.path.read_text() == SITE


def test_faults_are_in_the_readers_language(rig):
    page = rig.client("admin", language="es").post("/system/configuration/check", data={"text": SITE + "rulez: []\n"})

    assert "nada se llama" in page.text or "no hay nada" in page.text


def test_a_change_is_compared_applied_and_kept_in_the_history(rig):
    client = rig.client("admin", name="ana")
    new = SITE.replace("port: 1", "").replace("El Silencio", "El Ruido").replace("\n", "\r\n")
    base = client.get("/api/v1/system/configuration").json()["base"]

    checked = client.post("/system/configuration/check", data={"text": new, "base": base})
    applied = client.post("/system/configuration/apply", data={"text": new, "base": base, "why": "noise"})

    assert 'class="come">+site: {name: Reserva El Ruido' in checked.text
    assert 'formaction="/system/configuration/apply"' in checked.text
    [change] = Changes(rig.plan.state_dir).newest_first()
    assert applied.url.path == f"/system/configuration/changes/{change.id}"
    assert 'data-state="written"' in applied.text  # no daemon runs here
    assert (change.who, change.why, change.state) == ("ana", "noise", "written")
    assert "El Ruido" in rig.path.read_text()
    listed = client.get("/system/configuration").text
    assert "noise" in listed
    back = client.get(f"/system/configuration?change={change.id}&which=before").text
    assert 'class="come">+site: {name: Reserva El Silencio' in back


def test_a_page_that_moves_says_where_to(rig):
    client = rig.client("admin")

    stays = client.post("/system/configuration/apply", data={"text": SITE + "# x\n"}).text
    moves = client.post("/system/configuration/apply", data={"text": SITE.replace("web: {}", "web: {port: 9999}")}).text

    assert "moves to port" not in stays
    assert "moves to port 9999" in moves


def test_somebody_elses_change_meanwhile_is_not_overwritten(rig):
    client = rig.client("admin")
    base = client.get("/api/v1/system/configuration").json()["base"]
    rig.path.write_text(SITE + "# by hand\n")

    page = client.post("/system/configuration/apply", data={"text": SITE + "# mine\n", "base": base})
    api = client.post("/api/v1/system/configuration", json={"text": SITE + "# mine\n", "base": base})

    assert page.status_code == 409
    assert "was changed meanwhile" in page.text
    assert "Load the file as it is now" in page.text
    assert api.status_code in (409, 422)
    assert rig.path.read_text().endswith("# by hand\n")


def test_a_change_on_trial_is_asked_for_until_it_is_over(rig):
    changes = Changes(rig.plan.state_dir)
    base = rig.client("admin").get("/api/v1/system/configuration").json()["base"]
    change = changes.begin(rig.path, SITE + "# x\n", base=base, who="ana", why="", now=NOW)
    address = f"/system/configuration/changes/{change.id}"
    client = rig.client("admin")
    with only_one(rig.plan.state_dir):
        trying = client.get(address, headers={"hx-request": "true"}).text
        editor = client.get("/system/configuration").text
    changes.close(change, "rolled_back", "web: exit <1>", NOW)

    over = client.get(address, headers={"hx-request": "true"}).text

    assert f'hx-get="{address}"' in trying
    assert "A change is being tried" in editor
    assert "hx-get" not in over
    assert "web: exit &lt;1&gt;" in over
    assert client.get(f"/api/v1{address}").json()["state"] == "rolled_back"


def test_a_change_that_is_not_there_is_not_found(rig):
    client = rig.client("admin")
    for name in ("no-such", "..%2F..%2Fetc", "%00", "a" * 200):
        assert client.get(f"/system/configuration/changes/{name}").status_code == 404
        assert client.get(f"/api/v1/system/configuration/changes/{name}").status_code == 404


def test_a_secret_in_a_text_is_not_shown_in_the_difference(rig):
    page = rig.client("admin").post("/system/configuration/check", data={"text": SITE + "password: hunter2-open\n"})

    assert page.text.count("hunter2-open") == 1  # in the editor, where who wrote it mends it
    assert "•••" in page.text


def test_benchmarks_and_checks_of_the_device_are_shown_where_there_are_some(rig, monkeypatch):
    cache = rig.folder / "cache"
    (cache / "verdicts").mkdir(parents=True)
    rows = [{"name": "yolo", "batch": 1, "ms_opencl": 3.25, "ms_onnxruntime": 9}, {"name": "yolo", "batch": 8}]
    (cache / "bench.json").write_text(json.dumps({"at": NOW.isoformat(), "device": "GPU <1>", "models": rows}))
    (cache / "verdicts" / "x.json").write_text(
        json.dumps({"model": "cat", "device": "GPU", "ms_opencl": 1, "ms_onnxruntime": None})
    )
    (cache / "verdicts" / "y.json").write_text("{")
    monkeypatch.setenv("CACHE_DIRECTORY", str(cache))

    page = rig.client("manager").get("/system").text
    said = rig.client("manager").get("/api/v1/system").json()["measured"]

    assert "GPU &lt;1&gt;" in page
    assert [(row["model"], row["ms_opencl"]) for row in said] == [("yolo", 3.25), ("cat", 1)]
