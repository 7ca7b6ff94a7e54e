"""What does everything around the models cost? Wall time a still of `tigrillo process` over the models' own time.

Usage: python benchmarks/pipeline.py [--count N] [--rounds N] [--workers N]

The models' own time: plain ONNX Runtime sessions with default options (all cores), the detector on each still's input,
the classifier on the crops that `process` classified, prepared beforehand, nothing else. Both kinds of the latter are
measured, crop by crop and a still's crops as one batch; the faster one is the divisor. `process`: the command's own
path between opening the models and its summary: read, decode, resize, detect, classify, roll up, journal, results
file. The two take turns in one process; medians over the rounds.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
from kit import gather_stills, machine, open_process

from edge.inference.preprocess import letterbox, square_crop, to_batch
from edge.model import F32, Card, Outcome
from edge.process import find_items
from edge.services import Services

GOAL = 1.25


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def prepare(outcome: Outcome, services: Services, detector: Card, classifier: Card) -> tuple[F32, F32]:
    """The detector's input of a still and the crops that its classifier saw."""
    with services.media.open(outcome.spooled.path, "still") as clip:
        ((_number, _time_s, picture),) = clip
    bgr = picture.bgr()
    sheet, _ = letterbox(bgr, size_hw=detector.input_hw, fill=detector.fill, anchor="topleft")
    crops = [
        square_crop(bgr, each.xywh_norm, margin=classifier.crop_margin, size_px=classifier.input_hw[0])
        for each in outcome.detections()
        if each.classifications
    ]
    return to_batch([sheet], detector), to_batch(crops, classifier)


def default_run(card: Card) -> Callable[[F32], object]:
    session = ort.InferenceSession(str(card.onnx_path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {name: batch})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60, help="stills a round (60)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each (7)")
    parser.add_argument("--workers", type=int, default=0, help="files in work at once (the command's default)")
    chosen = parser.parse_args()
    print(machine("simplejpeg"))
    with tempfile.TemporaryDirectory() as name, open_process(workers=chosen.workers) as process:
        folder, out = Path(name) / "stills", Path(name) / "results.json"
        folder.mkdir()
        print(gather_stills(folder, count=chosen.count))
        items = find_items([folder])
        results = process.run(items, out)  # warms up, and says how many crops there are
        cards = [process.services.models.card(process.services.used_models[task]) for task in ("detect", "classify")]
        seen: dict[Path, tuple[F32, F32]] = {}  # of each different still
        inputs = []
        for result in results:
            assert isinstance(result, Outcome), result
            path = result.spooled.path.resolve()
            if path not in seen:
                seen[path] = prepare(result, process.services, *cards)
            inputs.append(seen[path])
        detect, classify = map(default_run, cards)

        def singly() -> None:
            for sheet, crops in inputs:
                detect(sheet)
                for number in range(len(crops)):
                    classify(crops[number : number + 1])

        def batched() -> None:
            for sheet, crops in inputs:
                detect(sheet)
                if len(crops):
                    classify(crops)

        turns: dict[str, Callable[[], object]] = {
            "models, crop by crop": singly,
            "models, crops batched": batched,
            "tigrillo process": lambda: process.run(items, out),
        }
        batched()
        rows = [{label: timed(work) for label, work in turns.items()} for _ in range(chosen.rounds)]
    print(f"{sum(len(crops) for _, crops in inputs) / len(inputs):.2f} crops a still, {chosen.rounds} rounds")
    print(f"{'':24}{'wall ms a still':>17}{'fastest':>9}{'CPU ms':>9}")
    for label in turns:
        walls = [1e3 * row[label][0] / len(items) for row in rows]
        cpu = np.median([1e3 * row[label][1] / len(items) for row in rows])
        print(f"{label:24}{statistics.median(walls):17.1f}{min(walls):9.1f}{cpu:9.1f}")
    models = min(list(turns)[:2], key=lambda label: statistics.median(row[label][0] for row in rows))
    ratios = sorted(row["tigrillo process"][0] / row[models][0] for row in rows)
    print(f"by round: {' '.join(f'{ratio:.2f}' for ratio in ratios)}; goal ≤ {GOAL}; divisor: {models}")
    print(f"ratio: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
