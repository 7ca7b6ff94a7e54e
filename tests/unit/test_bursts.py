"""Who took a picture, and which of which trigger it is; the burst in ../shared/media is one event of ten."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from edge.api import sequences
from edge.clock import SteppedClock
from edge.fieldwork.sequences import Shot, file_number
from edge.media.makers import camera_name, read_note
from edge.media.times import file_facts
from edge.pipeline.spool import Spool
from edge.services import Incoming
from edge.store.sql import Store
from edge.testing import fake_services

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SHOT = datetime(2021, 4, 11, 20, 43, 9, tzinfo=UTC)
SECONDS = [0, 1, 1, 2, 3, 3, 4, 4, 5, 6]  # as their EXIF has it; their names are of the day they were copied


def test_the_burst_is_one_event_of_ten_frames_with_the_right_times(shared_media: Path) -> None:
    shots, numbers = [], []
    for path in sorted((shared_media / "burst").glob("*.JPG"), reverse=True):
        facts = file_facts(path, "still", timezone="UTC")
        numbers.append(facts.burst_number)
        shots.append(
            Shot("s", facts.captured.utc, facts.camera, facts.burst, facts.burst_number, file_number(path.name))
        )

    (event,) = sequences(sorted(shots, key=lambda each: each.at), gap_s=0, shot=lambda each: each)

    assert [each.at for each in event] == [SHOT + timedelta(seconds=each) for each in SECONDS]
    assert [each.burst_number for each in event] == list(range(1, 11))
    assert {(each.camera[:26], each.burst) for each in event} == {("RECONYX HYPERFIRE 2 COVERT", "event 4")}
    assert numbers == list(range(10, 0, -1))


def test_it_stays_one_event_where_the_maker_note_is_lost(shared_media: Path) -> None:
    shots = []
    for path in sorted((shared_media / "burst").glob("*.JPG")):
        facts = file_facts(path, "still", timezone="UTC")
        shots.append(Shot("s", facts.captured.utc, file_number=file_number(path.name)))

    assert [len(each) for each in sequences(shots, gap_s=0, shot=lambda each: each)] == [10]


def test_a_first_hyperfires_note_is_read_too(shared_media: Path) -> None:
    """Its trigger was one of three pictures, or one alone, which is no burst."""
    facts = file_facts(shared_media / "stills" / "vehicle.jpg", "still", timezone="UTC")

    assert facts.camera.startswith("RECONYX HC550 HYPERFIRE")


@pytest.mark.parametrize("length", range(0, 160, 7))
@pytest.mark.parametrize("start", [b"\x01\xf1", b"RECONYXUF\0", b"RECONYXH2\0", b"Nikon"])
def test_a_note_that_is_cut_short_or_nonsense_says_nothing_wrong(start: bytes, length: int) -> None:
    burst, serial = read_note(start + b"\xff" * length)

    assert (burst.name, burst.number, serial) == ("", None, "")


@pytest.mark.parametrize(
    ("make", "model", "serial", "name"),
    [
        ("RECONYX", "HYPERFIRE 2 COVERT", "H2", "RECONYX HYPERFIRE 2 COVERT H2"),
        ("Canon", "Canon EOS 70D", "", "Canon EOS 70D"),
        ("", "E8", "", "E8"),
        ("", "", "", ""),
        ("x\x07y  z", "x y z", "", "x y z"),
        ("A" * 200, "", "", "A" * 128),
    ],
)
def test_a_camera_is_named_by_what_the_file_says(make: str, model: str, serial: str, name: str) -> None:
    assert camera_name(make, model, serial) == name


def picture(path: Path, shade: int, original: str) -> Path:
    exif = Image.Exif()
    exif[0x010F] = "Trap"
    exif.get_ifd(0x8769)[0x9003] = original
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (shade,) * 3).save(path, exif=exif.tobytes())
    return path


def test_two_files_of_one_name_are_two_frames_and_a_card_read_twice_gives_none_more(tmp_path: Path) -> None:
    card = [
        picture(tmp_path / "card" / "100" / "IMG_0001.JPG", 10, "2021:05:31 08:25:38"),
        picture(tmp_path / "card" / "101" / "IMG_0001.JPG", 20, "0000:00:00 00:00:00"),
        picture(tmp_path / "copy" / "renamed.JPG", 10, "2021:05:31 08:25:38"),
    ]
    with Store(f"sqlite:///{tmp_path}/tigrillo.sqlite") as store:
        services = fake_services(state_dir=tmp_path, clock=SteppedClock(NOW))
        spool = Spool(store, services, limit_bytes=1 << 20)

        def read(path: Path) -> bool:
            return spool.receive(Incoming("cam-1", path.name, "still", path, "watch"))

        assert [read(each) for each in card] == [True, True, False]
        assert [read(each) for each in card] == [False] * 3

        frames = [store.claim_next(NOW) for _ in range(2)]
        assert [each and (each.name, each.camera) for each in frames] == [("IMG_0001.JPG", "Trap")] * 2
        assert [each and each.captured.utc for each in frames] == [datetime(2021, 5, 31, 8, 25, 38, tzinfo=UTC), None]
        assert store.counts()["claimed"] == 2
