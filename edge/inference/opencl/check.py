"""May this device run this model? The same picture through OpenCL and ONNX Runtime: equal answers, and no slower.

The verdict is kept on disk, keyed by device, driver, model and kernels: a daemon checks once and then starts quickly.
"""

import hashlib
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import TypeAdapter

from ...clock import Clock, SystemClock
from ...compute.capability import Capability
from ...errors import EdgeError, KernelBuildError, StageError, UnsupportedOpError
from ...i18n import _
from ...model import F32, U8, Card
from ...paths import data_dir, write_atomically
from ...services import Session
from .kept import Tell, read_kept, tell_nobody

# Largest difference over largest value. Rounding through a hundred layers gives 1e-6 to 1e-5, Winograd F(2,3) no more;
# a driver that reorders, drops or races gives 1e-2 and above.
MOST_ERROR: Final = 1e-3
ROUNDS: Final = 5  # timed runs of each side, taken in turns; the median counts
FORMAT: Final = 1  # of a verdict's file
LASTING: Final = (UnsupportedOpError, KernelBuildError, StageError)  # failures that come again with the same device


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found. error: see MOST_ERROR. ms_*: one picture, host to host. failure: what was raised, or "".

    passing: the failure may be over at the next try, so nobody should keep the verdict: no room, a lost device.
    """

    model: str
    device: str
    error: float
    ms_opencl: float
    ms_onnxruntime: float
    failure: str = ""
    passing: bool = False

    @property
    def is_right(self) -> bool:
        """Whether the answers agree."""
        return not self.failure and self.error <= MOST_ERROR

    @property
    def is_fast(self) -> bool:
        """Whether the device is no slower than the CPU."""
        return self.ms_opencl <= self.ms_onnxruntime

    @property
    def says(self) -> str:
        """The verdict in one line."""
        if self.failure:
            return _("{model} fails on {device}: {failure}").format(**asdict(self))
        error, ours, theirs = f"{self.error:.1e}", f"{self.ms_opencl:.1f}", f"{self.ms_onnxruntime:.1f}"
        if not self.is_right:
            text = _("{model} on {device} differs from ONNX Runtime by {error}, {most} at most is allowed")
        elif not self.is_fast:
            text = _("{model} on {device}: {ours} ms a picture, slower than the CPU's {theirs} ms")
        else:
            text = _("{model} on {device}: {ours} ms a picture, {theirs} ms on the CPU, difference {error}")
        return text.format(model=self.model, device=self.device, error=error, ours=ours, theirs=theirs, most=MOST_ERROR)


def check(
    card: Card,
    open_opencl: Callable[[], Session],
    open_cpu: Callable[[], Session],
    *,
    device: str,
    clock: Clock | None = None,
) -> Verdict:
    """Run the check picture on both sides and time them in turns. Never raises for what the OpenCL side does wrong."""
    from ..preprocess import to_batch  # noqa: PLC0415  # because it loads OpenCV, which whoever tunes needs not

    batch = to_batch([check_picture(card.input_hw)], card)
    cpu = open_cpu()
    expected = cpu.run(batch)
    try:
        session = open_opencl()
        found = session.run(batch)
        ours, theirs = _times(session, cpu, batch, clock or SystemClock())
    except EdgeError as exc:
        passing = not isinstance(exc, LASTING)
        return Verdict(card.name, device, float("inf"), float("inf"), 0.0, str(exc), passing)
    return Verdict(card.name, device, difference(found, expected), ours, theirs)


def _times(opencl: Session, cpu: Session, batch: F32, clock: Clock) -> tuple[float, float]:
    """Milliseconds of one run on both sides, in turns, the medians."""
    times: tuple[list[float], list[float]] = [], []
    for _round in range(ROUNDS):
        for session, took in zip((opencl, cpu), times, strict=True):
            start = clock.monotonic_s()
            session.run(batch)
            took.append((clock.monotonic_s() - start) * 1e3)
    ours, theirs = map(statistics.median, times)
    return ours, theirs


def difference(found: Sequence[F32], expected: Sequence[F32]) -> float:
    """The largest difference as a share of an output's largest value, over all outputs.

    Infinite when shapes differ, or anything of ours is not a number where theirs is.
    """
    worst = 0.0
    for ours, theirs in zip(found, expected, strict=True):
        if ours.shape != theirs.shape or not np.isfinite(ours).all():  # max() would lose a NaN
            return float("inf")
        scale = max(float(np.abs(theirs).max(initial=0.0)), 1e-6)
        worst = max(worst, float(np.abs(ours - theirs).max(initial=0.0)) / scale)
    return worst


def check_picture(size_hw: tuple[int, int]) -> U8:
    """The stored input: a landscape of blobs and edges from a fixed seed, uint8 (height, width, 3). Always the same."""
    import cv2  # noqa: PLC0415  # as above

    random = np.random.Generator(np.random.PCG64(2026))
    picture = np.zeros((*size_hw, 3), np.float32)
    for side in (3, 9, 27, 81):  # large forms and fine ones, as a picture of the forest has
        coarse = random.random((side, side, 3), np.float32)
        picture += cv2.resize(coarse, size_hw[::-1], interpolation=cv2.INTER_CUBIC).astype(np.float32) / side**0.5
    span = float(picture.max() - picture.min())
    return np.asarray((picture - picture.min()) * (255.0 / span), np.uint8)


@cache
def kernels_hash() -> str:
    """Changes with any kernel."""
    digest = hashlib.sha256()
    for path in sorted(data_dir("kernels").glob("*.cl")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def key_of(card: Card, device: Capability) -> str:
    """File name of what was found out about a model on a device."""
    parts = (
        device.name,
        device.driver,
        card.sha256 or _file_of(card),
        str(card.input_hw),
        kernels_hash(),
        str(FORMAT),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _file_of(card: Card) -> str:
    """Which file it is, for cards that name no sum: changes when another one is put in its place."""
    try:
        status = card.onnx_path.stat()
    except OSError:
        return str(card.onnx_path)
    return f"{card.onnx_path} {status.st_size} {status.st_mtime_ns}"


def load_verdict(folder: Path, key: str, *, tell: Tell = tell_nobody) -> Verdict | None:
    """The verdict that was kept; None when there is none that can be read. tell: told of one that can't be."""
    step = "delete it; the model is checked again meanwhile"
    return read_kept(folder / f"{key}.json", TypeAdapter(Verdict), tell=tell, next_step=step)


def save_verdict(folder: Path, key: str, verdict: Verdict) -> None:
    """Keep a verdict. A cache that can't be written costs the next start a check, no more."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / f"{key}.json", json.dumps(asdict(verdict)).encode())
    except OSError:
        return
