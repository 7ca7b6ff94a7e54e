"""What moved, on the device: only a map of changed pixels, some 60 KB, comes back.

The algorithm of the motion stage (docs/motion.md), picture after picture of one scene: four launches and one read. What
is done with the map (specks, boxes, was it the light?) stays with the stage.
"""

import math
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from ..services import MotionRule, Seen
from .frame import DeviceFrame
from .kernel import Defines, Kernel, defines_of
from .launcher import numbers
from .vision import Vision

GROUP: Final = 256
SHIFT_UNIT: Final = 2.0**20  # of `seen`'s second word, see kernels/motion.cl
HEAD_BYTES: Final = 8


def macros_of(rule: MotionRule) -> Defines:
    """The macros of motion.cl but for the frame's."""
    return defines_of(
        GROUP=GROUP,
        THRESHOLD=float(rule.threshold),
        NOISE_FACTOR=float(rule.noise_factor),
        MOST_LIMIT=float(rule.most_noise * rule.noise_factor),
        SIGMA_FIRST=float(rule.sigma_first),
        SIGMA_PER_DEVIATION=float(rule.sigma_per_deviation),
        LEAST_GAIN=float(rule.gain_range[0]),
        MOST_GAIN=float(rule.gain_range[1]),
        LIGHT_JUMP=float(rule.light_jump),
        MOVING_RATE=float(rule.moving_rate),
    )


class DeviceMotion:
    """The background of one scene on a device; use it with `with`, from the thread that owns the device."""

    def __init__(self, vision: Vision, rule: MotionRule) -> None:
        self._vision, self._rule, self._macros = vision, rule, macros_of(rule)
        self._maps: dict[str, Any] = {}
        self._shape = (0, 0)
        self._seen, self._at_s = 0, 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._free()

    def forget(self) -> None:
        """Start anew with the next picture."""
        self._seen = 0

    def look(self, frame: DeviceFrame, *, at_s: float) -> Seen | None:
        """What changed, and learn from the picture; None when there was no background to compare with.

        at_s: seconds on any clock that all pictures of this background share. Waits for one read (none at first).
        """
        elapsed_s, self._at_s = abs(at_s - self._at_s), at_s
        side = max(1, frame.hw[1] // self._rule.size_px)
        shape = (frame.hw[0] // side, frame.hw[1] // side)
        if shape != self._shape:
            self._free()
            self._make_room(shape)
        maps = self._maps
        maps["small"], maps["last"] = maps["last"], maps["small"]
        self._shrink(frame, side)
        if not self._seen:
            self._learn(anew=True, elapsed_s=elapsed_s)
            self._seen = 1
            return None
        sizes = numbers(shape[1], shape[0])
        launch = self._vision.launcher
        launch(self._kernel("fit_light"), (GROUP,), (GROUP,), maps["small"], maps["mean"], *sizes, *self._fitted())
        size = math.prod(shape)
        inputs = (maps["small"], maps["mean"], maps["noise"], maps["light"], np.int32(size), maps["seen"])
        launch(self._kernel("compare"), (-(-size // GROUP) * GROUP,), (GROUP,), *inputs)
        self._learn(anew=False, elapsed_s=elapsed_s)
        return self._read()

    def _shrink(self, frame: DeviceFrame, side: int) -> None:
        """As the stage does it: halved while the side is even, then averaged."""
        halvings = min((side & -side).bit_length() - 1, 6)
        macros = defines_of(HALVINGS=halvings, SIDE=side >> halvings)
        kernel = Kernel("motion.cl", "shrink", frame.defines + macros + self._macros)
        rows, columns = self._shape
        small = self._maps["small"]
        launch = self._vision.launcher
        launch(kernel, *launch.over(columns, rows), *frame.args, small, *numbers(columns, rows))

    def _learn(self, *, anew: bool, elapsed_s: float) -> None:
        maps, rule = self._maps, self._rule
        size = math.prod(self._shape)
        rate = 1.0 - math.exp(-elapsed_s / rule.history_s)
        rates = numbers(max(rate, 1.0 / (self._seen + 1)), rate)
        known = (maps["small"], maps["last"], maps["mean"], maps["mean_after"], maps["noise"], *self._fitted())
        limits = numbers(size, int(anew), int(rule.light_share * size))
        grid = (-(-size // GROUP) * GROUP,)
        self._vision.launcher(self._kernel("learn"), grid, (GROUP,), *known, *limits, *rates)
        maps["mean"], maps["mean_after"] = maps["mean_after"], maps["mean"]

    def _read(self) -> Seen:
        device, size = self._vision.device, math.prod(self._shape)
        read = device.read(self._maps["seen"], np.empty(HEAD_BYTES + size, np.uint8))
        self._vision.settle()
        count, shift = read[:HEAD_BYTES].view(np.int32).tolist()
        changed = read[HEAD_BYTES:].reshape(self._shape)
        jumped = abs(shift) > int(self._rule.light_jump * SHIFT_UNIT)
        if count <= int(self._rule.light_share * size):
            self._seen = 1 if jumped else self._seen + 1
            return Seen(changed, count)
        self._seen = 1
        names = ("mean_after", "small")  # the background as it was lies in what the next picture will write
        before, now = (device.read(self._maps[name], np.empty(self._shape, np.float32)) for name in names)
        return Seen(changed, count, (before, now))

    def _fitted(self) -> tuple[Any, Any]:
        return self._maps["light"], self._maps["seen"]

    def _kernel(self, entry: str) -> Kernel:
        # The frame's macros do not matter here: one program serves frames of every kind.
        return Kernel("motion.cl", entry, defines_of(YUV=False, HALVINGS=0, SIDE=1) + self._macros)

    def _make_room(self, shape: tuple[int, int]) -> None:
        size = math.prod(shape)
        alloc = self._vision.device.alloc
        self._maps = {name: alloc(4 * size) for name in ("small", "last", "mean", "mean_after", "noise")}
        self._maps |= {"light": alloc(32), "seen": alloc(HEAD_BYTES + 4 * -(-size // 4))}
        self._shape, self._seen = shape, 0

    def _free(self) -> None:
        for buffer in self._maps.values():
            self._vision.device.free(buffer)
        self._maps, self._shape = {}, (0, 0)
