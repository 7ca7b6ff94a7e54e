"""Pictures a second against zamba's own detector path: same weights, same clips, every picture, same thresholds.

Usage: make bench-zamba   or   python benchmarks/versus_zamba.py --venv FOLDER [--rounds N] [--clips FOLDER]

zamba 2.7.2 runs as it stands in its wheel, in an environment of its own (benchmarks/zamba/setup.sh FOLDER): its
load_video_frames (ffmpeg to RGB) and its MegadetectorLiteYoloX.detect_video (PIL letterbox, torch, yolox postprocess),
default settings. One thing is replaced: torchvision has no CPU wheel on the index, so that yolox's postprocess takes
nms from a stand-in of twenty lines (benchmarks/zamba/stand_in). Ours: the path of `tigrillo process --fps 0` with the
detector alone at the same threshold, 0.25, and NMS, 0.45, results file included. Both sides decode and detect; loading
of models is left out on both. They take turns; medians over the rounds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kit import SHARED_MEDIA, Process, machine, open_process

from edge.model import Outcome
from edge.process import Item, find_items

GOAL = 2.2
SAME = 0.9  # IoU
NEAR = 0.3  # score: a box below this on one side may be missing on the other, whose resize differs a little
SITE = "stages: [{use: detect, model: megadetector-lite, min_score: 0.25}]"
Box = Sequence[float]


def iou(a: Box, b: Box) -> float:
    """Of two boxes x0, y0, x1, y1."""
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(wide, 0.0) * max(high, 0.0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def ours(process: Process, items: Sequence[Item], out: Path) -> tuple[float, dict[str, list[list[tuple[Box, float]]]]]:
    """Seconds, and for each clip the boxes and scores of each picture."""
    began = time.perf_counter()
    results = process.run(list(items), out)
    seconds = time.perf_counter() - began
    found = {}
    for result in results:
        assert isinstance(result, Outcome), result
        found[result.spooled.name] = [
            [((x, y, x + w, y + h), each.score) for each in picture.detections for x, y, w, h in [each.xywh_norm]]
            for picture in result.pictures
        ]
    return seconds, found


def ask(peer: "subprocess.Popen[str]", path: Path) -> dict[str, Any]:
    assert peer.stdin
    assert peer.stdout
    peer.stdin.write(f"{path}\n")
    peer.stdin.flush()
    return dict(json.loads(peer.stdout.readline()))


def pairs(theirs: list[tuple[Box, float]], mine: list[tuple[Box, float]]) -> tuple[list[float], int]:
    """IoU of each of their boxes with ours that fits best, best score first; how many are near the threshold alone."""
    left, found, near = list(mine), [], 0
    for box, score in sorted(theirs, key=lambda each: -each[1]):
        best = max(left, key=lambda each: iou(box, each[0]), default=None)
        overlap = iou(box, best[0]) if best else 0.0
        if best and overlap >= 0.5:
            left.remove(best)
            found.append(overlap)
        elif score < NEAR:
            near += 1
        else:
            found.append(0.0)
    near += sum(score < NEAR for _, score in left)
    found += [0.0 for _, score in left if score >= NEAR]
    return found, near


def clipped(picture: dict[str, Any]) -> list[tuple[Box, float]]:
    boxes = [[min(max(side, 0.0), 1.0) for side in box] for box in picture["boxes"]]
    return list(zip(boxes, picture["scores"], strict=True))


def compare(clip: str, theirs: list[list[tuple[Box, float]]], mine: list[list[tuple[Box, float]]]) -> None:
    """Print a line: zamba / ours. ffmpeg repeats a picture where a clip has a gap, hence one more in one of them."""
    matched = [pairs(*each) for each in zip(theirs, mine, strict=False)]
    overlaps = [overlap for each, _ in matched for overlap in each]
    same = f"{sum(overlap >= SAME for overlap in overlaps)} of {len(overlaps)}"
    near = sum(number for _, number in matched)
    print(f"{clip:20}{len(theirs):8} /{len(mine):4} {sum(map(len, theirs)):6} /{sum(map(len, mine)):5}", end="")
    print(f"{same:>23}{statistics.median(overlaps or [1.0]):12.3f}{near:11}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path, default=Path("/tmp/zambavenv"), help="made by benchmarks/zamba/setup.sh")
    parser.add_argument("--clips", type=Path, default=SHARED_MEDIA / "video", help="folder of clips")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (3)")
    chosen = parser.parse_args()
    if not (chosen.venv / "ready").exists() or not chosen.clips.is_dir():
        print(f"left out: needs {chosen.clips} and zamba's environment at {chosen.venv} (make bench-zamba)")
        return
    print(machine("av"))
    items = find_items([chosen.clips])
    command = [str(chosen.venv / "bin" / "python"), str(Path(__file__).parent / "zamba" / "peer.py")]
    with (
        tempfile.TemporaryDirectory() as name,
        open_process(SITE, fps=0) as process,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr, text=True) as peer,
    ):
        assert peer.stdout
        json.loads(peer.stdout.readline())  # it has loaded
        warm = min(items, key=lambda item: item.path.stat().st_size)
        ask(peer, warm.path)
        ours(process, [warm], Path(name) / "results.json")
        rounds = []
        for _ in range(chosen.rounds):
            theirs = {item.name: ask(peer, item.path) for item in items}
            seconds, found = ours(process, items, Path(name) / "results.json")
            theirs_s = sum(each["decode_s"] + each["detect_s"] for each in theirs.values())
            rounds.append((theirs_s, sum(each["decode_s"] for each in theirs.values()), seconds))
        assert peer.stdin
        peer.stdin.close()
    print(f"{'clip':20}{'pictures':>16}{'boxes':>12}{'the same at IoU ≥ 0.9':>24}{'median IoU':>12}{'near 0.25':>11}")
    total = 0
    for clip, answer in theirs.items():
        total += len(answer["pictures"])
        compare(clip, [clipped(picture) for picture in answer["pictures"]], found[clip])
    theirs_s, decode_s, ours_s = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"zamba: {total / theirs_s:6.2f} pictures/s ({1e3 * decode_s / total:.1f} ms a picture of it decoding)")
    print(f"ours:  {total / ours_s:6.2f} pictures/s")
    print("zamba's nms and batched_nms come from benchmarks/zamba/stand_in: torchvision has no CPU wheel here")
    print(f"by round: {' '.join(f'{theirs / mine:.2f}' for theirs, _, mine in rounds)}; goal ≥ {GOAL}")
    print(f"ratio: {statistics.median(theirs / mine for theirs, _, mine in rounds):.2f}")


if __name__ == "__main__":
    main()
