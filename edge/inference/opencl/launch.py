"""What a plan is made of: tensors as strided views of storages, and kernel launches that read and write them."""

import math
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...compute.kernel import Kernel

Array = npt.NDArray[Any]

# What each element type is called in OpenCL C. bool is a byte, as ONNX Runtime has it too.
C_TYPES: Final = {
    "float32": "float",
    "int8": "char",
    "uint8": "uchar",
    "int16": "short",
    "uint16": "ushort",
    "int32": "int",
    "uint32": "uint",
    "int64": "long",
    "uint64": "ulong",
    "bool": "uchar",
}


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides, in elements, of a dense tensor whose last axis runs fastest."""
    strides, step = [], 1
    for side in reversed(shape):
        strides.append(step)
        step *= side
    return tuple(reversed(strides))


def channels_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a dense (n, c, …spatial) tensor whose channels run fastest: NHWC for logical NCHW."""
    count, channels, *spatial = shape
    inner = row_major((count, *spatial, channels))
    return (inner[0], 1, *inner[1:-1])


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage: element (i, j, …) lies at offset + i·strides[0] + j·strides[1] + …, counted in elements.

    storage: number of the storage in its plan. dtype: NumPy name, one of C_TYPES.
    """

    storage: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if len(self.shape) != len(self.strides):
            raise ValueError(f"strides must be as many as axes, got {self.strides} for {self.shape}")

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of its elements, without gaps."""
        return self.size * np.dtype(self.dtype).itemsize

    @property
    def is_row_major(self) -> bool:
        """Whether the elements lie densely with the last axis fastest."""
        return self.has_strides(row_major(self.shape))

    def has_strides(self, strides: tuple[int, ...]) -> bool:
        """Whether it lies as `strides` say; axes of one element lie anyhow."""
        return all(side == 1 or a == b for side, a, b in zip(self.shape, self.strides, strides, strict=True))

    @property
    def pixel_stride(self) -> int | None:
        """Elements from one pixel's channels to the next pixel's, when it is NHWC with perhaps more channels beside.

        None when it is laid out otherwise. Logical shape is (n, c, …spatial).
        """
        if len(self.shape) < 3:
            return None
        count, channels, *spatial = self.shape
        moving = [stride for side, stride in zip(spatial, self.strides[2:], strict=True) if side > 1]
        pixel = moving[-1] if moving else (self.strides[0] if count > 1 else channels)
        wanted = (math.prod(spatial) * pixel, 1, *(step * pixel for step in row_major(tuple(spatial))))
        return pixel if pixel >= channels and self.has_strides(wanted) else None


def reshape_view(tensor: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """The tensor with another shape over the same memory, None when its layout does not allow it.

    Axes that lie as if they were one are joined, then cut anew; as NumPy's reshape without a copy.
    """
    if tensor.is_row_major:
        return replace(tensor, shape=shape, strides=row_major(shape))
    runs: list[tuple[int, int]] = []  # (elements, stride of the fastest axis), slowest first
    for side, stride in zip(tensor.shape, tensor.strides, strict=True):
        if side == 1:
            continue
        if runs and runs[-1][1] == stride * side:
            runs[-1] = (runs[-1][0] * side, stride)
        else:
            runs.append((side, stride))
    strides: list[int] = []
    position, left = 0, runs[0][0] if runs else 1
    for side in shape:
        if side == 1:
            strides.append(0)
            continue
        if left == 1:
            position += 1
            left = runs[position][0]
        if left % side:
            return None
        left //= side
        strides.append(left * runs[position][1])
    return replace(tensor, shape=shape, strides=tuple(strides))


@dataclass(frozen=True, slots=True, eq=False)
class Const:
    """An array that is uploaded once, laid out as the kernel wants it."""

    array: Array


@dataclass(frozen=True, slots=True)
class Scratch:
    """Memory that only the launches of one operator share. name: tells several apart within the operator."""

    name: str
    elements: int
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Step:
    """One launch with its arguments still by role: how an operator's algorithm says what it does.

    args, in the kernel's order: "x", "y", "r" … are tensors of the operator, and Const and Scratch memory; each becomes
    two kernel arguments, the buffer and `int offset` in elements. Numbers (np.int32, np.float32) become one.
    flops: multiplications and additions. bytes: least traffic with global memory.
    """

    kernel: Kernel
    global_size: tuple[int, ...]
    local_size: tuple[int, ...] | None
    args: tuple[str | Const | Scratch | np.int32 | np.float32, ...]
    flops: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Launch:
    """One launch of a plan. args: as in Step, roles replaced by tensors. node: what it computes, for people."""

    kernel: Kernel
    global_size: tuple[int, ...]
    local_size: tuple[int, ...] | None
    args: tuple[Tensor | np.int32 | np.float32, ...]
    reads: tuple[Tensor, ...]
    writes: tuple[Tensor, ...]
    node: str
    flops: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class ConvProblem:
    """A 2-D convolution over NHWC memory, all sizes known.

    x: batch × hi × wi pixels, x_stride floats apart, of which ci are read. y: ho × wo pixels, y_stride floats apart, of
    which co are written. pads: rows above, columns left (what is missing below and right is zero too). act, post:
    OpenCL C expressions in `v`, applied after the bias and after the residual; they work on float and float vectors.
    r_stride: floats between pixels of the residual added between the two, 0 when there is none.
    """

    batch: int
    hi: int
    wi: int
    ci: int
    ho: int
    wo: int
    co: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int]
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1
    x_stride: int = 0
    y_stride: int = 0
    r_stride: int = 0
    act: str = "(v)"
    post: str = "(v)"

    @property
    def pixels(self) -> int:
        """Output pixels over the whole batch."""
        return self.batch * self.ho * self.wo

    @property
    def flops(self) -> int:
        """Multiplications and additions of the direct algorithm."""
        return 2 * self.pixels * self.co * (self.ci // self.groups) * math.prod(self.kernel)


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One way to compute an operator. name: the family, "gemm", "winograd" …; params: its tile sizes and the like."""

    name: str
    params: tuple[tuple[str, int], ...] = field(default=())

    @property
    def has_scratch(self) -> bool:
        """Whether its launches hand partial results on through memory of their own."""
        return self.name == "winograd" or dict(self.params).get("splits", 1) > 1

    def __str__(self) -> str:
        return " ".join((self.name, *(f"{key}={value}" for key, value in self.params)))
