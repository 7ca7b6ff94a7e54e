"""Clips as cards have them: every one gives results for its pictures, or one line that says why not."""

import threading
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from edge.media.cut import encode_part
from edge.media.opener import FileMedia
from edge.model import Detection, Outcome
from edge.pipeline.runner import Runner
from edge.process import Failure, find_items, look_at_all
from edge.testing import fake_services
from tests.parts.test_media_clips import scene, sound_only, write_clip

MEDIA = FileMedia(sample_fps=2.0)


def finds_the_middle(frame):
    assert frame.picture.bgr().shape == (frame.picture.height, frame.picture.width, 3)
    return replace(frame, detections=(Detection("animal", 0.9, (0.4, 0.4, 0.2, 0.2)),))


def result_of(path: Path) -> Outcome | Failure:
    """What `tigrillo process` has for a file, but for the models."""
    (item,) = find_items([path])
    results: list[Outcome | Failure] = []
    runner = Runner(MEDIA, [("find", finds_the_middle)])
    look_at_all([item], runner=runner, services=fake_services(), workers=1, stop=threading.Event(), done=results.append)
    return results[0]


def changing(folder: Path) -> Path:
    """Motion JPEG whose pictures get larger on the way: two recordings in one stream."""
    path = folder / "changing.avi"
    with av.open(str(path), "w") as out:
        stream, number = None, 0
        for width in (160, 240):
            pictures = [scene(n, width, 96) for n in range(30)]
            part = write_clip(folder / f"{width}.avi", pictures, codec="mjpeg", pix_fmt="yuvj420p", options={})
            with av.open(str(part)) as source:
                stream = stream or out.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.size:
                        packet.pts = packet.dts = number
                        packet.stream, number = stream, number + 1
                        out.mux(packet)
    return path


def test_a_resolution_that_changes_on_the_way_gives_results_on_both_sides(tmp_path):
    outcome = result_of(changing(tmp_path))

    assert isinstance(outcome, Outcome)
    assert len(outcome.pictures) == 12
    assert {each.track for each in outcome.detections()} == {1}


def test_a_copy_of_it_has_the_size_of_its_first_picture(tmp_path):
    count = encode_part(changing(tmp_path), tmp_path / "b.mp4", start_s=0, end_s=99, draw=lambda bgr, _time_s: bgr)

    with FileMedia(sample_fps=None).open(tmp_path / "b.mp4", "clip") as clip:
        sizes = [(picture.width, picture.height) for _number, _time_s, picture in clip]
    assert count >= 50
    assert set(sizes) == {(160, 96)}


def test_a_variable_frame_rate_keeps_its_times(tmp_path):
    times_ms = [0, 40, 80, 1000, 1040, 3000, 7000, 7040]
    path = write_clip(tmp_path / "a.mkv", [scene(n) for n in range(len(times_ms))], times_ms=times_ms)

    outcome = result_of(path)

    assert [each.time_s for each in outcome.pictures] == pytest.approx([0.0, 1.0, 3.0, 7.0])


def test_an_avi_without_its_index_is_read_all_the_same(tmp_path):
    path = write_clip(tmp_path / "a.avi", [scene(n) for n in range(40)], codec="mpeg4")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"idx1")])

    outcome = result_of(path)

    assert isinstance(outcome, Outcome)
    assert len(outcome.pictures) == 8


def test_an_mp4_without_its_index_is_told_in_one_line(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [scene(n) for n in range(40)])
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"moov") - 4])

    failure = result_of(path)

    assert (
        failure.reason == "a.mp4: MP4 that was cut before its index was written: repair it with untrunc, or delete it"
    )


def test_sound_alone_is_told_in_one_line(tmp_path):
    failure = result_of(sound_only(tmp_path))

    assert "has no video, only other streams" in failure.reason
    assert "\n" not in failure.reason


@pytest.mark.parametrize("length", [0, 1, 12, 300])
def test_the_head_of_a_clip_is_told_in_one_line(length, tmp_path):
    path = write_clip(tmp_path / "a.mp4", [scene(n) for n in range(10)])
    path.write_bytes(path.read_bytes()[:length])

    failure = result_of(path)

    assert failure.reason.startswith("a.mp4: ")
    assert "\n" not in failure.reason


def test_a_clip_of_one_picture_has_one_result(tmp_path):
    outcome = result_of(write_clip(tmp_path / "a.mp4", [np.full((96, 160, 3), 90, np.uint8)]))

    assert [each.time_s for each in outcome.pictures] == [0.0]


def test_every_real_clip_gives_results_for_its_pictures(shared_media):
    clips = sorted((shared_media / "video").iterdir())

    results = [result_of(path) for path in clips]

    assert [each.spooled.name for each in results] == [path.name for path in clips]
    for each in results:
        assert each.damage == ""
        assert len(each.pictures) >= 30
        assert all(picture.detections[0].track is not None for picture in each.pictures)
