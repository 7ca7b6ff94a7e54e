"""Reductions over axes, softmax and normalisations."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from ....compute.kernel import Kernel, defines_of
from ..graph import Node, unsupported
from ..launch import C_TYPES, Step, Tensor
from ..plan import Planner, lowers
from .indexing import Loop, global_for, loop_over, parameters

# op → (accumulator of an integer type None = the type itself), INIT, MAP, FOLD, DONE; R is the count
PLUS: Final = "((a) + (b))"
KINDS: Final = {
    "ReduceSum": ("0", "(v)", PLUS, "(a)"),
    "ReduceMean": ("0", "(v)", PLUS, "((a) / R)"),
    "GlobalAveragePool": ("0", "(v)", PLUS, "((a) / R)"),
    "ReduceMax": ("LOWEST", "(v)", "((a) > (b) || (a) != (a) ? (a) : (b))", "(a)"),
    "ReduceMin": ("HIGHEST", "(v)", "((a) < (b) || (a) != (a) ? (a) : (b))", "(a)"),
    "ReduceProd": ("1", "(v)", "((a) * (b))", "(a)"),
    "ReduceL1": ("0", "((v) < 0 ? -(v) : (v))", PLUS, "(a)"),
    "ReduceL2": ("0", "((v) * (v))", PLUS, "sqrt(a)"),
    "ReduceSumSquare": ("0", "((v) * (v))", PLUS, "(a)"),
    "ReduceLogSum": ("0", "(v)", PLUS, "log(a)"),
}
EXTREMES: Final = {
    "float": ("(-INFINITY)", "INFINITY"),
    "char": ("CHAR_MIN", "CHAR_MAX"),
    "uchar": ("0", "UCHAR_MAX"),
    "short": ("SHRT_MIN", "SHRT_MAX"),
    "ushort": ("0", "USHRT_MAX"),
    "int": ("INT_MIN", "INT_MAX"),
    "uint": ("0", "UINT_MAX"),
    "long": ("LONG_MIN", "LONG_MAX"),
    "ulong": ("0", "ULONG_MAX"),
}
WIDE_FROM: Final = 64  # elements reduced from which a work-group shares one result, on a GPU
WIDE_GROUP: Final = 64


def axes_of(planner: Planner, node: Node, rank: int) -> tuple[int, ...]:
    """Axes from the second input or all of them; empty when nothing is reduced."""
    if node.op == "GlobalAveragePool":
        return tuple(range(2, rank))
    given = planner.const(node.input(1)) if node.input(1) else None
    if node.input(1) and given is None:
        raise unsupported(node, "its axes depend on the data")
    if given is None or not given.size:
        return () if node.attrs.get("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(sorted(int(axis) % rank for axis in given.reshape(-1)))


def with_axes(y: Tensor, rank: int, axes: Sequence[int]) -> Tensor:
    """y with the reduced axes put back as axes of one element, whether or not they were kept."""
    if len(y.shape) == rank:
        return y
    shape, strides = list(y.shape), list(y.strides)
    for axis in axes:
        shape.insert(axis, 1)
        strides.insert(axis, 0)
    return replace(y, shape=tuple(shape), strides=tuple(strides))


def loops_of(x: Tensor, y: Tensor, axes: Sequence[int]) -> tuple[Loop, Loop]:
    """The loop over what is kept (index g, operands X and Y) and over what is reduced (index r, operand X and Y)."""
    kept = [axis for axis in range(len(x.shape)) if axis not in axes]

    def pick(strides: Sequence[int], which: Sequence[int]) -> tuple[int, ...]:
        return tuple(strides[axis] for axis in which)

    outer = loop_over(
        pick(x.shape, kept), {"X": pick(x.strides, kept), "Y": pick(y.strides, kept)}, order="Y", index="g"
    )
    inner = loop_over(
        pick(x.shape, axes), {"X": pick(x.strides, axes), "Y": pick(y.strides, axes)}, order="X", index="r"
    )
    return outer, inner


@lowers(*KINDS)
def lower_reduce(planner: Planner, node: Node) -> None:
    """One value for all elements along the axes."""
    x, target = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    axes = axes_of(planner, node, len(x.shape))
    if not axes:
        planner.copy(x, target, node=node.name)
        return
    y = with_axes(target, len(x.shape), axes)
    outer, inner = loops_of(x, replace(y, strides=y.strides), axes)
    init, each, fold, done = KINDS[node.op]
    ctype = C_TYPES[x.dtype]
    lowest, highest = EXTREMES[ctype]
    wide = planner.device.family == "gpu" and inner.size >= WIDE_FROM
    defines = {
        "PARAMS": parameters({"x": x}, {"y": y}),
        "DECODE": outer.decode,
        "DECODE_R": inner.decode,
        "X_KEPT": outer.at["X"],
        "X_RED": inner.at["X"],
        "Y_AT": outer.at["Y"],
        "R": inner.size if inner.size or not x.size else 1,
        "ACC": ctype,
        "INIT": init.replace("LOWEST", lowest).replace("HIGHEST", highest),
        "MAP(v)": each,
        "FOLD(a, b)": fold,
        "DONE(a)": done,
    } | ({"GROUP": WIDE_GROUP} if wide else {})
    if not x.size:
        defines["R"] = 0
    sizes = ((outer.size * WIDE_GROUP,), (WIDE_GROUP,)) if wide else global_for(outer.size)
    kernel = Kernel(
        "reduce.cl", "reduce_wide" if wide else "reduce_plain", tuple((k, str(v)) for k, v in defines.items())
    )
    step = Step(kernel, *sizes, ("x", "y", np.int32(outer.size)), flops=x.size, bytes=x.nbytes + y.nbytes)
    planner.emit(node.name, [step], x=x, y=y)


@lowers("ReduceLogSumExp")
def lower_log_sum_exp(planner: Planner, node: Node) -> None:
    """max + log Σ exp(x − max), in two launches, so that nothing overflows."""
    from .elementwise import Expr, map_step  # noqa: PLC0415

    x, target = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    axes = axes_of(planner, node, len(x.shape))
    y = with_axes(target, len(x.shape), axes)
    shape = tuple(1 if axis in axes else side for axis, side in enumerate(x.shape))
    top, moved, total = (planner.new(each, x.dtype) for each in (shape, x.shape, shape))
    planner.tensors |= {f"{node.name}/top": top, f"{node.name}/moved": moved, f"{node.name}/sum": total}
    attrs = {"keepdims": 1, "noop_with_empty_axes": node.attrs.get("noop_with_empty_axes", 0)}
    lower_reduce(planner, Node(node.name, "ReduceMax", node.inputs, (f"{node.name}/top",), attrs))
    step = map_step((Expr("float", "exp({0} - {1})", (0, 1)),), [x, top], moved)
    planner.emit(node.name, [step], x0=x, x1=top, y=moved)
    lower_reduce(
        planner, Node(node.name, "ReduceSum", (f"{node.name}/moved", *node.inputs[1:]), (f"{node.name}/sum",), attrs)
    )
    step = map_step((Expr("float", "({1} + log({0}))", (0, 1)),), [total, top], y)
    planner.emit(node.name, [step], x0=total, x1=top, y=y)


def group_for(planner: Planner, count: int) -> int:
    """Work-items that share a row: one on a CPU, else about as many as the row has elements, a power of two."""
    if planner.device.family == "cpu":
        return 1
    return min(256, max(32, 1 << (count - 1).bit_length())) if count > 1 else 32


def emit_rows(
    planner: Planner,
    node: Node,
    entry: str,
    x: Tensor,
    y: Tensor,
    axes: Sequence[int],
    *,
    extra: dict[str, object],
    others: dict[str, Tensor] | None = None,
    outputs: dict[str, Tensor] | None = None,
) -> None:
    """One work-group a row. others: further inputs, outputs: further results, in the order of the kernel's parameters."""
    if x.dtype != "float32":
        raise unsupported(node, f"element type {x.dtype}")
    outer, inner = loops_of(x, y, axes)
    group = group_for(planner, inner.size)
    more, written = others or {}, outputs or {}
    defines = {
        "PARAMS": parameters({"x": x, **more}, {"y": y, **written}),
        "DECODE": outer.decode,
        "DECODE_R": inner.decode,
        "X_KEPT": outer.at["X"],
        "X_RED": inner.at["X"],
        "Y_KEPT": outer.at["Y"],
        "Y_RED": inner.at["Y"],
        "R": inner.size,
        "GROUP": group,
        **extra,
    }
    if not y.size:
        return
    args = ("x", *more, "y", *written)
    step = Step(
        Kernel("rows.cl", entry, defines_of(**defines)),
        (outer.size * group,),
        (group,),
        args,
        bytes=x.nbytes + y.nbytes,
    )
    planner.emit(node.name, [step], x=x, y=y, **more, **written)


@lowers("Softmax", "LogSoftmax")
def lower_softmax(planner: Planner, node: Node) -> None:
    """Along one axis; before opset 13 over all axes from that one on."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    rank = len(x.shape)
    if node.opset >= 13:
        axes: tuple[int, ...] = (node.attrs.get("axis", -1) % rank,)
    else:
        axes = tuple(range(node.attrs.get("axis", 1) % (rank + 1), rank))
    emit_rows(planner, node, "softmax", x, y, axes, extra={"LOG": int(node.op == "LogSoftmax")})


@lowers("LayerNormalization", "RMSNormalization")
def lower_layer_norm(planner: Planner, node: Node) -> None:
    """Over the axes from `axis` on, with scale and shift of those axes; mean and inverse deviation where wanted."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    rank = len(x.shape)
    axes = tuple(range(node.attrs.get("axis", -1) % rank, rank))
    others, affine = _affine(planner, node, x, axes)
    wanted = [name for name in node.outputs[1:3] if name]
    extra: dict[str, object] = {
        "LOG": 0,
        "NORM": 1,
        "RMS": int(node.op == "RMSNormalization"),
        "EPS": float(node.attrs.get("epsilon", 1e-5)),
        "AFFINE": affine,
    }
    outputs: dict[str, Tensor] = {}
    if wanted:
        names = [*node.outputs[1:3], ""][:2]
        shape = tuple(1 if axis in axes else side for axis, side in enumerate(x.shape))
        outputs = {
            f"y{i + 1}": planner.result(name) if name else planner.new(shape, "float32") for i, name in enumerate(names)
        }
        outer = loops_of(x, with_axes(outputs["y1"], rank, axes), axes)[0]
        extra |= {"STATISTICS": 1, "S_AT": outer.at["Y"]}
    emit_rows(planner, node, "normalise", x, y, axes, extra=extra, others=others, outputs=outputs)


def _affine(planner: Planner, node: Node, x: Tensor, axes: Sequence[int]) -> tuple[dict[str, Tensor], str]:
    """Scale and shift that lie row-major along the normalised axes: at r of a loop in row-major order."""
    others: dict[str, Tensor] = {}
    text = "v"
    sides = tuple(x.shape[axis] for axis in axes)
    for index, label, sign in ((1, "scale", "*"), (2, "shift", "+")):
        if not node.input(index):
            continue
        tensor = planner.value(node.inputs[index])
        missing = len(sides) - len(tensor.shape)
        strides = (0,) * missing + tuple(0 if s == 1 else t for s, t in zip(tensor.shape, tensor.strides, strict=True))
        loop = loop_over(sides, {"X": tuple(x.strides[a] for a in axes), "S": strides}, order="X", index="s")
        others[label] = tensor
        # the same order as DECODE_R's, so that r can be decoded a second time
        text = f"({text} {sign} {label}[{label}_off + ({_inline(loop, 'S')})])"
    return others, text


def _inline(loop: Loop, label: str) -> str:
    """The loop's expression with its coordinates written out in terms of r."""
    text = loop.at[label]
    for statement in loop.decode.split(";"):
        if "=" in statement:
            name, value = statement.replace("const int", "").split("=")
            text = text.replace(name.strip(), f"({value.strip().replace('s ', 'r ') if value.strip() != 's' else 'r'})")
    return text


@lowers("InstanceNormalization")
def lower_instance_norm(planner: Planner, node: Node) -> None:
    """Each channel of each picture by itself."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    _channel_norm(planner, node, x, y, groups=x.shape[1])


@lowers("GroupNormalization")
def lower_group_norm(planner: Planner, node: Node) -> None:
    """Groups of channels of each picture."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    _channel_norm(planner, node, x, y, groups=node.attrs["num_groups"])


def _channel_norm(planner: Planner, node: Node, x: Tensor, y: Tensor, *, groups: int) -> None:
    """Normalise groups of channels, then scale and shift per channel (per group in GroupNormalization's first form)."""
    from .elementwise import Expr, map_step  # noqa: PLC0415
    from .shape import reshaped  # noqa: PLC0415

    channels = x.shape[1]
    rows = planner.row_major(x, node=node.name)
    shape = (x.shape[0], groups, channels // groups, *x.shape[2:])
    view = reshaped(planner, rows, shape, node=node.name)
    plain = planner.new(shape, "float32")
    extra: dict[str, object] = {
        "LOG": 0,
        "NORM": 1,
        "RMS": 0,
        "EPS": float(node.attrs.get("epsilon", 1e-5)),
        "AFFINE": "v",
    }
    emit_rows(planner, node, "normalise", view, plain, tuple(range(2, len(shape))), extra=extra)
    scale, shift = planner.value(node.inputs[1]), planner.value(node.inputs[2])
    per_group = scale.size == groups != channels
    source = plain if per_group else reshaped(planner, plain, x.shape, node=node.name)
    target = reshaped(planner, y, shape, node=node.name) if per_group else y
    rank = len(source.shape)
    wide = tuple(scale.size if axis == 1 else 1 for axis in range(rank))
    steps = tuple(1 if axis == 1 else 0 for axis in range(rank))
    scale, shift = (replace(each, shape=wide, strides=steps) for each in (scale, shift))
    program = (Expr("float", "({0} * {1} + {2})", (0, 1, 2)),)
    planner.emit(
        node.name, [map_step(program, [source, scale, shift], target)], x0=source, x1=scale, x2=shift, y=target
    )


@lowers("LpNormalization")
def lower_lp_norm(planner: Planner, node: Node) -> None:
    """Divided by the norm along one axis."""
    from .elementwise import Expr, map_step  # noqa: PLC0415

    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    rank = len(x.shape)
    axis = node.attrs.get("axis", -1) % rank
    norm = planner.new(tuple(1 if i == axis else side for i, side in enumerate(x.shape)), x.dtype)
    planner.tensors[f"{node.name}/norm"] = norm
    planner.graph.constants[f"{node.name}/axis"] = np.array([axis], np.int64)
    op = "ReduceL1" if node.attrs.get("p", 2) == 1 else "ReduceL2"
    lower_reduce(planner, Node(node.name, op, (node.inputs[0], f"{node.name}/axis"), (f"{node.name}/norm",)))
    program = (Expr("float", "({1} == 0 ? 0.0f : {0} / {1})", (0, 1)),)
    planner.emit(node.name, [map_step(program, [x, norm], y)], x0=x, x1=norm, y=y)
