"""What Home Assistant is told of stations: discovery messages it takes, names that escape nowhere, states."""

import json
from datetime import UTC, datetime

import pytest

from edge.clock import SteppedClock
from edge.errors import StoreBusy
from edge.model import Event
from edge.services import Station
from edge.testing import fake_services
from plugins.notifiers.home_assistant import Low, Topics, chips, readings, site_device, station_device
from plugins.notifiers.mqtt_board import MOST_STATIONS, Board, Showing
from tests.unit.home_assistant_rules import DISCOVERY_TOPIC, faults_of

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
TOPICS = Topics("tigrillo", "homeassistant")
HEALTH = {
    "temperature_c": 41.5, "supply_low": False, "disk_free_bytes": 12_340_000_000, "camera": "picamera2", "night": True,
    "spool": {"frames": 7, "bytes": 9_000_000, "held": 0, "oldest_s": 130},
    "battery": {"volts": 12.1, "amps": -0.25, "watts": -3.0},
    "solar": {"volts": 18.4, "amps": 0.9, "watts": 16.6},
}  # fmt: skip


def health(station="cam-1", drifts=False, **values):
    return Event("station.health", NOW, station=station, fields={"health": HEALTH | values, "drifts": drifts})


class Stations(dict):
    """The site's stations; `busy` as a database that is locked."""

    busy = False

    def __iter__(self):
        if self.busy:
            raise StoreBusy("locked, in this test")
        return super().__iter__()


class Site:
    """A board, and the broker it is published on."""

    def __init__(self, folder, stations=("cam-1",), **showing):
        self.revoked, self.clock = set(), SteppedClock(NOW)
        self.stations = Stations((name, Station(name)) for name in stations)
        self.showing = Showing(TOPICS, **{"language": "en", **showing})
        self.services = fake_services(
            clock=self.clock, stations=self.stations, is_allowed=lambda name: name not in self.revoked
        )
        self.file = folder / "mqtt" / "board.json"
        self.holds: dict[str, bytes] = {}
        self.open()

    def open(self):
        self.board = Board(self.showing, self.services, self.file)

    def publish(self):
        """Topics in the order in which they were published."""
        topics = []
        while (post := self.board.take()) is not None:
            topics.append(post.topic)
            self.holds[post.topic] = post.body
        self.board.forget_gone()
        self.holds = {topic: body for topic, body in self.holds.items() if body}
        return topics

    def device(self, station):
        return json.loads(self.holds[TOPICS.config(station)])


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    site.board.reconcile()
    site.board.say_all()
    site.publish()
    return site


@pytest.mark.parametrize("language", ["en", "es"])
def test_home_assistant_takes_a_device_with_everything_that_an_agent_tells(language):
    found = readings(HEALTH | {"ups": {"percent": 15}}, drifts=True, low=Low())
    names = chips(HEALTH | {"ups": {"percent": 15}})

    device = station_device(TOPICS, "cam-1", found, names, language=language, seen_s=60)

    assert faults_of(TOPICS.config("cam-1"), device) == []
    shown = {key: part["platform"] for key, part in device["components"].items()}
    assert shown["picture"] == "image"
    assert shown["notice"] == "event"
    assert {"online", "animal", "person", "vehicle", "supply_low", "battery_low", "clock_off"} == {
        key for key, platform in shown.items() if platform == "binary_sensor"
    }
    assert {"sighting", "temperature_c", "disk_free_gb", "spool_frames", "battery_volts", "ups_percent"} <= {
        key for key, platform in shown.items() if platform == "sensor"
    }
    assert len({part["name"] for part in device["components"].values()}) == len(shown)


def test_home_assistant_takes_the_device_of_the_site_and_knows_its_stations_by_it():
    site = site_device(TOPICS, "Reserva Ñandú", language="es")
    station = station_device(TOPICS, "cam-1", (), {}, language="es", seen_s=60)

    assert faults_of(TOPICS.config(""), site) == []
    assert [station["device"]["via_device"]] == site["device"]["identifiers"]
    assert site["components"]["running"]["name"] == "En marcha"


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda found: found.pop("origin"), "no origin"),
        (lambda found: found["device"].pop("identifiers"), "device: no identifiers"),
        (lambda found: found["components"]["notice"].pop("event_types"), "notice: no event_types"),
        (lambda found: found["components"]["picture"].pop("image_topic"), "picture: no image_topic"),
        (lambda found: found["components"]["online"].pop("unique_id"), "online: no unique_id"),
        (lambda found: found["components"]["volts"].update(unit_of_measurement="A"), "volts: voltage in A"),
    ],
)
def test_the_table_of_what_is_required_notices(spoil, fault):
    device = station_device(TOPICS, "cam-1", {"volts_volts"}, {"volts": "volts"}, language="en", seen_s=60)
    device["components"]["volts"] = device["components"].pop("volts_volts")

    spoil(device)

    assert fault in faults_of(TOPICS.config("cam-1"), device)


def test_names_of_stations_escape_no_topic_and_no_two_share_a_device():
    names = ["cam.1", "cam_1", "cam-1", "CAM-1", "Ñ", "N", "á.b", "a_b", "_", "site", "a" * 64, "a" * 63 + "."]

    topics = [TOPICS.config(name) for name in ["", *names]]

    assert len(set(topics)) == len(topics)
    assert all(DISCOVERY_TOPIC.fullmatch(topic) for topic in topics)
    for hostile in ("a/b", "#", "+", "../up", "$SYS", "", "a\0b", "x" * 65):
        with pytest.raises(ValueError, match="topic level"):
            TOPICS.of(hostile, "state")
        assert TOPICS.notice(hostile) == "tigrillo/notice"
        assert TOPICS.event(hostile) == "tigrillo/event"


def test_what_a_station_calls_its_chips_gets_into_no_template():
    hostile = {"x }}{{ states('lock.door') }}": {"volts": 1.0}, "\u202e": {"volts": 2.0}, "Batería 2": {"volts": 3.0}}

    found = readings(hostile, drifts=None, low=Low())
    device = station_device(TOPICS, "cam-1", found, chips(hostile), language="en", seen_s=60)

    assert found == {"x_states_lock_door_volts": 1.0, "bateria_2_volts": 3.0}
    templates = [part.get("value_template", "") for part in device["components"].values()]
    assert "{{ value_json.bateria_2_volts }}" in templates
    assert not [each for each in templates if each.count("{{") > 1]


@pytest.mark.parametrize(
    ("values", "low", "expected"),
    [
        ({"percent": 19.0, "volts": 12.0}, Low(), True),
        ({"percent": 21.0}, Low(), False),
        ({"percent": 19.0}, Low(percent=None), None),
        ({"volts": 11.4}, Low(), None),
        ({"volts": 11.4}, Low(volts=11.5), True),
        ({"volts": 11.6}, Low(volts=11.5), False),
        ({"percent": None}, Low(), None),
    ],
)
def test_when_a_battery_is_low(values, low, expected):
    assert readings({"battery": values}, drifts=None, low=low).get("battery_low") is expected


def test_a_solar_panel_in_the_dark_is_no_low_battery():
    found = readings({"battery": {"volts": 12.6}, "solar": {"volts": 0.3}}, drifts=None, low=Low(volts=11.5))

    assert found["battery_low"] is False


def test_a_station_of_the_site_has_a_device_before_it_says_a_word(site):
    assert faults_of(TOPICS.config("cam-1"), site.device("cam-1")) == []
    assert site.holds["tigrillo/availability"] == b"online"
    assert site.holds["tigrillo/station/cam-1/animal"] == b"OFF"
    assert "tigrillo/station/cam-1/state" not in site.holds


def test_states_follow_what_happens(site):
    site.board.note(Event("station.online", NOW, station="cam-1"))
    site.publish()
    online = site.holds["tigrillo/station/cam-1/state"]
    site.board.note(Event("station.offline", NOW, ok=False, station="cam-1"))
    site.publish()

    assert (online, site.holds["tigrillo/station/cam-1/state"]) == (b"online", b"offline")


def test_a_reading_becomes_an_entity_with_the_first_health_that_has_it(site):
    before = set(site.device("cam-1")["components"])

    site.board.note(health(temperature_c=None))
    topics = site.publish()
    first = set(site.device("cam-1")["components"])
    site.board.note(health(temperature_c=30.0, battery=None))
    site.publish()

    assert "battery_volts" in first - before
    assert "temperature_c" not in first
    assert topics.index(TOPICS.config("cam-1")) < topics.index("tigrillo/station/cam-1/health")
    assert "temperature_c" in site.device("cam-1")["components"]
    said = json.loads(site.holds["tigrillo/station/cam-1/health"])
    assert (said["temperature_c"], said["battery_volts"], said["disk_free_gb"]) == (30.0, None, 12.34)
    assert site.holds["tigrillo/station/cam-1/state"] == b"online"


def test_a_clock_that_is_off_is_shown_until_the_station_has_the_time(site):
    shown = []
    for event in (
        Event("station.drift", NOW, ok=False, station="cam-1", fields={"drift_s": 99.0}),
        health(drifts=None),
        health(drifts=False),
    ):
        site.board.note(event)
        site.publish()
        shown.append(json.loads(site.holds["tigrillo/station/cam-1/health"])["clock_off"])

    assert shown == [True, True, False]


def test_frames_and_events_of_others_change_nothing(site):
    for event in (Event("record", NOW, station="cam-1"), Event("station.online", NOW, station="../x")):
        site.board.note(event)

    assert site.publish() == []


def test_a_station_that_was_added_gets_a_device_and_one_that_is_no_more_loses_everything(site):
    site.stations["cam-2"] = Station("cam-2")
    site.board.note(health())
    site.board.reconcile()
    site.publish()
    site.holds["tigrillo/station/cam-1/picture"] = b"jpeg"
    had = TOPICS.config("cam-2") in site.holds
    del site.stations["cam-1"]
    site.revoked.add("cam-2")
    site.board.reconcile()
    site.publish()

    assert had
    assert set(site.holds) == {"tigrillo/availability", TOPICS.config("")}


def test_a_station_that_went_while_nothing_ran_is_taken_back_at_the_next_start(site):
    site.board.note(health())
    site.board.save()
    site.publish()

    del site.stations["cam-1"]
    site.open()
    site.board.reconcile()
    site.board.save()
    site.open()  # ended before the broker could be told
    site.board.say_all()
    site.publish()

    assert set(site.holds) == {"tigrillo/availability", TOPICS.config("")}


def test_a_station_keeps_its_entities_over_a_restart(site):
    site.board.note(health(station="card-7"))  # a folder of a memory card, say: in no list
    site.board.save()
    site.publish()
    before = site.device("card-7")

    site.open()
    site.board.reconcile()
    site.board.say_all()
    site.holds.clear()
    site.publish()
    site.board.say_all()
    site.publish()

    assert site.device("card-7") == before


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"stations": {"../x": {}}, "gone": []}', b"\xff"])
def test_a_damaged_file_is_as_none(site, content):
    site.file.parent.mkdir(exist_ok=True)
    site.file.write_bytes(content)

    site.open()
    site.board.reconcile()
    site.board.say_all()

    assert TOPICS.config("cam-1") in site.publish()


def test_all_is_said_again_and_what_was_just_seen_is_not_switched_off(site):
    site.board.sighted("cam-1", "animal", b'{"what":"Jaguar"}')
    site.board.say_all()
    at_once = site.publish()
    site.clock.step(61)
    site.board.say_all()
    later = site.publish()

    assert "tigrillo/station/cam-1/animal" not in at_once
    assert "tigrillo/station/cam-1/person" in at_once
    assert "tigrillo/station/cam-1/animal" in later
    assert site.holds["tigrillo/station/cam-1/sighting"] == b'{"what":"Jaguar"}'


def test_made_up_stations_and_chips_are_bounded(site):
    for number in range(MOST_STATIONS + 50):
        site.board.note(Event("station.online", NOW, station=f"made-up-{number}"))
    for number in range(100):
        site.board.note(health(**{f"chip-{number}": {"volts": float(number)}}))
    site.publish()

    assert sum(topic.startswith("homeassistant/") for topic in site.holds) == MOST_STATIONS + 1
    assert len(site.device("cam-1")["components"]) < 60
    assert [entry[1] for entry in site.services.log.entries] == ["mqtt_alerts.too_many_stations"]


def test_while_the_stations_cant_be_read_none_is_taken_back(site):
    site.stations.busy = True

    with pytest.raises(StoreBusy):
        site.board.reconcile()

    assert site.publish() == []


def test_without_discovery_states_are_published_and_nothing_for_home_assistant(tmp_path):
    site = Site(tmp_path, discovery=False)
    site.board.reconcile()
    site.board.say_all()
    site.board.note(health())
    site.publish()

    assert "tigrillo/station/cam-1/health" in site.holds
    assert not [topic for topic in site.holds if topic.startswith("homeassistant")]
