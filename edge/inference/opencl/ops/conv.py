"""Conv, FusedConv and ConvTranspose; Gemm and MatMul with constant weights go the same way, as 1×1 convolutions."""

from dataclasses import replace
from types import ModuleType

import numpy as np

from ....compute.capability import Capability
from ....compute.kernel import Kernel, defines_of
from ....i18n import _
from ..graph import Node, unsupported
from ..launch import Algorithm, Array, Const, ConvProblem, Step, Tensor
from ..plan import Planner, lowers
from . import conv_cpu, conv_gpu
from .indexing import global_for
from .windows import Window, layout_defines, three, window_of

PLANAR_CHANNELS = 4  # an input of so few channels is read as it comes, plane by plane


def kernels_for(device: Capability) -> ModuleType:
    """The kernel family that suits the device: a module with `candidates` and `lower`."""
    return conv_cpu if device.family == "cpu" else conv_gpu


def every_candidate(problem: ConvProblem, device: Capability) -> tuple[Algorithm, ...]:
    """Also those that only the tuner may choose, because their rounding must pass its error gate first."""
    if device.family == "cpu":
        return conv_cpu.candidates(problem, device)
    return conv_gpu.candidates(problem, device, allow_f4=True)


@lowers("Conv", "FusedConv")
def lower_conv(planner: Planner, node: Node) -> None:
    """A convolution with its epilogue: y = post(act(conv(x) + bias) + r)."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    outs, ins = planner.graph.types[node.inputs[1]].shape[:2]
    groups = int(node.attrs.get("group", 1))
    if ins * groups != x.shape[1] or outs % groups:  # which inference lets pass
        text = _("its weights are for {wanted} channels in {groups} groups, its input has {found}")
        raise unsupported(node, text.format(wanted=ins * groups, groups=groups, found=x.shape[1]))
    weights = planner.const(node.inputs[1])
    bias = planner.const(node.input(2)) if node.input(2) else None
    window = window_of(node, x_kernel(planner, node), x.shape[2:], y.shape[2:])
    if weights is None or (node.input(2) and bias is None) or len(x.shape) > 4 or x.dtype != "float32":
        direct(planner, node, x, y, window)
        return
    bias = np.zeros(len(weights), np.float32) if bias is None else bias
    residual = planner.value(node.inputs[3]) if node.input(3) else None
    convolve(
        planner, node, _square(x), _square(y), _square_weights(weights), bias, window, residual and _square(residual)
    )


def x_kernel(planner: Planner, node: Node) -> tuple[int, ...]:
    """Spatial sides of the weights."""
    return planner.graph.types[node.inputs[1]].shape[2:]


def _square(tensor: Tensor) -> Tensor:
    """A (n, c, w) tensor as (n, c, 1, w)."""
    if len(tensor.shape) != 3:
        return tensor
    shape, strides = tensor.shape, tensor.strides
    return replace(tensor, shape=(shape[0], shape[1], 1, shape[2]), strides=(strides[0], strides[1], 0, strides[2]))


def _square_weights(weights: Array) -> Array:
    return weights[:, :, None, :] if weights.ndim == 3 else weights


def convolve(
    planner: Planner,
    node: Node,
    x: Tensor,
    y: Tensor,
    weights: Array,
    bias: Array,
    window: Window,
    residual: Tensor | None,
) -> None:
    """A two-dimensional convolution by the device's kernel family; tensors that lie otherwise are copied around it."""
    planar = residual is None and x.is_row_major and x.shape[1] <= PLANAR_CHANNELS and x.pixel_stride is None
    source = x if planar else planner.pixels(x, node=node.name)
    target = y if y.pixel_stride is not None else planner.new(y.shape, y.dtype, nhwc=True)
    added = planner.pixels(residual, node=node.name) if residual else None
    problem = ConvProblem(
        batch=x.shape[0],
        hi=x.shape[2],
        wi=x.shape[3],
        ci=x.shape[1],
        ho=y.shape[2],
        wo=y.shape[3],
        co=y.shape[1],
        kernel=window.kernel[1:],
        strides=window.strides[1:],
        pads=window.begin[1:],
        dilations=window.dilations[1:],
        groups=node.attrs.get("group", 1),
        x_stride=source.pixel_stride or 0,
        y_stride=target.pixel_stride or 0,
        r_stride=added.pixel_stride or 0 if added else 0,
        act=node.attrs.get("act", "(v)"),
        post=node.attrs.get("post", "(v)"),
    )
    steps = steps_of(planner, problem, weights, bias, planar=planar, tensors=(source, target, added))
    roles = {"x": source, "y": target} | ({"r": added} if added else {})
    planner.emit(node.name, steps, **roles)
    if target is not y:
        planner.copy(target, y, node=f"{node.name} (rows)")


def steps_of(
    planner: Planner,
    problem: ConvProblem,
    weights: Array,
    bias: Array,
    *,
    planar: bool,
    tensors: tuple[Tensor | None, ...],
) -> tuple[Step, ...]:
    """The launches of the chosen algorithm."""
    kernels = kernels_for(planner.device)
    aligned = all(each is None or each.offset % 4 == 0 for each in tensors)
    found = kernels.candidates(problem, planner.device, aligned=aligned, planar=planar)
    algorithm = planner.algorithm(problem, found)
    steps: tuple[Step, ...] = kernels.lower(
        problem,
        algorithm,
        planner.device,
        weights=np.ascontiguousarray(weights, np.float32),
        bias=np.ascontiguousarray(bias, np.float32),
        planar=planar,
        **({"aligned": aligned} if kernels is conv_gpu else {}),
    )
    return steps


def direct(planner: Planner, node: Node, x: Tensor, y: Tensor, window: Window) -> None:
    """The plain kernel: three spatial axes, or weights that are computed."""
    if x.dtype != "float32":
        raise unsupported(node, _("element type {dtype}").format(dtype=x.dtype))
    if node.input(3) or node.attrs.get("post", "(v)") != "(v)":
        raise unsupported(node, _("a residual with computed weights"))
    weights = planner.row_major(planner.value(node.inputs[1]), node=node.name)
    bias = planner.row_major(planner.value(node.inputs[2]), node=node.name) if node.input(2) else None
    _launch_direct(planner, node, x, y, weights, bias, window, entry="conv_direct", ci_of_group=weights.shape[1])


@lowers("ConvTranspose")
def lower_conv_transpose(planner: Planner, node: Node) -> None:
    """A transposed convolution, gathered."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    weights = planner.row_major(planner.value(node.inputs[1]), node=node.name)
    bias = planner.row_major(planner.value(node.inputs[2]), node=node.name) if node.input(2) else None
    kernel = weights.shape[2:]
    if len(kernel) > 3:
        raise unsupported(node, _("{count} spatial axes").format(count=len(kernel)))
    window = _transposed_window(node, kernel, x.shape[2:], y.shape[2:])
    groups = node.attrs.get("group", 1)
    _launch_direct(planner, node, x, y, weights, bias, window, entry="conv_transpose", ci_of_group=x.shape[1] // groups)


def _transposed_window(node: Node, kernel: tuple[int, ...], x: tuple[int, ...], y: tuple[int, ...]) -> Window:
    """Pads from the output's shape when that is given or they are automatic: ONNX's formula for ConvTranspose.

    What is too much is cut off, the larger half in front unless auto_pad is SAME_UPPER.
    """
    rank = len(kernel)
    window = window_of(node, kernel, x, y)
    automatic = node.attrs.get("auto_pad", "NOTSET")
    if automatic in {"NOTSET", "VALID"} and not node.attrs.get("output_shape"):
        return window
    extra = (0,) * (3 - rank) + tuple(node.attrs.get("output_padding") or [0] * rank)
    sides, outs = (1,) * (3 - rank) + x, (1,) * (3 - rank) + y
    total = [
        max(stride * (side - 1) + more + (size - 1) * dilation + 1 - out, 0)
        for stride, side, more, size, dilation, out in zip(
            window.strides, sides, extra, window.kernel, window.dilations, outs, strict=True
        )
    ]
    begin = [each // 2 if automatic == "SAME_UPPER" else each - each // 2 for each in total]
    return replace(window, begin=three(begin, 0))


def _launch_direct(
    planner: Planner,
    node: Node,
    x: Tensor,
    y: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    window: Window,
    *,
    entry: str,
    ci_of_group: int,
) -> None:
    zeros = Const(np.zeros(y.shape[1], np.float32))
    defines = layout_defines(x, y) | window.defines()
    defines |= {
        "CO": y.shape[1],
        "CIG": ci_of_group,
        "GROUPS": node.attrs.get("group", 1),
        "ACT": node.attrs.get("act", "(v)"),
    }
    global_size, local_size = global_for(y.size)
    args = ("x", "w", "b" if bias else zeros, "y", np.int32(y.size))
    step = Step(Kernel("conv_direct.cl", entry, defines_of(**defines)), global_size, local_size, args)
    roles = {"x": x, "w": weights, "y": y} | ({"b": bias} if bias else {})
    planner.emit(node.name, [step], **roles)
