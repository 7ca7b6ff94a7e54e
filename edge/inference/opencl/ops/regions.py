"""RoiAlign: each region of interest resampled to a small map of fixed size."""

from ....i18n import _
from ..graph import Node, unsupported
from ..plan import Planner, lowers
from .places import coordinates, emit_each, names_of, place

HALF_PIXEL_SINCE = 16  # opset in which the shift by half a pixel became the default


@lowers("RoiAlign")
def lower_roi_align(planner: Planner, node: Node) -> None:
    """One work-item an element of y (region, channel, row, column)."""
    x, rois, batch = (planner.value(name) for name in node.inputs[:3])
    y = planner.result(node.outputs[0])
    if x.dtype != "float32":
        raise unsupported(node, _("element type {dtype}").format(dtype=x.dtype))
    default = "half_pixel" if node.opset >= HALF_PIXEL_SINCE else "output_half_pixel"
    loop, names = coordinates(y.shape, y.strides), names_of(len(y.shape))
    defines = {
        "DECODE": loop.decode,
        "ROI_AT": place(rois, [names[0], "0"]),
        "ROI_STEP": rois.strides[1],
        "BATCH_AT": place(batch, [names[0]]),
        "X_BATCH": x.strides[0],
        "X_CHANNEL": place(x, ["0", names[1], "0", "0"]),
        "X_ROW": x.strides[2],
        "X_COLUMN": x.strides[3],
        "HI": x.shape[2],
        "WI": x.shape[3],
        "HO": y.shape[2],
        "WO": y.shape[3],
        "SCALE": float(node.attrs.get("spatial_scale", 1.0)),
        "SAMPLES": node.attrs.get("sampling_ratio", 0),
        "HALF": node.attrs.get("coordinate_transformation_mode", default) == "half_pixel",
        "LARGEST": node.attrs.get("mode", "avg") == "max",
        "Y_AT": loop.at["y"],
    }
    inputs = {"x": x, "rois": rois, "batch": batch}
    emit_each(planner, node, ("roi_align.cl", "roi_align"), inputs, y, size=y.size, defines=defines)
