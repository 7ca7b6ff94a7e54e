"""Softmax and normalisations: statistics of a row of elements, then each element again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ....compute.kernel import Kernel, defines_of
from ....i18n import _
from ..graph import Node, unsupported
from ..launch import Step, Tensor
from ..plan import Planner, lowers
from .elementwise import Expr, map_step
from .indexing import Loop, parameters
from .reduce import FOLDS, loops_of, reduce_into, with_axes
from .shape import reshaped

MOST_GROUP: Final = 256  # work-items of a row; what OpenCL devices take in one group
LEAST_GROUP: Final = 32


@dataclass(frozen=True, slots=True)
class Rows:
    """A launch of rows.cl: x → y, one row over `axes`. defines: what the entry wants beside the loops.

    inputs: further ones that lie along the axes, with their strides over them. outputs: further results of a row.
    """

    entry: str
    x: Tensor
    y: Tensor
    axes: Sequence[int]
    defines: Mapping[str, object]
    inputs: Mapping[str, tuple[Tensor, tuple[int, ...]]] = field(default_factory=dict)
    outputs: Mapping[str, Tensor] = field(default_factory=dict)


def group_for(planner: Planner, count: int) -> int:
    """Work-items that share a row: one on a CPU, else about as many as the row has elements, a power of two."""
    if planner.device.family == "cpu":
        return 1
    return min(MOST_GROUP, max(LEAST_GROUP, 1 << (count - 1).bit_length())) if count > 1 else LEAST_GROUP


def emit_rows(planner: Planner, node: Node, rows: Rows) -> None:
    """One work-group a row."""
    x, y = rows.x, rows.y
    if x.dtype != "float32":
        raise unsupported(node, _("element type {dtype}").format(dtype=x.dtype))
    if not y.size:
        return
    outer, inner = loops_of(x, y, rows.axes, {label: strides for label, (_, strides) in rows.inputs.items()})
    more = {label: tensor for label, (tensor, _) in rows.inputs.items()}
    group = group_for(planner, inner.size)
    kernel = Kernel(
        "rows.cl",
        rows.entry,
        defines_of(
            PARAMS=parameters({"x": x, **more}, {"y": y, **rows.outputs}),
            **_loop_defines(outer, inner),
            R=inner.size,
            GROUP=group,
            **{f"{label.upper()}_AT": inner.at[label] for label in more},
            **rows.defines,
        ),
    )
    args = ("x", *more, "y", *rows.outputs)
    step = Step(kernel, (outer.size * group,), (group,), args, bytes=x.nbytes + y.nbytes)
    planner.emit(node.name, [step], x=x, y=y, **more, **rows.outputs)


def _loop_defines(outer: Loop, inner: Loop) -> dict[str, str]:
    return {
        "DECODE": outer.decode,
        "DECODE_R": inner.decode,
        "X_KEPT": outer.at["X"],
        "X_RED": inner.at["X"],
        "Y_KEPT": outer.at["Y"],
        "Y_RED": inner.at["Y"],
    }


@lowers("Softmax", "LogSoftmax")
def lower_softmax(planner: Planner, node: Node) -> None:
    """Along one axis; before opset 13 over all axes from that one on."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    rank = len(x.shape)
    if node.opset >= 13:
        axes: tuple[int, ...] = (node.attrs.get("axis", -1) % rank,)
    else:
        axis = node.attrs.get("axis", 1)
        axes = tuple(range(axis if axis >= 0 else axis + rank, rank))
    emit_rows(planner, node, Rows("softmax", x, y, axes, {"LOG": int(node.op == "LogSoftmax")}))


@lowers("LayerNormalization", "RMSNormalization")
def lower_layer_norm(planner: Planner, node: Node) -> None:
    """Over the axes from `axis` on, with scale and shift of those axes; mean and inverse deviation where wanted."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    axes = tuple(range(node.attrs.get("axis", -1) % len(x.shape), len(x.shape)))
    inputs, affine = _affine(planner, node, x, axes)
    defines = _norm_defines(node, affine, rms=node.op == "RMSNormalization")
    outputs = _statistics(planner, node, x, axes)
    if outputs:
        kept = loops_of(x, with_axes(outputs["y1"], len(x.shape), axes), axes)[0]
        defines |= {"STATISTICS": 1, "S_AT": kept.at["Y"]}
    emit_rows(planner, node, Rows("normalise", x, y, axes, defines, inputs, outputs))


def _norm_defines(node: Node, affine: str, *, rms: bool = False) -> dict[str, object]:
    return {"NORM": 1, "RMS": int(rms), "EPS": float(node.attrs.get("epsilon", 1e-5)), "AFFINE": affine}


def _affine(
    planner: Planner, node: Node, x: Tensor, axes: Sequence[int]
) -> tuple[dict[str, tuple[Tensor, tuple[int, ...]]], str]:
    """Scale and shift with their strides over the normalised axes, and what becomes of the normalised v."""
    found: dict[str, tuple[Tensor, tuple[int, ...]]] = {}
    text = "v"
    for index, label, sign in ((1, "scale", "*"), (2, "shift", "+")):
        if not node.input(index):
            continue
        tensor = planner.value(node.inputs[index])
        if len(tensor.shape) > len(axes):
            text = _("input {index} of shape {shape} for {other}")
            raise unsupported(node, text.format(index=index, shape=tensor.shape, other=x.shape))
        own = tuple(0 if side == 1 else step for side, step in zip(tensor.shape, tensor.strides, strict=True))
        found[label] = (tensor, (0,) * (len(axes) - len(own)) + own)
        text = f"({text} {sign} {label}[{label}_off + ({label.upper()}_AT)])"
    return found, text


def _statistics(planner: Planner, node: Node, x: Tensor, axes: Sequence[int]) -> dict[str, Tensor]:
    """Where mean and inverse deviation go; empty when the node has one output only."""
    names = [*node.outputs[1:3], "", ""][:2]
    if not any(names):
        return {}
    shape = tuple(1 if axis in axes else side for axis, side in enumerate(x.shape))
    found = [planner.result(name) if name else planner.new(shape, "float32") for name in names]
    return {"y1": found[0], "y2": found[1]}


@lowers("InstanceNormalization", "GroupNormalization")
def lower_channel_norm(planner: Planner, node: Node) -> None:
    """Groups of channels of each picture, then a scale and a shift per channel (before opset 21 per group)."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    channels = x.shape[1]
    groups = node.attrs["num_groups"] if node.op == "GroupNormalization" else channels
    rows = planner.row_major(x, node=node.name)
    grouped = (x.shape[0], groups, channels // groups, *x.shape[2:])
    view = reshaped(planner, rows, grouped, node=node.name)
    plain = planner.new(grouped, "float32")
    emit_rows(planner, node, Rows("normalise", view, plain, range(2, len(grouped)), _norm_defines(node, "v")))
    source = reshaped(planner, plain, x.shape, node=node.name)
    scale, shift = (_per_channel(planner, name, channels, len(x.shape)) for name in node.inputs[1:3])
    step = map_step((Expr("float", "({0} * {1} + {2})", (0, 1, 2)),), [source, scale, shift], y)
    planner.emit(node.name, [step] if y.size else [], x0=source, x1=scale, x2=shift, y=y)


def _per_channel(planner: Planner, name: str, channels: int, rank: int) -> Tensor:
    """A vector of channels, or of groups whose channels share it, over (n, c, …spatial)."""
    array, tensor = planner.const(name), planner.value(name)
    if tensor.size != channels:
        if array is None:
            raise ValueError(f"{name}: {tensor.size} values for {channels} channels")
        tensor = planner.constant(array.repeat(channels // tensor.size))
    return replace(
        tensor,
        shape=(1, channels, *(1,) * (rank - 2)),
        strides=(0, tensor.strides[0], *(0,) * (rank - 2)),
    )


@lowers("BatchNormalization")
def lower_batch_norm(planner: Planner, node: Node) -> None:
    """With statistics that fusion could not fold, because they are computed: inputs x, scale, shift, mean, variance."""
    if node.attrs.get("training_mode", 0) or len(node.outputs) > 1:
        raise unsupported(node, _("it is in training mode"))
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    channels = x.shape[1] if len(x.shape) > 1 else 1
    vectors = [_per_channel(planner, name, channels, max(len(x.shape), 2)) for name in node.inputs[1:5]]
    epsilon = float(node.attrs.get("epsilon", 1e-5))
    program = (
        Expr("float", f"({{0}} / sqrt({{1}} + {epsilon!r}f))", (1, 4)),
        Expr("float", "(({0} - {1}) * {2} + {3})", (0, 3, -1, 2)),
    )
    step = map_step(program, [x, *vectors], y)
    roles = {f"x{k}": each for k, each in enumerate((x, *vectors))}
    planner.emit(node.name, [step] if y.size else [], y=y, **roles)


@lowers("LpNormalization")
def lower_lp_norm(planner: Planner, node: Node) -> None:
    """Divided by the norm along one axis; zero where the norm is zero."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    axis = node.attrs.get("axis", -1) % len(x.shape)
    norm = planner.new(tuple(1 if i == axis else side for i, side in enumerate(x.shape)), x.dtype)
    fold = FOLDS["ReduceL1" if node.attrs.get("p", 2) == 1 else "ReduceL2"]
    reduce_into(planner, fold, x, norm, (axis,), node=node.name)
    step = map_step((Expr("float", "({1} == 0 ? 0.0f : {0} / {1})", (0, 1)),), [x, norm], y)
    planner.emit(node.name, [step] if y.size else [], x0=x, x1=norm, y=y)
