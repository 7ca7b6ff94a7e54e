"""How much the way around a detector costs: 1080p NV12 on the host → boxes on the host, against the model alone.

    python benchmarks/detection_hop.py [--device opencl:0/0] [--model yolov5s] [--rounds 50] [--json FILE]

The model alone takes its float input from the host and gives its raw output back to it; the hop uploads the frame,
letterboxes it into the model's input, runs the model and reads the boxes. Both in turn in one run, so that other work
on the machine hits both alike; medians. Random weights and a synthetic frame: no network, no media. Goal: extra ≤ 0.3
ms on a GPU.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.compute.device import Device
from edge.compute.vision import Vision
from edge.inference.opencl.execute import Bound, bind
from edge.inference.opencl.fuse import fuse
from edge.inference.opencl.importer import import_model
from edge.inference.opencl.plan import plan_graph
from edge.model import Card, Yuv420
from edge.models.zoo.zoo import ZOO, build

WIDTH, HEIGHT = 1920, 1080
DECODERS = {"yolov5n": "yolov5", "yolov5s": "yolov5", "yolov5x6": "yolov5", "yolov8n": "yolov8", "yolo11n": "yolov8"}
DECODERS["yolox-tiny"] = "yolox-raw"
GOAL_MS = 0.3
CANDIDATES = 50  # the threshold is put where so many boxes of a random model pass


def make_frame() -> Yuv420:
    rng = np.random.default_rng(0)
    bgr = cv2.resize(rng.integers(0, 256, (108, 192, 3)).astype(np.uint8), (WIDTH, HEIGHT))
    planes = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    luma, colour = planes[: WIDTH * HEIGHT], planes[WIDTH * HEIGHT :].reshape(2, -1)
    return Yuv420((luma.reshape(HEIGHT, WIDTH), colour.T.reshape(HEIGHT // 2, WIDTH).copy()), WIDTH)


def card_of(name: str, size_px: int) -> Card:
    return Card(name, "detect", DECODERS[name], "-", "zoo", "-", (size_px, size_px))


def threshold(raw: np.ndarray, decoder: str) -> float:
    """The score that about CANDIDATES boxes reach."""
    scores = raw[0, 4:].max(axis=0) if decoder == "yolov8" else raw[0, :, 4] * raw[0, :, 5:].max(axis=1)
    return float(np.sort(scores)[-CANDIDATES])


def times_ms(works: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each work, taken in turn."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 3):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if number >= 3:  # the first ones warm up
                taken[name].append((time.perf_counter() - start) * 1e3)
    return taken


def measure(device: Device, bound: Bound, vision: Vision, card: Card, rounds: int) -> dict[str, Any]:
    frame, decoder = make_frame(), DECODERS[card.name]
    ((input_name, source),) = bound.plan.inputs.items()
    output = next(each for each in bound.plan.outputs.values() if len(each.shape) == 3)
    into, raw = bound.buffers[source.storage], bound.buffers[output.storage]
    sheet = np.random.default_rng(1).random(source.shape, np.float32)

    def around(run: Callable[[], None]) -> Any:
        on_device = vision.upload_frame(frame)
        vision.letterbox(on_device, into=into, card=card)
        run()
        found = vision.boxes(raw, output.shape, decoder=decoder, min_score=least, iou=0.45, input_hw=card.input_hw)
        vision.release(on_device)
        return found

    def model_from_device() -> None:
        bound.launch()
        device.finish()

    least = 2.0
    around(bound.launch)
    least = threshold(bound.read(output), decoder)
    works: dict[str, Callable[[], Any]] = {
        "model, host to host": lambda: bound.run({input_name: sheet}),
        "hop": lambda: around(bound.launch),
        "model, on the device": model_from_device,
        "hop without the model": lambda: around(lambda: None),
    }
    before = vision.launcher.count
    found = around(bound.launch)
    launches = vision.launcher.count - before
    taken = times_ms(works, rounds)
    medians = {name: statistics.median(each) for name, each in taken.items()}
    extra = statistics.median(
        hop - alone for hop, alone in zip(taken["hop"], taken["model, host to host"], strict=True)
    )
    (boxes,) = found
    return {
        "device": device.capability.name,
        "model": card.name,
        "ms": medians,
        "extra_ms": extra,
        "goal_ms": GOAL_MS,
        "launches": {"model": len(bound.calls), "around it": launches},
        "boxes": -1 if boxes is None else len(boxes.scores),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="opencl")
    parser.add_argument("--model", default="yolov5s", choices=sorted(DECODERS))
    parser.add_argument("--size", type=int, help="pixels of the input's side, the model's own by default")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    size_px = options.size or ZOO[options.model].input_hw[0]
    model = build(options.model, size=size_px)
    graph = fuse(import_model(model, shapes={model.graph.input[0].name: (1, 3, size_px, size_px)}))
    with (
        tempfile.TemporaryDirectory() as folder,
        Device.open(options.device, cache_dir=Path(folder)) as device,
        bind(plan_graph(graph, device.capability), device) as bound,
        Vision(device) as vision,
    ):
        result = measure(device, bound, vision, card_of(options.model, size_px), options.rounds)
    print(f"{result['device']}, {result['model']} at {size_px}, 1080p NV12, medians of {options.rounds}")
    for name, value in result["ms"].items():
        print(f"{name:24}{value:9.3f} ms")
    counts = result["launches"]
    print(f"launches: {counts['model']} of the model, {counts['around it']} around it; boxes: {result['boxes']}")
    print(f"extra ms: {result['extra_ms']:.3f} (hop − model host to host, goal ≤ {GOAL_MS})")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
