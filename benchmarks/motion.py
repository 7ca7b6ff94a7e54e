"""How fast the motion stage is on 1080p H.264, beside OpenCV's MOG2 on the same luma planes in the same run.

    python benchmarks/motion.py [--pictures N] [--rounds N]

Makes its own clip (a bright animal over textured ground, sensor noise, libx264), and takes of each part the best of
some rounds, one after the other, so that other work on the machine hits all alike. Goals: 400 pictures/s from decoded
luma, 150 with decoding.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import av
import cv2
import numpy as np

from edge.api import CaptureTime, Frame, SpooledFrame, Stage
from edge.fakes import fake_services
from edge.media.opener import FileMedia
from plugins.stages.motion import MotionConfig, shrink, tigrillo_stages

WIDTH, HEIGHT, RATE = 1920, 1080, 30
GOAL_LUMA, GOAL_DECODE = 400, 150
EVERY = FileMedia(sample_fps=None)


def make_clip(path: Path, pictures: int) -> None:
    rng = np.random.default_rng(0)
    ground = cv2.resize(rng.integers(30, 190, (135, 240, 3)).astype(np.uint8), (WIDTH, HEIGHT))
    grain = [rng.integers(0, 7, (HEIGHT, WIDTH, 1)).astype(np.uint8) for _ in range(5)]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(pictures):
            picture = ground + grain[number % len(grain)]
            cv2.ellipse(picture, (200 + 5 * number, 600), (160, 80), 0, 0, 360, (215, 225, 235), -1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        out.mux(stream.encode())


def frames_of(path: Path) -> Iterator[Frame]:
    now = datetime.now(UTC)
    spooled = SpooledFrame("bench", "clip", "clip", path, path.name, "0" * 64, 1, "bench", CaptureTime(now), now)
    with EVERY.open(path, "clip") as clip:
        for number, time_s, picture in clip:
            yield Frame(spooled, picture, number=number, time_s=time_s)


def count_moving(stage: Stage, frames: Iterator[Frame] | list[Frame]) -> int:
    return sum(bool(stage(frame).moving) for frame in frames)


def rate_of(work: Callable[[], object], pictures: int) -> float:
    start = time.perf_counter()
    work()
    return pictures / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    (spec,) = tigrillo_stages()
    config = MotionConfig()
    with tempfile.TemporaryDirectory() as folder, spec.build(config, fake_services()) as stage:
        path = Path(folder) / "walk.mp4"
        make_clip(path, options.pictures)
        decoded = [frame for frame, _ in zip(frames_of(path), range(60), strict=False)]  # 60 planes are 180 MB
        lumas = [frame.picture.luma() for frame in decoded]
        small = [shrink(luma, size_px=config.size_px).astype(np.uint8) for luma in lumas]

        def mog2(planes: list[np.ndarray]) -> None:
            model = cv2.createBackgroundSubtractorMOG2()
            for plane in planes:
                model.apply(plane)

        parts: dict[str, tuple[Callable[[], object], int]] = {
            "decode, luma only": (lambda: [frame.picture.luma() for frame in frames_of(path)], options.pictures),
            "motion, from decoded luma": (lambda: count_moving(stage, decoded), len(decoded)),
            "decode + motion": (lambda: count_moving(stage, frames_of(path)), options.pictures),
            "MOG2, from decoded luma": (lambda: mog2(lumas), len(lumas)),
            "MOG2, on our 320-pixel map": (lambda: mog2(small), len(small)),
        }
        best = dict.fromkeys(parts, 0.0)
        for _ in range(options.rounds):
            for name, (work, pictures) in parts.items():
                best[name] = max(best[name], rate_of(work, pictures))
        seen = count_moving(stage, frames_of(path))

    print(f"1080p H.264, {options.pictures} pictures, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name, rate in best.items():
        print(f"  {name:<28}{rate:8.0f} pictures/s")
    ratio = best["motion, from decoded luma"] / best["MOG2, from decoded luma"]
    print(f"  ours / MOG2, same luma planes {ratio:6.1f} ×")
    print(f"  animal seen in {seen} of {options.pictures - 1} pictures that have a background")
    for name, goal in (("motion, from decoded luma", GOAL_LUMA), ("decode + motion", GOAL_DECODE)):
        print(f"  goal {goal}: {'reached' if best[name] >= goal else 'MISSED'} ({name})")


if __name__ == "__main__":
    main()
