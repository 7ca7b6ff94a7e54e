"""TopK, ArgMax and ArgMin: which elements along an axis come first.

TopK counts ranks on a GPU: n work-items a row compare with all n elements, n² comparisons but fully parallel. A CPU
keeps the k best of a row in a heap, about n + k log n log k steps by one work-item.
"""

from ....compute.kernel import Kernel, defines_of
from ..graph import Node
from ..launch import C_TYPES, Scratch, Step, Tensor
from ..plan import Planner, lowers
from .indexing import parameters, round_up
from .places import coordinates

GROUP = 128  # work-items of a group; TopK holds as many elements of the row in local memory at a time


def row_defines(x: Tensor, axis: int, outputs: dict[str, Tensor], *, largest: bool) -> tuple[dict[str, object], int]:
    """Macros for rows along one axis, and how many rows there are. outputs: label → tensor with that axis shorter."""
    rest = [k for k in range(len(x.shape)) if k != axis]
    strides = {label: tuple(each.strides[k] for k in rest) for label, each in ({"X": x} | outputs).items()}
    loop = coordinates(tuple(x.shape[k] for k in rest), strides["X"], strides, index="g")
    defines: dict[str, object] = {
        "DECODE": loop.decode,
        "COUNT": x.shape[axis],
        "X_ROW": loop.at["X"],
        "X_STEP": x.strides[axis],
        "TYPE": C_TYPES[x.dtype],
        "KEY_TYPE": "int" if x.dtype == "float32" else C_TYPES[x.dtype],
        "FLOAT": int(x.dtype == "float32"),
        "BETTER": ">" if largest else "<",
    }
    for label, each in outputs.items():
        defines |= {f"{label}_ROW": loop.at[label], f"{label}_STEP": each.strides[axis]}
    return defines, loop.size


@lowers("TopK")
def lower_top_k(planner: Planner, node: Node) -> None:
    """The k largest or smallest along an axis, best first, of equal ones the earlier; values and indices."""
    x = planner.value(node.inputs[0])
    axis = node.attrs.get("axis", -1) % len(x.shape)
    names = [name or f"{node.name}/unused{k}" for k, name in enumerate((*node.outputs, "", "")[:2])]
    kept = next(planner.graph.types[name].shape for name in node.outputs if name)
    values, indices = (
        planner.result(name) if name in planner.graph.types else planner.new(kept, dtype)
        for name, dtype in zip(names, (x.dtype, "int64"), strict=True)
    )
    k = values.shape[axis]
    if not values.size:
        return
    largest = bool(node.attrs.get("largest", 1))
    defines, rows = row_defines(x, axis, {"Y": values, "I": indices}, largest=largest)
    defines = {"PARAMS": parameters({"x": x}, {"y": values, "y_index": indices}), "GROUP": GROUP, "K": k} | defines
    kernel, roles = "top_k.cl", {"x": x, "y": values, "y_index": indices}
    moved = x.nbytes + values.nbytes + indices.nbytes
    if planner.device.family == "cpu":
        heap = Scratch("heap", rows * k, "int32")
        step = Step(Kernel(kernel, "top_k_heap", defines_of(**defines)), (rows,), (1,), (*roles, heap), bytes=moved)
    else:
        size = (round_up(x.shape[axis], GROUP), rows)
        step = Step(Kernel(kernel, "top_k_rank", defines_of(**defines)), size, (GROUP, 1), tuple(roles), bytes=moved)
    planner.emit(node.name, [step], **roles)


@lowers("ArgMax", "ArgMin")
def lower_arg(planner: Planner, node: Node) -> None:
    """Where the largest or smallest element along an axis is: the first, or with select_last_index the last."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    axis = node.attrs.get("axis", 0) % len(x.shape)
    last = bool(node.attrs.get("select_last_index", 0))
    emit_arg(planner, node, x, y, axis, largest=node.op == "ArgMax", last=last)


def emit_arg(planner: Planner, node: Node, x: Tensor, y: Tensor, axis: int, *, largest: bool, last: bool) -> None:
    """One launch; a work-group shares a row on a GPU. y: int64, with or without the axis."""
    from .reduce import with_axes  # noqa: PLC0415  # because reduce imports its way through the same families

    if not y.size:
        return
    whole = with_axes(y, len(x.shape), [axis])
    defines, rows = row_defines(x, axis, {"Y": whole}, largest=largest)
    group = 1 if planner.device.family == "cpu" else min(GROUP, 1 << (x.shape[axis] - 1).bit_length())
    defines = {"PARAMS": parameters({"x": x}, {"y": y}), "GROUP": group, "LAST": int(last)} | defines
    kernel = Kernel("arg_extreme.cl", "arg_extreme", defines_of(**defines))
    step = Step(kernel, (rows * group,), (group,), ("x", "y"), flops=x.size, bytes=x.nbytes + y.nbytes)
    planner.emit(node.name, [step], x=x, y=y)
