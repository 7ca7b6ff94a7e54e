"""A camera's clock put right: what a person knows → a correction → the times of frames and encounters; and back."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select

from edge.camera_clock import Correction, corrected, read_face
from edge.clock import SteppedClock
from edge.errors import FatalError
from edge.fieldwork.clock_desk import correction_json
from edge.fieldwork.clocks import Known, for_deployment, from_known, from_zone, read_known, read_offset
from edge.model import CaptureTime, Outcome
from edge.pipeline.housekeeping import handlers
from edge.store import clocks, encounters
from edge.store.encounters import Match
from edge.store.imports import Finished, add_finished
from edge.store.schema import audit, frames
from edge.store.sql import Store
from edge.testing import spooled_frame

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SET = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
BOGOTA = "America/Bogota"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_one_known_instant_gives_an_offset_also_for_a_clock_of_1970() -> None:
    known = read_known("1970-01-03 04:05:06=2026-11-22T10:00:00", timezone=BOGOTA)

    found = from_known("s", [known])

    assert corrected(at("1970-01-03T09:05:07"), "", [found]) == at("2026-11-22T15:00:01")
    assert found.drift_s_per_day == 0


def test_two_known_instants_give_the_drift_and_both_hold() -> None:
    pair = [Known(SET, SET + timedelta(seconds=10)), Known(SET + 100 * DAY, SET + 100 * DAY - timedelta(seconds=290))]

    found = from_known("s", pair)

    assert [corrected(each.camera, "", [found]) for each in pair] == [each.real for each in pair]
    assert found.drift_s_per_day == pytest.approx(-3)
    assert corrected(SET + 50 * DAY, "", [found]) == SET + 50 * DAY - timedelta(seconds=140)


def test_known_instants_hold_on_top_of_what_was_corrected_before() -> None:
    before = [Correction("s", offset_s=500), Correction("s", timezone="UTC")]
    known = read_known("2026-03-01T08:00:00=2026-03-01T09:00:00", timezone=BOGOTA)

    after = from_known("s", [known], already=before)

    assert corrected(known.camera.astimezone(UTC), known.face, [*before, after]) == known.real


@pytest.mark.parametrize("apart", [timedelta(0), timedelta(minutes=30)])
def test_two_instants_that_are_close_are_refused(apart: timedelta) -> None:
    with pytest.raises(ValueError, match="an hour apart"):
        from_known("s", [Known(SET, SET), Known(SET + apart, SET + apart)])


def test_a_drift_that_no_clock_has_is_refused() -> None:
    with pytest.raises(ValueError, match="no clock's"):
        from_known("s", [Known(SET, SET), Known(SET + DAY, SET + 3 * DAY)])


@pytest.mark.parametrize(
    ("zone", "utc"),
    [
        ("Europe/Madrid", "2026-07-01T06:00:00.500000"),
        ("+01:00", "2026-07-01T07:00:00.500000"),  # it kept winter's time
        ("UTC-5", "2026-07-01T13:00:00.500000"),
    ],
)
def test_a_clock_of_another_zone_or_season_is_read_anew(zone: str, utc: str) -> None:
    said = at("2026-07-01T13:00:00.500000")

    assert corrected(said, "2026:07:01 08:00:00", [from_zone("s", zone)]) == at(utc)


def test_of_several_zones_the_last_counts_and_offsets_come_on_top() -> None:
    made = [from_zone("s", "+03:00"), Correction("s", offset_s=60), from_zone("s", "+02:00")]

    assert corrected(at("2026-07-01T08:00:00"), "2026:07:01 08:00:00", made) == at("2026-07-01T06:01:00")


@pytest.mark.parametrize("original", ["", "2026:07:01 08:00:00 +05:00", "nonsense"])
def test_a_text_that_says_no_time_or_its_own_zone_is_not_read_anew(original: str) -> None:
    assert corrected(NOW, original, [from_zone("s", "+03:00")]) == NOW


def test_a_correction_is_for_its_time_only() -> None:
    some = Correction("s", since=SET, until=SET + DAY, offset_s=3600)

    changed = [corrected(SET + days * DAY, "", [some]) != SET + days * DAY for days in (-1, 0, 1, 2)]

    assert changed == [False, True, True, False]


@given(said=st.datetimes(timezones=st.just(UTC)), offset=st.floats(-1e12, 1e12), drift=st.floats(-1e6, 1e6))
def test_no_correction_breaks_the_calendar(said: datetime, offset: float, drift: float) -> None:
    assert corrected(said, "", [Correction("s", offset_s=offset, anchor=SET, drift_s_per_day=drift)]).tzinfo


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("+1h", 3600), ("-90s", -90), ("1d2h30m", 95_400), ("-01:30:00", -5400), ("3600", 3600), ("+5:30", 19_800)],
)
def test_an_offset_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert read_offset(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "1h30", "nan", "inf", "1:2:3:4", "h", "99999999999999d"])
def test_a_wrong_offset_says_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match="write an offset such as"):
        read_offset(text)


@pytest.mark.parametrize(
    "text", ["2026:13:01 00:00:00", "0000:00:00 00:00:00", "2026:01:01", "", "2026:01:01 24:00:00"]
)
def test_no_moment_is_made_of_nonsense(text: str) -> None:
    assert read_face(text) is None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(f"sqlite:///{tmp_path}/tigrillo.sqlite") as opened:
        yield opened


def spool(store: Store, count: int, *, first: int = 0, station: str = "s") -> None:
    rows = []
    for number in range(first, first + count):
        taken = SET + number * timedelta(hours=1)
        text = taken.astimezone().strftime("%Y:%m:%d %H:%M:%S")
        captured = CaptureTime(taken, text, "UTC", "exif")
        frame = replace(spooled_frame(), station=station, id=f"f{number}", captured=captured, received_at=NOW)
        rows.append((frame, 0))
    store.add_frames(rows)


def times(store: Store, station: str = "s") -> list[datetime]:
    with store.transaction() as connection:
        query = select(frames.c.captured_utc).where(frames.c.station == station).order_by(frames.c.pk)
        return list(connection.scalars(query))


def correct(store: Store, new: Correction) -> int:
    with store.transaction() as connection:
        pk = clocks.add(connection, new, why="watch", who="ana", now=NOW)
    clocks.recount(store, new.station, began=NOW)
    return pk


def test_a_correction_moves_frames_and_its_undoing_moves_them_back(store: Store) -> None:
    spool(store, 5)
    spool(store, 2, station="other")
    before, others = times(store), times(store, "other")

    pk = correct(store, Correction("s", since=SET + timedelta(hours=2), offset_s=3600))

    assert [new - old for new, old in zip(times(store), before, strict=True)] == [
        timedelta(hours=each > 1) for each in range(5)
    ]
    assert times(store, "other") == others
    with store.transaction() as connection:
        known = clocks.find(connection, pk)
        assert known
        assert clocks.undo(connection, known, who="ben", now=NOW)
        assert clocks.undo(connection, known, who="ben", now=NOW) is False
        assert clocks.unfinished(connection) == ["s"]
    clocks.recount(store, "s", began=NOW)
    assert times(store) == before
    with store.transaction() as connection:
        assert clocks.unfinished(connection) == []
        noted = connection.execute(select(audit.c.action, audit.c.who, audit.c.subject).order_by(audit.c.pk)).all()
        (told,) = clocks.history(connection)
    assert [tuple(each) for each in noted] == [("clock.correct", "ana", "s"), ("clock.undo", "ben", "s")]
    assert (told.made_by, told.undone_by, told.why) == ("ana", "ben", "watch")


def test_what_arrives_after_a_correction_gets_it_and_keeps_what_was_said(store: Store) -> None:
    correct(store, Correction("s", offset_s=3600))

    spool(store, 1)

    assert times(store) == [SET + timedelta(hours=1)]
    claimed = store.claim_next(NOW)
    assert claimed
    assert claimed.captured.utc == SET + timedelta(hours=1)
    with store.transaction() as connection:
        assert connection.scalar(select(frames.c.said_utc)) == SET


def test_what_is_imported_after_a_correction_gets_it_too(store: Store) -> None:
    correct(store, Correction("s", offset_s=3600))
    frame = replace(spooled_frame(), station="s", id="i", captured=CaptureTime(SET, "", "UTC", "exif"))

    results = add_finished(store, [Finished(Outcome(frame, (), 1, 1), {})], now=NOW)

    assert results == ["new"]
    assert times(store) == [SET + timedelta(hours=1)]


def test_whether_a_frame_came_late_follows_its_right_time(store: Store) -> None:
    correct(store, Correction("s", offset_s=(NOW - SET).total_seconds() - 60))

    spool(store, 1)

    with store.transaction() as connection:
        assert connection.scalar(select(frames.c.late)) is False


def test_a_recount_that_was_cut_short_is_finished_by_the_next(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "BATCH", 3)
    spool(store, 10)
    before = times(store)
    with store.transaction() as connection:
        clocks.add(connection, Correction("s", offset_s=60), why="", who="ana", now=NOW)

    assert clocks.recount(store, "s", began=NOW, batches=2).changed == 6
    with store.transaction() as connection:
        assert clocks.unfinished(connection) == ["s"]
    counted = clocks.recount(store, "s", began=NOW)

    assert (counted.frames, counted.changed) == (10, 4)
    assert times(store) == [each + timedelta(minutes=1) for each in before]


def test_encounters_begin_and_end_with_their_frames(store: Store) -> None:
    spool(store, 3)
    with store.transaction() as connection:
        met = encounters.open_encounter(
            connection, station="s", category="animal", lineage=(), at=SET, now=NOW, frame_pk=1, number=0, quality=1.0
        )
        for pk in (1, 2, 3):
            encounters.add_match(connection, Match(pk, met.pk, "any", "opened", 0, []), quality=1.0)

    correct(store, Correction("s", offset_s=DAY.total_seconds()))

    with store.transaction() as connection:
        moved = encounters.by_pk(connection, met.pk)
    assert moved
    assert (moved.started_at, moved.last_at) == (SET + DAY, SET + DAY + timedelta(hours=2))


def test_frames_are_read_in_the_order_of_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "BATCH", 2)
    spool(store, 3, first=4)
    spool(store, 4)
    with store.transaction() as connection:
        connection.execute(insert(frames).values(_unknown(connection)))

    read = list(clocks.frames_of(store, "s", since=SET + timedelta(hours=1)))

    assert [each.said for each in read] == [SET + timedelta(hours=each) for each in range(1, 7)]


def _unknown(connection: object) -> dict[str, object]:
    """The row of a frame whose time nobody knows."""
    row = connection.execute(select(frames).limit(1)).mappings().one()  # type: ignore[attr-defined]  # because a test
    kept = {name: value for name, value in row.items() if name != "pk"}
    return {**kept, "id": "unknown", "captured_utc": None, "said_utc": None}


@pytest.mark.parametrize(
    "new",
    [
        Correction("s", offset_s=-3600),
        Correction("s", offset_s=10, anchor=SET - 30 * DAY, drift_s_per_day=-3),
        from_zone("s", "America/Mexico_City"),
    ],
)
def test_a_deployments_frames_are_those_really_taken_in_it(new: Correction) -> None:
    mine = for_deployment(new, SET, SET + DAY, timezone=BOGOTA)

    assert mine.since
    assert mine.until
    for said, real in ((mine.since, SET), (mine.until, SET + DAY)):
        text = said.astimezone(ZoneInfo(BOGOTA)).strftime("%Y:%m:%d %H:%M:%S")
        assert abs(corrected(said, text, [new]) - real) < timedelta(seconds=1)


def test_the_daemon_does_what_a_command_asks_for_and_twice_is_once(store: Store) -> None:
    spool(store, 4)
    before = times(store)
    does = handlers(store, SteppedClock(NOW))

    def ask(what: str, values: dict[str, object]) -> Mapping[str, object]:
        return json.loads(json.dumps(dict(does[what](json.loads(json.dumps(values))))))  # type: ignore[no-any-return]

    new = correction_json(Correction("s", since=SET, offset_s=60), why="watch", who="ana", now=NOW)
    assert [ask("clock.correct", new)["correction"] for _ in range(2)] == [1, 1]
    values: dict[str, object] = {"station": "s", "began": NOW.isoformat()}
    values |= ask("clock.recount", values)
    assert (values["changed"], values["done"]) == (4, True)
    assert times(store) == [each + timedelta(minutes=1) for each in before]

    undoing: dict[str, object] = {"correction": 1, "who": "ben", "now": NOW.isoformat()}
    assert [ask("clock.undo", undoing)["station"] for _ in range(2)] == ["s", "s"]
    with pytest.raises(FatalError, match="already"):
        ask("clock.undo", {**undoing, "now": (NOW + DAY).isoformat()})
