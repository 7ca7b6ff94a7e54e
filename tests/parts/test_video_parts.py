"""What `tigrillo video` writes of a clip that was looked at: real files, decoded again."""

import json
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import simplejpeg
from typer.testing import CliRunner

from edge.cli import app
from edge.media.cut import CannotCopy, copy_part, encode_part
from edge.media.opener import FileMedia
from edge.model import Detection, Outcome
from edge.pipeline.runner import Runner
from edge.testing import spooled_frame
from edge.video import Wishes, summary_of, write_parts
from tests.parts.test_media_clips import scene, write_clip

RATE = 10
MEDIA = FileMedia(sample_fps=2.0)
EVERY = FileMedia(sample_fps=None)
GROUPS = {"g": "10", "sc_threshold": "0"}


def walk(folder: Path, seconds: int = 12, suffix: str = "mp4", codec: str = "libx264", **options: object) -> Path:
    options.setdefault("options", GROUPS)
    pictures = [scene(number) for number in range(seconds * RATE)]
    return write_clip(folder / f"a.{suffix}", pictures, codec=codec, rate=RATE, **options)


def looked_at(path: Path, category: str = "animal", from_s: float = 4.0, to_s: float = 6.0) -> Outcome:
    """The disc found between two times, and nothing else."""

    def find(frame):
        x = (20 + 2 * frame.number) / 160
        found = Detection(category, 0.9, (x - 0.1, 0.3, 0.2, 0.4)) if from_s <= frame.time_s <= to_s else None
        return replace(frame, detections=(found,) if found else ())

    spooled = replace(spooled_frame(kind="clip"), path=path, name=path.name)
    return Runner(MEDIA, [("find", find)]).look_at(spooled)


def decoded(path: Path) -> list[tuple[float, np.ndarray]]:
    with EVERY.open(path, "clip") as clip:
        return [(time_s, picture.bgr().copy()) for _number, time_s, picture in clip]


def test_a_summary_says_who_was_there_from_when_to_when(tmp_path):
    told = summary_of(looked_at(walk(tmp_path)), language="es")

    (track,) = told["tracks"]
    assert (track["track"], track["category"], track["name"]) == (1, "animal", "animal")
    assert (track["start_s"], track["end_s"], track["pictures"]) == (4.0, 6.0, 5)
    assert track["directions"] == ["right"]
    assert track["began_at"] > told["captured"]
    assert 4.0 <= track["best"]["time_s"] <= 6.0
    assert json.dumps(told)


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        ("mp4", "libx264", {"options": GROUPS | {"bf": "2"}}),
        ("avi", "mpeg4", {}),
        ("mkv", "libx264", {}),
        ("mov", "mpeg4", {}),
        ("asf", "wmv2", {}),
        ("avi", "mjpeg", {"pix_fmt": "yuvj420p", "options": {}}),
    ],
)
def test_a_track_is_copied_from_the_key_picture_before_with_every_picture_as_it_was(suffix, codec, options, tmp_path):
    path = walk(tmp_path, suffix=suffix, codec=codec, **options)

    made = write_parts(looked_at(path), Wishes(tmp_path / "out", clips=True, pre_s=1.5, post_s=1.0), MEDIA)

    (clip,) = made["clips"]
    assert clip["copied"]
    assert Path(clip["file"]).suffix == path.suffix
    assert 1.5 <= clip["start_s"] <= 2.5  # one key picture a second
    part, whole = decoded(Path(clip["file"])), decoded(path)
    first = round(clip["start_s"] * RATE)
    assert len(part) == pytest.approx((7.0 - clip["start_s"]) * RATE, abs=3)
    for (_time_s, bgr), (_then_s, original) in zip(part, whole[first:], strict=False):
        np.testing.assert_array_equal(bgr, original)


def test_where_no_key_picture_is_near_the_part_is_encoded_and_that_is_said(tmp_path):
    path = walk(tmp_path, seconds=20, options={"g": "1000", "sc_threshold": "0"})

    outcome = looked_at(path, from_s=15.0, to_s=16.0)
    (clip,) = write_parts(outcome, Wishes(tmp_path / "out", clips=True), MEDIA)["clips"]

    assert (clip["copied"], clip["why"]) == (False, "no key picture within 10 s before")
    assert len(decoded(Path(clip["file"]))) == pytest.approx(5 * RATE, abs=2)


def test_a_part_with_a_person_is_encoded_with_them_blurred_unless_asked(tmp_path):
    path = walk(tmp_path)
    outcome = looked_at(path, category="person")
    whole = decoded(path)

    (hidden,) = write_parts(outcome, Wishes(tmp_path / "hidden", clips=True), MEDIA)["clips"]
    (shown,) = write_parts(outcome, Wishes(tmp_path / "shown", clips=True, show_people=True), MEDIA)["clips"]

    assert (hidden["copied"], hidden["why"]) == (False, "people are blurred")
    assert shown["copied"]
    part = decoded(Path(hidden["file"]))
    at = min(range(len(part)), key=lambda index: abs(part[index][0] + hidden["start_s"] - 5.2))
    number = round((part[at][0] + hidden["start_s"]) * RATE)
    x = 20 + 2 * number
    before, after = (bgr[38:58, x - 10 : x + 10].astype(float) for bgr in (whole[number][1], part[at][1]))
    assert before.std() > 3 * after.std()  # the disc's edge is gone


def test_an_annotated_copy_has_every_picture_and_boxes_where_something_is(tmp_path):
    path = walk(tmp_path)

    made = write_parts(looked_at(path), Wishes(tmp_path / "out", annotated=True), MEDIA)["annotated"]

    copy = decoded(Path(made["file"]))
    assert made["pictures"] == len(copy) == 120
    times = [time_s for time_s, _bgr in copy]
    np.testing.assert_allclose(times, np.arange(120) / RATE, atol=0.01)
    whole = [cv2.resize(bgr, copy[0][1].shape[1::-1], interpolation=cv2.INTER_CUBIC) for _time_s, bgr in decoded(path)]
    drawn = [
        int((cv2.absdiff(bgr, plain) > 60).sum()) for (_time_s, bgr), plain in zip(copy, whole, strict=True)
    ]  # the box's lines and its label
    assert min(drawn[42:60]) > 1000
    assert max(drawn[:30] + drawn[75:]) < 100


def test_a_contact_sheet_shows_the_best_crops_of_each_track(tmp_path):
    made = write_parts(looked_at(walk(tmp_path)), Wishes(tmp_path / "out", sheet=True), MEDIA)["sheet"]

    assert made["tiles"] == 5
    sheet = simplejpeg.decode_jpeg(Path(made["file"]).read_bytes(), colorspace="BGR")
    assert sheet.shape[1] > 4 * 240
    assert (sheet[: 6 + 240, 6:246].max(), sheet[260:280, 6:200].min()) >= (200, 0)


def test_an_empty_clip_gets_no_sheet_and_no_cuts(tmp_path):
    made = write_parts(looked_at(walk(tmp_path), from_s=99), Wishes(tmp_path / "out", clips=True, sheet=True), MEDIA)

    assert made == {"clips": [], "sheet": {"file": None, "why": "nothing was found"}}


def test_a_name_that_leads_out_of_the_folder_stays_in_it(tmp_path):
    outcome = looked_at(walk(tmp_path))
    outcome = replace(outcome, spooled=replace(outcome.spooled, name="../../etc/a.mp4"))

    made = write_parts(outcome, Wishes(tmp_path / "out", sheet=True), MEDIA)["sheet"]

    assert Path(made["file"]) == tmp_path / "out" / "etc" / "a.mp4.sheet.jpg"


def test_sound_is_copied_with_the_pictures(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        video, sound = out.add_stream("libx264", rate=RATE, options=GROUPS), out.add_stream("pcm_s16le", rate=8000)
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        sound.layout = "mono"
        for number in range(60):
            out.mux(video.encode(av.VideoFrame.from_ndarray(scene(number), "bgr24")))
            heard = av.AudioFrame.from_ndarray(np.full((1, 800), number, np.int16), format="s16", layout="mono")
            heard.sample_rate, heard.pts = 8000, number * 800
            out.mux(sound.encode(heard))
        out.mux(video.encode())
        out.mux(sound.encode())

    begins_s = copy_part(path, tmp_path / "b.mkv", start_s=2.5, end_s=4.0)

    with av.open(str(tmp_path / "b.mkv")) as part:
        values = [int(frame.to_ndarray().mean()) for frame in part.decode(audio=0)]
    assert begins_s == pytest.approx(2.0)
    assert (values[0], values[-1]) == pytest.approx((20, 40), abs=2)


def test_a_part_that_can_not_be_copied_leaves_no_file(tmp_path):
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"no clip")

    with pytest.raises(CannotCopy):
        copy_part(path, tmp_path / "b.mp4", start_s=0.0, end_s=1.0)
    assert not (tmp_path / "b.mp4").exists()


def test_odd_sizes_are_encoded_without_the_last_row_and_column(tmp_path):
    path = write_clip(
        tmp_path / "a.avi", [scene(n, 161, 97) for n in range(10)], codec="mjpeg", pix_fmt="yuvj444p", options={}
    )

    count = encode_part(path, tmp_path / "b.mp4", start_s=0.0, end_s=9.0, draw=lambda bgr, _time_s: bgr)

    assert count == 10
    assert decoded(tmp_path / "b.mp4")[0][1].shape == (96, 160, 3)


def test_stills_alone_are_refused_in_one_line(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")

    done = CliRunner().invoke(app, ["video", str(tmp_path), "--out", str(tmp_path / "out")])

    assert done.exit_code != 0
    assert "no clips in there" in str(done.exception)
