"""The real camera-trap files beside the project: all open, look as they should, and stay quiet."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from edge.api import Frame, SpooledFrame
from edge.errors import DecodeError
from edge.fakes import fake_services
from edge.media.opener import FileMedia
from edge.media.stills import StillPicture, read_still
from edge.media.times import capture_time
from plugins.stages.motion import MotionConfig, tigrillo_stages

EVERY = FileMedia(sample_fps=None)
PICTURES = {
    "02120086.AVI": (60, 106, 60),
    "04250002.MP4": (61, 106, 60),
    "09100029_Eland.MP4": (31, 106, 60),
    "PICT0021.ASF": (61, 90, 60),
    "PICT0265.AVI": (61, 106, 60),
    "chimp.mp4": (450, 320, 180),
}


def still(path: Path) -> StillPicture:
    return read_still(path, max_pixels=EVERY.max_pixels)


def test_every_still_equals_opencvs_decode_upright(shared_media: Path) -> None:
    compared = 0
    for path in sorted(shared_media.glob("*/*.[jJ][pP][gG]")):
        if "truncated" in path.name:
            continue  # OpenCV speaks of it on stderr
        picture = still(path)

        assert picture.damage == "", path
        np.testing.assert_array_equal(picture.bgr(), cv2.imread(str(path)), err_msg=path.name)
        compared += 1
    assert compared >= 28


def test_cmyk_and_turned_elephants_look_like_the_plain_ones(shared_media: Path) -> None:
    plain = still(shared_media / "stills" / "african_elephants.jpg").bgr().astype(int)

    for variant in ("cmyk", "with_exif_orientation"):
        other = still(shared_media / "stills" / f"african_elephants_{variant}.jpg").bgr()

        assert other.shape == plain.shape
        assert np.abs(plain - other).mean() < 3


def test_the_truncated_elephants_are_read_to_the_cut_and_marked(shared_media: Path) -> None:
    plain = still(shared_media / "stills" / "african_elephants.jpg").bgr()

    cut = still(shared_media / "stills" / "african_elephants_truncated_file.jpg")

    assert cut.damage == "truncated: the JPEG ends early, the lower 13% is missing"
    rows = int(len(plain) * 0.86)
    np.testing.assert_array_equal(cut.bgr()[:rows], plain[:rows])


@pytest.mark.parametrize("name", PICTURES)
def test_every_trap_clip_gives_all_its_pictures(shared_media: Path, name: str) -> None:
    count, width, height = PICTURES[name]

    with EVERY.open(shared_media / "video" / name, "clip") as clip:
        shapes = [(picture.width, picture.height, picture.luma().shape) for _, _, picture in clip]

        assert clip.damage == ""
    assert shapes == [(width, height, (height, width))] * count


def test_at_one_picture_a_second_a_trap_clip_gives_all_and_a_film_one_in_thirty(shared_media: Path) -> None:
    media = FileMedia()

    with media.open(shared_media / "video" / "PICT0021.ASF", "clip") as clip:
        assert len(list(clip)) == 61
    with media.open(shared_media / "video" / "chimp.mp4", "clip") as clip:
        assert [number for number, _, _ in clip] == list(range(0, 450, 30))


@pytest.mark.parametrize("name", PICTURES)
def test_every_trap_clip_cut_in_two_gives_its_first_part_or_a_reason(
    shared_media: Path, tmp_path: Path, name: str
) -> None:
    whole = (shared_media / "video" / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: len(whole) // 2])

    try:
        with EVERY.open(path, "clip") as clip:
            count = len(list(clip))
            damage = clip.damage
    except DecodeError as exc:
        count, damage = 0, str(exc)

    assert count < PICTURES[name][0]
    assert damage
    assert (count == 0) == (path.suffix.lower() == ".mp4")  # a plain MP4 has its index at the end


def test_reading_a_film_again_and_again_needs_no_more_memory(shared_media: Path) -> None:
    def read_all() -> None:
        with EVERY.open(shared_media / "video" / "chimp.mp4", "clip") as clip:
            for number, _, picture in clip:
                picture.bgr() if number % 30 == 0 else picture.luma()

    read_all()
    before = psutil.Process().memory_info().rss
    for _ in range(4):
        read_all()

    assert psutil.Process().memory_info().rss - before < 20 << 20  # 1800 pictures kept would be 310 MB


def test_reading_real_files_says_nothing_on_stderr(shared_media: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from edge.media.opener import FileMedia\n"
        "for path in sorted(Path(sys.argv[1]).glob('*/*.*')):\n"
        "    with FileMedia().open(path, 'still' if path.suffix.lower() == '.jpg' else 'clip') as clip:\n"
        "        print(path.name, sum(picture.bgr().size for _, _, picture in clip), clip.damage)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(shared_media)], capture_output=True, text=True, check=True, timeout=100
    )

    assert done.stderr == ""
    assert len(done.stdout.splitlines()) >= 35


def test_the_heron_of_the_burst_moves_in_every_picture_after_the_first(shared_media: Path) -> None:
    (spec,) = tigrillo_stages()
    seen = []
    with spec.build(MotionConfig(), fake_services()) as stage:
        for path in sorted((shared_media / "burst").glob("*.JPG")):
            taken = capture_time(path, "still", timezone="UTC")
            assert taken.utc is not None
            spooled = SpooledFrame("mica", path.stem, "still", path, path.name, "0" * 64, 1, "test", taken, taken.utc)
            seen.append(stage(Frame(spooled, still(path))))

    assert seen[0].moving is None
    for frame in seen[1:]:
        assert frame.rejected == ""
        assert frame.moving
        covered = np.zeros((100, 100), bool)
        for x, y, width, height in frame.moving:
            covered[round(y * 100) : round((y + height) * 100), round(x * 100) : round((x + width) * 100)] = True
        assert covered[63:90, 51:61].mean() > 0.85  # where it stands in all ten
        assert covered.mean() < 0.3  # the bank and the water are still
