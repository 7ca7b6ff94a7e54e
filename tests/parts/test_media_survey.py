"""Long clips: what is looked at when not everything can be, and that nothing else is decoded."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edge.media.opener import FileMedia
from edge.media.survey import Coded, Shown, choose, route, survey
from tests.parts.test_media_clips import scene, write_clip

EVERY = FileMedia(sample_fps=None)
SECONDS, RATE, BUDGET = 40, 10, 24
MOVING_S = (20, 26)
GROUPS = {"g": "50", "sc_threshold": "0", "bf": "2"}


def trap_pictures() -> list[np.ndarray]:
    """Nothing moves but for six seconds; the disc rests where it was left."""
    first, last = MOVING_S[0] * RATE, MOVING_S[1] * RATE
    return [scene(min(max(number - first, 0), last - first)) for number in range(SECONDS * RATE)]


def make(folder: Path, suffix: str = "mp4", codec: str = "libx264", **options: object) -> Path:
    return write_clip(folder / f"long.{suffix}", trap_pictures(), codec=codec, rate=RATE, **options)


def looked_at(path: Path, budget: int | None = BUDGET) -> list[tuple[int, float, np.ndarray]]:
    with FileMedia(sample_fps=2.0, clip_pictures=budget).open(path, "clip") as clip:
        seen = [(number, time_s, picture.bgr().copy()) for number, time_s, picture in clip]
        assert clip.damage == ""
    return seen


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        ("mp4", "libx264", GROUPS),
        ("mkv", "libx264", GROUPS | {"x264-params": "open-gop=1"}),
        ("ts", "libx264", GROUPS),
        ("avi", "mpeg4", {"g": "50"}),
        ("mov", "mpeg4", {"g": "50", "bf": "2"}),
        ("asf", "wmv2", {"g": "50"}),
    ],
)
def test_key_pictures_and_what_moves_are_looked_at_and_look_as_if_all_had_been_decoded(
    suffix: str, codec: str, options: dict[str, str], tmp_path: Path
) -> None:
    path = make(tmp_path, suffix, codec, options=options)

    seen = looked_at(path)

    numbers = [number for number, _time_s, _bgr in seen]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 0
    assert len(numbers) <= BUDGET
    moving = [time_s for _number, time_s, _bgr in seen if MOVING_S[0] <= time_s <= MOVING_S[1]]
    assert len(moving) >= 8  # of the 12 that would be looked at in a short clip; spread evenly they were 4
    for start in range(0, SECONDS, 10):
        assert any(start <= time_s < start + 10 for _number, time_s, _bgr in seen)
    with EVERY.open(path, "clip") as clip:
        every = {number: (time_s, picture.bgr().copy()) for number, time_s, picture in clip}
    for number, time_s, bgr in seen:
        assert time_s == pytest.approx(every[number][0])
        np.testing.assert_array_equal(bgr, every[number][1])


def test_groups_in_which_nothing_moves_are_not_decoded(tmp_path: Path) -> None:
    path = make(tmp_path, options=GROUPS)

    with FileMedia(sample_fps=2.0, clip_pictures=BUDGET).open(path, "clip") as clip:
        for _picture in clip:
            pass

        assert sum(clip.route.needed) < 0.4 * SECONDS * RATE


@pytest.mark.parametrize("budget", [None, SECONDS * 2])
def test_a_clip_within_the_budget_is_looked_at_evenly(budget: int | None, tmp_path: Path) -> None:
    seen = looked_at(make(tmp_path, options=GROUPS), budget)

    assert [number for number, _time_s, _bgr in seen] == list(range(0, SECONDS * RATE, 5))


def test_where_every_picture_stands_alone_they_are_spread_evenly(tmp_path: Path) -> None:
    seen = looked_at(make(tmp_path, "avi", "mjpeg", pix_fmt="yuvj420p", options={}))

    times = [time_s for _number, time_s, _bgr in seen]
    assert len(times) == BUDGET
    assert np.diff(times).max() <= 2 * SECONDS / BUDGET


def test_one_key_picture_in_the_whole_clip_leaves_no_stretch_blind() -> None:
    shown = [Shown(n / 10, n == 0, 1000 if n == 0 else 900 if 3000 <= n < 3600 else 20) for n in range(6000)]

    times = [shown[number].time_s for number in choose(shown, sample_fps=2.0, half_step_s=0.05, budget=150)]

    assert len(times) == 150
    assert np.diff([*times, 600.0]).max() <= 10.5
    assert sum(300 <= time_s < 360 for time_s in times) >= 80


def test_pictures_that_need_the_group_before_give_way_to_its_key_picture() -> None:
    # decoding order I0 P3 b1 b2 | I6 b4 b5: the last two lean on P3
    coded = [Coded(pts, key, 10) for pts, key in [(0, True), (3, False), (1, False), (2, False), (6, True)]]
    coded += [Coded(4, False, 90), Coded(5, False, 90)]

    way = route(coded, time_base_s=1.0, sample_fps=1.0, half_step_s=0.0, budget=4)

    assert {0, 6} <= set(way.wanted) <= {0, 1, 2, 3, 6}
    assert (way.count, way.end_s) == (7, 6.0)


def test_a_long_clip_that_is_cut_short_says_so(tmp_path: Path) -> None:
    path = make(tmp_path, "mkv", options=GROUPS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])

    with FileMedia(sample_fps=2.0, clip_pictures=BUDGET).open(path, "clip") as clip:
        numbers = [number for number, _time_s, _picture in clip]

        assert len(numbers) >= BUDGET // 2
        assert "truncated" in clip.damage


@pytest.mark.parametrize("packets", [[(0, True), (None, False)], [(0, True), (0, False)], [(0, False)], []])
def test_packets_that_do_not_say_when_they_are_shown_give_no_survey(packets: list[tuple[int | None, bool]]) -> None:
    coded = [SimpleNamespace(pts=pts, is_keyframe=key, size=10) for pts, key in packets]

    assert survey(SimpleNamespace(demux=lambda _stream: iter(coded)), None) is None
