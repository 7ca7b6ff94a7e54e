"""The replay camera: files as they are, in order."""

import pytest

from raspberry_pi.cameras.base import CameraError, Shot
from raspberry_pi.cameras.opening import open_camera
from raspberry_pi.hardware_config import ReplaySettings


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    (folder / "b.JPG").write_bytes(b"b")
    (folder / "a.png").write_bytes(b"not a picture at all")
    (folder / "sub" / "c.mp4").write_bytes(b"c")
    (folder / "notes.txt").write_bytes(b"n")
    (folder / ".hidden.jpg").write_bytes(b"h")
    return folder


def one(camera, index):
    """The only shot of this trigger; None when there are no more."""
    shots = camera.capture(index)
    if shots is None:
        return None
    [shot] = shots
    return shot


def test_files_are_sent_byte_for_byte_in_order_and_once(pictures):
    camera = open_camera(ReplaySettings("replay", pictures))

    shots = [one(camera, index) for index in range(4)]

    assert shots == [
        Shot(b"not a picture at all", "still", "a.png"),
        Shot(b"b", "still", "b.JPG"),
        Shot(b"c", "clip", "sub/c.mp4"),
        None,
    ]


def test_a_loop_begins_again_and_goes_on_where_the_last_run_was(pictures):
    camera = open_camera(ReplaySettings("replay", pictures, loop=True))

    assert one(camera, 3 * 1000 + 1) == Shot(b"b", "still", "b.JPG")


def test_one_file_may_be_the_camera(pictures):
    camera = open_camera(ReplaySettings("replay", pictures / "sub" / "c.mp4"))

    assert one(camera, 0) == Shot(b"c", "clip", "c.mp4")
    assert one(camera, 1) is None


def test_a_file_that_went_away_is_an_error_of_this_shot_only(pictures):
    camera = open_camera(ReplaySettings("replay", pictures))
    (pictures / "a.png").unlink()

    with pytest.raises(CameraError, match=r"a\.png"):
        one(camera, 0)
    assert one(camera, 1) is not None


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_camera_with_nothing_to_give_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()

    with pytest.raises(CameraError, match=name):
        open_camera(ReplaySettings("replay", tmp_path / name))
