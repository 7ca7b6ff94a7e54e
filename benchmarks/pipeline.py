"""What does everything around the models cost? Wall time a still of `tigrillo process` over the models' own time.

Usage: python benchmarks/pipeline.py [--count N] [--rounds N] [--workers N]

The models' own time: plain ONNX Runtime sessions with default options (all cores), the detector on each still's input,
the classifier on the crops that `process` classified, prepared beforehand, nothing else. The latter is measured crop by
crop and with a still's crops as one batch; the faster of the two is the divisor. For information, the same from two
threads at once, sessions as `process` sets them up: the least that the models could take. `process`: the command's own
path between opening the models and its summary: read, decode, resize, detect, classify, roll up, journal, results
file. All take turns in one process; medians over the rounds.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnxruntime as ort
from kit import Process, gather_stills, machine, open_process

from edge.inference.preprocess import letterbox, square_crop, to_batch
from edge.model import F32, Card, Outcome
from edge.process import Failure, find_items
from edge.services import Services

GOAL = 1.25
OURS = "tigrillo process"
Inputs = list[tuple[F32, F32]]  # of each still: the detector's batch of one, the classifier's crops


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


def two_at_once(inputs: Inputs, process: Process) -> None:
    """The models alone, as `process` sets them up."""
    detector, classifier = (process.services.compute.session(card) for card in cards_of(process))

    def look(sheet: F32, crops: F32) -> None:
        detector.run(sheet)
        if len(crops):
            classifier.run(crops)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(look, *zip(*inputs, strict=True)))


def cards_of(process: Process) -> list[Card]:
    return [process.services.models.card(process.services.used_models[task]) for task in ("detect", "classify")]


def prepare_all(results: list[Outcome | Failure], process: Process) -> Inputs:
    seen: dict[Path, tuple[F32, F32]] = {}  # of each different still
    inputs = []
    for result in results:
        assert isinstance(result, Outcome), result
        path = result.spooled.path.resolve()
        if path not in seen:
            seen[path] = prepare(result, process.services, *cards_of(process))
        inputs.append(seen[path])
    return inputs


def turns_of(process: Process, folder: Path) -> tuple[dict[str, Callable[[], object]], Inputs]:
    """What takes turns, by label, and the models' inputs; everything has run once."""
    items, out = find_items([folder]), folder.with_name("results.json")
    inputs = prepare_all(process.run(items, out), process)
    detect, classify = map(default_run, cards_of(process))

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

    batched()
    return {
        "models, crop by crop": singly,
        "models, crops batched": batched,
        "models, two at once": lambda: two_at_once(inputs, process),
        OURS: lambda: process.run(items, out),
    }, inputs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60, help="stills a round (60)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each (7)")
    parser.add_argument("--workers", type=int, default=0, help="files in work at once (the command's default)")
    chosen = parser.parse_args()
    print(machine("simplejpeg"))
    with tempfile.TemporaryDirectory() as name, open_process(workers=chosen.workers) as process:
        folder = Path(name) / "stills"
        folder.mkdir()
        print(gather_stills(folder, count=chosen.count))
        turns, inputs = turns_of(process, folder)
        rows = [{label: timed(work) for label, work in turns.items()} for _ in range(chosen.rounds)]
    print(f"{sum(len(crops) for _, crops in inputs) / len(inputs):.2f} crops a still, {chosen.rounds} rounds")
    print(f"{'':24}{'wall ms a still':>17}{'fastest':>9}{'CPU ms':>9}")
    for label in turns:
        walls = [1e3 * row[label][0] / len(inputs) for row in rows]
        cpu = statistics.median(1e3 * row[label][1] / len(inputs) for row in rows)
        print(f"{label:24}{statistics.median(walls):17.1f}{min(walls):9.1f}{cpu:9.1f}")
    models = min(list(turns)[:2], key=lambda label: statistics.median(row[label][0] for row in rows))
    ratios = sorted(row[OURS][0] / row[models][0] for row in rows)
    print(f"by round: {' '.join(f'{ratio:.2f}' for ratio in ratios)}; goal ≤ {GOAL}; divisor: {models}")
    print(f"ratio: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
