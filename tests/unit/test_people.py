"""People and vehicles: noticed when a frame is recorded, hidden in every picture, their originals under a policy."""

import json
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import simplejpeg
from pydantic import ValidationError
from sqlalchemy import event, select
from typer.testing import CliRunner

from edge.alerts.rules import Rule
from edge.cli import app
from edge.clock import SteppedClock
from edge.errors import FatalError
from edge.fakes import MemoryLog
from edge.media.blurred import hide_people
from edge.media.evidence import evidence
from edge.media.opener import FileMedia
from edge.model import AgentFacts, Detection
from edge.models.card import write_card
from edge.models.installed import InstalledModels
from edge.privacy.hidden import hidden_on
from edge.privacy.originals import FOLDER, MOST, SENT_BY, SETTLES, Originals
from edge.privacy.policy import PeopleConfig, second_look
from edge.privacy.second import second_detector, second_name
from edge.store import people as rows
from edge.store import reviews
from edge.store.reviews import New, Said
from edge.store.schema import audit, frames
from edge.testing import fake_card, fake_services, fake_session, frame, grey_picture
from plugins.decoders import yolov5
from plugins.stages import detect
from tests.alert_rig import Rig, animal, person

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
VEHICLE = Detection("vehicle", 0.8, (0.1, 0.1, 0.3, 0.3))
DAY = timedelta(days=1)


@pytest.fixture
def rig(tmp_path):
    made = Rig(tmp_path, (Rule(name="any", category="animal", channels=("mail",)),), clock=SteppedClock(NOW))
    made.hurry()
    yield made
    made.store.close()


def originals(rig, policy="30d"):
    return Originals(rig.store, rig.folder / "state", PeopleConfig(originals=policy), rig.clock, MemoryLog())


def seen(rig, *detections, name="a.jpg"):
    """A recorded frame whose file lies in a folder `inbox`; (its pk, the file)."""
    outcome = rig.see(*detections, frame_id=name.partition(".")[0])
    path = rig.folder / "inbox" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"a picture of somebody")
    with rig.store.transaction() as connection:
        # rig's frames are recorded without a time of their own clock: the record's is what counts here
        connection.execute(frames.update().where(frames.c.pk == outcome.spooled.pk).values(path=str(path)))
    return outcome.spooled.pk, path


def state_of(rig, pk):
    with rig.store.transaction() as connection:
        return connection.execute(select(frames.c.original, frames.c.path).where(frames.c.pk == pk)).one()


def told(rig):
    with rig.store.transaction() as connection:
        return connection.execute(select(audit.c.who, audit.c.action, audit.c.subject).order_by(audit.c.pk)).all()


@pytest.mark.parametrize(("shown", "people"), [(person(), True), (VEHICLE, True), (animal(), False)])
def test_a_frame_with_a_person_or_vehicle_is_noticed_when_it_is_recorded(rig, shown, people):
    outcome = rig.see(shown)

    with rig.store.transaction() as connection:
        assert connection.scalar(select(frames.c.people).where(frames.c.pk == outcome.spooled.pk)) is people


def test_the_thumbnail_of_a_full_frame_with_people_shows_them_too(rig):
    facts = {"boot": "b", "boot_count": 1, "seq": 1, "uptime_s": 1.0, "clock": "ok"}
    thumb = rig.see(animal(), frame_id="t1", agent=AgentFacts(**facts, stands_for="f1"))
    rig.see(person(), frame_id="f1", agent=AgentFacts(**facts))

    with rig.store.transaction() as connection:
        assert connection.scalar(select(frames.c.people).where(frames.c.pk == thumb.spooled.pk)) is True


@pytest.mark.parametrize(("boxes", "everything"), [((), True), ((person(),), True), ((person(), person(0.8)), False)])
def test_a_full_frame_hides_whom_somebody_has_seen_on_its_thumbnail(rig, boxes, everything):
    facts = {"boot": "b", "boot_count": 1, "seq": 1, "uptime_s": 1.0, "clock": "ok"}
    thumb = rig.see(animal(), frame_id="t1", agent=AgentFacts(**facts, stands_for="f1"))
    with rig.store.transaction() as connection:
        said = [New(thumb.spooled.pk, Said("human", count=2))]
        reviews.add(connection, said, action="a-review", by="ana", at=rig.clock.now())

    full = rig.see(*boxes, frame_id="f1", agent=AgentFacts(**facts))

    with rig.store.transaction() as connection:
        assert connection.scalar(select(frames.c.people).where(frames.c.pk == full.spooled.pk)) is True
        hidden = hidden_on(connection, full.spooled.pk)
    assert (len(hidden.boxes.get(0, ())), hidden.everything) == (len(boxes), everything)


def test_whom_another_program_calls_an_animal_of_our_species_is_hidden(rig):
    pk = rig.see(animal()).spooled.pk
    with rig.store.transaction() as connection:
        reviews.add(connection, [New(pk, Said("animal", "Homo sapiens"))], action="a-review", by="x", at=NOW)
        assert hidden_on(connection, pk).everything


def test_an_original_is_withheld_where_its_owner_alone_can_read_it(rig):
    pk, path = seen(rig, person())
    other, beside = seen(rig, animal(), name="b.jpg")
    rig.clock.step((SETTLES + timedelta(seconds=1)).total_seconds())

    done = originals(rig).sweep()

    folder = rig.folder / "state" / FOLDER
    original, now_at = state_of(rig, pk)
    assert (done.withheld, done.deleted, original, now_at) == (1, 0, "withheld", str(folder / f"{pk}-a.jpg"))
    assert not path.exists()
    assert beside.exists()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / f"{pk}-a.jpg").read_bytes() == b"a picture of somebody"
    assert state_of(rig, other).original == "kept"
    assert told(rig) == [("policy", "people.withhold", "frame ridge/a")]


def test_an_imported_frame_whose_file_nobody_found_has_nothing_to_withhold(rig):
    pk, _path = seen(rig, person())
    with rig.store.transaction() as connection:
        connection.execute(frames.update().where(frames.c.pk == pk).values(path=""))
    rig.clock.step((SETTLES + timedelta(seconds=1)).total_seconds())

    done = originals(rig).sweep()

    assert (done.withheld, done.deleted, state_of(rig, pk).original) == (0, 0, "kept")


def test_a_withheld_original_is_deleted_after_its_days_and_the_record_stays(rig):
    pk, _path = seen(rig, person())
    swept = originals(rig)
    rig.clock.step(600)
    swept.sweep()
    rig.clock.step(29 * DAY.total_seconds())
    assert swept.sweep().deleted == 0

    rig.clock.step(2 * DAY.total_seconds())

    assert swept.sweep().deleted == 1
    assert state_of(rig, pk).original == "deleted"
    assert list((rig.folder / "state" / FOLDER).iterdir()) == []
    assert len(rig.store.outcome(pk).detections()) == 1
    assert [action for _who, action, _subject in told(rig)] == ["people.withhold", "people.delete"]


def test_delete_waits_until_alerts_had_their_picture(rig):
    _pk, path = seen(rig, person())
    swept = originals(rig, "delete")
    rig.clock.step(600)
    assert swept.sweep().deleted == 0

    rig.clock.step(SENT_BY.total_seconds())

    assert swept.sweep().deleted == 1
    assert not path.exists()


def test_keep_leaves_them_where_they_are(rig):
    pk, path = seen(rig, person())
    rig.clock.step(1000 * DAY.total_seconds())

    assert originals(rig, "keep").sweep() == originals(rig, "keep").sweep()
    assert path.exists()
    assert state_of(rig, pk).original == "kept"


def test_what_a_power_cut_ended_after_the_move_is_made_good(rig):
    pk, path = seen(rig, person())
    swept = originals(rig)
    swept.folder.mkdir(parents=True)
    path.rename(swept.folder / f"{pk}-a.jpg")  # the row still names the old place
    rig.clock.step(600)

    assert swept.sweep().withheld == 1
    assert state_of(rig, pk).path == str(swept.folder / f"{pk}-a.jpg")


def test_an_original_that_is_gone_counts_as_deleted_one_on_a_missing_disk_does_not(rig):
    gone, path = seen(rig, person())
    path.unlink()
    away, _path = seen(rig, person(), name="b.jpg")
    with rig.store.transaction() as connection:
        connection.execute(frames.update().where(frames.c.pk == away).values(path="/nowhere/card/b.jpg"))
    swept = originals(rig)
    rig.clock.step(600)

    first, second = swept.sweep(), swept.sweep()

    assert (state_of(rig, gone).original, state_of(rig, away).original) == ("deleted", "kept")
    assert (len(first.failed), second.failed) == (1, ())  # said once
    assert [event for _level, event, _fields in swept.log.entries if event == "people.stuck"] == ["people.stuck"]


def test_a_round_is_bounded_and_the_next_one_goes_on(rig, monkeypatch):
    monkeypatch.setattr("edge.privacy.originals.MOST", 2)
    for number in range(5):
        seen(rig, person(), name=f"f{number}.jpg")
    swept = originals(rig)
    rig.clock.step(600)

    assert [swept.sweep().withheld for _round in range(4)] == [2, 2, 1, 0]
    assert MOST >= 100


def test_a_released_original_goes_back_for_good(rig):
    pk, path = seen(rig, person())
    swept = originals(rig)
    rig.clock.step(600)
    swept.sweep()

    swept.release("a", "", who="ana", why="police report 12")

    rig.clock.step(100 * DAY.total_seconds())
    assert swept.sweep().withheld == 0
    assert path.read_bytes() == b"a picture of somebody"
    assert state_of(rig, pk) == ("released", str(path))
    assert told(rig)[-1] == ("ana", "people.release", "frame ridge/a")


def test_a_release_that_can_not_be_says_why(rig):
    _pk, path = seen(rig, person())
    swept = originals(rig)
    rig.clock.step(600)
    swept.sweep()
    path.write_bytes(b"something else")

    with pytest.raises(FatalError, match="another file lies there"):
        swept.release("a", "", who="ana", why="")
    with pytest.raises(FatalError, match="no recorded frame 'z'"):
        swept.release("z", "", who="ana", why="")
    rig.clock.step(31 * DAY.total_seconds())
    swept.sweep()
    with pytest.raises(FatalError, match="was deleted"):
        swept.release("a", "", who="ana", why="")


@pytest.mark.parametrize("text", ["keep", "delete", "30d", "1d"])
def test_a_policy_is_keep_delete_or_days(text):
    assert PeopleConfig(originals=text).originals == text


@pytest.mark.parametrize("text", ["0d", "30", "d", "forever", "99999d"])
def test_another_policy_is_a_fault_with_what_would_be_right(text):
    with pytest.raises(ValidationError, match="keep, delete, or days such as 30d"):
        PeopleConfig(originals=text)


@pytest.mark.parametrize("category", ["person", "vehicle"])
def test_annotated_pictures_and_derived_ones_hide_people_and_vehicles(tmp_path, category):
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), noise)
    somebody = Detection(category, 0.9, (0.25, 0.25, 0.5, 0.5))

    drawn = evidence(FileMedia(), tmp_path / "noise.png", "still", number=0, detections=[somebody], language="en")

    def detail(bgr):
        return float(cv2.Laplacian(bgr[200:300, 260:400], cv2.CV_64F).var())

    assert detail(simplejpeg.decode_jpeg(drawn, "BGR")) < detail(noise) / 100
    assert detail(hide_people(noise, [somebody])) < detail(noise) / 100
    assert np.array_equal(hide_people(noise, [animal()]), noise)


def card(name, *categories, task="detect"):
    return SimpleNamespace(name=name, task=task, categories=dict(enumerate(categories)))


ANIMALS = card("animals", "animal")
SMALL, LARGE = card("small", "animal", "person", "vehicle"), card("large", "person")


@pytest.mark.parametrize(
    ("look_with", "first", "installed", "expected"),
    [
        ("auto", ANIMALS, [ANIMALS, SMALL, LARGE], "small"),
        ("auto", LARGE, [ANIMALS, SMALL, LARGE], None),  # finds them itself
        ("auto", ANIMALS, [ANIMALS, card("species", "person", task="classify")], None),
        ("large", ANIMALS, [ANIMALS, SMALL, LARGE], "large"),
        ("gone", ANIMALS, [ANIMALS, SMALL, LARGE], None),
        ("nobody", ANIMALS, [ANIMALS, SMALL, LARGE], None),
    ],
)
def test_who_looks_for_people(look_with, first, installed, expected):
    found = second_look(PeopleConfig(look_with=look_with), first, installed)

    assert (found.name if found else None) == expected


def test_the_smallest_installed_detector_of_people_is_taken_and_broken_cards_are_passed_over(tmp_path):
    for name, size, categories in (("a-big", 900, ("person",)), ("b-small", 100, ("person",)), ("c", 1, ("animal",))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.onnx").write_bytes(bytes(size))
        made = fake_card(name=name, classes=categories, categories={each: each for each in categories})
        write_card(replace(made, folder=tmp_path / name, sha256="0" * 64, source="a test"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "card.toml").write_text("not a card")

    found = second_detector(PeopleConfig(), "c", InstalledModels(tmp_path))

    assert found is not None
    assert found.name == "b-small"
    assert second_detector(PeopleConfig(), "none-such", InstalledModels(tmp_path)) is None
    assert second_name(PeopleConfig(), "c", InstalledModels(tmp_path)) == "b-small"
    assert second_name(PeopleConfig(look_with="gone"), "c", InstalledModels(tmp_path)) == "gone"  # so its stage says so
    assert second_name(PeopleConfig(look_with="gone"), "a-big", InstalledModels(tmp_path)) == ""
    assert second_name(PeopleConfig(), "", InstalledModels(tmp_path)) == ""


def test_the_detect_stage_asks_the_second_model_for_people_alone():
    decoders = {spec.name: spec for spec in yolov5.tigrillo_decoders()}
    first = fake_card(resize="letterbox-topleft", classes=("rock", "deer"), categories={"deer": "animal"})
    second = fake_card(
        name="people", resize="letterbox-topleft", classes=("man", "dog"), categories={"man": "person", "dog": "animal"}
    )
    deer = np.array([[[16, 12, 16, 12, 0.9, 0.0, 1.0]]], np.float32)
    man, dog = [40, 30, 8, 8, 0.8, 1.0, 0.0], [20, 30, 8, 8, 0.7, 0.0, 1.0]
    sessions = {
        "fake": fake_session(first, deer),
        "people": fake_session(second, np.array([[man, dog]], np.float32)),
    }

    def found(**used):
        services = fake_services(sessions=sessions, decoders=decoders, used_models=used)
        with detect.build(detect.DetectConfig(model="fake"), services) as stage:
            return [each.label for each in stage(frame(grey_picture(width=128, height=96))).detections]

    assert found(detect="fake", people="people") == ["deer", "man"]
    assert found(detect="fake") == ["deer"]


def test_the_command_shows_sweeps_and_releases(rig):
    pk, path = seen(rig, person())
    with rig.store.transaction() as connection:  # the command goes by the real clock
        connection.execute(frames.update().values(recorded_at=datetime.now(UTC) - timedelta(hours=1)))
    rig.store.close()
    (rig.folder / "site.sqlite").rename(rig.folder / "tigrillo.sqlite")
    site = rig.folder / "site.yaml"
    site.write_text("state_dir: .\npeople: {originals: 30d}\n", "utf-8")

    def tigrillo(*arguments):
        done = CliRunner().invoke(app, ["people", *map(str, arguments), "--site", str(site), "--json"])
        return json.loads(done.stdout)

    assert tigrillo("show")["counts"] == {"kept": 1, "released": 0, "withheld": 0, "deleted": 0}
    assert tigrillo("sweep") == {"withheld": 1, "deleted": 0, "failed": []}
    assert tigrillo("show")["frames"][0]["original"] == "withheld"
    assert [each.name for each in (rig.folder / FOLDER).iterdir()] == [f"{pk}-a.jpg"]
    assert tigrillo("release", "a", "--by", "ana", "--why", "her own picture")["path"] == str(path)
    assert path.exists()


def test_the_index_for_sweeps_is_used(rig):
    query = select(frames.c.pk).where(rows.OPEN, frames.c.recorded_at < NOW).order_by(frames.c.pk)
    with rig.store.transaction() as connection:
        text = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
        plan = " ".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}"))

    assert "ix_frames_people_recorded_at" in plan


def test_who_is_hidden_on_a_frame_is_found_without_a_scan(rig):
    pk = rig.see(person(), frame_id="t1").spooled.pk
    asked = []
    with rig.store.transaction() as connection:
        event.listen(connection, "before_cursor_execute", lambda *args: asked.append((args[2], args[3])))
        hidden_on(connection, pk)
        queries = list(asked)
        plans = [
            row[3] for sql, values in queries for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
        ]

    assert len(queries) == 4
    assert not [plan for plan in plans if plan.startswith("SCAN") and plan.split()[1] in frames.metadata.tables]
