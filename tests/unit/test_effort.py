"""Effort: nights and days in which a camera looked, failed, or nobody can tell."""

import json
from datetime import UTC, datetime, timedelta
from shutil import copy

import pytest
from sqlalchemy import insert

from edge.deployed import Deployed, Deployment, Effort, Gap
from edge.fieldwork.effort import EffortByDeployment, effort_of
from edge.store.schema import frames, station_health
from edge.store.sql import Store

START = datetime(2026, 11, 1, 19, tzinfo=UTC)  # 14:00 in Bogotá
END = datetime(2026, 11, 11, 15, tzinfo=UTC)  # 10:00 in Bogotá
LATER = datetime(2026, 12, 1, tzinfo=UTC)
BOGOTA = "America/Bogota"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A database without rows, made once: making it takes as long as all that is done with it."""
    path = tmp_path_factory.mktemp("empty") / "site.sqlite"
    with Store(f"sqlite:///{path}"):
        pass
    return path


@pytest.fixture
def store(empty, tmp_path):
    with Store(f"sqlite:///{copy(empty, tmp_path)}") as opened:
        yield opened


def deployment(**changes):
    return Deployment(**{"id": "cam-1:1", "station": "cam-1", "started_at": START, "ended_at": END, **changes})


def took(store, *moments, triggered_by="", station="cam-1"):
    rows = [
        {
            "station": station,
            "id": f"{triggered_by}{number}-{at.isoformat()}",
            "kind": "still",
            "path": "a.jpg",
            "name": "a.jpg",
            "sha256": "",
            "size_bytes": 1,
            "source": "test",
            "captured_utc": at,
            "received_at": at,
            "state": "recorded",
            "triggered_by": triggered_by,
        }
        for number, at in enumerate(moments)
    ]
    with store.transaction() as connection:
        connection.execute(insert(frames), rows)


def said(store, moments, *, started, camera_failed=0):
    """The agent of cam-1, which was started then, says how it is."""
    rows = [
        {
            "station": "cam-1",
            "at": at,
            "received_at": at,
            "drifts": False,
            "health": {"uptime_s": (at - started).total_seconds(), "dropped": {"camera": camera_failed}},
        }
        for at in moments
    ]
    with store.transaction() as connection:
        connection.execute(insert(station_health), rows)


def every(length, start, end):
    return [start + number * length for number in range(int((end - start) / length) + 1)]


def effort(store, given=None, *, now=LATER, zone=BOGOTA):
    with store.transaction() as connection:
        return effort_of(connection, given or deployment(), zone=zone, now=now)


def gaps(found):
    return [(gap.kind, gap.start, gap.end) for gap in found.gaps]


def test_trap_nights_are_local_midnights_and_days_are_of_24_hours(store):
    took(store, *every(DAY, START, END), END)

    found = effort(store)

    assert (found.trap_nights, found.active_nights) == (10, 10)
    assert found.days == found.active_days == pytest.approx(9 + 20 / 24)
    assert (found.frames, found.first_frame, found.last_frame) == (11, START, END)


def test_a_gap_in_the_frames_of_a_card_is_no_failure_but_after_the_last_nothing_is_known(store):
    last = START + 6 * DAY
    took(store, START + HOUR, START + 3 * DAY, last)

    found = effort(store)

    assert gaps(found) == [("unknown", last, END)]
    assert found.unknown_days == pytest.approx((END - last) / DAY)
    assert found.failed_days == 0


def test_a_last_pause_no_longer_than_one_that_the_camera_came_back_from_is_nothing_unusual(store):
    took(store, START + HOUR, START + 6 * DAY)  # five days without anything, and then again something

    assert gaps(effort(store)) == []


def test_after_a_week_s_silence_or_while_the_card_is_out_there_nothing_is_taken_for_granted(store):
    took(store, START + 10 * DAY, station="cam-1")

    quiet_for_long = effort(store, deployment(ended_at=START + 18 * DAY))
    goes_on = effort(store, deployment(ended_at=None), now=START + 12 * DAY)

    assert gaps(quiet_for_long) == [("unknown", START + 10 * DAY, START + 18 * DAY)]
    assert gaps(goes_on) == [("unknown", START + 10 * DAY, START + 12 * DAY)]


def test_of_a_card_without_frames_all_is_unknown(store):
    found = effort(store)

    assert gaps(found) == [("unknown", START, END)]
    assert (found.trap_nights, found.active_nights, found.active_days) == (10, 0, 0)


def test_a_camera_with_a_timelapse_failed_where_its_pictures_are_missing(store):
    dead, again = START + 2 * DAY, START + 5 * DAY
    took(store, *every(HOUR, START, dead), *every(HOUR, again, END))

    with_timelapse = effort(store, deployment(details={"timelapse_min": 60}))
    without = effort(store)

    assert gaps(with_timelapse) == [("failed", dead, again)]
    assert (with_timelapse.trap_nights, with_timelapse.active_nights) == (10, 7)
    assert gaps(without) == []


def test_pictures_that_an_agent_took_by_the_clock_count_as_a_timelapse_and_nights_off_are_no_failure(store):
    evenings = [
        start + number * timedelta(minutes=30) for start in every(DAY, START, START + 3 * DAY) for number in range(12)
    ]
    took(store, *evenings, END - HOUR, triggered_by="interval")

    assert gaps(effort(store)) == [("failed", evenings[-1], END - HOUR)]


def test_silence_until_the_end_is_a_failure_and_silence_until_now_is_unknown(store):
    last = START + 2 * DAY
    took(store, *every(HOUR, START, last))
    timelapse = {"timelapse_min": 60}

    over = effort(store, deployment(details=timelapse))
    goes_on = effort(store, deployment(details=timelapse, ended_at=None), now=END)

    assert gaps(over) == [("failed", last, END)]
    assert gaps(goes_on) == [("unknown", last, END)]


def test_an_agent_that_was_started_again_failed_from_its_last_sign_until_then(store):
    before, again = START + 3 * DAY, START + 6 * DAY
    said(store, every(HOUR / 6, START, before), started=START)
    said(store, every(HOUR / 6, again, END), started=again - HOUR)
    took(store, before + 2 * HOUR)

    assert gaps(effort(store)) == [("failed", before + 2 * HOUR, again - HOUR)]


def test_an_agent_that_ran_on_through_its_silence_did_not_fail(store):
    before, again = START + 3 * DAY, START + 6 * DAY
    said(store, [*every(HOUR / 6, START, before), *every(HOUR / 6, again, END)], started=START - HOUR)

    assert gaps(effort(store)) == []


def test_an_agent_that_is_heard_again_after_the_end_tells_of_the_time_before_it(store):
    said(store, [*every(HOUR / 6, START, START + DAY), END + 5 * DAY], started=START)

    assert gaps(effort(store)) == []


def test_an_agent_that_was_never_heard_again_failed_until_the_end(store):
    last = START + 3 * DAY
    said(store, every(HOUR / 6, START, last), started=START)

    assert gaps(effort(store)) == [("failed", last, END)]
    assert gaps(effort(store, deployment(ended_at=None), now=END)) == [("unknown", last, END)]


def test_before_its_agent_was_started_only_frames_tell_of_a_station(store):
    started = START + 4 * DAY
    said(store, every(HOUR / 6, started, END), started=started)
    took(store, START + HOUR)

    assert gaps(effort(store)) == [("unknown", START + HOUR, started)]


def test_a_camera_that_gave_its_agent_no_picture_failed(store):
    broken, mended = START + 3 * DAY, START + 3 * DAY + HOUR / 6
    said(store, every(HOUR / 6, START, broken), started=START)
    said(store, every(HOUR / 6, mended, END), started=START, camera_failed=2)

    assert gaps(effort(store)) == [("failed", broken, mended)]


def test_problems_that_people_wrote_down_are_failures_before_all_else(store):
    since, until = START + 8 * DAY, START + 30 * DAY
    last = START + 6 * DAY
    took(store, START + 2 * HOUR, last)
    full = {"problems": [[since.isoformat(), until.isoformat(), "card full"]]}
    took(store, START + HOUR)

    took(store, *every(DAY, START, last))
    found = effort(store, deployment(details=full))

    assert gaps(found) == [("unknown", last, since), ("failed", since, END)]
    assert found.gaps[1].why == "card full"


def test_a_deployment_that_has_not_begun_has_no_effort(store):
    found = effort(store, now=START - DAY)

    assert (found.days, found.trap_nights, found.gaps) == (0, 0, ())


def test_months_add_up_to_the_whole_also_over_a_change_of_clocks():
    start = datetime(2026, 3, 15, 22, tzinfo=UTC)
    whole = Effort(
        "a",
        "cam-1",
        start,
        start + 60 * DAY,
        "Europe/Madrid",
        (Gap(start + 10 * DAY, start + 20 * DAY, "failed"), Gap(start + 59 * DAY, start + 60 * DAY, "unknown")),
    )

    months = dict(whole.by_month())

    assert [month.isoformat() for month in months] == ["2026-03-01", "2026-04-01", "2026-05-01"]
    for name in ("trap_nights", "active_nights", "days", "failed_days", "unknown_days"):
        assert sum(getattr(each, name) for each in months.values()) == pytest.approx(getattr(whole, name))
    # the whole ends at 00:00 summer time, an hour earlier than it began: one midnight more
    assert (months[min(months).replace(month=4)].trap_nights, whole.trap_nights) == (30, 61)


def test_a_frame_belongs_to_the_deployment_whose_time_holds_it():
    first = deployment()
    second = deployment(id="cam-1:2", started_at=END, ended_at=None)
    stood = Deployed([second, first, deployment(id="x", station="cam-2")])

    found = [stood.at("cam-1", at) for at in (START, END - HOUR, END, LATER, START - timedelta(microseconds=1), None)]

    assert found == [first, first, second, second, None, None]
    assert Deployed([first]).at("cam-1", END + timedelta(milliseconds=400)) is first
    assert stood.at("cam-3", END) is None


def test_efforts_are_worked_out_for_those_that_are_asked_for(store):
    given = {"cam-1:1": deployment(timezone="UTC"), "b": deployment(id="b", station="cam-2")}
    took(store, START, END, station="cam-2")

    efforts = EffortByDeployment(store, given, lambda _station: BOGOTA, LATER)

    assert list(efforts) == ["cam-1:1", "b"]
    assert (efforts["cam-1:1"].zone, efforts["b"].zone) == ("UTC", BOGOTA)
    assert efforts["b"].frames == 2
    assert json.dumps([gap.why for gap in efforts["cam-1:1"].gaps]) == '["no frame, and nothing else tells"]'
