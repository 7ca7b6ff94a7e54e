"""The motion stage: what moved, and what only looks like it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from edge.api import (
    Box,
    CaptureTime,
    DeviceBusy,
    DeviceLost,
    Frame,
    Kind,
    MotionRule,
    Picture,
    Seen,
    SpooledFrame,
    Stage,
)
from edge.fakes import fake_services
from edge.media.stills import StillPicture
from edge.testing import check_stage_contract
from plugins.stages.motion import MotionConfig, tigrillo_stages

START = datetime(2026, 5, 1, 6, 0, tzinfo=UTC)
HEIGHT, WIDTH = 360, 640
Build = Callable[..., Stage]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    opened = []

    def make(**options: object) -> Stage:
        (spec,) = tigrillo_stages()
        context = spec.build(MotionConfig.model_validate(options), fake_services(state_dir=tmp_path))
        opened.append(context)
        return context.__enter__()

    yield make
    for context in opened:
        context.__exit__(None, None, None)


def woods(seed: int = 0) -> np.ndarray:
    """A textured scene, float, 30..190."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(
        rng.uniform(40, 160, (9, 16)).astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC
    )
    fine = cv2.resize(rng.uniform(-30, 30, (90, 160)).astype(np.float32), (WIDTH, HEIGHT))
    return np.clip(coarse + fine, 30, 190)


def with_noise(scene: np.ndarray, seed: int, sigma: float = 6.0) -> np.ndarray:
    return np.clip(scene + np.random.default_rng(seed).normal(0, sigma, scene.shape), 0, 255).astype(np.uint8)


def with_animal(scene: np.ndarray, x: int, y: int = 180, radius: int = 30, grey: float = 230) -> np.ndarray:
    return cv2.circle(scene.astype(np.float32), (x, y), radius, grey, -1)


def animal_box(x: int, y: int = 180, radius: int = 30) -> Box:
    return (x - radius) / WIDTH, (y - radius) / HEIGHT, 2 * radius / WIDTH, 2 * radius / HEIGHT


def frame(
    luma: np.ndarray,
    number: int = 0,
    *,
    kind: Kind = "clip",
    station: str = "waterhole",
    name: str = "one",
    at: datetime | None = START,
    fps: float = 10.0,
) -> Frame:
    spooled = SpooledFrame(
        station, name, kind, Path("/nowhere"), name, "0" * 64, 1, "test", CaptureTime(at), received_at=START
    )
    picture = StillPicture(np.repeat(luma.astype(np.uint8)[..., None], 3, axis=2))
    return Frame(spooled, picture, number=number, time_s=number / fps if kind == "clip" else 0.0)


def run(stage: Stage, lumas: list[np.ndarray], **of: object) -> list[Frame]:
    return [stage(frame(luma, number, **of)) for number, luma in enumerate(lumas)]  # type: ignore[arg-type]  # because options are passed on


def covered(box: Box, by: tuple[Box, ...]) -> float:
    """Share of a box that lies within some of the others."""
    canvas = np.zeros((HEIGHT, WIDTH), bool)

    def cut(one: Box) -> tuple[slice, slice]:
        x, y, width, height = one
        return (
            slice(round(y * HEIGHT), round((y + height) * HEIGHT)),
            slice(round(x * WIDTH), round((x + width) * WIDTH)),
        )

    for one in by:
        canvas[cut(one)] = True
    return float(canvas[cut(box)].mean())


def area(boxes: tuple[Box, ...]) -> float:
    return sum(width * height for _, _, width, height in boxes)


def test_the_first_picture_of_a_clip_passes_because_nothing_is_known_yet(build: Build) -> None:
    first = build()(frame(woods()))

    assert first.moving is None
    assert first.rejected == ""


def test_a_walking_animal_is_boxed_in_every_picture(build: Build) -> None:
    stage, places = build(), range(60, 560, 20)
    empty = run(stage, [with_noise(woods(), seed) for seed in range(10)])
    walking = [stage(frame(with_noise(with_animal(woods(), x), 100 + x), 10 + index)) for index, x in enumerate(places)]

    assert all(seen.moving == () for seen in empty[1:])
    for seen, x in zip(walking, places, strict=True):
        assert seen.rejected == ""
        assert seen.moving
        assert covered(animal_box(x), seen.moving) > 0.9
        assert area(seen.moving) < 4 * area((animal_box(x),))


@pytest.mark.parametrize("grey", [20.0, 120.0, 250.0])
@pytest.mark.parametrize("radius", [10, 40, 90])
def test_small_and_large_dark_and_bright_animals_are_seen(build: Build, grey: float, radius: int) -> None:
    stage = build()
    run(stage, [with_noise(woods(), seed) for seed in range(8)])

    seen = stage(frame(with_noise(with_animal(woods(), 300, radius=radius, grey=grey), 99), 8))

    assert seen.moving
    # 120 is near the scene's own grey: parts of it can't be told from the ground
    assert covered(animal_box(300, radius=radius), seen.moving) > (0.5 if grey == 120 else 0.85)


def test_noise_is_no_motion_and_such_pictures_of_a_clip_are_rejected(build: Build) -> None:
    frames = run(build(), [with_noise(woods(), seed, sigma=12) for seed in range(40)])

    assert [seen.moving for seen in frames[1:]] == [()] * 39
    assert {seen.rejected for seen in frames[1:]} == {"no motion"}


def test_single_hot_pixels_are_no_motion(build: Build) -> None:
    lumas = [with_noise(woods(), seed, sigma=2) for seed in range(20)]
    rng = np.random.default_rng(5)
    for luma in lumas:
        luma[rng.integers(0, HEIGHT, 40), rng.integers(0, WIDTH, 40)] = 255

    assert all(seen.moving == () for seen in run(build(), lumas)[1:])


@pytest.mark.parametrize(
    "switched",
    [
        lambda scene: scene * 0.35,
        lambda scene: scene * 1.8 + 20,
        lambda scene: scene + 60,
        lambda scene: scene * 0.4 + 90,  # infrared: flat and bright
        lambda scene: 255 * (scene / 255) ** 0.5,
    ],
    ids=["dusk", "flash", "lamp", "infrared", "gamma"],
)
def test_a_light_that_is_switched_is_no_motion_and_is_learnt_at_once(
    build: Build, switched: Callable[[np.ndarray], np.ndarray]
) -> None:
    stage = build()
    day = [with_noise(woods(), seed) for seed in range(10)]
    night = [with_noise(switched(woods()), 50 + seed) for seed in range(10)]

    frames = run(stage, day + night)

    assert all(seen.moving == () for seen in frames[1:])


def test_a_light_that_swallows_the_shadows_shows_in_one_picture_at_most(build: Build) -> None:
    crushed = np.maximum(woods() - 90, 0)
    day = [with_noise(woods(), seed) for seed in range(10)]

    frames = run(build(), day + [with_noise(crushed, 50 + seed) for seed in range(10)])

    assert all(seen.moving == () for seen in frames[11:])


def test_an_animal_is_seen_right_after_the_infrared_switch(build: Build) -> None:
    stage = build()
    infrared = woods() * 0.4 + 90
    run(stage, [with_noise(woods(), seed) for seed in range(10)] + [with_noise(infrared, 60)])

    seen = stage(frame(with_noise(with_animal(infrared, 200, grey=60), 61), 11))

    assert seen.moving
    assert covered(animal_box(200), seen.moving) > 0.85


def test_light_that_drifts_slowly_is_no_motion(build: Build) -> None:
    sunset = [with_noise(woods() * (1 - 0.6 * step / 100), step, sigma=4) for step in range(100)]

    assert all(seen.moving == () for seen in run(build(), sunset)[1:])


def test_a_shadow_edge_that_creeps_is_learnt_along(build: Build) -> None:
    veil = np.linspace(0, 1, WIDTH)[None]  # one side darkens by 30 %, over 60 s
    creeping = [with_noise(woods() * (1 - 0.3 * veil * step / 60), step, sigma=4) for step in range(60)]

    frames = run(build(), creeping, fps=1.0)

    assert sum(bool(seen.moving) for seen in frames) <= 3


def test_an_animal_that_fills_the_picture_is_motion_not_light(build: Build) -> None:
    stage = build()
    run(stage, [with_noise(woods(), seed) for seed in range(10)])
    fur = woods(seed=77) * 0.5
    close = woods()
    close[40:, 60:600] = fur[40:, 60:600]

    seen = stage(frame(with_noise(close, 99), 10))

    assert seen.moving
    assert seen.rejected == ""


def test_what_stays_is_learnt_into_the_background(build: Build) -> None:
    stage = build(history_s=5.0)
    run(stage, [with_noise(woods(), seed) for seed in range(5)], fps=1.0)
    stone = [stage(frame(with_noise(with_animal(woods(), 300), 20 + n), 5 + n, fps=1.0)) for n in range(40)]

    assert stone[0].moving
    assert stone[-1].moving == ()


def test_pictures_of_a_clip_are_only_compared_with_their_own_clip(build: Build) -> None:
    stage = build()
    run(stage, [with_noise(woods(), seed) for seed in range(10)], name="one")

    first_of_another = stage(frame(with_animal(woods(), 300), 0, name="two"))
    again = stage(frame(with_animal(woods(), 300), 0, name="one"))

    assert first_of_another.moving is None
    assert again.moving is None  # the same clip is looked at from its start once more


def still(stage: Stage, luma: np.ndarray, seconds: float, **of: object) -> Frame:
    return stage(frame(luma, kind="still", name=f"s{seconds}", at=START + timedelta(seconds=seconds), **of))  # type: ignore[arg-type]  # because options are passed on


def test_stills_are_compared_with_their_stations_recent_ones(build: Build) -> None:
    stage = build()
    for second in range(5):
        still(stage, with_noise(woods(), second), second)

    seen = still(stage, with_noise(with_animal(woods(), 300), 9), 6)

    assert seen.moving
    assert covered(animal_box(300), seen.moving) > 0.9


def test_stills_without_motion_are_marked_and_pass_unless_the_site_gates_them(build: Build) -> None:
    for gate_stills, reason in ((False, ""), (True, "no motion")):
        stage = build(gate_stills=gate_stills)
        still(stage, with_noise(woods(), 1), 0)

        seen = still(stage, with_noise(woods(), 2), 1)

        assert seen.moving == ()
        assert seen.rejected == reason


def test_clips_pass_unharmed_when_they_are_not_gated(build: Build) -> None:
    frames = run(build(gate_clips=False), [with_noise(woods(), seed) for seed in range(4)])

    assert {seen.rejected for seen in frames} == {""}
    assert frames[-1].moving == ()


def test_two_stations_share_no_background(build: Build) -> None:
    stage = build()
    for second in range(5):
        still(stage, with_noise(woods(0), second), second, station="north")
        other = still(stage, with_noise(woods(1), second), second, station="south")

    assert other.moving == ()


def test_a_background_from_an_hour_ago_is_not_used(build: Build) -> None:
    stage = build(max_gap_s=600)
    still(stage, with_noise(woods(), 0), 0)

    assert still(stage, with_noise(with_animal(woods(), 300), 1), 3600).moving is None
    assert still(stage, with_noise(with_animal(woods(), 300), 2), 3601).moving == ()


def test_a_still_of_unknown_time_passes_untouched(build: Build) -> None:
    stage = build(gate_stills=True)
    still(stage, with_noise(woods(), 0), 0)

    seen = stage(frame(with_noise(woods(), 1), kind="still", at=None))

    assert seen.moving is None
    assert seen.rejected == ""


def test_a_change_of_picture_size_starts_a_new_background(build: Build) -> None:
    stage = build()
    run(stage, [with_noise(woods(), seed) for seed in range(3)])

    smaller = stage(frame(with_noise(woods(), 9)[:200, :300], 3))

    assert smaller.moving is None


@pytest.mark.parametrize(("height", "width"), [(60, 106), (1080, 1920), (1536, 2048), (487, 643)])
def test_boxes_are_right_at_every_picture_size(build: Build, height: int, width: int) -> None:
    stage = build()
    empty, there = (
        cv2.resize(scene.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        for scene in (woods(), with_animal(woods(), 300))
    )
    run(stage, [with_noise(empty, seed, sigma=2) for seed in range(5)])

    seen = stage(frame(with_noise(there, 9, sigma=2), 5))

    assert seen.moving
    assert covered(animal_box(300), seen.moving) > 0.85
    assert area(seen.moving) < 3 * area((animal_box(300),))


def test_only_so_many_backgrounds_are_kept(build: Build) -> None:
    stage = build(max_stations=2)
    for station in ("a", "b", "c"):
        still(stage, with_noise(woods(), 0), 0, station=station)

    assert still(stage, with_noise(woods(), 1), 1, station="c").moving == ()
    assert still(stage, with_noise(woods(), 1), 1, station="a").moving is None


def test_clips_from_several_threads_do_not_disturb_each_other(build: Build) -> None:
    stage = build()
    seen: dict[str, list[Frame]] = {}

    def watch(name: str, seed: int) -> None:
        seen[name] = run(stage, [with_noise(woods(seed), number) for number in range(25)], name=name)

    threads = [threading.Thread(target=watch, args=(f"clip{seed}", seed)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(seen) == 6
    assert all(one.moving == () for frames in seen.values() for one in frames[1:])


class LostScene:
    """A device's background that works for some pictures, then is lost."""

    def __init__(self, looks: list[Seen | None], error: Exception) -> None:
        self.looks, self.error, self.forgotten = looks, error, 0

    def look(self, picture: Picture, *, at_s: float) -> Seen | None:
        if not self.looks:
            raise self.error
        return self.looks.pop(0)

    def forget(self) -> None:
        self.forgotten += 1


@dataclass
class SceneCompute:
    """A Compute whose device gives one scene, and none once it was given up."""

    scenes: list[LostScene]

    def looking_at(self, picture: Picture) -> AbstractContextManager[None]:
        return nullcontext()

    def scene(self, rule: MotionRule) -> LostScene | None:
        assert rule.threshold == MotionConfig().threshold
        return self.scenes.pop() if self.scenes else None


@pytest.mark.parametrize("error", [DeviceLost("gone"), DeviceBusy("full")])
def test_a_background_lost_with_its_device_begins_anew_on_the_host(tmp_path: Path, error: Exception) -> None:
    changed = np.zeros((90, 160), np.uint8)
    changed[40:60, 80:100] = 1
    scene = LostScene([None, Seen(changed, 400)], error)
    (spec,) = tigrillo_stages()
    with spec.build(MotionConfig(), fake_services(state_dir=tmp_path, compute=SceneCompute([scene]))) as stage:
        seen = run(stage, [with_noise(woods(), seed) for seed in range(4)])
        walked = stage(frame(with_noise(with_animal(woods(), 300), 9), 4))

    assert [each.moving for each in seen] == [None, ((0.5, 40 / 90, 0.125, 20 / 90),), None, ()]
    assert scene.forgotten == 1  # at the clip's first picture
    assert walked.moving
    assert covered(animal_box(300), walked.moving) > 0.85


def test_most_of_a_picture_changing_on_the_device_is_light_or_another_scene_as_on_the_host(tmp_path: Path) -> None:
    small, other = (cv2.resize(woods(seed).astype(np.float32), (320, 180)) for seed in (0, 1))
    full = np.ones(small.shape, np.uint8)
    looks = [Seen(full, full.size, maps) for maps in ((small, small * 0.4), (small, other))]
    compute = SceneCompute([LostScene([None, *looks], DeviceLost("gone"))])
    (spec,) = tigrillo_stages()
    with spec.build(MotionConfig(), fake_services(state_dir=tmp_path, compute=compute)) as stage:
        seen = run(stage, [woods()] * 3)

    assert [each.moving for each in seen] == [None, (), ((0.0, 0.0, 1.0, 1.0),)]


def test_the_stage_keeps_the_contract_of_stages() -> None:
    (spec,) = tigrillo_stages()
    lumas = [with_noise(woods(), 0), with_noise(with_animal(woods(), 300), 1), with_noise(woods()[:100], 2)]

    answers = check_stage_contract(spec, MotionConfig(), [frame(luma, number) for number, luma in enumerate(lumas)])

    assert [answer.moving is None for answer in answers] == [True, False, True]
    assert all(0 <= value <= 1 for box in answers[1].moving or () for value in box)


def test_a_misspelt_option_is_refused() -> None:
    with pytest.raises(ValidationError, match="min_aera"):
        MotionConfig.model_validate({"min_aera": 0.1})
