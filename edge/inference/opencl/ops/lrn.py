"""LRN and MeanVarianceNormalization, which older classifiers have."""

from ....i18n import _
from ..graph import Node, unsupported
from ..plan import Planner, lowers
from .norm import Rows, emit_rows
from .places import coordinates, emit_each, names_of, place

# ONNX divides by the deviation + 1e-9; under the root its square keeps zero deviations finite, and no more.
MVN_EPSILON = 1e-18


@lowers("LRN")
def lower_lrn(planner: Planner, node: Node) -> None:
    """Each element x / (bias + alpha / size · Σ x² over `size` neighbouring channels) ^ beta."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    if x.dtype != "float32":
        raise unsupported(node, _("element type {dtype}").format(dtype=x.dtype))
    size = node.attrs["size"]
    loop, names = coordinates(y.shape, y.strides), names_of(len(y.shape))
    defines = {
        "DECODE": loop.decode,
        "X_STILL": place(x, [name if axis != 1 else "0" for axis, name in enumerate(names)]),
        "CHANNELS": x.shape[1],
        "CHANNEL_STEP": x.strides[1],
        "BEFORE": (size - 1) // 2,
        "BEHIND": size - 1 - (size - 1) // 2,
        "SCALE": float(node.attrs.get("alpha", 1e-4)) / size,
        "BETA": float(node.attrs.get("beta", 0.75)),
        "BIAS": float(node.attrs.get("bias", 1.0)),
        "Y_AT": loop.at["y"],
    }
    flops = 2 * size * y.size
    emit_each(planner, node, ("lrn.cl", "lrn"), {"x": x}, y, size=y.size, defines=defines, flops=flops)


@lowers("MeanVarianceNormalization")
def lower_mean_variance(planner: Planner, node: Node) -> None:
    """(x − mean) / deviation over the axes, by default all but the channels."""
    x, y = planner.value(node.inputs[0]), planner.result(node.outputs[0])
    axes = [int(axis) % len(x.shape) for axis in node.attrs.get("axes") or (0, 2, 3)]
    defines = {"LOG": 0, "NORM": 1, "RMS": 0, "EPS": MVN_EPSILON, "AFFINE": "v"}
    emit_rows(planner, node, Rows("normalise", x, y, axes, defines))
