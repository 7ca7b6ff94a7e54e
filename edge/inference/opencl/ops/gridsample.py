"""GridSample: x read at the places that a grid names, in two or three spatial axes."""

from ....i18n import _
from ..graph import Node, unsupported
from ..plan import Planner, lowers
from .places import coordinates, emit_each, names_of, place

MODES = {"nearest": 0, "linear": 1, "bilinear": 1, "trilinear": 1, "cubic": 2, "bicubic": 2}
PADDINGS = {"zeros": 0, "border": 1, "reflection": 2}
AXES = ("D", "H", "W")


@lowers("GridSample")
def lower_grid_sample(planner: Planner, node: Node) -> None:
    """One work-item an element of y; the grid's last axis holds (x, y) or (x, y, z), from -1 to 1."""
    x, grid, y = planner.value(node.inputs[0]), planner.value(node.inputs[1]), planner.result(node.outputs[0])
    rank = len(x.shape) - 2
    mode, padding = node.attrs.get("mode", "linear"), node.attrs.get("padding_mode", "zeros")
    if rank not in {2, 3} or mode not in MODES or padding not in PADDINGS:
        text = _("{count} spatial axes, mode {mode}, padding {padding}")
        raise unsupported(node, text.format(count=rank, mode=mode, padding=padding))
    if rank == 3 and MODES[mode] == MODES["cubic"]:
        raise unsupported(node, _("cubic in three axes"))
    if x.dtype != "float32":
        raise unsupported(node, _("element type {dtype}").format(dtype=x.dtype))
    loop, names = coordinates(y.shape, y.strides), names_of(len(y.shape))
    defines: dict[str, object] = {
        "DECODE": loop.decode,
        "Y_AT": loop.at["y"],
        "GRID_AT": place(grid, [names[0], *names[2:], "0"]),
        "GRID_STEP": grid.strides[-1],
        "X_PLANE": place(x, [*names[:2], *["0"] * rank]),
        "DEEP": int(rank == len(AXES)),
        "MODE": MODES[mode],
        "PADDING": PADDINGS[padding],
        "CORNERS": bool(node.attrs.get("align_corners", 0)),
    }
    for label, side, step in zip(AXES[-rank:], x.shape[2:], x.strides[2:], strict=True):
        defines |= {f"SIDE_{label}": side, f"STEP_{label}": step}
    flops = y.size * (2 * 4**rank if MODES[mode] == MODES["cubic"] else 3 * 2**rank)
    inputs = {"x": x, "grid": grid}
    emit_each(planner, node, ("grid_sample.cl", "grid_sample"), inputs, y, size=y.size, defines=defines, flops=flops)
