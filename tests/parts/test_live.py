"""News: what the hub tells whom, what the watcher finds, and the event stream as a browser reads it."""

import json
from datetime import timedelta

import anyio
import pytest
from anyio import to_thread
from sqlalchemy import event

from edge.alerts.desk import AlertDesk, AlertSettings
from edge.store import encounters as encounter_rows
from edge.store.readers import Readers
from edge.store.schema import quarantine, station_state, watched
from server.live import hub as hubs
from server.live import stream as streams
from server.live.hub import Hub, News, TooManyError
from server.live.stream import EventStream
from server.live.watch import Watcher
from server.now.cards import render_cards
from tests.alert_rig import JAGUAR, animal
from tests.web_rig import NOW, WebRig

REQUEST = {"type": "http", "method": "GET", "path": "/events", "headers": []}


class Reader:
    """One who watches: reads a stream until it ends, or until `lines` say so."""

    def __init__(self, response: EventStream) -> None:
        self.response, self.text, self.status, self.headers = response, "", 0, {}
        self.gone, self.more = anyio.Event(), anyio.Event()

    async def run(self) -> None:
        await self.response(REQUEST, self.receive, self.send)

    async def receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        self.text += message.get("body", b"").decode()
        self.more.set()

    @property
    def events(self) -> list[tuple[str, str, dict]]:
        """(id, event, data)."""
        found = []
        for block in self.text.split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "event" in lines:
                found.append((lines["id"], lines["event"], json.loads(lines["data"])))
        return found

    async def until(self, count: int) -> None:
        while len(self.events) < count:
            self.more = anyio.Event()
            await self.more.wait()


def stream(hub: Hub, stations=None, *, after: str = "", language: str = "en", **options) -> EventStream:
    return EventStream(hub, stations, language=language, after=after, **options)


async def read(hub: Hub, readers: list[Reader], meanwhile) -> None:
    """Run these readers while something happens; then the hub closes."""
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            for each in readers:
                group.start_soon(each.run)
            for each in readers:
                await each.until(1)
            await meanwhile()
            hub.close()


def test_a_stream_says_what_it_is_and_each_event_has_an_id_to_go_on_with():
    hub, got = Hub(), []

    async def main() -> None:
        reader = Reader(stream(hub))

        async def meanwhile() -> None:
            hub.publish([News("encounter", "cam-01", {"uid": "a"}), News("alert", "cam-02", {"pk": 7})])
            await reader.until(3)

        await read(hub, [reader], meanwhile)
        got.append(reader)

    anyio.run(main)
    [reader] = got
    assert reader.status == 200
    assert reader.headers["content-type"].startswith("text/event-stream")
    assert reader.headers["x-accel-buffering"] == "no"
    assert [(event, data) for _id, event, data in reader.events] == [
        ("ready", {}),
        ("encounter", {"station": "cam-01", "uid": "a"}),
        ("alert", {"station": "cam-02", "pk": 7}),
    ]
    assert [each[0] for each in reader.events] == [f"{hub.boot}-{number}" for number in (0, 1, 2)]


def test_a_reader_hears_of_their_stations_only_and_html_comes_in_their_language():
    hub, got = Hub(), []

    async def main() -> None:
        one = Reader(stream(hub, frozenset({"cam-01"}), language="es"))
        program = Reader(stream(hub, None, language=""))

        async def meanwhile() -> None:
            html = {"es": "<li>felino</li>", "en": "<li>cat</li>"}
            hub.publish([News("encounter", "cam-02"), News("alert", ""), News("encounter", "cam-01", html=html)])
            await program.until(4)
            await one.until(2)

        await read(hub, [one, program], meanwhile)
        got.extend([one, program])

    anyio.run(main)
    one, program = got
    assert [(event, data) for _id, event, data in one.events[1:]] == [
        ("encounter", {"station": "cam-01", "html": "<li>felino</li>"})
    ]
    assert all("html" not in data for _id, _event, data in program.events)


@pytest.mark.parametrize(
    ("after", "heard"),
    [
        ("{boot}-2", ["frame"]),
        ("{boot}-3", []),
        ("{boot}-99", ["reset"]),
        ("{boot}-x", ["reset"]),
        ("{boot}-²", ["reset"]),
        ("other-2", ["reset"]),
        ("", []),
    ],
)
def test_a_stream_goes_on_after_the_event_it_had_last_or_is_told_to_load_again(after, heard):
    hub, got = Hub(), []
    hub.publish([News("encounter"), News("alert"), News("frame")])

    async def main() -> None:
        reader = Reader(stream(hub, after=after.format(boot=hub.boot)))

        async def meanwhile() -> None:
            await reader.until(1 + len(heard))

        await read(hub, [reader], meanwhile)
        got.append(reader)

    anyio.run(main)
    assert [event for _id, event, _data in got[0].events[1:]] == heard


def test_a_stream_begins_with_the_id_that_misses_nothing_and_goes_on_saying_it_where_nothing_is_to_tell(monkeypatch):
    monkeypatch.setattr(streams, "KEEP_ALIVE_S", 0.01)
    hub, got = Hub(), []
    hub.publish([News("encounter", "cam-01"), News("encounter", "cam-02")])

    async def main() -> None:
        late = Reader(stream(hub, after=f"{hub.boot}-1"))
        elsewhere = Reader(stream(hub, frozenset({"cam-01"})))

        async def meanwhile() -> None:
            await late.until(2)
            hub.publish([News("frame", "cam-02")])
            while ("alive", f"{hub.boot}-3") not in {(event, name) for name, event, _data in elsewhere.events}:
                elsewhere.more = anyio.Event()
                await elsewhere.more.wait()

        await read(hub, [late, elsewhere], meanwhile)
        got.append(late)

    anyio.run(main)
    ids = [(event, name.rpartition("-")[2]) for name, event, _data in got[0].events]
    assert ids[:2] == [("ready", "1"), ("encounter", "2")]  # a line that breaks in between loses nothing


def test_what_is_kept_is_bounded_and_who_missed_more_loads_again():
    hub = Hub()
    hub.publish([News("frame") for _ in range(hubs.KEPT + 10)])

    async def main() -> None:
        with hub.watching(None, after=f"{hub.boot}-5") as early, hub.watching(None, after=f"{hub.boot}-500") as late:
            assert early.take() == [hubs.RESET]
            assert len(late.take()) == 10

    anyio.run(main)


def test_one_who_is_too_slow_gets_a_reset_and_holds_no_more_than_its_bound():
    hub = Hub()

    async def main() -> None:
        with hub.watching(None) as slow:
            hub.publish([News("frame") for _ in range(hubs.QUEUED * 3)])
            assert slow.take() == [hubs.RESET]
            hub.publish([News("alert")])
            assert [each.kind for each in slow.take()] == ["alert"]

    anyio.run(main)


def test_nobody_takes_all_the_streams_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr(hubs, "MOST_OF_ONE", 1)

    async def main(rig: WebRig) -> None:
        greedy, other = rig.client("viewer", name="Eva"), rig.client("viewer", name="Bo")
        with rig.web.live.watching(None, who="Eva"):
            for path in ("/events", "/api/v1/events?seconds=0"):
                assert (await to_thread.run_sync(greedy.get, path)).status_code == 503
            assert (await to_thread.run_sync(other.get, "/api/v1/events?seconds=0")).status_code == 200

    with WebRig(tmp_path) as rig:
        anyio.run(main, rig)


def test_there_is_a_bound_on_streams_and_one_that_ends_makes_room(monkeypatch):
    monkeypatch.setattr(hubs, "MOST_STREAMS", 1)
    hub, got = Hub(), []

    async def main() -> None:
        with hub.watching(None), pytest.raises(TooManyError), hub.watching(None):
            pass
        with hub.watching(None):
            refused = Reader(stream(hub))
            await refused.run()
            got.append(refused)

    anyio.run(main)
    assert len(hub) == 0
    assert got[0].status == 503
    assert int(got[0].headers["retry-after"]) > 0


def test_a_reader_that_hangs_up_is_forgotten():
    hub = Hub()

    async def main() -> None:
        reader = Reader(stream(hub))
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(reader.run)
                await reader.until(1)
                assert len(hub) == 1
                reader.gone.set()

    anyio.run(main)
    assert len(hub) == 0


def test_events_are_for_those_who_may_see_and_a_program_may_say_for_how_long(tmp_path):
    with WebRig(tmp_path) as rig:
        assert rig.client(None).get("/api/v1/events").status_code == 401
        answer = rig.client("viewer").get("/api/v1/events?seconds=0")

        assert answer.status_code == 200
        assert "event: ready" in answer.text
        assert rig.client("viewer").get("/api/v1/events?seconds=1e9").status_code == 422
        rig.web.live.close()
        assert "event: ready" in rig.client("viewer").get("/events").text


# what the watcher finds


@pytest.fixture
def site(tmp_path):
    with WebRig(tmp_path) as rig, Readers(rig.plan.database_url, most=1) as readers:
        watcher = Watcher(readers, lambda pks, languages: render_cards(rig.web, pks, languages))
        watcher.look()
        rig.watcher = watcher
        desk = AlertDesk(rig.plan.rules, rig.plan.directory, rig.plan.stations, AlertSettings())

        def see(station: str, frame_id: str) -> None:
            outcome = rig.store.outcome(rig.record(station, frame_id, [animal(JAGUAR)]))
            with rig.store.transaction() as connection:
                desk.note(connection, outcome, NOW)

        rig.see = see
        yield rig


def heard(news: list[News]) -> list[tuple[str, str]]:
    return [(each.kind, each.station) for each in news]


def test_nothing_new_is_found_by_one_look_at_the_files_header(site, monkeypatch):
    monkeypatch.setattr("server.live.watch._read", lambda *_: pytest.fail("the tables were read"))

    assert site.watcher.look() == []


def test_a_recorded_animal_is_an_encounter_with_its_card_an_alert_and_a_frame(site):
    site.see("cam-01", "a")

    found = site.watcher.look({"es", "en"})

    assert heard(found) == [("encounter", "cam-01"), ("frame", "cam-01"), ("alert", "cam-01")]
    assert found[0].data["new"] is True
    assert found[0].data["taxon"] == "Panthera onca"
    assert "Jaguar" in found[0].html["en"]
    assert "hace" in found[0].html["es"] or "segundos" in found[0].html["es"]
    assert site.watcher.look() == []


def test_an_encounter_that_somebody_sees_to_is_told_as_changed(site):
    site.see("cam-01", "a")
    [news, *_rest] = site.watcher.look()
    with site.store.transaction() as connection:
        found = encounter_rows.by_uid(connection, news.data["uid"])
        encounter_rows.acknowledge(connection, found.pk, by="ana", now=NOW)

    [again] = site.watcher.look()

    assert (again.kind, again.data["uid"], again.data["new"]) == ("encounter", news.data["uid"], False)
    assert again.html == {}  # nobody watches


def test_stations_quarantine_and_sums_are_news(site):
    with site.store.transaction() as connection:
        connection.execute(station_state.insert().values(station="cam-01", online=True, heard_at=NOW))
    site.watcher.look()
    with site.store.transaction() as connection:
        connection.execute(station_state.update().values(online=False))
        connection.execute(watched.insert().values(name="silent/cam-02", since=NOW - timedelta(days=2)))
        connection.execute(quarantine.insert().values(at=NOW, source="watch", name="x.jpg", reason="no picture"))

    found = site.watcher.look()

    assert [(each.kind, each.station, each.data.get("state")) for each in found] == [
        ("station", "cam-01", "offline"),
        ("station", "cam-02", "silent"),
        ("quarantine", "", None),
    ]


def test_looking_reads_no_table_from_end_to_end(site):
    """Each query goes along an index, or reads a table that has a row a station."""
    asked = []
    with site.readers.read() as connection:
        engine = connection.engine
    event.listen(engine, "before_cursor_execute", lambda *args: asked.append((args[2], args[3])))
    site.watcher.readers = site.readers
    site.see("cam-01", "a")
    site.watcher.look()

    large = ("frames", "observations", "encounters", "notices", "quarantine")
    plans = []
    with site.readers.read() as connection:
        for sql, values in [each for each in asked if each[0].startswith("SELECT")]:
            newest = "ORDER BY notices.pk DESC" in sql and "LIMIT" in sql  # the table itself is in this order
            explained = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
            plans += [row[3] for row in explained if not (newest and row[3] == "SCAN notices")]
    assert len(plans) > 10
    assert not [plan for plan in plans if plan.startswith("SCAN") and plan.split()[1] in large and "INDEX" not in plan]
