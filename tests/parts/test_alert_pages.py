"""*Alerts*: messages with their life, channels, mutes; and the rules with their editor, from a form to the file."""

import json
import re
from datetime import timedelta

import pytest
import yaml
from sqlalchemy import select

from edge.alerts.desk import AlertDesk, AlertSettings
from edge.configuring.changes import Changes
from edge.daemon import alert_desk
from edge.simulate import still_services
from edge.store import notices as rows
from edge.store.notices import Notices
from edge.store.schema import audit, mutes, notices
from server.alerts import trials
from server.alerts.trials import Trial
from tests.alert_rig import JAGUAR, PUMA, animal
from tests.web_rig import NOW, WebRig

SITE = """\
# our reserve
site: {name: Reserva El Silencio, language: en, timezone: America/Bogota}
stations:
  - {name: cam-01, latitude: 4.6, longitude: -74.1}
  - {name: cam-02}
sources: [{use: watch, folder: inbox}]
stages: [{use: detect}, {use: classify}, {use: rollup}]
channels:
  - {name: log, use: console}
  - {name: mail, use: email, host: localhost, security: none, sender: traps@example.org}
recipients:
  - {name: ana, reach: {mail: ana@example.org}, quiet: {hours: ["21:00-06:00"]}, per_day: 3}
rules:
  # cats are why we are here
  - name: cats
    taxon: Felidae          # all of them
    to: [ana]
    channels: [log]
    escalate: [{after_min: 15, to: [ana]}]
  - {name: people, category: person, channels: [log], severity: critical}
web: {}
"""


@pytest.fixture
def rig(tmp_path):
    with WebRig(tmp_path, SITE) as rig:
        desk = AlertDesk(rig.plan.rules, rig.plan.directory, rig.plan.stations, AlertSettings())

        def see(station: str, frame_id: str, *seen) -> None:
            outcome = rig.store.outcome(rig.record(station, frame_id, seen, at=rig.clock.now()))
            with rig.store.transaction() as connection:
                desk.note(connection, outcome, rig.clock.now())

        rig.see = see
        yield rig


def set_state(rig: WebRig, **values) -> int:
    """The newest message, brought into a state."""
    [row] = Notices(rig.store).newest(1)
    with rig.store.transaction() as connection:
        connection.execute(notices.update().where(notices.c.pk == row.pk).values(**values))
    return row.pk


# messages


def test_a_message_is_listed_with_whom_it_told_and_what_became_of_it(rig):
    rig.see("cam-01", "a", animal(JAGUAR))
    set_state(rig, state="failed", reason="refused", error="550 no such mailbox", attempts=2)

    page = rig.client("viewer", language="es").get("/alerts").text

    assert "jaguar" in page
    assert "Panthera onca" in page
    assert "550 no such mailbox" in page
    assert "ana" in page
    assert "/again" not in page  # a viewer can't


def test_a_failed_message_is_sent_again_by_a_manager_and_that_is_written_down(rig):
    rig.see("cam-01", "a", animal(JAGUAR))
    pk = set_state(rig, state="failed", reason="expired", error="no route", attempts=9)
    rig.clock.step(3600)

    assert rig.client("reviewer").post(f"/alerts/{pk}/again").status_code == 403
    answer = rig.client("manager", name="maria").post(f"/alerts/{pk}/again", headers={"hx-request": "true"})

    assert "waits" in answer.text
    with rig.store.transaction() as connection:
        [row] = rows.by_pks(connection, [pk])
        [who] = connection.execute(select(audit.c.who).where(audit.c.action == "send again")).scalars()
    assert (row.state, row.attempts, row.error, row.created_at) == ("pending", 0, "", NOW + timedelta(hours=1))
    assert who == "maria"
    assert rig.client("manager").post(f"/alerts/{pk}/again").status_code == 409


def test_messages_of_other_stations_are_not_there_for_who_sees_some(rig):
    rig.see("cam-01", "a", animal(JAGUAR))
    rig.see("cam-02", "b", animal(PUMA))
    with rig.store.transaction() as connection:
        new = rows.NewNotice("health/1", "health", "@log", "@log", "log", "warning", words={"headline": "disk full"})
        rows.add(connection, new, NOW)
    scoped = rig.client("manager", stations=["cam-02"])

    items = scoped.get("/api/v1/alerts").json()["items"]

    assert {each["station"] for each in items} == {"cam-02"}
    assert "disk full" not in scoped.get("/alerts").text
    assert "disk full" in rig.client("viewer").get("/alerts").text
    other = rig.client("viewer").get("/api/v1/alerts?station=cam-01").json()["items"][0]["id"]
    assert scoped.post(f"/alerts/{other}/again").status_code == 404


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 8),
        ("?station=cam-01", 8),
        ("?who=ana", 4),
        ("?channel=log", 4),
        ("?state=sent", 1),
        ("?severity=critical", 0),
    ],
)
def test_filters_of_the_page_and_of_the_api_mean_the_same(rig, query, count):
    for number in range(2):
        rig.see("cam-01", f"f{number}", animal(JAGUAR))
        rig.clock.step(3600)
    set_state(rig, state="sent", sent_at=NOW)
    with rig.store.transaction() as connection:
        found = connection.scalar(select(notices.c.pk).limit(1))
    client = rig.client("viewer")

    api = client.get(f"/api/v1/alerts{query}").json()["items"]
    page = client.get(f"/alerts{query}").text

    assert found
    assert len(api) == page.count('<tr id="m-')
    if "=" not in query or "sent" in query or "critical" in query:
        assert bool(api) == bool(count)


def test_the_list_goes_on_where_a_part_ended_and_a_forged_cursor_is_refused(rig):
    for number in range(5):
        rig.see("cam-01", f"f{number}", animal(JAGUAR))
        rig.clock.step(3600)
    client = rig.client("viewer")

    seen, before = [], ""
    while True:
        part = client.get(f"/api/v1/alerts?limit=4&cursor={before}").json()
        seen += [each["id"] for each in part["items"]]
        if part["next"] is None:
            break
        before = part["next"]

    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == len(client.get("/api/v1/alerts?limit=200").json()["items"]) > 4
    assert client.get("/api/v1/alerts?cursor=Zm9yZ2Vk").status_code == 400
    assert client.get("/alerts?before=Zm9yZ2Vk").status_code == 400


def test_channels_that_fail_mutes_and_who_is_on_call_are_told(rig):
    lane = {"state": "fails", "since": "", "error": "connection refused", "next_try_s": 9}
    (rig.plan.state_dir / "status.json").write_text(json.dumps({"channels": {"mail": lane}}), "utf-8")
    with rig.store.transaction() as connection:
        rows.mute(connection, "ana", until=NOW + timedelta(hours=2), now=NOW)
    client = rig.client("manager")

    page = client.get("/alerts").text
    assert "connection refused" in page
    assert "muted" in page
    pk = re.search(r"/alerts/mutes/(\d+)/end", page)[1]
    client.post(f"/alerts/mutes/{pk}/end")

    with rig.store.transaction() as connection:
        assert not connection.execute(select(mutes)).all()


def test_mutes_of_other_stations_and_of_all_are_not_for_a_manager_of_some(rig):
    with rig.store.transaction() as connection:
        for station in ("cam-01", "cam-02", ""):
            rows.mute(connection, "ana", until=NOW + timedelta(hours=2), now=NOW, station=station)
        numbers = {row.station: row.pk for row in connection.execute(select(mutes.c.station, mutes.c.pk))}
    client = rig.client("manager", stations=["cam-01"])

    page = client.get("/alerts").text
    for pk in numbers.values():
        client.post(f"/alerts/mutes/{pk}/end")

    assert re.findall(r"/alerts/mutes/(\d+)/end", page) == [str(numbers["cam-01"])]
    assert "cam-02" not in page
    with rig.store.transaction() as connection:
        assert set(connection.scalars(select(mutes.c.station))) == {"cam-02", ""}


# rules


def test_rules_are_told_in_words_in_both_languages_and_only_a_manager_of_all_may_edit(rig):
    english = rig.client("manager").get("/alerts/rules").text
    spanish = rig.client("viewer", language="es").get("/alerts/rules").text

    assert "Felidae (cat" in english
    assert "After 15 min without ACK" in english
    assert "Felidae (f" in spanish
    assert "/alerts/rules/edit" in english
    assert "/alerts/rules/edit" not in spanish
    assert "/alerts/rules/edit" not in rig.client("manager", stations=["cam-01"]).get("/alerts/rules").text
    assert rig.client("manager", stations=["cam-01"]).get("/alerts/rules/edit").status_code == 403
    assert rig.client("reviewer").get("/alerts/rules/edit").status_code == 403


def edited(rig: WebRig, **fields):
    """The editor's form for `cats`, sent with other values; gives the answer."""
    form = {"old": "cats", "name": "cats", "taxon": "Felidae", "to": "ana", "channels": "log", "severity": "warning"}
    form |= {"enabled": "1"} | fields
    return rig.client("manager", name="maria").post("/alerts/rules/edit", data=form, follow_redirects=False)


def test_an_edited_rule_is_a_draft_with_its_diff_then_the_file_which_keeps_its_comments(rig):
    answer = edited(rig, min_score="0.8", cooldown_min="45")
    assert answer.status_code == 303
    client = rig.client("manager", name="maria")
    assert rig.path.read_text("utf-8") == SITE  # nothing is saved yet

    draft = drafted(rig, client, min_score="0.8", cooldown_min="45")
    page = client.get(draft).text
    assert "+    min_score: 0.8" in page
    saved = client.post(f"{draft}/save", data={"why": "fewer false ones"}, follow_redirects=False)

    assert saved.status_code == 303
    text = rig.path.read_text("utf-8")
    assert "# cats are why we are here" in text
    assert "# all of them" in text
    [cats, _people] = yaml.safe_load(text)["rules"]
    assert cats == {
        "name": "cats",
        "taxon": "Felidae",
        "to": ["ana"],
        "channels": ["log"],
        "escalate": [{"after_min": 15, "to": ["ana"]}],  # the form has no field for it
        "min_score": 0.8,
        "cooldown_min": 45,
    }
    [change] = Changes(rig.plan.state_dir).newest_first()
    assert (change.who, change.why, change.state) == ("maria", "fewer false ones", "written")
    with rig.store.transaction() as connection:
        assert "maria" in list(connection.scalars(select(audit.c.who)))
    assert "is saved" in client.get(saved.headers["location"]).text


def drafted(rig: WebRig, client, **fields) -> str:
    """The address of a draft that this client made."""
    form = {"old": "cats", "name": "cats", "taxon": "Felidae", "to": "ana", "channels": "log", "severity": "warning"}
    answer = client.post("/alerts/rules/edit", data=form | {"enabled": "1"} | fields, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    assert rig.path.exists()
    return answer.headers["location"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"taxon": "Felidaee"}, "Felidae"),
        ({"min_score": "80"}, "Least score"),
        ({"min_score": "much"}, "Least score"),
        ({"name": "people"}, "people"),
        ({"name": "a\nb"}, "printable"),
        ({"hours": "25:00-26:00"}, "hours"),
        ({"to": "nobody", "channels": "nowhere"}, "nobody"),
        ({"taxon": ""}, "taxon"),
        ({"to": [], "channels": []}, "<li>a rule needs `to:`"),
    ],
)
def test_what_is_wrong_is_said_beside_what_was_entered_and_nothing_is_written(rig, fields, said):
    answer = edited(rig, **fields)

    assert answer.status_code == 422
    faults = answer.text.partition('role="alert"')[2].partition("</div>")[0]
    assert said in faults
    assert rig.path.read_text("utf-8") == SITE


def test_a_rule_can_carry_no_address_and_no_markup(rig):
    client = rig.client("manager")
    evil = {"name": "<img src=x onerror=alert(1)>", "taxon": "Felidae", "channels": ["log"]}

    inner = client.post("/api/v1/rules", json={"rule": evil | {"url": "http://127.0.0.1:8080/"}})
    assert inner.status_code == 422
    assert "url" in inner.json()["detail"]
    hook = {"rule": evil | {"channels": ["http://169.254.169.254/"]}}
    assert client.post("/api/v1/rules", json=hook).status_code == 422

    assert client.post("/api/v1/rules", json={"rule": evil}).status_code == 201
    page = client.get("/alerts/rules").text
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


@pytest.mark.parametrize("odd", ["\ud800", "a\x00b", "\u202egpj.exe", "x" * 5000, {"a": {}}, 1e308, None, True])
def test_odd_values_in_a_rule_are_refused_in_words_and_never_a_bug(rig, odd):
    client = rig.client("manager")
    for rule in (
        {"name": odd, "taxon": "Felidae", "channels": ["log"]},
        {"name": "x", "taxon": odd, "channels": ["log"]},
    ):
        answer = client.post(
            "/api/v1/rules", content=json.dumps({"rule": rule}), headers={"content-type": "application/json"}
        )
        assert answer.status_code == 422, answer.text
    deep: dict = {"sun": "night"}
    for _ in range(100):
        deep = {"any": [deep]}
    answer = client.post("/api/v1/rules", json={"rule": {"name": "x", "taxon": "Felidae", "channels": ["log"]} | deep})
    assert answer.status_code == 422
    assert rig.path.read_text("utf-8") == SITE


def test_addresses_with_odd_values_are_refused(rig):
    client = rig.client("manager")

    for path in ("/alerts?who=%00", "/api/v1/alerts?station=a%00", "/?station=%00", "/api/v1/encounters?station=%00"):
        assert client.get(path).status_code == 422
    for path in ("/encounters/%00", "/encounters/..%2f", "/api/v1/encounters/%00", "/encounters/\u00e9"):
        assert client.get(path).status_code == 404
    assert client.post(f"/alerts/{2**70}/again").status_code == 404
    assert client.post("/alerts/999/again").status_code == 404


def test_a_webhook_of_the_site_goes_to_no_private_address_unless_the_file_allows_it(rig):
    text = SITE.replace(
        "  - {name: log, use: console}",
        "  - {name: log, use: console}\n  - {name: hook, use: webhook, url: 'https://10.0.0.7/x'%s}",
    )
    for allow, good in (("", False), (", allow: [10.0.0.0/8]", True)):
        rig.path.write_text(text % allow, "utf-8")
        answer = edited(rig, channels="hook", to="")
        assert (answer.status_code == 303) is good, answer.text


def test_a_rule_as_yaml_may_say_everything_and_yaml_that_is_none_is_told(rig):
    client = rig.client("manager")
    body = "name: cats\ntaxon: Felidae\nchannels: [log]\nany:\n  - sun: night\n  - stations: cam-02\n"
    page = client.get("/alerts/rules/edit?name=cats&yaml=1").text
    assert "escalate:" in page

    good = client.post("/alerts/rules/edit", data={"old": "cats", "yaml": body}, follow_redirects=False)
    bad = client.post("/alerts/rules/edit", data={"old": "cats", "yaml": "name: [x"}, follow_redirects=False)
    text = client.post("/alerts/rules/edit", data={"old": "cats", "yaml": "x"}, follow_redirects=False)

    assert good.status_code == 303
    assert (bad.status_code, text.status_code) == (422, 422)
    assert "name: [x" in bad.text


def test_a_rule_is_duplicated_rests_and_is_deleted(rig):
    client = rig.client("manager")
    assert 'value="cats 2"' in client.get("/alerts/rules/edit?copy=cats").text
    for path, data in (("rest", {"name": "cats"}), ("remove", {"name": "people"})):
        answer = client.post(f"/alerts/rules/{path}", data=data, follow_redirects=False)
        assert answer.status_code == 303, answer.text
        client.post(f"{answer.headers['location']}/save")

    [left] = yaml.safe_load(rig.path.read_text("utf-8"))["rules"]
    assert (left["name"], left["enabled"]) == ("cats", False)
    assert "rests" in client.get("/alerts/rules").text


def test_a_rule_that_rests_tells_nobody(tmp_path):
    with (
        WebRig(tmp_path, SITE.replace("channels: [log]\n", "channels: [log]\n    enabled: false\n", 1)) as rig,
        still_services(rig.plan, rig.clock) as services,
    ):
        assert [rule.name for rule in alert_desk(rig.plan, services).rules] == ["people"]


def test_drafts_are_their_owners_and_a_change_of_the_file_meanwhile_is_refused(rig):
    client = rig.client("manager", name="maria")
    draft = drafted(rig, client, min_score="0.8")
    other = rig.client("manager", name="pedro")
    other.app.state.rule_drafts = client.app.state.rule_drafts

    assert other.get(draft).status_code == 404
    rig.path.write_text(SITE + "# edited by hand\n", "utf-8")
    answer = client.post(f"{draft}/save", follow_redirects=False)

    assert answer.status_code == 409
    assert "changed meanwhile" in answer.text
    assert "min_score" not in rig.path.read_text("utf-8")


def test_the_api_reads_changes_and_deletes_rules(rig):
    client = rig.client("manager")
    listed = client.get("/api/v1/rules").json()
    cats = listed["items"][0]
    assert client.get("/api/v1/rules/cats").json() == cats

    stale = client.put("/api/v1/rules/cats", json={"rule": cats}, headers={"if-match": '"0"'})
    same = client.put("/api/v1/rules/cats", json={"rule": cats}, headers={"if-match": f'"{listed["base"]}"'})
    done = client.put("/api/v1/rules/cats", json={"rule": cats | {"severity": "info"}, "why": "quieter"})
    gone = client.delete("/api/v1/rules/people")

    assert (stale.status_code, same.status_code) == (412, 409)
    assert done.json()["state"] == "written"
    assert "+    severity: info" in done.json()["diff"]
    assert gone.status_code == 200
    assert [each["name"] for each in client.get("/api/v1/rules").json()["items"]] == ["cats"]
    assert client.delete("/api/v1/rules/people").status_code == 404
    assert rig.client("reviewer").delete("/api/v1/rules/cats").status_code == 403


# simulation


def test_a_simulation_says_what_the_change_would_have_sent(rig, monkeypatch):
    monkeypatch.setattr(trials, "MOST_S", 60.0)
    for number in range(3):
        rig.see("cam-01", f"f{number}", animal(JAGUAR, score=0.6))
        rig.clock.step(3600)
    text = rig.path.read_text("utf-8").replace("taxon: Felidae ", "taxon: Felidae\n    min_score: 0.99 ")
    trial = trials.run_now(rig.path, text, "cats", 366)

    assert trial.state == "done", trial.error
    assert trial.result["now"]["frames"] == 3
    assert trial.result["now"]["of_rule"] > 0
    assert trial.result["new"]["of_rule"] == 0


def test_a_page_shows_a_simulation_on_its_way_and_its_result(rig):
    client = rig.client("manager")
    draft = drafted(rig, client, min_score="0.8")
    kept = client.app.state.rule_drafts.get(draft.rpartition("/")[2], "manager")

    kept.trial = Trial(7, "runs", done=10, total=40)
    assert 'value="25"' in client.get(f"{draft}/simulation").text
    assert "every 1s" in client.get(draft).text
    side = {"frames": 4, "encounters": 2, "count": 3, "of_rule": 2, "by": {"@log": 3}, "held_back": {}, "messages": []}
    kept.trial = Trial(7, "done", result={"now": side, "new": side | {"by": {"ana/mail": 1}}})
    assert "ana/mail" in client.get(draft).text
    kept.trial = Trial(7, "failed", error=trials.TOO_LONG)
    assert "fewer days" in client.get(draft).text


def test_a_simulation_that_takes_too_long_is_ended_and_too_many_are_refused(rig, monkeypatch):
    monkeypatch.setattr(trials, "MOST_S", 0.0)

    trial = trials.run_now(rig.path, SITE, "cats", 1)

    assert (trial.state, trial.error) == ("failed", trials.TOO_LONG)
    for _ in range(trials.MOST_WAITING):
        assert trials._waiting.acquire(blocking=False)
    with pytest.raises(trials.BusyError):
        trials.begin(rig.path, SITE, "cats", 1)
    for _ in range(trials.MOST_WAITING):
        trials._waiting.release()
