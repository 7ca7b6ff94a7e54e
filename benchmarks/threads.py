"""How many threads should ONNX Runtime take when workers decode JPEGs beside it? Prints milliseconds a picture.

Usage: python benchmarks/threads.py [--model FOLDER] [--pictures N] [--rounds N]. Each setting runs in a process of its
own, the settings in turn, so that a noisy machine hurts all alike; the median over the rounds is printed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import psutil
import simplejpeg

from edge.inference.preprocess import letterbox, to_batch
from edge.models.card import read_card

CORES = len(os.sched_getaffinity(0))
# (threads of one run, runs at once, threads wait by spinning, workers, memory arena)
SETTINGS = [
    (CORES, 1, True, 1, True),
    (CORES, 1, False, 1, True),
    (CORES, 1, True, 2, True),
    (CORES, 1, False, 2, True),
    (CORES, 2, True, 2, True),
    (CORES, 2, False, 1, True),
    (CORES, 2, False, 2, True),
    (CORES, 2, False, 3, True),
    (1, CORES, False, 1, True),
    (1, CORES, False, 2, True),
    (1, CORES, False, 3, True),
    (CORES, 2, False, 2, False),
]


def measure(model: Path, pictures: int, setting: list[int]) -> dict[str, float]:
    """Wall and CPU milliseconds a picture, milliseconds of a run on its own, resident megabytes."""
    intra, at_once, spin, workers, arena = setting
    cv2.setNumThreads(1)
    card = read_card(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = intra, 1
    options.enable_cpu_mem_arena = bool(arena)
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    session = ort.InferenceSession(str(card.onnx_path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    slots = threading.BoundedSemaphore(at_once)
    rng = np.random.default_rng(1)
    scene = cv2.resize(rng.integers(0, 255, (27, 48, 3), np.uint8), (1920, 1080), interpolation=cv2.INTER_CUBIC)
    jpeg = simplejpeg.encode_jpeg(scene, quality=90, colorspace="BGR")

    def look(_: int) -> None:
        bgr = simplejpeg.decode_jpeg(jpeg, colorspace="BGR")
        batch = to_batch([letterbox(bgr, size_hw=card.input_hw, fill=card.fill, anchor="topleft")[0]], card)
        with slots:
            session.run(None, {name: batch})

    batch = np.zeros((1, 3, *card.input_hw), np.float32)
    alone = []
    for _ in range(6):
        began = time.perf_counter()
        session.run(None, {name: batch})
        alone.append(time.perf_counter() - began)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(look, range(workers)))
        began, cpu = time.perf_counter(), time.process_time()
        list(pool.map(look, range(pictures)))
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {
        "wall": 1e3 * wall / pictures,
        "cpu": 1e3 * cpu / pictures,
        "alone": 1e3 * statistics.median(alone),
        "rss": psutil.Process().memory_info().rss / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=Path, default=Path(os.environ.get("TIGRILLO_MODELS", ".cache/models")) / "megadetector-lite"
    )
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--setting", type=json.loads, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.setting:
        print(json.dumps(measure(chosen.model, chosen.pictures, chosen.setting)))
        return
    found: dict[tuple[int, ...], list[dict[str, float]]] = {setting: [] for setting in SETTINGS}
    for _ in range(chosen.rounds):
        for setting, rows in found.items():
            command = [sys.executable, __file__, "--model", str(chosen.model), "--pictures", str(chosen.pictures)]
            command += ["--setting", json.dumps([int(value) for value in setting])]
            rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    print(f"{chosen.model.name}, 1080p JPEG, {CORES} cores, {chosen.rounds} rounds, medians")
    print("threads/run  at once  spin  workers  arena | wall ms  cpu ms  run alone ms  RSS MB")
    for (intra, at_once, spin, workers, arena), rows in found.items():
        wall, cpu, alone, rss = (statistics.median(row[key] for row in rows) for key in ("wall", "cpu", "alone", "rss"))
        print(f"{intra:11}  {at_once:7}  {spin!s:5} {workers:7}  {arena!s:5} |", end="")
        print(f"{wall:8.1f} {cpu:7.1f} {alone:13.1f} {rss:7.0f}")


if __name__ == "__main__":
    main()
