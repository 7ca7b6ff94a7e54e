"""What sequences, days and tallies say of a record, and how they are kept right."""

import json
import threading
from datetime import timedelta

import pytest

from edge.errors import StoreBusy
from edge.services import Station
from edge.store.web_schema import days, stale_days, summary_state, tallies
from edge.summaries.now import sequence_now
from tests.summary_rig import CAT, OCELOT, PUMA, START, Record


@pytest.fixture
def record(tmp_path):
    made = Record(f"sqlite:///{tmp_path / 'site.sqlite'}")
    yield made
    made.close()


def burst(record, count=3, *, at=START, boxes=(("animal", PUMA, 0.8),), step=3, **columns):
    return [record.frame(at=at + timedelta(seconds=number * step), boxes=boxes, **columns) for number in range(count)]


def test_a_sequence_says_what_its_frames_show(record):
    first = record.frame(boxes=[("animal", CAT, 0.7)])
    record.frame(at=START + timedelta(seconds=3), boxes=[("animal", PUMA, 0.8), ("animal", PUMA, 0.6)])
    record.frame(at=START + timedelta(seconds=6))

    record.settle()

    [row] = record.sequences()
    assert (row["pk"], row["frames"], row["shown_kind"], row["shown_taxon"]) == (first, 3, "animal", PUMA)
    assert (row["count"], row["score"], row["unreviewed"], row["disagrees"]) == (2, 0.8, 3, False)
    assert (row["station"], row["bucket"], row["started_at"]) == ("north", "2026-03-01", START)


def test_the_picture_that_shows_it_best_is_the_one_with_the_largest_sure_box(record):
    record.frame(boxes=[("animal", PUMA, 0.9, 0, 0.1)])
    best = record.frame(at=START + timedelta(seconds=3), boxes=[("animal", PUMA, 0.8, 7, 0.5)])

    record.settle()

    [row] = record.sequences()
    assert (row["best_frame_pk"], row["best_number"]) == (best, 7)


def test_a_person_is_believed_before_the_machine_until_it_is_undone(record):
    frames = burst(record)
    said = [record.review(each, "animal", OCELOT, count=2) for each in frames]
    record.settle()
    [row] = record.sequences()
    assert (row["taxon"], row["shown_taxon"], row["count"]) == (PUMA, OCELOT, 2)
    assert (row["unreviewed"], row["disagrees"]) == (0, True)
    assert record.tally("north", "", OCELOT) == (1, 3, 2)
    assert record.tally("north", "", PUMA) is None

    for each in said:
        record.undo(each)
    record.settle()

    [row] = record.sequences()
    assert (row["shown_taxon"], row["unreviewed"], row["disagrees"]) == (PUMA, 3, False)
    assert record.tally("north", "", PUMA) == (1, 3, 1)
    assert record.tally("north", "", OCELOT) is None


@pytest.mark.parametrize(
    ("kind", "taxon", "shown", "disagrees"),
    [
        ("blank", "", ("blank", ""), True),
        ("human", "", ("human", ""), True),
        ("unknown", "", ("animal", ""), False),
        ("animal", CAT, ("animal", CAT), False),  # coarser, but the same
        ("animal", OCELOT, ("animal", OCELOT), True),
    ],
)
def test_what_a_person_said_of_a_frame_is_what_it_shows(record, kind, taxon, shown, disagrees):
    [frame] = burst(record, 1)
    record.review(frame, kind, taxon)

    record.settle()

    [row] = record.sequences()
    assert (row["shown_kind"], row["shown_taxon"]) == shown
    assert row["disagrees"] is disagrees


def test_what_is_said_of_a_box_counts_beside_the_others_of_its_frame(record):
    frame = record.frame(boxes=[("animal", PUMA, 0.8), ("animal", OCELOT, 0.7)])
    record.review(frame, "blank", box=record.boxes(frame)[0])

    record.settle()

    [row] = record.sequences()
    assert (row["shown_taxon"], row["disagrees"]) == (OCELOT, True)


def test_what_is_said_of_the_whole_frame_later_counts_before_what_was_said_of_a_box(record):
    frame = record.frame(boxes=[("animal", PUMA, 0.8)])
    record.review(frame, "animal", OCELOT, box=record.boxes(frame)[0])
    record.review(frame, "blank")

    record.settle()

    assert record.sequences()[0]["shown_kind"] == "blank"


def test_imported_answers_of_one_frame_stand_together(record):
    frame = record.frame(boxes=[("animal", CAT, 0.8)])
    for taxon in (PUMA, OCELOT):
        record.review(frame, "animal", taxon, details={"camtrap": {"observationID": taxon}, "lineage": []})

    record.settle()

    assert record.tally("north", "", PUMA) == record.tally("north", "", OCELOT) == (1, 1, 1)


def test_a_thumbnail_is_not_listed_beside_its_full_frame(record):
    thumbnail = record.frame()
    full = record.frame(at=START + timedelta(minutes=5))
    record.settle()
    assert [each["pk"] for each in record.sequences()] == [thumbnail, full]

    record.change(thumbnail, full_pk=full)
    record.settle()

    assert [each["pk"] for each in record.sequences()] == [full]


def test_frames_that_are_not_recorded_are_not_listed(record):
    record.frame(state="spooled")
    record.frame(state="quarantined")

    record.settle()

    assert record.sequences() == []


def test_an_animal_that_stays_is_one_event_and_counts_where_it_begins(record):
    zone_midnight = START.replace(hour=6) + timedelta(days=1)  # in Mexico City
    for minutes in (-25, -5, 15, 35):
        burst(record, 2, at=zone_midnight + timedelta(minutes=minutes))

    record.settle()

    assert record.tally("north", "2026-03-01", PUMA) == (1, 4, 1)
    assert record.tally("north", "2026-03-02", PUMA) == (0, 4, 0)
    assert record.tally("north", "2026-03", PUMA) == record.tally("", "", PUMA) == (1, 8, 1)
    [month] = record.rows(tallies, tallies.c.station == "north", tallies.c.period == "2026-03")
    assert month["hours"][23] == sum(month["hours"]) == 1


def test_sums_are_over_stations_months_and_all_time(record):
    burst(record, 1)
    burst(record, 1, at=START + timedelta(days=1), station="south")
    burst(record, 1, at=START + timedelta(days=40), station="south")

    record.settle()

    assert record.tally("", "2026-03", PUMA) == (2, 2, 2)
    assert record.tally("", "", PUMA) == (3, 3, 3)
    assert record.tally("south", "", PUMA) == (2, 2, 2)
    [row] = record.rows(tallies, tallies.c.station == "", tallies.c.period == "")
    assert (row["first_at"], row["last_at"]) == (START, START + timedelta(days=40))


def test_the_first_time_of_a_sum_moves_on_when_the_first_frame_is_something_else(record):
    [first] = burst(record, 1)
    burst(record, 1, at=START + timedelta(days=40))
    record.settle()

    record.review(first, "blank")
    record.settle()

    [row] = record.rows(tallies, tallies.c.station == "", tallies.c.period == "", tallies.c.taxon == PUMA)
    assert row["first_at"] == START + timedelta(days=40)


def test_a_day_counts_its_frames_by_what_they_show(record):
    burst(record, 2)
    record.frame(at=START + timedelta(hours=1))
    record.frame(at=START + timedelta(hours=2), boxes=[("person", "", 0.9), ("vehicle", "", 0.9)], people=True)

    record.settle()

    [row] = record.rows(days)
    names = ("day", "frames", "sequences", "blanks", "animals", "humans", "vehicles", "unreviewed")
    assert [row[name] for name in names] == ["2026-03-01", 4, 3, 1, 2, 1, 1, 4]


def test_a_frame_of_unknown_time_is_listed_by_when_it_came_and_is_no_event(record):
    record.frame(at=None, boxes=[("animal", PUMA, 0.9)], received_at=START)

    record.settle()

    [row] = record.sequences()
    assert (row["timed"], row["started_at"]) == (False, START)
    assert record.tally("north", "", PUMA) == (0, 1, 0)


@pytest.mark.parametrize(
    ("hour", "infrared", "place", "night"),
    [
        (6, None, None, True),  # 0 h in Mexico City
        (18, None, None, False),
        (18, True, None, True),
        (18, True, (19.4, -99.1), False),  # the sun knows better
        (7, False, (19.4, -99.1), True),
    ],
)
def test_night_is_by_the_sun_else_by_the_picture_else_by_the_clock(record, hour, infrared, place, night):
    if place:
        record.stations["north"] = Station("north", "America/Mexico_City", *place)
    record.frame(at=START.replace(hour=hour), infrared=infrared)

    record.settle()

    assert record.sequences()[0]["night"] is night


def test_a_change_that_comes_while_a_day_is_made_is_not_lost(record, monkeypatch):
    burst(record, 1)
    summariser = record.summariser()
    write = type(summariser)._write

    def slowly(self, pending):
        if pending and record.number == 1:
            burst(record, 1, at=START + timedelta(hours=1))  # after it was read, before it is written
        return write(self, pending)

    monkeypatch.setattr(type(summariser), "_write", slowly)
    summariser.refresh()
    assert len(record.stale()) == 1

    record.settle(summariser)

    assert len(record.sequences()) == 2


def test_the_newest_day_is_made_first(record, monkeypatch):
    monkeypatch.setattr("edge.summaries.work.TAKEN", 1)
    burst(record, 1)
    today = START + timedelta(days=300)
    burst(record, 1, at=today, station="south")

    record.summariser().refresh()

    assert [each["started_at"] for each in record.sequences()] == [today]


def test_making_a_day_twice_changes_nothing(record):
    burst(record, 3)
    record.settle()
    before = record.everything()

    assert record.from_nothing() == before


def test_another_zone_makes_a_stations_days_anew(record):
    burst(record, 1, at=START.replace(hour=3))
    summariser = record.summariser()
    assert summariser.check_settings() == 0
    record.settle(summariser)
    assert [each["day"] for each in record.rows(days)] == ["2026-02-28"]

    record.stations["north"] = Station("north", "Asia/Tokyo")
    assert summariser.check_settings() == 1
    record.settle(summariser)

    assert [each["day"] for each in record.rows(days)] == ["2026-03-01"]
    assert record.tally("", "2026-02", PUMA) is None
    assert summariser.check_settings() == 0
    assert json.loads(record.rows(summary_state)[0]["value"])["north"][0] == "Asia/Tokyo"


def test_an_answer_is_in_the_list_at_once_and_in_the_sums_later(record):
    frames = burst(record, 3)
    record.settle()
    record.review(frames[0], "animal", OCELOT)

    with record.store.transaction() as connection:
        found = sequence_now(connection, frames[:1])

    [row] = record.sequences()
    assert (row["shown_taxon"], row["unreviewed"], row["disagrees"]) == (OCELOT, 2, True)
    assert found[row["pk"]]["shown_taxon"] == OCELOT
    assert record.tally("north", "", OCELOT) is None
    record.settle()
    assert record.tally("north", "", OCELOT) == (1, 1, 1)


def test_a_busy_day_is_not_made_again_each_second(record, monkeypatch):
    burst(record, 1)
    summariser = record.summariser()
    make = type(summariser)._make

    def slowly(self, marks):
        record.clock.step(1.0)
        return make(self, marks)

    monkeypatch.setattr(type(summariser), "_make", slowly)
    assert summariser.refresh() == 1
    burst(record, 1, at=START + timedelta(hours=1))

    assert summariser.refresh() == 0
    record.clock.step(11)
    assert summariser.refresh() == 1


def test_a_database_that_is_busy_for_a_moment_does_not_end_the_thread(record, monkeypatch):
    burst(record, 1)
    monkeypatch.setattr("edge.summaries.work.BUSY_S", 0.01)
    fails, read = [StoreBusy("database: locked")] * 3, record.readers.read

    def sometimes():
        if fails:
            raise fails.pop()
        return read()

    monkeypatch.setattr(record.readers, "read", sometimes)

    run_until_settled(record)

    assert len(record.sequences()) == 1
    assert [event for event, _fields in record.log.said] == ["summaries.failed"] * 3


def test_the_thread_makes_what_is_stale_and_ends_when_it_is_told(record):
    burst(record, 1)

    run_until_settled(record)

    assert len(record.sequences()) == 1


def run_until_settled(record):
    """Run the thread until nothing is stale; it ends when it is told to."""
    stop = threading.Event()
    thread = threading.Thread(target=record.summariser().run, args=(stop,))
    thread.start()
    for _try in range(500):
        if record.rows(stale_days) == []:
            break
        stop.wait(0.01)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
