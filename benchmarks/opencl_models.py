"""How fast whole models run on an OpenCL device, against ONNX Runtime on this machine's CPU and others on its GPU.

Usage: python benchmarks/opencl_models.py [--device opencl] [--models NAME,…] [--batches 1,4,8,16] [--peers
ort,torch,ncnn,tinygrad] [--tune] [--seconds S] [--out FILE]. Models of the zoo with random weights (NAME@SIZE for
another input size) or ONNX files, fp32, host to host, random input. Each row is printed, and FILE (JSON) written, as
soon as it is there: a run that is killed keeps what it had. "cold" is the first run with empty caches (the driver's
too, as far as it lets us), "warm" the same with our programs on disk; "dev" is the device alone, inputs there and
outputs left there. ratio_least compares the fastest runs: where others use the machine too, ONNX Runtime's medians
suffer more than ours, so that the medians flatter us; the worse of the two ratios counts. Needs NumPy, onnx,
ml_dtypes, protobuf and pyopencl; onnxruntime for the peer ort, torch with CUDA for the peer torch;
benchmarks/README.md says how the others are run.
"""

import argparse
import importlib.util
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO), str(Path(__file__).resolve().parent)]
CACHES = Path(os.environ.get("BENCH_CACHES") or tempfile.mkdtemp(prefix="opencl_models-"))
# before the first driver is loaded: what it compiled for an earlier run would make a cold build look warm
os.environ.setdefault("CUDA_CACHE_PATH", str(CACHES / "cuda"))
os.environ.setdefault("POCL_CACHE_DIR", str(CACHES / "pocl"))


class Missing(ModuleType):
    """Stands in for a package that is imported, but used by peers and for pictures only."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)  # because torch, when imported, looks into every module for its file
        return object


for name in ("onnxruntime", "cv2"):
    if importlib.util.find_spec(name) is None:
        sys.modules[name] = Missing(name)
        sys.modules[f"{name}.quantization"] = Missing(f"{name}.quantization")
HAS_ORT = not isinstance(sys.modules.get("onnxruntime"), Missing)

# ruff: noqa: E402  # because the caches must be named, and what is missing stood in for, before these are imported
from peers.alone import measure_alone

from edge.compute.device import Device
from edge.compute.peak import Peak, measure_peak
from edge.errors import EdgeError
from edge.inference.opencl.measure import make_ready, measure
from edge.inference.opencl.plan import Choices, pick
from edge.inference.opencl.tune import tune
from edge.inference.subject import Subject, from_file, from_zoo
from edge.inference.timing import Row, row_values

# (device family, model, batch) → figure, least or most, why
PEERS = ("ort", "torch", "ncnn", "tinygrad")
GOALS: dict[tuple[str, str, int], tuple[str, float, str]] = {
    ("cpu", "yolov5s", 1): ("ratio_worse", 1.1, "<="),
    ("cpu", "mobilenetv2", 1): ("ratio_worse", 1.3, "<="),
    ("cpu", "megadetector-lite", 1): ("ratio_worse", 1.1, "<="),
    ("gpu", "mobilenetv2", 1): ("ms", 1.2, "<="),
    ("gpu", "yolov5s", 1): ("ms", 3.2, "<="),  # 3.5 is asked for; 3.2 is a third of tinygrad's 9.6
    ("gpu", "yolov5x6", 1): ("ms", 45.0, "<="),
    ("gpu", "yolov5s", 16): ("device_share", 0.6, ">="),
}
HEAD = (
    f"{'model':<20} {'batch':>5} {'ms':>8} {'img/s':>8} {'GFLOP/s':>8} {'share':>6} "
    f"{'dev ms':>7} {'dev sh':>6} {'launch':>6} {'enq ms':>7} {'MB':>6} "
    f"{'cold s':>7} {'warm s':>7} {'error':>8}  peers: ms, ratio; goal"
)


def main() -> None:
    """Measure; print and write each row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="opencl", help="opencl or opencl:PLATFORM/DEVICE")
    parser.add_argument(
        "--models",
        default="mobilenetv2,yolov5s",
        help="names of the zoo, NAME@SIZE for another size, or files FOLDER/model.onnx",
    )
    parser.add_argument("--batches", default="1,4,8,16")
    parser.add_argument("--peers", default="", help=f"{', '.join(PEERS)}; by default ort on a CPU device")
    parser.add_argument("--seconds", type=float, default=1.0, help="about how long each side of a row is run")
    parser.add_argument("--limit", type=float, default=1e9, help="begin no model or peer after so many seconds")
    parser.add_argument("--peer-limit", type=float, default=300, help="seconds that ncnn or tinygrad get for a row")
    parser.add_argument("--tune", action="store_true", help="tune for each batch first, measure with what was found")
    parser.add_argument("--out", type=Path, help="write all figures here as JSON")
    args = parser.parse_args()
    began = time.monotonic()
    with opened(args.device, "peak") as device:
        family = device.capability.family
        peak = measure_peak(device)
        document = describe(device, peak)
    peers = [each for each in (args.peers or ("ort" if family == "cpu" else "")).split(",") if each]
    if unknown := set(peers) - set(PEERS):
        parser.error(f"--peers: {', '.join(sorted(unknown))} is none of {', '.join(PEERS)}")
    if "ort" in peers and not HAS_ORT:
        sys.exit("peer ort: onnxruntime is not installed")
    print(f"{document['device']}, {document['driver']}, {document['date']}", flush=True)
    print(", ".join(f"{key} {value:.4g}" for key, value in asdict(peak).items()), flush=True)
    print(HEAD, flush=True)
    for text in args.models.split(","):
        if time.monotonic() - began > args.limit:
            print(f"{text}: not begun, the time is up", flush=True)
            continue
        try:
            for row, beside in measure_model(text, args, peak, with_ort="ort" in peers):
                document["models"].append(row)
                write(args.out, document)  # what a peer may bring down, ours is kept
                for peer in peers:
                    row.update(beside(peer, limit=min(args.peer_limit, began + args.limit - time.monotonic())))
                print(line(row, family), flush=True)
                write(args.out, document)
        except EdgeError as exc:
            document["models"].append({"name": text, "failure": str(exc)})
            print(f"{text}: {exc}", flush=True)
            write(args.out, document)
    print("\n".join(ratios(document["models"], family)), flush=True)


def measure_model(
    text: str, args: argparse.Namespace, peak: Peak, *, with_ort: bool
) -> Iterator[tuple[dict[str, Any], Callable[..., dict[str, Any]]]]:
    """The rows of one model, as they come, each with what runs a peer beside it: `peer_values`. Raises EdgeError."""
    name, _at, size = text.partition("@")
    if name.endswith(".onnx"):
        file = from_file(Path(name))
        subject = replace(file, name=Path(name).parent.name if file.name == "model" else file.name)
    else:
        subject = from_zoo(name, size=int(size) if size else None)
    batches = [int(each) for each in args.batches.split(",")]
    with opened(args.device, text) as device:
        for batch in batches:
            choices = tuned(subject, device, batch) if args.tune else {}
            choose = partial(pick, choices)
            row = measure(
                subject,
                device,
                peak,
                batch=batch,
                seconds=args.seconds,
                beside_onnxruntime=with_ort,
                choose=choose,
            )
            values = row_values(row) | {
                "name": subject.name if name.endswith(".onnx") else text,
                "ms": round(row.ms_opencl or 0, 4),
            }
            if row.ratio is not None:
                values["ratio_onnxruntime"] = round(row.ratio, 3)
                values["ratio_least"] = round((row.least_ms_opencl or 0) / (row.least_ms_onnxruntime or 1), 3)
                values["ratio_worse"] = max(values["ratio_onnxruntime"], values["ratio_least"])
            if batch == batches[0]:
                device.programs.save()
                values |= warm(subject, args.device, text, batch, choose)
            yield values, partial(peer_values, subject=subject, batch=batch, row=row, seconds=args.seconds)


def warm(subject: Subject, device: str, folder: str, batch: int, choose: Any) -> dict[str, Any]:
    """The build of the same programs from the cache, on a device opened anew."""
    with (
        opened(device, folder) as again,
        make_ready(subject, subject.make(batch), again, batch=batch, choose=choose) as ready,
    ):
        return {
            "warm_s": round(ready.build_s, 3),
            "warm_plan_s": round(ready.plan_s, 3),
            "warm_programs": ready.programs,
        }


def tuned(subject: Subject, device: Device, batch: int) -> Choices:
    """What the tuner chooses for a batch size."""
    model = subject.make(batch)
    with make_ready(subject, model, device, batch=batch) as ready:
        found = tune(ready.graph, device, ready.inputs, on_progress=progress(subject.name))
    print(
        f"{subject.name} batch {batch}: tuned, {found.ms_before:.3f} → {found.ms_after:.3f} ms, "
        f"{found.kept} of {found.tried} kept",
        flush=True,
    )
    return found.choices


def progress(name: str) -> Callable[[str, int, int], None]:
    """Tells every tenth step and the last on standard error."""

    def tell(what: str, done: int, count: int) -> None:
        if done % 10 == 0 or done == count:
            print(f"{name}: {what} {done}/{count}", file=sys.stderr, flush=True)

    return tell


def peer_values(peer: str, subject: Subject, batch: int, row: Row, *, seconds: float, limit: float) -> dict[str, Any]:
    """A peer's figures beside ours; {} when it can't run here, which it says itself, and for "ort", which is done."""
    model = subject.make(batch)
    inputs = subject.inputs(model, batch)
    found: dict[str, float] = {}
    if peer == "torch":
        try:
            from peers import torch_peer  # noqa: PLC0415  # because torch is needed by none but this peer

            found = torch_peer.measure(model, inputs, seconds=seconds)
        except (ImportError, OSError, RuntimeError) as exc:
            print(f"peer torch: {exc}", flush=True)
    elif peer != "ort":
        found = measure_alone(peer, model, inputs, seconds=seconds, limit=limit)
    values: dict[str, Any] = {}
    for way, ms in found.items():
        values[f"ms_{peer}_{way}"] = round(ms / batch, 4)
        values[f"ratio_{peer}_{way}"] = round((row.ms_opencl or 0.0) * batch / ms, 3)
    return values


@contextmanager
def opened(device: str, folder: str) -> Iterator[Device]:
    """The device with a cache of its own."""
    with Device.open(device, cache_dir=CACHES / folder) as found:
        yield found


def describe(device: Device, peak: Peak) -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "device": device.capability.name,
        "driver": device.capability.driver,
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "command": " ".join(sys.argv),
        "peak": asdict(peak),
        "models": [],
    }


def line(row: dict[str, Any], family: str) -> str:
    """A row of the table."""
    peers = [f"{key[3:]} {row[key]:.3f}" for key in row if key.startswith("ms_") and key != "ms_opencl"]
    against = [f"{key[6:]} ×{row[key]:.2f}" for key in row if key.startswith("ratio_")]
    return (
        f"{row['name']:<20} {row['batch']:>5} {row['ms']:>8.3f} {row['images_per_s']:>8.1f} {row['gflop_s']:>8.1f} "
        f"{row['share']:>6.1%} "
        f"{row['device_ms']:>7.3f} {row['device_share']:>6.1%} {row['launches']:>6} {row['enqueue_ms']:>7.3f} "
        f"{row['memory_mb']:>6.0f} {row['build_s']:>7.2f} {row.get('warm_s', float('nan')):>7.2f} "
        f"{row.get('error', float('nan')):>8.1e}  "
        f"{', '.join(peers + against)}{goal(row, family)}"
    )


def goal(row: dict[str, Any], family: str) -> str:
    """What is asked for, and whether it is reached."""
    wanted = GOALS.get((family, row["name"], row["batch"]))
    if wanted is None or wanted[0] not in row:
        return ""
    key, figure, sign = wanted
    reached = row[key] <= figure if sign == "<=" else row[key] >= figure
    return f"; goal {key} {sign} {figure}: {'reached' if reached else 'MISSED'}"


def ratios(rows: Sequence[dict[str, Any]], family: str) -> Iterator[str]:
    """One line a figure that is compared with something."""
    for row in rows:
        for key in row:
            if key.startswith("ratio_"):
                yield f"ratio: {row['name']} batch {row['batch']} over {key[6:]} {row[key]:.2f}"
        if "batch" in row and (told := goal(row, family)):
            figure = row[GOALS[family, row["name"], row["batch"]][0]]
            yield f"goal: {row['name']} batch {row['batch']} {figure:.3f}{told}"


def write(path: Path | None, document: dict[str, Any]) -> None:
    """All figures so far."""
    if path:
        path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
