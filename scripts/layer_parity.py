"""Whole models on an OpenCL device against ONNX Runtime on the CPU, layer by layer: every tensor that fusion leaves.

    python scripts/layer_parity.py --device opencl:0/0 [--family gpu|cpu] [--size N] [--json]
    python scripts/layer_parity.py --models yolov5s,yolov5x6@1280,mobilenetv2-int8,FOLDER/model.onnx

Models: installed ones by name (they go before the zoo's), the zoo's with random weights, NAME@SIZE for another input
size, NAME-fp16 and NAME-int8 for those forms, and ONNX files. --more adds to the default list. The plan is the one that
a session runs, stepped launch by launch; each tensor is read from the device's memory as soon as it is there.

The error is the largest difference over the tensor's largest value. It may be SLACK · u · √(1 + depth): u is what one
rounding costs, half of 2^-23 in float32; depth is the number of operators with long sums on the way to the tensor,
whose errors add up like a random walk, because each side adds its terms in another order. Real weights may have
REAL_SPREAD times that. "output" is the error of a plain run's outputs.

float16 models are run twice: against ONNX Runtime with the weights widened, which is what this executor promises (bound
of float32), and as stored, where ONNX Runtime rounds each layer to float16 and this executor none (u = 2^-11). INT8
models round to steps: a tensor so rounded may differ by steps in a few elements, see MOST_FLIPPED; it then gets ONNX
Runtime's values, so that what follows has float32's bound too. A TopK may choose otherwise as far as the error of its
scores explains it; then it gets ONNX Runtime's indices. What GridSample reads moves with its places' error times the
map's size, so that it gets ONNX Runtime's places once these were compared. Exits 1 when anything is beyond its bound,
or a node has a result that no launch computed.
"""

import argparse
import importlib.util
import json
import math
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Final

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO), str(REPO / "tests" / "kernels")]


class Missing(ModuleType):
    """Stands in for OpenCV, which is imported on the way, but not used here."""

    def __getattr__(self, name: str) -> type:
        return object


if importlib.util.find_spec("cv2") is None:
    sys.modules["cv2"] = Missing("cv2")

# ruff: noqa: E402  # because the repository has to be on the path, and OpenCV stood in for, before these are imported
import numpy as np
import onnx
import onnxruntime
from layer_cases import Comparison, compare, widened
from onnx_cases import BROKEN

from edge.compute.capability import Capability
from edge.compute.device import Device
from edge.errors import ModelError
from edge.inference.opencl.launch import Array
from edge.inference.subject import Subject, from_file, from_zoo, inputs_of
from edge.paths import models_dir

GPU_LIKE: Final = {"family": "gpu", "local_bytes": 32 * 1024, "wave": 64}  # an RX 580, for a CPU that plays one
MODELS: Final = (
    "megadetector-lite,efficientnet-lite0,yolov5n,yolov5s,yolov5x6@320,yolov8n,mobilenetv2,mobilenetv3-large,resnet50,"
    "rtdetr-like,yolov5n-fp16,yolov5n-int8,mobilenetv2-fp16,mobilenetv2-int8,rtdetr-like-fp16,rtdetr-like-int8"
)
ROUNDING: Final = {"fp32": 2.0**-24, "fp16": 2.0**-11}
SLACK: Final = {"fp32": 64, "fp16": 2}  # sums of thousands of terms, of either sign; ResNet-50 needs a third of it
REAL_SPREAD: Final = 8  # the first sums of EfficientNet-Lite0 reach 74, and ReLU6 leaves 6 to measure errors against
MOST_FLIPPED: Final = 1e-3  # of all elements that are rounded to steps; a mean of 4 is often half-way between two
MOST_STEPS: Final = 2.01  # two where a sum is rounded whose terms were: fusion leaves the last rounding to look at
# Of the outputs of a run without overwriting: each element on another step moves all that follows, places that are
# sampled multiply errors by the map's size. float32: what edge.inference.opencl.check lets a device have.
JUMPY_OUTPUT: Final = {"fp32": 1e-3, "fp16": 0.1, "int8": 0.1}


def main() -> int:
    """Compare the models and print a line each."""
    arguments = _arguments()
    names = [name for name in f"{arguments.models},{arguments.more}".split(",") if name]
    first, step = map(int, arguments.part.split("/"))
    started = time.monotonic()
    rows: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory() as fresh,
        Device.open(arguments.device, cache_dir=arguments.cache or Path(fresh)) as device,
    ):
        device.capability = _as_family(device.capability, arguments.family)
        head = _described(device.capability)
        if not arguments.json:
            print("\n".join(f"{key:<10} {value}" for key, value in head.items()))
            print(HEADLINE, flush=True)
        for name in names[first::step]:
            for row in rows_of(name, device, size=arguments.size):
                rows.append(row)
                if not arguments.json:
                    print("\n".join(lines(row)), flush=True)
    failed = [row["model"] for row in rows if row["failures"]]
    document = head | {"seconds": round(time.monotonic() - started, 1), "failed": failed, "models": rows}
    if arguments.json:
        print(json.dumps(document))
    else:
        tensors = sum(row.get("tensors", 0) for row in rows)
        verdict = f"failed: {', '.join(failed)}" if failed else "all within their bounds"
        print(f"{len(rows)} comparisons, {tensors} tensors, {document['seconds']} s: {verdict}")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="opencl", help="opencl or opencl:PLATFORM/DEVICE")
    parser.add_argument("--family", choices=["gpu", "cpu"], help="kernel family (default: the device's own)")
    parser.add_argument("--models", default=MODELS, help="instead of the default list")
    parser.add_argument("--more", default="", help="beside the list: models or ONNX files")
    parser.add_argument("--size", type=int, help="pixels, for models of the zoo without @SIZE (default: their own)")
    parser.add_argument("--part", default="0/1", help="I/N: every N-th model from the I-th on")
    parser.add_argument("--cache", type=Path, help="folder for built programs (default: a fresh one)")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of text")
    return parser.parse_args()


def _as_family(capability: Capability, family: str | None) -> Capability:
    if family in {None, capability.family}:
        return capability
    return replace(capability, **GPU_LIKE) if family == "gpu" else replace(capability, family="cpu", wave=1)


def _described(capability: Capability) -> dict[str, str]:
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "device": f"{capability.name} ({capability.driver})",
        "family": f"{capability.family} kernels",
        "against": f"onnxruntime {onnxruntime.__version__}, CPU; onnx {onnx.__version__}",
    }


# --- one model


def rows_of(text: str, device: Device, *, size: int | None) -> list[dict[str, Any]]:
    """The comparisons of one model, as plain data; a model that can't be run is one row with the reason."""
    started = time.monotonic()
    try:
        subject, is_real = subject_of(text, size=size)
        model = subject.make(1)
        feeds = picture_for(subject, model) if is_real else dict(subject.inputs(model, 1))
        form = form_of(model)
        is_jumpy = form == "int8" or any(node.op_type == "GridSample" for node in model.graph.node)
        sides = [("fp32" if form != "fp16" else "fp16", None)]
        if form == "fp16":
            sides.insert(0, ("fp32", widened(model)))
        rows = []
        for bound, reference in sides:
            factor = SLACK[bound] * ROUNDING[bound] * (REAL_SPREAD if is_real and bound == "fp32" else 1)
            most = JUMPY_OUTPUT["int8" if form == "int8" else bound] if is_jumpy else None
            given = {name: array.astype(np.float32) for name, array in feeds.items()} if reference else feeds
            # ONNX Runtime's integer kernels are another arithmetic: INT8 models are run as they are written
            found = compare(model, given, device, reference=reference, optimise=form != "int8")
            label = f"{subject.name if is_real else text}{' widened' if reference else ''}"
            rows.append(row_of(label, form, found, factor=factor, most=most))
    except BROKEN as exc:
        return [{"model": text, "failures": [f"{type(exc).__name__}: {exc}"]}]
    return [row | {"seconds": round(time.monotonic() - started, 1)} for row in rows]


def subject_of(text: str, *, size: int | None) -> tuple[Subject, bool]:
    """The model of a name, and whether its weights are real. Raises ModelError."""
    if text.endswith(".onnx"):
        file = from_file(Path(text))
        return (replace(file, name=f"{file.name}.onnx"), True)
    if text in REAL:
        file = models_dir() / text / "model.onnx"
        if not file.is_file():
            raise ModelError(f"model {text!r} is not installed in {models_dir()}; run: tigrillo models pull {text}")
        return replace(from_file(file), name=text), True
    name, _at, own = text.partition("@")
    base, _dash, storage = name.rpartition("-")
    given = int(own) if own else size
    if storage in {"fp16", "int8"}:
        return from_zoo(base, storage=storage, size=given), False
    return from_zoo(name, size=given), False


REAL: Final = ("megadetector-lite", "efficientnet-lite0")  # asked for by these names, the installed ones are meant


def form_of(model: onnx.ModelProto) -> str:
    """How a model is stored: fp32, fp16 or int8."""
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        return "int8"
    halves = any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer)
    return "fp16" if halves else "fp32"


def picture_for(subject: Subject, model: onnx.ModelProto) -> dict[str, Array]:
    """Blobs of all sizes from a fixed seed, as the model's card wants them; 0..1 without a card."""
    random = np.random.default_rng(2026)
    (value,) = inputs_of(model)
    shape = subject.shape(value, 1)
    picture = np.zeros(shape[1:], np.float32)
    for blob in (4, 16, 64):
        rough = random.random((shape[1], -(-shape[2] // blob), -(-shape[3] // blob)), np.float32)
        picture += np.kron(rough, np.ones((1, blob, blob), np.float32))[:, : shape[2], : shape[3]] / 3
    card = subject.path and subject.path.with_name("card.toml")
    if card and card.is_file():  # read plainly: edge.models.card wants pydantic, which a machine with a GPU may lack
        told = tomllib.loads(card.read_text("utf-8"))
        mean, std = (np.float32(told[each]).reshape(-1, 1, 1) for each in ("mean", "std"))
        picture = (picture * 255 - mean) / std
    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    return {value.name: picture[None].astype(dtype)}


# --- the verdict


def row_of(label: str, form: str, found: Comparison, *, factor: float, most: float | None) -> dict[str, Any]:
    """What was found as plain data, with all that is beyond its bound.

    factor: allowed at depth 0. most: allowed in the outputs of a plain run, when it is not what their depth gives.
    """
    allowed = {name: factor * math.sqrt(1 + found.depths[name]) for name in found.errors}
    worst = max(found.errors, key=lambda name: found.errors[name] / allowed[name])
    rounded = list(found.roundings.values())
    flips = {
        "flipped": sum(each.flipped for each in rounded),
        "of": sum(each.of for each in rounded),
        "most_steps": max((each.most_steps for each in rounded), default=0.0),
    }
    row = {
        "model": label,
        "form": form,
        "nodes": found.nodes,
        "launches": found.launches,
        "elsewhere": len(found.elsewhere),
        "tensors": len(found.errors),
        "without_counterpart": len(found.unnamed),
        "worst": worst,
        "error": found.errors[worst],
        "depth": found.depths[worst],
        "bound": allowed[worst],
        "output_error": max(found.outputs.values()),
        "roundings": flips if rounded else None,
        "swaps": [asdict(each) for each in found.swaps],
        "plain_swaps": [asdict(each) for each in found.plain_swaps],
    }
    return row | {"failures": failures_of(found, allowed, row, most=most)}


def failures_of(
    found: Comparison, allowed: Mapping[str, float], row: Mapping[str, Any], *, most: float | None
) -> list[str]:
    """What is wrong, a line each; [] when the model passes."""
    lines = [
        f"{name}: {error:.1e}, {allowed[name]:.1e} is allowed"
        for name, error in found.errors.items()
        if not error <= allowed[name]
    ]
    lines += [f"{name}: computed by no launch" for name in found.elsewhere]
    lines += [
        f"{each.node}: {each.rows} of {each.of} rows swapped, scores {each.gap:.1e} apart, error {each.error:.1e}"
        for each in (*found.swaps, *found.plain_swaps)
        if not each.is_fair
    ]
    flips = row["roundings"]
    if flips and (flips["flipped"] > MOST_FLIPPED * flips["of"] or flips["most_steps"] > MOST_STEPS):
        lines.append(f"{flips['flipped']} of {flips['of']} on another step, {flips['most_steps']:.2f} steps away")
    if not found.plain_swaps:
        most = most or max(allowed[name] for name in found.outputs)
        lines += [f"{name}: {error:.1e} in a plain run" for name, error in found.outputs.items() if not error <= most]
    if row["tensors"] < 0.75 * (row["tensors"] + row["without_counterpart"]):
        lines.append(f"only {row['tensors']} tensors could be compared")
    return lines


HEADLINE: Final = (
    f"{'model':<27} {'nodes':>5} {'launch':>6} {'elsewh':>6} {'tensors':>7} {'error':>8} {'bound':>8} {'depth':>5} "
    f"{'output':>8} {'s':>5} verdict, worst tensor"
)


def lines(row: Mapping[str, Any]) -> list[str]:
    """A comparison for people."""
    failures = [f"    {each}" for each in row["failures"][:10]]
    if "tensors" not in row:
        return [f"{row['model']:<27} FAILED", *failures]
    figures = (
        f"{row['nodes']:>5} {row['launches']:>6} {row['elsewhere']:>6} {row['tensors']:>7} {row['error']:>8.1e} "
        f"{row['bound']:>8.1e} {row['depth']:>5} {row['output_error']:>8.1e} {row['seconds']:>5.1f}"
    )
    told = [f"{row['model']:<27} {figures} {'FAILED' if failures else 'passed'}, {row['worst']}"]
    if flips := row["roundings"]:
        told.append(
            f"    rounded to steps: {flips['flipped']} of {flips['of']} elements on another step, "
            f"{flips['most_steps']:.2f} steps away at most"
        )
    for what, swaps in (("", row["swaps"]), ("plain run: ", row["plain_swaps"])):
        told += [
            f"    {what}{each['node']}: {each['rows']} of {each['of']} rows at other places, their scores at most "
            f"{each['gap']:.1e} apart, error of all scores {each['error']:.1e}"
            for each in swaps
        ]
    return told + failures


if __name__ == "__main__":
    sys.exit(main())
