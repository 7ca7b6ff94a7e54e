"""Kernels that no plan of the zoo has, and yet are ours: other operators', those around a model, the measuring ones."""

from contextlib import AbstractContextManager, nullcontext
from itertools import product
from typing import Any, Final

import numpy as np
import onnx

from edge.compute.boxes import Decoder
from edge.compute.capability import RX580_8GB
from edge.compute.frame import DeviceFrame, arrange
from edge.compute.kernel import Kernel, defines_of
from edge.compute.motion import DeviceMotion
from edge.compute.vision import Vision
from edge.inference.opencl.fuse import fuse
from edge.inference.opencl.importer import import_model
from edge.inference.opencl.launch import Launch
from edge.inference.opencl.plan import plan_graph
from edge.model import Card, Matrix, Yuv420
from plugins.stages import motion

OPSET: Final = 17
PICTURE, BATCH = "float[1,8,20,24] x", "float[2,6,5,4] x"
# Operator → the body of a model in ONNX's text form.
OTHERS: Final = {
    "ConvTranspose": "(float[1,8,9,9] x, float[8,6,3,3] w) => (float[1,6,11,11] y) { y = ConvTranspose(x, w) }",
    "Conv3D": "(float[1,4,5,6,7] x, float[6,4,3,3,3] w) => (float[1,6,3,4,5] y) { y = Conv(x, w) }",
    "MaxPool with places": f"({PICTURE}) => (float[1,8,10,12] y, int64[1,8,10,12] i)"
    " { y, i = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) }",
    "LpPool": f"({PICTURE}) => (float[1,8,19,23] y) {{ y = LpPool<kernel_shape=[2,2]>(x) }}",
    "MatMul": "(float[4,100,100] x, float[4,100,32] w) => (float[4,100,32] y) { y = MatMul(x, w) }",
    "Gemm": "(float[300,512] x, float[64,512] w, float[64] c) => (float[300,64] y)"
    " { y = Gemm<transB=1, alpha=0.5>(x, w, c) }",
    "Einsum": "(float[2,6,8] x, float[2,6,9] w, float[2,6,7] v) => (float[2,8,9,7] y)"
    ' { y = Einsum<equation="bci,bcj,bck->bijk">(x, w, v) }',
    "LRN": f"({PICTURE}) => (float[1,8,20,24] y) {{ y = LRN<size=5>(x) }}",
    "ArgMax": f"({PICTURE}) => (int64[1,1,20,24] y) {{ y = ArgMax<axis=1>(x) }}",
    "ArgMin": "(float[4,1000] x) => (int64[4] y) { y = ArgMin<axis=1, keepdims=0, select_last_index=1>(x) }",
    "TopK": "(float[1,8400] x) => (float[1,300] y, int64[1,300] i)"
    " { k = Constant<value_ints=[300]>() y, i = TopK(x, k) }",
    "TopK of few": "(float[4,1000] x) => (float[4,5] y, int64[4,5] i) { k = Constant<value_ints=[5]>()"
    " y, i = TopK(x, k) }",
    "CumSum": f"({BATCH}) => (float[2,6,5,4] y) {{ a = Constant<value_int=1>() y = CumSum(x, a) }}",
    "ScatterElements": f"({BATCH}, int64[2,3,5,4] i, float[2,3,5,4] u) => (float[2,6,5,4] y)"
    " { y = ScatterElements<axis=1>(x, i, u) }",
    "ScatterElements, add": f"({BATCH}, int64[2,3,5,4] i, float[2,3,5,4] u) => (float[2,6,5,4] y)"
    ' { y = ScatterElements<axis=1, reduction="add">(x, i, u) }',
    "ScatterND": f"({BATCH}, int64[7,2] i, float[7,5,4] u) => (float[2,6,5,4] y) {{ y = ScatterND(x, i, u) }}",
    "GatherND": f"({BATCH}, int64[7,2] i) => (float[7,5,4] y) {{ y = GatherND(x, i) }}",
    "RoiAlign": f"({PICTURE}, float[5,4] r, int64[5] b) => (float[5,8,7,7] y)"
    " { y = RoiAlign<output_height=7, output_width=7, sampling_ratio=2>(x, r, b) }",
    "RoiAlign, maximum": f"({PICTURE}, float[5,4] r, int64[5] b) => (float[5,8,7,7] y)"
    ' { y = RoiAlign<output_height=7, output_width=7, mode="max">(x, r, b) }',
    "GridSample": f"({PICTURE}, float[1,9,11,2] g) => (float[1,8,9,11] y)"
    ' { y = GridSample<mode="bicubic", padding_mode="reflection">(x, g) }',
    "InstanceNormalization": f"({PICTURE}, float[8] s, float[8] b) => (float[1,8,20,24] y)"
    " { y = InstanceNormalization(x, s, b) }",
    **{
        f"Pad, {mode}": f"({PICTURE}) => (float[1,8,23,27] y)"
        f' {{ p = Constant<value_ints=[0,0,1,1,0,0,2,2]>() y = Pad<mode="{mode}">(x, p) }}'
        for mode in ("constant", "reflect", "edge")
    },
    **{
        f"Resize, {mode}, {where}": f"({PICTURE}) => (float[1,8,30,60] y)"
        f" {{ s = Constant<value_floats=[1.0,1.0,1.5,2.5]>()"
        f' y = Resize<mode="{mode}", coordinate_transformation_mode="{where}">(x, , s) }}'
        for mode, where in product(("nearest", "linear", "cubic"), ("half_pixel", "align_corners"))
    },
}
PEAK: Final = ("flops", "read_all", "copy", "nothing")
FRAMES_HW: Final = ((240, 320), (1080, 1920), (2160, 3840), (300, 2000))  # grow, halve, halve twice, one of each
HEADS: Final[tuple[tuple[Decoder, tuple[int, int, int]], ...]] = (
    ("yolov5", (1, 25200, 85)),
    ("yolox", (1, 8400, 8)),
    ("yolox-raw", (1, 8400, 85)),
    ("yolov8", (1, 84, 8400)),
)


class DryDevice:
    """Stands for a device: keeps which kernels are launched and how many items their groups have, and runs none."""

    def __init__(self) -> None:
        self.capability, self.programs, self.queue = RX580_8GB, self, None
        self.seen: dict[Kernel, int] = {}

    def kernel(self, kernel: Kernel) -> "DryKernel":
        """As device.programs.kernel."""
        return DryKernel(kernel)

    def launch(self, made: "DryKernel", _global_size: object, local_size: tuple[int, ...] | None) -> None:
        """As Device.launch."""
        items = int(np.prod(local_size or (RX580_8GB.max_group,)))
        self.seen[made.kernel] = max(items, self.seen.get(made.kernel, 0))

    def guard(self, _doing: str) -> AbstractContextManager[None]:
        """As Device.guard."""
        return nullcontext()

    def alloc(self, _nbytes: int) -> object:
        """As Device.alloc."""
        return object()

    def upload(self, _array: object) -> object:
        """As Device.upload."""
        return object()

    def free(self, _buffer: object) -> None:
        """As Device.free."""

    def read(self, _buffer: object, out: Any) -> Any:
        """As Device.read: zeros."""
        out.fill(0)
        return out


class DryKernel:
    """What DryDevice gives for a kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def set_args(self, *_args: object) -> None:
        """As pyopencl's."""


class DryVision(Vision):
    """Vision without copies."""

    def _send(self, buffer: Any, array: Any, start: int) -> None:
        pass


def other_operators() -> list[Launch]:
    """Launches of a small model for each of OTHERS."""
    launches: list[Launch] = []
    for text in OTHERS.values():
        model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {OPSET}]> others {text}')
        launches += plan_graph(fuse(import_model(model)), RX580_8GB).launches
    return launches


def around_models() -> dict[Kernel, int]:
    """Kernels of letterbox, crops, motion and boxes for frames and cards of every kind, and the items of a group."""
    device: Any = DryDevice()
    with DryVision(device) as vision:
        for hw, picture in product(FRAMES_HW, ("bgr", "bt601", "bt709")):
            frame = frame_of(hw, None if picture == "bgr" else picture)  # type: ignore[arg-type]  # because product forgets literals
            for size in ((640, 640), (224, 224)):
                card = Card("any", "detect", "", "", "", "", size)
                vision.letterbox(frame, into=None, card=card)
                vision.crops(frame, [(0.1, 0.1, 0.3, 0.4)], into=None, card=card)
            with DeviceMotion(vision, motion.rule_of(motion.MotionConfig())) as seen:
                seen.look(frame, at_s=0.0)
                seen.look(frame, at_s=1.0)
        for decoder, shape in HEADS:
            vision.boxes(None, shape, decoder=decoder, min_score=0.2, iou=0.5, input_hw=(640, 640))
    return dict(device.seen) | {
        Kernel("peak.cl", entry, defines_of(WIDTH=4, IN_ROWS=0)): RX580_8GB.max_group for entry in PEAK
    }


def frame_of(hw: tuple[int, int], matrix: Matrix | None) -> DeviceFrame:
    """A frame that lies nowhere: NV12 with a matrix, else blue, green, red."""
    height, width = hw
    half = np.zeros((-(-height // 2), 2 * -(-width // 2)), np.uint8)
    picture = Yuv420((np.zeros(hw, np.uint8), half), width, matrix) if matrix else np.zeros((*hw, 3), np.uint8)
    _, _, layout, defines = arrange(picture)
    return DeviceFrame(None, hw, tuple(np.int32(each) for each in layout), defines)
