"""When a frame was taken: the first origin that makes sense, read in the station's zone."""

import os
from datetime import UTC, datetime
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edge.media.exif import Exif, read_exif
from edge.media.times import capture_time

BOGOTA = "America/Bogota"  # UTC−5 all year
MADRID = "Europe/Madrid"
MODIFIED = datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)
DATE_TIME, ORIGINAL, DIGITIZED, SUBSEC, OFFSET = 0x0132, 0x9003, 0x9004, 0x9291, 0x9011


def still(folder: Path, *, kind: str = "JPEG", modified_in: str = "", **inner: str) -> Path:
    """A picture with EXIF dates: original="2021:05:31 08:25:38", subsec="25", offset="+02:00", digitized=…"""
    tags = {"original": ORIGINAL, "digitized": DIGITIZED, "subsec": SUBSEC, "offset": OFFSET}
    exif = Image.Exif()
    exif[0x010F] = "Trap"  # the maker: Pillow leaves out an EXIF block that has only inner fields
    if modified_in:
        exif[DATE_TIME] = modified_in
    exif.get_ifd(0x8769).update({tags[name]: value for name, value in inner.items()})
    path = folder / f"a.{kind.lower()}"
    Image.new("RGB", (8, 8)).save(path, kind, exif=exif.tobytes())
    os.utime(path, (MODIFIED.timestamp(), MODIFIED.timestamp()))
    return path


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_is_read_in_the_stations_zone_and_kept_as_it_was(tmp_path: Path, kind: str) -> None:
    taken = capture_time(still(tmp_path, kind=kind, original="2021:05:31 08:25:38"), "still", timezone=BOGOTA)

    assert taken.utc == datetime(2021, 5, 31, 13, 25, 38, tzinfo=UTC)
    assert (taken.original, taken.timezone, taken.origin) == ("2021:05:31 08:25:38", BOGOTA, "exif")


def test_fractions_of_a_second_count(tmp_path: Path) -> None:
    taken = capture_time(still(tmp_path, original="2021:05:31 08:25:38", subsec="25"), "still", timezone="UTC")

    assert taken.utc == datetime(2021, 5, 31, 8, 25, 38, 250_000, tzinfo=UTC)


def test_an_offset_of_the_camera_beats_the_stations_zone(tmp_path: Path) -> None:
    taken = capture_time(still(tmp_path, original="2021:05:31 08:25:38", offset="+02:00"), "still", timezone=BOGOTA)

    assert taken.utc == datetime(2021, 5, 31, 6, 25, 38, tzinfo=UTC)
    assert taken.original == "2021:05:31 08:25:38 +02:00"


def test_a_nonsense_offset_is_ignored(tmp_path: Path) -> None:
    taken = capture_time(still(tmp_path, original="2021:05:31 08:25:38", offset="??:??"), "still", timezone=BOGOTA)

    assert taken.utc == datetime(2021, 5, 31, 13, 25, 38, tzinfo=UTC)


@pytest.mark.parametrize(
    ("local", "utc_hour", "utc_minute"),
    [
        ("2021:10:31 02:30:00", 0, 30),  # exists twice: the first, still in summer time
        ("2021:03:28 02:30:00", 1, 30),  # exists never: read with winter's offset
    ],
)
def test_the_hours_of_clock_changes_are_read_with_the_offset_before_the_change(
    tmp_path: Path, local: str, utc_hour: int, utc_minute: int
) -> None:
    taken = capture_time(still(tmp_path, original=local), "still", timezone=MADRID)

    assert taken.utc is not None
    assert (taken.utc.hour, taken.utc.minute) == (utc_hour, utc_minute)
    assert taken.original == local


@pytest.mark.parametrize(
    "nonsense",
    ["2021:05:31", "2021:13:41 08:25:38", "2021:05:31 24:25:38", "yesterday", "", "0001:01:01 00:00:00"],
)
def test_nonsense_falls_to_the_next_origin(tmp_path: Path, nonsense: str) -> None:
    next_tag = still(tmp_path, original=nonsense, digitized="2021:05:31 08:25:38")
    assert capture_time(next_tag, "still", timezone="UTC").original == "2021:05:31 08:25:38"

    nothing_else = still(tmp_path, original=nonsense)
    taken = capture_time(nothing_else, "still", timezone="Asia/Tokyo")
    assert (taken.utc, taken.original, taken.origin) == (MODIFIED, "", "mtime")


@pytest.mark.parametrize("unset", ["0000:00:00 00:00:00", "    :  :     :  :  ", "0000-00-00 00:00"])
def test_a_camera_that_knows_no_time_has_none(tmp_path: Path, unset: str) -> None:
    taken = capture_time(still(tmp_path, original=unset), "still", timezone="UTC")
    assert (taken.utc, taken.original, taken.origin) == (None, unset.strip(), "unknown")

    known_elsewhere = still(tmp_path, original=unset, digitized="2021:05:31 08:25:38")
    assert capture_time(known_elsewhere, "still", timezone="UTC").original == "2021:05:31 08:25:38"


@pytest.mark.parametrize("text", ["2021:05:31 08:25", "2021-05-31 08:25:00", "2021/05/31 08:25", "2021-05-31T08:25:00"])
def test_seconds_may_be_missing_and_dashes_differ(tmp_path: Path, text: str) -> None:
    taken = capture_time(still(tmp_path, original=text), "still", timezone=BOGOTA)

    assert taken.utc == datetime(2021, 5, 31, 13, 25, tzinfo=UTC)
    assert taken.original == text


def test_a_clock_that_began_in_1970_is_kept_to_be_put_right(tmp_path: Path) -> None:
    taken = capture_time(still(tmp_path, original="1970:01:01 00:00:10"), "still", timezone="UTC")

    assert taken.utc == datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC)


def test_each_file_of_a_card_is_read_in_the_zone_it_states(tmp_path: Path) -> None:
    """Daylight saving began in between, or the card went through two cameras."""
    cards = [
        {"original": "2021:10:31 01:30:00", "offset": "+02:00"},
        {"original": "2021:10:31 01:30:00", "offset": "+01:00"},
        {"original": "2021:10:31 01:30:00"},
    ]

    times = [capture_time(still(tmp_path, **each), "still", timezone=BOGOTA).utc for each in cards]

    assert [each and each.strftime("%d %H:%M") for each in times] == ["30 23:30", "31 00:30", "31 06:30"]


def test_a_future_time_is_kept_for_somebody_to_see(tmp_path: Path) -> None:
    taken = capture_time(still(tmp_path, original="2099:01:01 00:00:00"), "still", timezone="UTC")

    assert taken.utc == datetime(2099, 1, 1, tzinfo=UTC)


def test_datetime_serves_where_the_moment_of_the_shot_is_missing(tmp_path: Path) -> None:
    taken = capture_time(still(tmp_path, modified_in="2021:05:31 08:25:38"), "still", timezone="UTC")

    assert (taken.original, taken.origin) == ("2021:05:31 08:25:38", "exif")


def test_no_exif_no_picture_no_file(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.jpg", tmp_path / "text.jpg"
    empty.write_bytes(b"")
    text.write_bytes(b"no picture")

    assert capture_time(empty, "still", timezone="UTC").origin == "mtime"
    assert capture_time(text, "clip", timezone="UTC").origin == "mtime"
    assert capture_time(tmp_path / "gone.jpg", "still", timezone="UTC") == capture_time(
        tmp_path / "gone.mp4", "clip", timezone="UTC"
    )
    assert capture_time(tmp_path / "gone.jpg", "still", timezone="UTC").origin == "unknown"


def clip(folder: Path, creation_time: str) -> Path:
    path = folder / "a.mp4"
    with av.open(str(path), "w") as out:
        if creation_time:
            out.metadata["creation_time"] = creation_time
        stream = out.add_stream("mpeg4", rate=1)
        stream.width = stream.height = 32
        out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), "u1"), "bgr24")))
        out.mux(stream.encode())
    os.utime(path, (MODIFIED.timestamp(), MODIFIED.timestamp()))
    return path


def test_a_clips_creation_time_is_utc(tmp_path: Path) -> None:
    taken = capture_time(clip(tmp_path, "2021-05-31T08:25:38Z"), "clip", timezone=BOGOTA)

    assert taken.utc == datetime(2021, 5, 31, 8, 25, 38, tzinfo=UTC)
    assert taken.original.startswith("2021-05-31T08:25:38")
    assert taken.origin == "container"


@pytest.mark.parametrize("creation_time", ["", "1970-01-01T00:00:00Z", "1904-01-01T00:00:00Z"])
def test_a_clip_whose_clock_was_never_set_falls_to_its_modification(tmp_path: Path, creation_time: str) -> None:
    assert capture_time(clip(tmp_path, creation_time), "clip", timezone="UTC").utc == MODIFIED


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    flips=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), max_size=20),
    kind=st.sampled_from(["JPEG", "PNG", "TIFF", "WEBP"]),
    keep=st.integers(0, 500),
)
def test_broken_exif_is_as_good_as_none(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]], kind: str, keep: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    data = bytearray(still(folder, kind=kind, original="2021:05:31 08:25:38", offset="+02:00").read_bytes())
    for at, bits in flips:
        if at < len(data):
            data[at] ^= bits

    exif = read_exif(bytes(data[:keep]))

    assert isinstance(exif, Exif)
    assert 1 <= exif.orientation <= 8
