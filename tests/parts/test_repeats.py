"""Suspects: found in the record, suppressed by one answer, ignored by alerts and exports, and all of it taken back."""

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from sqlalchemy import insert, select
from typer.testing import CliRunner

from edge.alerts.because import tell
from edge.alerts.explain import explain
from edge.alerts.rules import Rule
from edge.cli import app
from edge.clock import SteppedClock
from edge.daemon import only_one
from edge.errors import FatalError
from edge.fakes import MemoryLog
from edge.media.opener import FileMedia
from edge.model import Answer, Detection
from edge.pipeline.housekeeping import handlers
from edge.pipeline.requests import Requests, ask
from edge.repeats.keeping import as_json, decide, from_json, keep_found, look_for_repeats
from edge.repeats.sheet import TILE_PX, Shot, contact_sheet
from edge.store import harvest
from edge.store import suspects as rows
from edge.store.schema import audit, deployments, frames, observations
from tests.alert_rig import JAGUAR, PUMA, Rig

FIRST = datetime(2026, 6, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PLACE = (0.4, 0.6, 0.1, 0.08)
STONE = Detection("animal", 0.6, PLACE)
ELSEWHERE = Detection("animal", 0.9, (0.1, 0.1, 0.3, 0.3))
ANY = Rule(name="any", category="animal", channels=("mail",))
SITE = "site: {name: La Palmita}\nstate_dir: .\n"


@pytest.fixture
def rig(tmp_path):
    made = Rig(tmp_path, (ANY,), clock=SteppedClock(FIRST))
    made.hurry()
    yield made
    made.store.close()


def let_days_pass(rig, days, *detections, a_day=1):
    """So many frames on each of these days, each with these."""
    for _frame in range(days * a_day):
        rig.see(*detections)
        rig.clock.step(24 * 3600 / a_day)


def find(rig, station="ridge"):
    for found in look_for_repeats(rig.store, station, "UTC"):
        keep_found(rig.store, from_json(json.loads(json.dumps(as_json(found)))), now=rig.clock.now())
    return suspects(rig)


def suspects(rig):
    with rig.store.transaction() as connection:
        return rows.listed(connection)


def answer(rig, what, *pks, who="ana"):
    return decide(rig.store, pks, what, who=who, why="", now=rig.clock.now())


def exported(rig, **options):
    outcomes = harvest.outcomes(rig.store, harvest.Span(), ["ridge"], **options)
    return [detection for outcome in outcomes for detection in outcome.detections()]


@pytest.fixture
def suppressed(rig):
    """A stone of ten days that ana suppressed."""
    let_days_pass(rig, 10, STONE)
    (stone,) = find(rig)
    answer(rig, "suppress", stone.pk)
    return stone.pk


def test_what_is_found_is_a_row_and_counts_until_somebody_answers(rig):
    let_days_pass(rig, 10, STONE, ELSEWHERE)
    (found, other) = find(rig)

    assert {found.state, other.state} == {"suspect"}
    assert (found.frames, found.days, found.first_at) == (10, 10, FIRST)
    assert len(exported(rig)) == 20


def test_a_suppressed_repeat_is_left_out_of_exports_unless_it_is_asked_for(rig, suppressed):
    rig.see(ELSEWHERE)

    assert exported(rig) == [ELSEWHERE]
    assert len(exported(rig, suppressed=True)) == 11
    assert sum(1 for _ in harvest.outcomes(rig.store, harvest.Span(), ["ridge"])) == 11  # its frames are blank


def test_alerts_ignore_it_from_then_on_and_explain_says_why(rig, suppressed):
    before = len(rig.rows())
    rig.clock.step(3600)
    recorded = rig.store.outcome(rig.see(STONE).spooled.pk)
    with rig.store.transaction() as connection:
        (group,) = explain(rig.desk, connection, recorded)

    assert len(rig.rows()) == before
    ((rule,),) = [group.rules]
    assert not rule.holds
    (line,) = [tell(each, "en") for each in rule.because]
    assert line == f"suppressed repeat: it is suspect {suppressed}, which ana suppressed on 2026-06-11"


def test_what_stands_elsewhere_in_the_same_picture_is_told(rig, suppressed):
    rig.clock.step(3600)
    seen = rig.see(STONE, ELSEWHERE)

    assert rig.rows()[-1].detection == ELSEWHERE
    with rig.store.transaction() as connection:
        assert [(number, index) for number, index, _ in rows.suppressed_in(connection, seen.spooled.pk)] == [(0, 0)]


def test_an_animal_that_is_surely_named_is_told_also_when_it_stands_there(rig, suppressed):
    rig.clock.step(3600)
    rig.see(Detection("animal", 0.9, PLACE, answer=Answer(JAGUAR, 0.95)))

    assert rig.rows()[-1].detection.answer.taxon == JAGUAR


def test_a_stone_that_was_always_taken_for_a_puma_is_not_told_as_one(rig):
    puma = Detection("animal", 0.5, PLACE, answer=Answer(PUMA, 0.9))
    let_days_pass(rig, 10, puma, a_day=6)  # at all hours, as a stone is
    (stone,) = find(rig)
    answer(rig, "suppress", stone.pk)
    before = len(rig.rows())
    rig.clock.step(3600)

    rig.see(puma)

    assert len(rig.rows()) == before


def test_a_person_who_stands_there_is_told(rig, suppressed):
    rig.desk = type(rig.desk)(
        (Rule(name="people", category="person", channels=("mail",)),), rig.directory, {}, rig.settings
    )
    rig.see(Detection("person", 0.6, PLACE))

    assert rig.rows()[-1].rule == "people"


def test_undo_makes_everything_count_again(rig, suppressed):
    rig.clock.step(3600)
    later = rig.see(STONE)
    assert exported(rig) == []

    answer(rig, "undo", suppressed, who="beto")

    assert len(exported(rig)) == 11
    recorded = rig.store.outcome(later.spooled.pk)
    with rig.store.transaction() as connection:
        (group,) = explain(rig.desk, connection, recorded)
        told = connection.execute(select(audit.c.who, audit.c.action, audit.c.subject).order_by(audit.c.pk)).all()
    assert group.rules[0].holds
    assert told == [
        ("ana", "repeats.suppress", f"suspect {suppressed}"),
        ("beto", "repeats.undo", f"suspect {suppressed}"),
    ]
    assert (suspects(rig)[0].state, suspects(rig)[0].decided_by) == ("suspect", "")


def test_found_again_it_is_brought_up_to_date_and_the_decision_stays(rig, suppressed):
    let_days_pass(rig, 5, STONE)

    (again,) = find(rig)

    assert (again.pk, again.state, again.frames, again.days) == (suppressed, "suppressed", 15, 15)
    assert exported(rig) == []


def test_one_that_is_kept_counts_and_is_not_forgotten(rig):
    let_days_pass(rig, 10, STONE)
    (stone,) = find(rig)

    answer(rig, "keep", stone.pk)

    assert [each.state for each in find(rig)] == ["kept"]
    assert len(exported(rig)) == 10


def test_a_suspect_that_is_no_longer_found_is_forgotten_unless_somebody_decided(rig):
    let_days_pass(rig, 10, STONE)
    find(rig)
    with rig.store.transaction() as connection:  # its boxes turn out to be of four days: clocks were put right
        of_late = select(frames.c.pk).where(frames.c.captured_utc >= FIRST + 4 * DAY)
        connection.execute(frames.update().where(frames.c.pk.in_(of_late)).values(captured_utc=FIRST))

    assert find(rig) == []
    with rig.store.transaction() as connection:
        assert connection.scalar(select(observations.c.pk).where(observations.c.suspect_pk.is_not(None))) is None


def test_it_holds_for_its_deployment_alone(rig):
    with rig.store.transaction() as connection:
        for name, start, end in (("spring", FIRST, FIRST + 12 * DAY), ("summer", FIRST + 12 * DAY, None)):
            of_it = {"id": name, "station": "ridge", "started_at": start, "ended_at": end, "created_at": FIRST}
            connection.execute(insert(deployments).values(**of_it))
    let_days_pass(rig, 10, STONE)
    (stone,) = find(rig)
    answer(rig, "suppress", stone.pk)

    same = rig.see(STONE)
    rig.clock.step(3 * DAY.total_seconds())
    moved = rig.see(STONE)

    with rig.store.transaction() as connection:
        marked = [bool(rows.suppressed_in(connection, each.spooled.pk)) for each in (same, moved)]
    assert (stone.deployment, marked) == ("spring", [True, False])


def test_it_lapses_when_it_was_missing_on_thirty_days_with_pictures(rig, suppressed):
    let_days_pass(rig, 25)
    still = rig.see(STONE)
    let_days_pass(rig, 35)
    lapsed = rig.see(STONE)

    with rig.store.transaction() as connection:
        marked = [bool(rows.suppressed_in(connection, each.spooled.pk)) for each in (still, lapsed)]
    assert marked == [True, False]


def test_it_does_not_lapse_while_the_camera_is_out(rig, suppressed):
    rig.clock.step(60 * DAY.total_seconds())
    seen = rig.see(STONE)

    with rig.store.transaction() as connection:
        assert rows.suppressed_in(connection, seen.spooled.pk)


def test_other_stations_are_not_touched(rig, suppressed):
    seen = rig.see(STONE, station="hill")

    with rig.store.transaction() as connection:
        assert rows.suppressed_in(connection, seen.spooled.pk) == []


def test_a_frame_shows_no_people_when_its_only_person_is_a_suppressed_post(rig):
    let_days_pass(rig, 10, Detection("person", 0.6, PLACE))
    with rig.store.transaction() as connection:
        connection.execute(frames.update().values(people=True))
    (post,) = find(rig)

    def shows_people():
        with rig.store.transaction() as connection:
            return set(connection.scalars(select(frames.c.people)))

    answer(rig, "suppress", post.pk)
    assert shows_people() == {False}
    answer(rig, "undo", post.pk)
    assert shows_people() == {True}


def test_a_number_that_is_none_changes_nothing(rig, suppressed):
    with pytest.raises(FatalError, match="no suspect 99"):
        answer(rig, "undo", suppressed, 99)

    assert suspects(rig)[0].state == "suppressed"


def test_the_daemon_takes_in_what_a_command_asks_while_it_runs(rig):
    let_days_pass(rig, 10, STONE)
    (stone,) = find(rig)
    requests = Requests(rig.folder, handlers(rig.store, rig.clock), MemoryLog())
    values = {"what": "suppress", "pks": [stone.pk], "who": "ana", "why": "a root"}
    stop = threading.Event()

    def daemon():
        while not stop.wait(0.02):
            requests.take_in()

    running = threading.Thread(target=daemon)
    running.start()
    try:
        said = ask(rig.folder, "repeats.decide", values, wait_s=10)
        with pytest.raises(FatalError, match="no suspect 99"):
            ask(rig.folder, "repeats.decide", values | {"pks": [99]}, wait_s=10)
    finally:
        stop.set()
        running.join()

    assert said == {"suspects": [stone.pk]}
    assert suspects(rig)[0].state == "suppressed"
    assert list((rig.folder / "requests").iterdir()) == []


def test_a_file_that_is_no_request_is_put_away(rig):
    log = MemoryLog()
    folder = rig.folder / "requests"
    folder.mkdir()
    (folder / "1.json").write_text("{not json")
    (folder / "2.json").write_text('{"what": "rm", "values": {}}')

    Requests(rig.folder, handlers(rig.store, rig.clock), log).take_in()

    assert sorted(path.name for path in folder.iterdir()) == ["1.refused", "2.refused"]
    assert [event for _level, event, _fields in log.entries] == ["request.refused"] * 2


def picture(path: Path, colour) -> Path:
    assert cv2.imwrite(str(path), np.full((240, 320, 3), colour, np.uint8))
    return path


def test_a_contact_sheet_shows_each_picture_and_says_which_are_gone(tmp_path):
    shots = [
        Shot(picture(tmp_path / "green.png", (0, 200, 0)), "still", 0, FIRST, PLACE),
        Shot(tmp_path / "gone.jpg", "still", 0, FIRST + DAY, PLACE),
    ]

    made = contact_sheet(FileMedia(), shots, category="animal")

    tiles = simplejpeg.decode_jpeg(made.jpeg, "BGR")
    assert (made.shown, made.gone) == (1, 1)
    assert tiles.shape[1] > 2 * TILE_PX
    assert abs(int(tiles[40, 40, 1]) - 200) < 10  # the green one comes first
    assert np.ptp(tiles[40, TILE_PX + 40].astype(int)) < 10  # grey


def test_people_on_a_contact_sheet_are_blurred(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), noise)

    def detail(*others):
        shot = Shot(tmp_path / "noise.png", "still", 0, FIRST, PLACE, others)
        tile = simplejpeg.decode_jpeg(contact_sheet(FileMedia(), [shot], category="animal").jpeg, "GRAY")
        return float(cv2.Laplacian(tile[20:TILE_PX, 20:TILE_PX, 0], cv2.CV_64F).var())

    assert (
        detail(Detection("person", 0.9, (0.0, 0.0, 1.0, 1.0))) < detail() / 5
    )  # what is left is the box that is drawn in


def tigrillo(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_the_command_finds_lists_shows_suppresses_and_takes_back(rig):
    let_days_pass(rig, 10, STONE)
    rig.store.close()
    (rig.folder / "site.sqlite").rename(rig.folder / "tigrillo.sqlite")
    site = rig.folder / "site.yaml"
    site.write_text(SITE, "utf-8")
    here = ("--site", site, "--json")

    found = tigrillo("repeats", "find", *here)
    listed = json.loads(tigrillo("repeats", "list", "--undecided", *here).stdout)
    number = listed[0]["pk"]
    sheet = tigrillo("repeats", "sheet", number, "--out", rig.folder / "sheet.jpg", *here)
    decided = tigrillo("repeats", "suppress", number, "--by", "ana", "--why", "a root", *here)
    export = json.loads(tigrillo("export", "csv", "--out", rig.folder / "a.csv", *here).stdout)
    whole = json.loads(tigrillo("export", "csv", "--out", rig.folder / "b.csv", "--with-suppressed", *here).stdout)
    undone = json.loads(tigrillo("repeats", "undo", number, *here).stdout)
    wrong = tigrillo("repeats", "keep", 99, *here)

    assert json.loads(found.stdout) == {"new": 1, "again": 0, "forgotten": 0}
    assert [(each["station"], each["frames"], each["state"]) for each in listed] == [("ridge", 10, "suspect")]
    assert json.loads(sheet.stdout)["gone"] == 10  # the rig's frames lie nowhere
    assert json.loads(decided.stdout)[0] | {"decided_by": "ana"} == json.loads(decided.stdout)[0]
    assert (export["observations"], whole["observations"]) == (0, 10)
    assert undone[0]["state"] == "suspect"
    assert isinstance(wrong.exception, FatalError)
    assert "tigrillo repeats list" in str(wrong.exception)


def test_a_command_that_meets_the_daemon_leaves_a_request(rig):
    let_days_pass(rig, 10, STONE)
    (stone,) = find(rig)
    (rig.folder / "tigrillo.sqlite").symlink_to(rig.folder / "site.sqlite")
    (rig.folder / "site.yaml").write_text(SITE, "utf-8")
    requests, stop = Requests(rig.folder, handlers(rig.store, rig.clock), MemoryLog()), threading.Event()

    def daemon():
        while not stop.wait(0.02):
            requests.take_in()

    running = threading.Thread(target=daemon)
    with only_one(rig.folder):
        running.start()
        try:
            done = tigrillo("repeats", "suppress", stone.pk, "--site", rig.folder / "site.yaml", "--json")
        finally:
            stop.set()
            running.join()

    assert json.loads(done.stdout)[0]["state"] == "suppressed"
