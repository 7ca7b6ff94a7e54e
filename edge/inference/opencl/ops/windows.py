"""Sliding windows: what convolutions and pools share of ONNX's attributes, with the spatial axes filled up to three."""

from collections.abc import Sequence
from dataclasses import dataclass

from ....i18n import _
from ..graph import Node, unsupported
from ..launch import Tensor

AXES = ("D", "H", "W")
Three = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Window:
    """Per spatial axis: kernel, stride, dilation, pads before and behind; fewer than three axes are filled up."""

    kernel: Three
    strides: Three
    dilations: Three
    begin: Three
    end: Three

    def defines(self) -> dict[str, object]:
        """K*, S*, DL*, P* and PE* for D, H and W."""
        rows = (("K", self.kernel), ("S", self.strides), ("DL", self.dilations), ("P", self.begin), ("PE", self.end))
        return {f"{name}{axis}": value for name, values in rows for axis, value in zip(AXES, values, strict=True)}


def three(values: Sequence[int], fill: int) -> Three:
    """Values of one to three axes, filled up in front."""
    filled = (fill,) * (3 - len(values)) + tuple(int(value) for value in values)
    return (filled[0], filled[1], filled[2])


def window_of(node: Node, kernel: Sequence[int], x: Sequence[int], y: Sequence[int]) -> Window:
    """The window of a Conv or pool. x, y: spatial sides of input and output."""
    rank = len(kernel)
    if rank > 3:
        raise unsupported(node, _("{count} spatial axes").format(count=rank))
    strides = node.attrs.get("strides") or [1] * rank
    dilations = node.attrs.get("dilations") or [1] * rank
    begin, end = pads_of(node, kernel, strides, dilations, x, y)
    return Window(three(kernel, 1), three(strides, 1), three(dilations, 1), three(begin, 0), three(end, 0))


def pads_of(
    node: Node,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    x: Sequence[int],
    y: Sequence[int],
) -> tuple[list[int], list[int]]:
    """Pads before and behind, `auto_pad` resolved."""
    rank, auto = len(kernel), node.attrs.get("auto_pad", "NOTSET")
    if auto in {"SAME_UPPER", "SAME_LOWER"}:
        total = [
            max((out - 1) * stride + (size - 1) * dilation + 1 - side, 0)
            for out, stride, size, dilation, side in zip(y, strides, kernel, dilations, x, strict=True)
        ]
        less, more = [each // 2 for each in total], [each - each // 2 for each in total]
        return (less, more) if auto == "SAME_UPPER" else (more, less)
    pads = list(node.attrs.get("pads") or [0] * 2 * rank) if auto == "NOTSET" else [0] * 2 * rank
    return pads[:rank], pads[rank:]


def layout_defines(x: Tensor, y: Tensor) -> dict[str, object]:
    """Sizes and strides of both tensors: XD, XS_N, YS_C …; (n, c, …spatial) filled up to three spatial axes."""
    names: dict[str, object] = {}
    for label, tensor in (("X", x), ("Y", y)):
        names |= {f"{label}{axis}": side for axis, side in zip(AXES, three(tensor.shape[2:], 1), strict=True)}
        names |= {f"{label}S_N": tensor.strides[0], f"{label}S_C": tensor.strides[1]}
        names |= {f"{label}S_{axis}": step for axis, step in zip(AXES, three(tensor.strides[2:], 0), strict=True)}
    return names
