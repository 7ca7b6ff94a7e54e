"""CumSum and CumProd: running totals along one axis."""

from ..graph import Node
from ..launch import C_TYPES
from ..plan import Planner, lowers
from .places import coordinates, emit_each
from .shape import constant_of

FOLDS = {"CumSum": ("0", "((a) + (b))"), "CumProd": ("1", "((a) * (b))")}


@lowers("CumSum", "CumProd")
def lower_cumulative(planner: Planner, node: Node) -> None:
    """One work-item a lane, serial along it: n steps, which is little for the lengths that models have."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    axis = constant_of(planner, node, 1)[0] % len(x.shape)
    lanes = [k for k in range(len(x.shape)) if k != axis]
    shape, from_x, to_y = (tuple(each[k] for k in lanes) for each in (x.shape, x.strides, y.strides))
    loop = coordinates(shape, to_y, {"x": from_x})
    init, fold = FOLDS[node.op]
    defines = {
        "DECODE": loop.decode,
        "X_LANE": loop.at["x"],
        "Y_LANE": loop.at["y"],
        "COUNT": x.shape[axis],
        "X_STEP": x.strides[axis],
        "Y_STEP": y.strides[axis],
        "REVERSE": bool(node.attrs.get("reverse", 0)),
        "EXCLUSIVE": bool(node.attrs.get("exclusive", 0)),
        "TYPE": C_TYPES[y.dtype],
        "INIT": init,
        "FOLD(a, b)": fold,
    }
    if y.size:
        emit_each(planner, node, ("scan.cl", "scan"), {"x": x}, y, size=loop.size, defines=defines)
