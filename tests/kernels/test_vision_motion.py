"""Motion on the device sees what the stage sees: on made-up scenes, and on every shared clip."""

from contextlib import AbstractContextManager
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edge.compute.choice import match, parse_choice
from edge.compute.device import Device
from edge.compute.motion import DeviceMotion
from edge.compute.probe import probe_devices
from edge.compute.vision import Vision
from edge.hookspecs import Stage
from edge.inference.opencl.session import OpenclCompute
from edge.media.opener import FileMedia
from edge.model import Frame, Yuv420
from edge.testing import fake_services, spooled_frame
from plugins.stages import motion

CONFIG = motion.MotionConfig()
RULE = motion.rule_of(CONFIG)


@pytest.fixture(scope="module")
def vision(tmp_path_factory):
    with Device.open("opencl", cache_dir=tmp_path_factory.mktemp("cache")) as device, Vision(device) as opened:
        yield opened


def frame_of(luma):
    height, width = luma.shape
    return Yuv420((luma, np.full((-(-height // 2), 2 * -(-width // 2)), 128, np.uint8)), width)


def compare(vision, pictures):
    """(pictures, those with equal boxes, those with boxes at all) of (seconds, luma) in turn."""
    background, count, equal, moving = motion.Background(), 0, 0, 0
    with DeviceMotion(vision, RULE) as device_motion:
        for at_s, luma in pictures:
            frame = vision.upload_frame(frame_of(luma))
            got = motion.boxes_of(device_motion.look(frame, at_s=at_s), CONFIG)
            vision.release(frame)
            small = motion.shrink(luma, size_px=CONFIG.size_px)
            want = motion.look(background, small, at_s=at_s, config=CONFIG)
            count, equal, moving = count + 1, equal + (got == want), moving + bool(want)
    return count, equal, moving


@pytest.mark.parametrize("side", [(1080, 1920), (720, 1280), (2160, 3840), (1441, 2563), (61, 107)])
@pytest.mark.parametrize("kind", ["luma", "bgr"])
def test_the_small_map_is_the_stages(vision, side, kind):
    bgr = np.random.default_rng(0).integers(0, 256, (*side, 3)).astype(np.uint8)
    luma = bgr[:, :, 0] if kind == "luma" else cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    frame = vision.upload_frame(bgr if kind == "bgr" else frame_of(luma))
    want = motion.shrink(luma, size_px=CONFIG.size_px)

    with DeviceMotion(vision, RULE) as device_motion:
        device_motion.look(frame, at_s=0.0)
        got = vision.device.read(device_motion._maps["small"], np.empty(want.shape, np.float32))
    vision.release(frame)

    np.testing.assert_array_equal(got, want)


def scene(*, light=1.0, offset=0.0, animal=None, seed=0):
    """A textured scene of 640 × 360, with noise that differs by seed; animal: its left edge."""
    ground = cv2.resize(np.random.default_rng(5).integers(40, 160, (45, 80)).astype(np.float32), (640, 360))
    if animal is not None:
        cv2.ellipse(ground, (animal, 200), (60, 30), 0, 0, 360, 230, -1)
    noise = np.random.default_rng(seed).normal(0, 2, ground.shape)
    return np.clip(ground * light + offset + noise, 0, 255).astype(np.uint8)


def test_a_passing_animal_under_changing_light_gives_the_stages_boxes(vision):
    walk = [(0.5 * n, scene(light=1 + 0.02 * n, animal=20 * n if n > 3 else None, seed=n)) for n in range(25)]

    count, equal, moving = compare(vision, walk)

    assert moving > 15
    assert equal == count


def test_light_that_jumps_and_a_scene_that_changes_are_told_apart_as_the_stage_does(vision):
    calm, bright = scene(seed=1), scene(light=1.4, offset=25, seed=2)
    other = scene(seed=3)[::-1, ::-1].copy()
    dark = np.full((360, 640), 3, np.uint8)
    turns = [calm, scene(seed=4), bright, scene(light=1.4, offset=25, seed=5), other, other, dark, dark, calm]

    count, equal, moving = compare(vision, [(float(n), luma) for n, luma in enumerate(turns)])

    assert moving
    assert equal == count


def test_a_picture_of_another_size_and_forgetting_begin_anew(vision):
    with DeviceMotion(vision, RULE) as device_motion:
        looks = []
        for luma in (scene(), scene(), scene()[:180], scene()[:180]):
            frame = vision.upload_frame(frame_of(luma))
            looks.append(device_motion.look(frame, at_s=0.0))
            vision.release(frame)
        device_motion.forget()
        frame = vision.upload_frame(frame_of(scene()[:180]))
        again = device_motion.look(frame, at_s=0.0)
        vision.release(frame)

    assert [seen is None for seen in looks] == [True, False, True, False]
    assert again is None


def test_a_map_costs_four_launches(vision):
    frame = vision.upload_frame(frame_of(scene()))
    with DeviceMotion(vision, replace(RULE, size_px=160)) as device_motion:
        device_motion.look(frame, at_s=0.0)
        before = vision.launcher.count

        seen = device_motion.look(frame, at_s=1.0)

    vision.release(frame)
    assert vision.launcher.count - before == 4
    assert seen.changed.shape == (90, 160)
    assert seen.count == 0


def stage(device: OpenclCompute | None) -> AbstractContextManager[Stage]:
    return motion.build_motion(CONFIG, fake_services(**({"compute": device} if device else {})))


def test_the_stage_on_the_device_says_of_shared_clips_what_it_says_on_the_host(tmp_path, shared_media):
    found = match(parse_choice("opencl"), probe_devices(try_kernels=False).found)
    total = same = moving = 0
    with (
        OpenclCompute(found, cache_dir=tmp_path, whole_hop=True) as compute,
        stage(compute) as ours,
        stage(None) as theirs,
    ):
        before = compute.worker.submit(lambda device: compute.hop(device).frames.uploads).result()
        for name in ("chimp.mp4", "PICT0265.AVI"):
            spooled = spooled_frame(shared_media / "video" / name, id=name, kind="clip")
            with FileMedia(sample_fps=5.0).open(spooled.path, "clip") as clip:
                for number, time_s, picture in clip:
                    seen = Frame(spooled, picture, number, time_s)
                    with compute.looking_at(picture):
                        got, want = ours(seen), theirs(seen)
                    total, same = total + 1, same + (got == want)
                    moving += bool(want.moving)
        after = compute.worker.submit(lambda device: compute.hop(device).frames.uploads).result()

    assert total > 100
    assert moving > 50
    assert same >= 0.99 * total  # as below
    assert after - before == total  # it was the device that looked


def test_every_shared_clip_gives_the_stages_boxes(vision, shared_media):
    total = same = 0
    for path in sorted((shared_media / "video").iterdir()):
        with FileMedia(sample_fps=None).open(path, "clip") as clip:
            count, equal, _ = compare(vision, [(at_s, picture.luma()) for _, at_s, picture in clip])
        total, same = total + count, same + equal

    assert total > 700
    assert same >= 0.99 * total  # sums are rounded in another order, and a pixel may lie on its threshold
