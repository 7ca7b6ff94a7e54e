"""Pad: constant, edge, reflect and wrap, any element type; negative pads cut off."""

import numpy as np

from ....i18n import _
from ..graph import Node, unsupported
from ..launch import C_TYPES
from ..plan import Planner, lowers
from .indexing import sum_of
from .places import coordinates, emit_each, names_of

MODES = {"constant": 0, "edge": 1, "reflect": 2, "wrap": 3}


@lowers("Pad")
def lower_pad(planner: Planner, node: Node) -> None:
    """One launch over the result; each place finds the input's place, or takes the value."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    mode = node.attrs.get("mode", "constant")
    if mode not in MODES:
        raise unsupported(node, _("mode {mode}").format(mode=mode))
    before = begins_of(planner, node, len(x.shape))
    loop, names = coordinates(y.shape, y.strides), names_of(len(y.shape))
    statements, terms = "", []
    for axis, (name, begin) in enumerate(zip(names, before, strict=True)):
        if begin == 0 and x.shape[axis] == y.shape[axis]:
            terms.append((x.strides[axis], name))
            continue
        statements += f"PLACE(p{axis}, {name} - ({begin}), {x.shape[axis]}) "
        terms.append((x.strides[axis], f"p{axis}"))
    value = planner.value(node.inputs[2]) if node.input(2) else None
    inputs = {"x": x} | ({"value": value} if value is not None and mode == "constant" else {})
    defines = {
        "DECODE": loop.decode,
        "PLACES": statements,
        "MODE": MODES[mode],
        "VALUE": "value[value_off]" if "value" in inputs else "0",
        "TYPE": C_TYPES[y.dtype],
        "X_AT": sum_of(terms),
        "Y_AT": loop.at["y"],
    }
    emit_each(planner, node, ("pad.cl", "pad"), inputs, y, size=y.size, defines=defines)


def begins_of(planner: Planner, node: Node, rank: int) -> list[int]:
    """Pads before each axis; those behind follow from the shapes."""
    pads, axes = planner.const(node.inputs[1]), planner.const(node.input(3)) if node.input(3) else None
    if pads is None or (node.input(3) and axes is None):
        raise unsupported(node, _("its pads depend on the data"))
    given = np.asarray(pads).reshape(2, -1)[0]
    which = np.arange(rank) if axes is None else np.asarray(axes).reshape(-1)
    before = [0] * rank
    for axis, count in zip(which, given, strict=True):
        before[int(axis) % rank] = int(count)
    return before
